"""What lets a reader of the report trust it: versions, checks, what is missing, what was revised. No JVM."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lakehouse.history import citations
from lakehouse.history.ages import AGES
from lakehouse.history.states import LakeVersion
from lakehouse.ingestion import gaps
from lakehouse.ingestion.gaps import Cause
from lakehouse.ingestion.source import SIMULATED
from lakehouse.lake import duck
from lakehouse.lake.delta_log import FeedError
from lakehouse.lake.tables import BRONZE, QUARANTINE, RUNS, SILVER, TABLES

REVISED = """
    SELECT regionid, age, count(*) AS n, sum(size) AS total, max(size) AS highest
    FROM (
        SELECT b.regionid, abs(a.intensity_forecast - b.intensity_forecast) AS size,
            date_diff('minute', a.timestamp, a.ingestion_timestamp) / 60.0 AS hours,
            coalesce((SELECT max(low) FROM unnest($1) AS t(low) WHERE low <= hours), -1) AS age
        FROM updates b JOIN updates a USING (regionid, timestamp, _commit_version)
        WHERE b._change_type = 'update_preimage' AND a._change_type = 'update_postimage'
            AND a.intensity_forecast <> b.intensity_forecast)
    GROUP BY ALL ORDER BY ALL"""
"""How often and by how much (g) a region's forecasts were corrected, by age in hours since the half-hour's start."""


def missing(state: LakeVersion, first: date, last: date) -> list[dict[str, Any]]:
    """One row per gap between two days, both included: from, to (exclusive), half-hours, cause, regions, detail."""
    start, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last + timedelta(days=1)))
    found = gaps.of_tables(state.tables, start, end, state.ended_at)
    rows = [gap.row() for gap in found.gaps if gap.cause is not Cause.FUTURE]
    shown = ("half_hours", "cause", "regions", "detail")
    return [
        {name: f"{row[name]:%Y-%m-%dT%H:%MZ}" for name in ("from", "to")} | {name: row[name] for name in shown}
        for row in rows
    ]


def revised(state: LakeVersion) -> dict[str, Any]:
    """By region and age (hours, -1 ahead of the half-hour): how many forecasts were corrected, by how much.

    ``told`` is empty, or says why it cannot be told. A release is a copy, whose tables have no history of their own.
    """
    silver = state.snapshot(SILVER)
    if "release" in state.run:
        return {"told": "A release keeps the values of its time and not what they were before.", "of": {}}
    try:
        updates = silver.updates(["regionid", "timestamp", "intensity_forecast", "ingestion_timestamp"])
    except FeedError:
        return {"told": "Files that older versions need have been given up, so it cannot be told.", "of": {}}
    database = duck.connect()
    try:
        database.register("updates", updates)
        rows = database.execute(REVISED, [list(AGES)]).fetchall()
    finally:
        database.close()
    found: dict[str, list[list[int]]] = {}
    for regionid, age, count, total, highest in rows:
        found.setdefault(str(regionid), []).append([int(age), count, int(total), highest])
    return {"told": "", "of": found}


def provenance(state: LakeVersion) -> dict[str, Any]:
    """What the page rests on: the state, its run, every table's version and rows, checks, source and citation."""
    tables = [table for table in TABLES if state.holds(table) and table is not RUNS]
    source = state.snapshot(BRONZE).highest("source") or ""
    code = state.run.get("made_by") or state.run["code_version"]
    return {
        "state": state.name,
        "lake_version": state.lake_version,
        "run": {"id": state.run["run_id"], "code": code, "finished_at": f"{state.ended_at:%Y-%m-%dT%H:%M:%SZ}"},
        "tables": [
            {"table": table.name, "version": state.version(table), "rows": state.snapshot(table).totals()["rows"]}
            for table in tables
        ],
        "checks": _checks(state),
        "quarantined": state.snapshot(QUARANTINE).totals()["rows"],
        "source": source,
        "is_simulated": source.startswith(SIMULATED),
        "citation": citations.of_state(state),
        "release": _release(state.run),
    }


def _release(run: Mapping[str, Any]) -> dict[str, str] | None:
    return {name: run[name] for name in ("created_at", "note", "checksum")} if "release" in run else None


def _checks(state: LakeVersion) -> dict[str, Any]:
    """The rules' results in the newest run, up to the state's, that judged records: none before the first."""
    runs = state.tables.open(RUNS)
    judged = f"{state.tables.runs or 'true'} AND cardinality(quality) > 0"
    newest = None if runs is None else runs.highest("lake_version", judged)
    if runs is None or newest is None:
        return {"lake_version": None, "rules": []}
    rules = runs.rows(["quality"], f"lake_version = {newest}").column("quality")[0].as_py()
    return {"lake_version": newest, "rules": [{k: v for k, v in rule.items() if k != "stage"} for rule in rules]}
