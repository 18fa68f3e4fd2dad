"""A lake at a glance: fresh or late, complete or not, its last runs and what is odd about it. No JVM.

Only statistics of the logs and single columns are read, of Silver those of the last nine weeks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from lakehouse.history import status
from lakehouse.ingestion import fetch_history, gaps
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.ingestion.gaps import GapReport
from lakehouse.lake import delta_log, watermarks
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import BRONZE, GOLD, RUNS, SILVER, Table
from lakehouse.messages.wording import counted
from lakehouse.monitoring import anomalies, freshness, newest, published, writers
from lakehouse.monitoring.anomalies import Anomaly
from lakehouse.monitoring.freshness import DAY, DAYS_SHOWN, Day, Freshness, State
from lakehouse.monitoring.published import Published
from lakehouse.settings import Settings
from lakehouse.windows import HALF_HOUR, floor

RUNS_SHOWN = 5
RUN_COLUMNS = (
    *("lake_version", "run_id", "command", "status", "error", "started_at", "finished_at"),
    *("stages", "failed_windows", "quality"),
)
LAYERS = {"bronze": BRONZE, "silver": SILVER, "gold": GOLD, "export": GOLD}
"""The layers that have a target of freshness, each with the table that says how old it is."""
DAYS_COMPARED = DAYS_SHOWN + 7 * anomalies.WEEKS


class Level(StrEnum):
    """How bad a finding is: ``broken`` is what monitors are told by exit code 3."""

    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, in a sentence without its full stop."""

    level: Level
    subject: str
    sentence: str


@dataclass(frozen=True)
class Overview:
    """All that ``status`` shows. ``clock``: the lake's. ``gaps``: of the days shown; None where it cannot be told.

    ``crossed``: tables that two runs wrote at once, each with a sentence.
    """

    lake: Mapping[str, Any]
    clock: datetime
    layers: tuple[Freshness, ...]
    days: Sequence[Day]
    anomalies: Sequence[Anomaly]
    gaps: GapReport | None
    runs: Sequence[Mapping[str, Any]]
    published: Published
    is_other_lake: bool
    crossed: Mapping[str, str]

    @property
    def findings(self) -> list[Finding]:
        """What is not as it should be, the worst first."""
        found = [
            Finding(Level.BROKEN if layer.state is State.BROKEN else Level.WARNING, layer.layer, layer.describe())
            for layer in self.layers
            if layer.state is not State.OK
        ]
        for table in self.lake["tables"]:
            if table["lost_files"]:
                lost = f"{len(table['lost_files'])} of its {counted(table['files'], 'data file')}"
                found.append(Finding(Level.BROKEN, table["table"], f"{table['table']} has lost {lost}"))
        found += [
            Finding(Level.BROKEN, table, f"{sentence}; `lakehouse run --full-refresh` builds all derived tables anew")
            for table, sentence in self.crossed.items()
        ]
        found += [Finding(Level.WARNING, "rows", anomaly.describe()) for anomaly in self.anomalies]
        if self.runs and self.runs[0]["status"] != "ok":
            run = self.runs[0]
            found.append(Finding(Level.WARNING, "run", f"the last run ({run['command']}) failed: {run['error']}"))
        if self.published.is_failure:
            found.append(Finding(Level.WARNING, "postgres", f"PostgreSQL cannot be asked: {self.published.note}"))
        if self.is_other_lake:
            found.append(Finding(Level.BROKEN, "postgres", "what PostgreSQL has was exported from another lake"))
        return sorted(found, key=lambda finding: finding.level is not Level.BROKEN)

    @property
    def broken(self) -> dict[str, str]:
        """What monitors are told by exit code 3: a sentence by the name of each layer or table."""
        return {found.subject: found.sentence for found in self.findings if found.level is Level.BROKEN}

    def as_dict(self) -> dict[str, Any]:
        """As ``status --json`` has it; ages in seconds."""
        return {
            **self.lake,
            "lake_clock": self.clock,
            "freshness": [_layer(layer) for layer in self.layers],
            "completeness": [{**asdict(day), "share": round(day.share, 4)} for day in self.days],
            "anomalies": [asdict(anomaly) for anomaly in self.anomalies],
            "gaps": [gap.row() for gap in self.gaps.gaps] if self.gaps else None,
            "runs": list(self.runs),
            "postgres": self.published.as_dict(),
            "findings": [asdict(finding) for finding in self.findings],
        }


def _layer(layer: Freshness) -> dict[str, Any]:
    seconds = {name: getattr(layer, name) for name in ("age", "warn_after", "fail_after")}
    return {
        "layer": layer.layer,
        "until": layer.until,
        **{f"{name}_seconds": None if each is None else each.total_seconds() for name, each in seconds.items()},
        "state": layer.state.value,
    }


