"""Looking at a lake without Spark: status and history, read through delta-rs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lakehouse.errors import UsageError
from lakehouse.lake import commits, delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import RUNS, TABLES, Table, by_name
from lakehouse.settings import Settings


def of_tables(tables: Tables) -> dict[str, Any]:
    """The lake at a glance: its version, its tables, its last run.

    ``lost_files`` of a table are those data files of its newest version that are gone, or not of their size.
    """
    rows = []
    for table in TABLES:
        snapshot = tables.open(table)
        totals = snapshot.totals() if snapshot else {"rows": 0, "files": 0, "bytes": 0}
        lost = list(snapshot.lost_files) if snapshot else []
        rows.append(
            {"table": table.name, "version": snapshot.version if snapshot else None, **totals, "lost_files": lost}
        )
    return {"root": tables.root, "tables": rows, "last_run": _last_run(tables.open(RUNS))}


def last_run(settings: Settings) -> dict[str, Any] | None:
    """The newest row of ``ops.runs``, None before the first run."""
    return _last_run(delta_log.open_table(settings.path(RUNS.path)))


def _last_run(runs: Snapshot | None) -> dict[str, Any] | None:
    columns = ["lake_version", "run_id", "command", "status", "error", "finished_at", "versions"]
    if runs is None or runs.lost_files:  # these are told of the table itself
        return None
    newest = next(iter(runs.newest_rows(columns, "lake_version", 1)), None)
    return {**newest, "versions": dict(newest["versions"])} if newest else None


def known_table(name: str) -> Table:
    """The table of that name.

    Raises:
        UsageError: there is none.
    """
    table = by_name(name)
    if table is None:
        raise UsageError(f"There is no table {name!r}; known: {', '.join(table.name for table in TABLES)}.")
    return table


def history(settings: Settings, name: str, limit: int) -> list[dict[str, Any]]:
    """One row per version of a table, newest first: when, what, by which run, how many rows.

    Raises:
        UsageError: no such table, or it does not exist yet.
    """
    table = known_table(name)
    snapshot = delta_log.open_table(settings.path(table.path))
    if snapshot is None:
        raise UsageError(f"{table.name} does not exist yet in {settings.root}; `lakehouse run` makes it.")
    return [_entry(entry) for entry in snapshot.newest_commits(limit)]


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    commit = commits.parse(entry.get("userMetadata"))
    moment = entry.get("inCommitTimestamp") or entry["timestamp"]
    return {
        "version": int(entry["version"]),
        "timestamp": datetime.fromtimestamp(int(moment) / 1000, UTC),
        "operation": entry.get("operation"),
        "stage": commit.stage if commit else None,
        "run_id": commit.run_id if commit else None,
        "code_version": commit.code_version if commit else None,
        "reads": {name: pin.version for name, pin in commit.reads.items()} if commit else {},
        "landing": commit.landing if commit else None,
        "metrics": {name: int(value) for name, value in (entry.get("operationMetrics") or {}).items()},
    }
