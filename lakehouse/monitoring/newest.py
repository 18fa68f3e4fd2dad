"""What is newest in a lake: the half-hours of its layers, and what PostgreSQL was last given. No JVM.

The one place that finds them: ``status``, the metrics and the hook tell what stands here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lakehouse.errors import LakehouseError
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.lake import delta_log, watermarks
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import BRONZE, GOLD, PUBLISHED, SILVER, TABLES
from lakehouse.monitoring import freshness
from lakehouse.windows import HALF_HOUR


def whole(tables: Tables) -> Tables:
    """The tables without those that have lost data files: of what these hold nothing can be told."""
    opened = {table.name: tables.open(table) for table in TABLES}
    return replace(
        tables, opened={name: None if each is None or each.lost_files else each for name, each in opened.items()}
    )


def period_ends(tables: Tables, known: FetchHistory) -> dict[str, datetime]:
    """The end of the newest half-hour of Bronze, Silver and Gold's days, by the names of these tables.

    Of an empty table there is none. ``known``: what the lake says of its own ingestion.
    """
    gold = tables.open(GOLD)
    found = {
        BRONZE.name: freshness.newest_held(known.fetch_log),
        SILVER.name: _of_silver(tables.open(SILVER)),
        GOLD.name: of_gold(tables, gold),
    }
    return {name: moment for name, moment in found.items() if moment is not None}


def _of_silver(silver: Snapshot | None) -> datetime | None:
    if silver is None:
        return None
    extents = silver.extents("timestamp")
    newest = silver.highest("timestamp") if extents is None else max((last for _, last, _ in extents), default=None)
    return newest.astimezone(UTC) + HALF_HOUR if newest is not None else None


def of_gold(tables: Tables, gold: Snapshot | None) -> datetime | None:
    """The newest half-hour of the Silver that Gold says it was made of; where it says nothing, of its newest day."""
    if gold is None:
        return None
    newest = gold.newest_rows(["date_recorded", "n_periods"], "date_recorded", 1)
    if not newest:
        return None
    version = watermarks.stated_source(tables, GOLD, gold, "gold", SILVER)
    if version is not None:
        silver = tables.open(SILVER)
        if silver is not None and silver.version == version:
            return _of_silver(silver)
        try:
            return _of_silver(delta_log.open_table(tables.path(SILVER), version))
        except LakehouseError:  # the log no longer has it: Gold's own days tell the age then
            version = None
    day = newest[0]["date_recorded"]
    periods = gold.rows(["n_periods"], f"date_recorded = DATE '{day}'")["n_periods"].to_pylist()
    return freshness.of_day(day, periods)


def exported(stages: Iterable[Mapping[str, Any]]) -> dict[str, int] | None:
    """The version of each table that PostgreSQL was made equal to in a run with these stages; None: in none of them."""
    reads = (stage["reads"] for stage in stages if stage["stage"] == "export" and stage["status"] == "ok")
    found = next(reads, None)
    return None if found is None else dict(found)


def behind(versions: Mapping[str, int], exported: Mapping[str, int]) -> int | None:
    """By how many versions the table that is furthest behind in PostgreSQL is; None before the first export."""
    lags = [
        versions[table.name] - exported[table.name] for table in PUBLISHED if {table.name} <= {*versions} & {*exported}
    ]
    return max(lags, default=None)


def retries(bronze: Snapshot | None, among: str = "") -> dict[str, int]:
    """Attempts beyond the first of the answers that each run received; ``among``: a condition in SQL on its rows."""
    where = "attempts > 1" + (f" AND {among}" if among else "")
    totals: dict[str, int] = {}
    for row in bronze.rows(["run_id", "attempts"], where).to_pylist() if bronze else []:
        totals[row["run_id"]] = totals.get(row["run_id"], 0) + row["attempts"] - 1
    return totals
