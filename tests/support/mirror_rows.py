"""Literal rows for the tests of the mirror, and the short way to export and look at them."""

import time
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, text

from lakehouse.lake.commits import Pin
from lakehouse.lake.tables import DIM_REGION, GOLD, GOLD_MONTHLY, INTENSITY_PROFILE, PUBLISHED, Table
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import mirror
from lakehouse.publishing.export_log import ExportCounts, Exported, PublishedState
from lakehouse.publishing.mirror import Staged

LONDON = {"regionid": 13, "shortname": "London", "dno": "UKPN London", "kind": "dno_region", "parent_regionid": 15}
ENGLAND = {"regionid": 15, "shortname": "England", "dno": "England", "kind": "nation", "parent_regionid": 18}
GB = {"regionid": 18, "shortname": "GB", "dno": "GB", "kind": "gb", "parent_regionid": None}
REGIONS = (LONDON, ENGLAND, GB)
UNTOUCHED, SAME_REGIONS = ExportCounts(), ExportCounts(unchanged=3)
SEVENTH = PublishedState({"carbon_intensity_daily": Pin("gold-id", 7)})
FUELS = ("biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind")
FIRST, SECOND, THIRD = date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)
FEBRUARY = date(2024, 2, 1)

EVERYTHING = [Staged(table, is_full=True) for table in PUBLISHED]


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


def half_hour(regionid: int, number: int, **changes: object) -> dict[str, object]:
    """A row of ``intensity_profile``, of February."""
    row = {
        "regionid": regionid,
        "month": FEBRUARY,
        "half_hour": number,
        "n_days": 29,
        "intensity_avg": Decimal("150.25"),
        "intensity_min": -3,
        "intensity_max": 301,
    }
    return {**row, **changes}


def month(regionid: int, first: date, **changes: object) -> dict[str, object]:
    """A row of ``carbon_intensity_monthly``."""
    row = {
        "regionid": regionid,
        "month": first,
        "n_days": 29,
        "n_complete_days": 28,
        "n_periods": 1391,
        "intensity_avg": Decimal("160.50"),
        "intensity_min": -3,
        "intensity_max": 301,
        **{f"fuel_{fuel}": Decimal("11.11") for fuel in FUELS},
    }
    return {**row, **changes}


def rows_of(regions=(), days=(), profile=(), months=()) -> list[tuple[Table, Sequence[Mapping[str, object]]]]:
    """Rows by table, in the order of the published tables."""
    return [(DIM_REGION, regions), (GOLD, days), (INTENSITY_PROFILE, profile), (GOLD_MONTHLY, months)]


def counts(days=UNTOUCHED, regions=UNTOUCHED, profile=UNTOUCHED, months=UNTOUCHED) -> Exported:
    """What an export did, by table."""
    names = (table.short_name for table, _ in rows_of())
    return dict(zip(names, (regions, days, profile, months), strict=True))


def stage(connection: Connection, run_id: str, **rows) -> None:
    with connection.begin():
        for table, of_table in rows_of(**rows):
            for row in of_table:
                names = [*row, "run_id"]
                connection.execute(
                    text(
                        f"INSERT INTO carbon_data.staging_{table.short_name} ({', '.join(names)}) "
                        f"VALUES ({', '.join(':' + name for name in names)})"
                    ),
                    {**row, "run_id": run_id},
                )


def export(
    target: PostgresTarget, *, regions=REGIONS, full=True, run_id="run-1", keys=None, state=SEVENTH, proof=None, **rows
) -> Exported:
    """Stage all regions, and of the other tables all rows (``full``) or those that changed; apply them."""
    staged = [Staged(table, full or table is DIM_REGION, keys if table is GOLD else None) for table in PUBLISHED]
    with mirror.export_lock(target) as connection:
        mirror.clear_staging(connection)
        stage(connection, run_id, regions=regions, **rows)
        with connection.begin():
            return mirror.apply_staged(connection, run_id=run_id, state=state, staged=staged, proof=proof)


def query(target: PostgresTarget, statement: str) -> list[tuple[object, ...]]:
    with connect(target) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def published(target: PostgresTarget) -> list[tuple[object, ...]]:
    return query(
        target,
        "SELECT regionid, date_recorded, intensity_avg FROM carbon_data.carbon_intensity_daily ORDER BY 1, 2",
    )


BEFORE = {
    "regions": REGIONS,
    "days": [day(13, FIRST), day(13, SECOND), day(18, FIRST)],
    "profile": [half_hour(13, 0), half_hour(18, 47)],
    "months": [month(13, FEBRUARY), month(18, FEBRUARY)],
}
SAME = {"profile": ExportCounts(unchanged=2), "months": ExportCounts(unchanged=2)}
"""What an export does to these tables that have no change, beside the regions and the days."""

# Numbers of rows: the first 15 hexadecimal digits of `printf '%s' TEXT | sha256sum`, TEXT as in the line above each.
# 13|2024-02-01|0|29|150.25|-3|301
HALF_HOUR_NUMBER = 0xF6EDAC4D6A54FCF
# 13|2024-02-01|29|28|1391|160.50|-3|301|11.11|…(nine of them in all)…|11.11
MONTH_NUMBER = 0xC67E51284989264
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
    """By table and key, which transaction wrote each row, where it is, and which one locked it."""
    return [
        (table.short_name, *row)
        for table in PUBLISHED
        for row in query(
            target,
            f"SELECT concat_ws(' ', {', '.join(table.key)}), xmin::text, ctid::text, xmax::text "
            f"FROM carbon_data.{table.short_name} ORDER BY 1",
        )
    ]


def tuple_counts(target: PostgresTarget) -> list[tuple[object, ...]]:
    """Rows ever inserted, updated and deleted, and dead ones, once every session has reported its own."""
    wait_until(
        target,
        "SELECT count(*) = 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'",
    )
    return query(
        target,
        f"""
        SELECT relname, n_tup_ins, n_tup_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables
        WHERE schemaname = 'carbon_data' AND relname IN {tuple(table.short_name for table in PUBLISHED)}
        ORDER BY relname
        """,
    )
