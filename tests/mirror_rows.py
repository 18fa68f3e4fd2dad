"""Literal rows for the tests of the mirror, and the short way to export and look at them."""

import time
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, text

from lakehouse import mirror
from lakehouse.mirror import ExportCounts
from lakehouse.postgres import PostgresTarget, connect

LONDON = {"regionid": 13, "shortname": "London", "dno": "UKPN London", "kind": "dno_region", "parent_regionid": 15}
ENGLAND = {"regionid": 15, "shortname": "England", "dno": "England", "kind": "nation", "parent_regionid": 18}
GB = {"regionid": 18, "shortname": "GB", "dno": "GB", "kind": "gb", "parent_regionid": None}
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


def export(target: PostgresTarget, *, regions=(), days=(), full=True, run_id="run-1", **more) -> ExportCounts:
    with mirror.export_lock(target) as connection:
        mirror.clear_staging(connection)
        stage(connection, run_id, regions=regions, days=days)
        with connection.begin():
            return mirror.apply_staged(
                connection, run_id=run_id, gold_version=7, gold_table_id="gold-id", full=full, **more
            )


def query(target: PostgresTarget, statement: str) -> list[tuple[object, ...]]:
    with connect(target) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def published(target: PostgresTarget) -> list[tuple[object, ...]]:
    return query(
        target,
        "SELECT regionid, date_recorded, intensity_avg FROM carbon_data.carbon_intensity_daily ORDER BY 1, 2",
    )


BEFORE = {"regions": [LONDON, ENGLAND, GB], "days": [day(13, FIRST), day(13, SECOND), day(18, FIRST)]}


def wait_until(target: PostgresTarget, question: str) -> None:
    deadline = time.monotonic() + 60
    with connect(target) as connection:
        while not connection.exec_driver_sql(question).scalar_one():
            connection.rollback()
            assert time.monotonic() < deadline, question
            time.sleep(0.02)