def read(settings: Settings, machine: datetime) -> Overview:
    """The lake as it is; ``machine``: what the machine's clock says. A lake that does not exist holds nothing.

    Raises:
        LakehouseError: a table cannot be read.
    """
    there = Tables(settings.root).opened_once()
    tables = newest.whole(there)
    known = fetch_history.of_tables(tables)
    now = known.now(machine)
    begin = known.oldest(now)
    in_postgres = published.read(settings)
    is_other_lake = _is_of_another(there, in_postgres)
    rows = _rows_by_day(tables.open(SILVER), now)
    days = freshness.last_days(rows, now, begin)
    until = _until(tables, known, in_postgres, is_other_lake=is_other_lake)
    if settings.postgres.url is None and until["export"] is None:
        del until["export"]  # nobody has asked for an export
    for layer, table in LAYERS.items():
        if _has_lost_files(there, table):
            until.pop(layer, None)  # the finding is what it has lost
    return Overview(
        status.of_tables(there),
        now,
        freshness.judged(until, now, settings.freshness.targets),
        days,
        anomalies.find(rows, [day.day for day in days if day.day < now.date()], (begin + DAY).date()) if begin else [],
        None
        if any(_has_lost_files(there, each) for each in (BRONZE, SILVER))
        else _gaps(tables, known, begin, now, machine),
        _last_runs(tables),
        in_postgres,
        is_other_lake,
        writers.crossed(there),
    )


def _until(
    tables: Tables, known: FetchHistory, in_postgres: Published, *, is_other_lake: bool
) -> dict[str, datetime | None]:
    """The end of each layer's newest half-hour."""
    ends = newest.period_ends(tables, known)
    gold = tables.open(GOLD)
    version = None if is_other_lake else _exported_gold(tables, in_postgres)
    if version is None or gold is None:
        export = None
    elif version == gold.version:
        export = ends.get(GOLD.name)
    else:
        export = newest.of_gold(tables, delta_log.open_table(tables.path(GOLD), version))
    return {**{layer: ends.get(table.name) for layer, table in LAYERS.items()}, "export": export}


def _has_lost_files(tables: Tables, table: Table) -> bool:
    found = tables.open(table)
    return found is not None and bool(found.lost_files)


def _exported_gold(tables: Tables, in_postgres: Published) -> int | None:
    """The version of Gold that PostgreSQL has: as it says itself, else as the last export's run says."""
    if in_postgres.versions is not None:
        return in_postgres.versions.get(GOLD.short_name)
    runs = tables.open(RUNS)
    if runs is None:
        return None
    rows = runs.newest_rows(["stages"], "lake_version", watermarks.RUNS_ASKED)
    told = next((reads for row in rows if (reads := newest.exported(row["stages"])) is not None), {})
    return told.get(GOLD.name)


def _is_of_another(tables: Tables, in_postgres: Published) -> bool:
    gold = tables.open(GOLD)
    stated = (in_postgres.table_ids or {}).get(GOLD.short_name)
    return stated is not None and (gold is None or gold.table_id != stated)


def _rows_by_day(silver: Snapshot | None, now: datetime) -> dict[date, int]:
    if silver is None:
        return {}
    first = floor(now).replace(hour=0, minute=0) - timedelta(days=DAYS_COMPARED)
    query = (
        "SELECT date_trunc('day', timestamp) AS day, count(*) AS n FROM rows "  # noqa: S608 (our own names)
        f"WHERE timestamp >= TIMESTAMP '{first:%FT%TZ}' GROUP BY 1"
    )
    found = delta_log.query_datafusion(query, rows=silver)
    days = (moment.astimezone(UTC).date() for moment in found["day"].to_pylist())
    return dict(zip(days, found["n"].to_pylist(), strict=True))


def _gaps(
    tables: Tables, known: FetchHistory, begin: datetime | None, now: datetime, machine: datetime
) -> GapReport | None:
    """Those of the days shown; what never was in the lake's range is no gap."""
    if begin is None:
        return None
    start = floor(now).replace(hour=0, minute=0) - (DAYS_SHOWN - 1) * DAY
    return gaps.of_tables(tables, max(begin, min(start, floor(now) - HALF_HOUR)), None, machine, known)


def _last_runs(tables: Tables) -> list[dict[str, Any]]:
    runs = tables.open(RUNS)
    rows = runs.newest_rows(RUN_COLUMNS, "lake_version", RUNS_SHOWN) if runs else []
    listed = ", ".join(f"'{row['run_id']}'" for row in rows)
    retries = newest.retries(tables.open(BRONZE), f"run_id IN ({listed})") if rows else {}
    return [_run(row, retries.get(row["run_id"], 0)) for row in rows]


def _run(row: Mapping[str, Any], retries: int) -> dict[str, Any]:
    broken: dict[str, int] = {}
    for result in row["quality"]:
        if result["failed"]:
            broken[result["rule"]] = broken.get(result["rule"], 0) + result["failed"]
    return {
        **{name: row[name] for name in RUN_COLUMNS[:7]},
        "seconds": round((row["finished_at"] - row["started_at"]).total_seconds(), 3),
        "stages": [
            {
                "stage": stage["stage"],
                "status": stage["status"],
                "seconds": round(stage["seconds"], 3),
                "counts": dict(stage["counts"]),
            }
            for stage in row["stages"]
        ],
        "failed_windows": len(row["failed_windows"]),
        "retries": retries,
        "quality": broken,
    }
