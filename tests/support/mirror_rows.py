"""Literal rows for the tests of the mirror, and the short way to export and look at them."""

import time
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, text

from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import mirror
from lakehouse.publishing.export_log import ExportCounts, Exported, GoldVersion

LONDON = {"regionid": 13, "shortname": "London", "dno": "UKPN London", "kind": "dno_region", "parent_regionid": 15}
ENGLAND = {"regionid": 15, "shortname": "England", "dno": "England", "kind": "nation", "parent_regionid": 18}
GB = {"regionid": 18, "shortname": "GB", "dno": "GB", "kind": "gb", "parent_regionid": None}
REGIONS = (LONDON, ENGLAND, GB)
SAME_REGIONS = ExportCounts(unchanged=3)
SEVENTH = GoldVersion("gold-id", 7)
FUELS = ("biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind")
FIRST, SECOND, THIRD = date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)


def day(regionid: int, recorded: date, **changes: object) -> dict[str, object]:
    row = {
        "regionid": regionid,
        "date_recorded": recorded,
        "shortname": "London" if regionid == 13 else "GB",
        "dno": "UKPN London" if regionid == 13 else "GB",
        "intensity_avg": Decimal("123.45"),
        "index_mode": "moderate",
        **{f"fuel_{fuel}": Decimal("11.11") for fuel in FUELS},
        "n_periods": 48,
        "n_expected": 48,
        "is_complete": True,
        "intensity_min": 90,
        "intensity_max": 160,
    }
    return {**row, **changes}


def stage(connection: Connection, run_id: str, *, regions=(), days=()) -> None:
    with connection.begin():
        for table, rows in (("dim_region", regions), ("carbon_intensity_daily", days)):
            for row in rows:
                names = [*row, "run_id"]
                connection.execute(
                    text(
                        f"INSERT INTO {mirror.STAGING[table]} ({', '.join(names)}) "
                        f"VALUES ({', '.join(':' + name for name in names)})"
                    ),
                    {**row, "run_id": run_id},
                )


def export(target: PostgresTarget, *, regions=REGIONS, days=(), full=True, run_id="run-1", **more) -> Exported:
    with mirror.export_lock(target) as connection:
        mirror.clear_staging(connection)
        stage(connection, run_id, regions=regions, days=days)
        with connection.begin():
            return mirror.apply_staged(connection, run_id=run_id, **{"gold": SEVENTH, "full": full, **more})


def query(target: PostgresTarget, statement: str) -> list[tuple[object, ...]]:
    with connect(target) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def published(target: PostgresTarget) -> list[tuple[object, ...]]:
    return query(
        target,
        "SELECT regionid, date_recorded, intensity_avg FROM carbon_data.carbon_intensity_daily ORDER BY 1, 2",
    )


BEFORE = {"regions": REGIONS, "days": [day(13, FIRST), day(13, SECOND), day(18, FIRST)]}

# Numbers of rows: the first 15 hexadecimal digits of `printf '%s' TEXT | sha256sum`, TEXT as in the line above each.
# 13|London|UKPN London|dno_region|15
LONDON_NUMBER = 0x32A1ED7D94BC95C
# 18|Grö\|ß\\e|GB|gb|\N
ODD_REGION = {**GB, "shortname": "Grö|ß\\e"}
ODD_REGION_NUMBER = 0x0DBCB7690E9409E
# 13|2024-03-01|London|UKPN London|123.45|moderate|11.11|…(nine of them in all)…|11.11|1|48|false|90|160
PARTIAL_DAY = day(13, THIRD, n_periods=1, is_complete=False)
PARTIAL_DAY_NUMBER = 0x1FAB390CDEF27B9
# 18|2024-02-29|Größe \|\\N|GB|-0.50|very low|0.00|11.11|11.11|11.11|11.11|11.11|11.11|11.11|100.00|48|48|true|-5|160
ODD_DAY = day(
    18,
    SECOND,
    shortname="Größe |\\N",
    intensity_avg=Decimal("-0.50"),
    index_mode="very low",
    fuel_biomass=Decimal("0.00"),
    fuel_wind=Decimal("100.00"),
    intensity_min=-5,
)
ODD_DAY_NUMBER = 0x36A9E6C4A40D344


def wait_until(target: PostgresTarget, question: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    with connect(target) as connection:
        while not connection.exec_driver_sql(question).scalar_one():
            connection.rollback()
            assert time.monotonic() < deadline, question
            time.sleep(0.02)


def marks(target: PostgresTarget) -> list[tuple[object, ...]]:
    """Which transaction wrote each row, where it is, and which one locked it."""
    return query(
        target,
        """
        SELECT 'day', regionid, date_recorded::text, xmin::text, ctid::text, xmax::text
        FROM carbon_data.carbon_intensity_daily
        UNION ALL
        SELECT 'region', regionid, '', xmin::text, ctid::text, xmax::text FROM carbon_data.dim_region
        ORDER BY 1, 2, 3
        """,
    )


def tuple_counts(target: PostgresTarget) -> list[tuple[object, ...]]:
    """Rows ever inserted, updated and deleted, and dead ones, once every session has reported its own."""
    wait_until(
        target,
        "SELECT count(*) = 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'",
    )
    return query(
        target,
        """
        SELECT relname, n_tup_ins, n_tup_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables
        WHERE schemaname = 'carbon_data' AND relname IN ('dim_region', 'carbon_intensity_daily') ORDER BY relname
        """,
    )
