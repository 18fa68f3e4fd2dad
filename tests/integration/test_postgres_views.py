"""The analysts' views on literal rows."""

import pytest

from lakehouse.postgres import PostgresTarget, connect

COLUMNS = """regionid, date_recorded, shortname, dno, intensity_avg, index_mode, fuel_biomass, fuel_coal, fuel_gas,
fuel_hydro, fuel_imports, fuel_nuclear, fuel_other, fuel_solar, fuel_wind, n_periods, n_expected, is_complete,
intensity_min, intensity_max"""


@pytest.fixture
def filled(database: PostgresTarget) -> PostgresTarget:
    with connect(database) as connection, connection.begin():
        connection.exec_driver_sql("""
            INSERT INTO carbon_data.dim_region VALUES
            (12, 'South England', 'SSE South', 'dno_region', 15),
            (13, 'London', 'UKPN London', 'dno_region', 15),
            (14, 'South East England', 'UKPN South East', 'dno_region', 15),
            (15, 'England', 'England', 'nation', 18),
            (18, 'GB', 'GB', 'gb', NULL)
        """)
        connection.exec_driver_sql(f"""
            INSERT INTO carbon_data.carbon_intensity_daily ({COLUMNS}) VALUES
            (12, '2024-02-29', 'South England', 'SSE South', 100.00, 'low',
                1, 2, 3, 4, 5, 6, 7, 8, 64, 48, 48, TRUE, 50, 150),
            (13, '2024-02-28', 'London', 'UKPN London', 200.00, 'moderate',
                10, 0, 50, 0, 20, 20, 0, 0, 0, 48, 48, TRUE, 150, 250),
            (13, '2024-02-29', 'London', 'UKPN London', 100.00, 'low',
                0, 0, 10, 5, 10, 20, 5, 20, 30, 12, 48, FALSE, 80, 120),
            (13, '2024-03-01', 'London', 'UKPN London', 90.00, 'low',
                0, 0, 10, 5, 10, 20, 5, 20, 30, 48, 48, TRUE, -5, 300),
            (14, '2024-02-29', 'South East England', 'UKPN South East', 100.01, 'low',
                0, 0, 10, 5, 10, 20, 5, 20, 30, 48, 48, TRUE, 80, 120),
            (15, '2024-02-29', 'England', 'England', 1.00, 'very low',
                0, 0, 10, 5, 10, 20, 5, 20, 30, 48, 48, TRUE, 1, 1),
            (18, '2024-02-29', 'GB', 'GB', 2.00, 'very low',
                0, 0, 10, 5, 10, 20, 5, 20, 30, 48, 48, TRUE, 1, 3)
        """)
        connection.exec_driver_sql("""
            INSERT INTO carbon_data.carbon_intensity_monthly VALUES
            (13, '2024-02-01', 2, 1, 60, 180.01, 80, 250, 8.02, 0, 42.03, 1, 18.05, 20, 1.06, 4.07, 6.08),
            (13, '2024-03-01', 1, 1, 48, 90.00, -5, 300, 0, 0, 10, 5, 10, 20, 5, 20, 30),
            (15, '2024-02-01', 1, 1, 48, 1.00, 1, 1, 0, 0, 10, 5, 10, 20, 5, 20, 30),
            (18, '2024-02-01', 1, 1, 48, 2.00, 1, 3, 0, 0, 10, 5, 10, 20, 5, 20, 30)
        """)
    return database


def query(target: PostgresTarget, statement: str) -> list[tuple[object, ...]]:
    with connect(target) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def test_latest_gives_each_regions_newest_day(filled: PostgresTarget):
    rows = query(
        filled,
        "SELECT regionid, kind, date_recorded::text, intensity_avg::text FROM carbon_data.latest ORDER BY regionid",
    )
    assert rows == [
        (12, "dno_region", "2024-02-29", "100.00"),
        (13, "dno_region", "2024-03-01", "90.00"),
        (14, "dno_region", "2024-02-29", "100.01"),
        (15, "nation", "2024-02-29", "1.00"),
        (18, "gb", "2024-02-29", "2.00"),
    ]


def test_monthly_shows_the_published_months_with_their_regions(filled: PostgresTarget):
    rows = query(filled, "SELECT * FROM carbon_data.monthly WHERE regionid = 13 ORDER BY month")
    assert [tuple(map(str, row)) for row in rows] == [
        (
            *("13", "dno_region", "London", "2024-02-01", "2", "1", "60", "180.01", "80", "250"),
            *("8.02", "0.00", "42.03", "1.00", "18.05", "20.00", "1.06", "4.07", "6.08"),
        ),
        (
            *("13", "dno_region", "London", "2024-03-01", "1", "1", "48", "90.00", "-5", "300"),
            *("0.00", "0.00", "10.00", "5.00", "10.00", "20.00", "5.00", "20.00", "30.00"),
        ),
    ]


def test_monthly_keeps_names_order_and_types_of_its_columns(database: PostgresTarget):
    columns = query(
        database,
        """
        SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = 'carbon_data.monthly'::regclass AND attnum > 0 ORDER BY attnum
        """,
    )
    fuels = ("biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind")
    assert columns == [
        ("regionid", "integer"),
        ("kind", "character varying(20)"),
        ("shortname", "character varying(100)"),
        ("month", "date"),
        ("n_days", "integer"),
        ("n_complete_days", "integer"),
        ("n_periods", "integer"),
        ("intensity_avg", "numeric"),
        ("intensity_min", "integer"),
        ("intensity_max", "integer"),
        *((f"fuel_{fuel}", "numeric") for fuel in fuels),
    ]


def test_monthly_keeps_the_kinds_apart(filled: PostgresTarget):
    rows = query(filled, "SELECT kind, n_days FROM carbon_data.monthly WHERE month = '2024-02-01' ORDER BY 1")
    assert rows == [("dno_region", 2), ("gb", 1), ("nation", 1)]


def test_ranks_distribution_regions_only_and_equals_alike(filled: PostgresTarget):
    rows = query(
        filled,
        """
        SELECT rank, regionid FROM carbon_data.regions_ranked_by_day
        WHERE date_recorded = '2024-02-29' ORDER BY rank, regionid
        """,
    )
    assert rows == [(1, 12), (1, 13), (3, 14)]


def test_low_carbon_share_adds_groups_of_fuels(filled: PostgresTarget):
    rows = query(
        filled,
        """
        SELECT weather_share::text, zero_carbon_share::text, low_carbon_share::text, fossil_share::text, kind
        FROM carbon_data.low_carbon_share WHERE date_recorded = '2024-02-29' AND regionid = 12
        """,
    )
    # hydro 4 + solar 8 + wind 64; + nuclear 6; + biomass 1; coal 2 + gas 3
    assert rows == [("76.00", "82.00", "83.00", "5.00", "dno_region")]
