"""What monitors want to know of a lake, read from ``ops.runs`` and the tables' logs. No JVM, no PostgreSQL.

All of it follows from the lake alone, so a process that watches and a command that is called now and then give the
same figures.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from lakehouse.errors import ExitCode
from lakehouse.ingestion import fetch_history, gaps
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import BRONZE, QUARANTINE, RUNS, SILVER, TABLES
from lakehouse.messages.endings import INTERRUPTED
from lakehouse.monitoring import newest
from lakehouse.transform.models import MODELS, STAGE_OF
from lakehouse.windows import floor

OUTCOMES: Mapping[int, str] = {
    ExitCode.OK: "ok",
    ExitCode.FAILED: "failed",
    ExitCode.USAGE: "usage",
    ExitCode.QUALITY: "gate",
    ExitCode.UNAVAILABLE: "api",
    ExitCode.LOCKED: "locked",
    INTERRUPTED: "interrupted",
}
"""Exit codes as monitors name them."""
STAGES = ("bronze", "import", "silver", *(model.stage for model in MODELS), "export")
"""Stages that are told; others (of ``maintain``, say) have names without end."""
TABLE_OF = {**{stage: table for table, stage in STAGE_OF.items()}, "bronze": BRONZE.name, "import": BRONZE.name}
OPERATIONS = ("inserted", "updated", "deleted")
MISSING_WITHIN = {"24h": timedelta(hours=24), "7d": timedelta(days=7)}
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds in seconds of a stage: a warm one takes about one, one over decades minutes."""


@dataclass
class Seconds:
    """Durations as a histogram: how many were at most each bound of ``BUCKETS``, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        for place, bound in enumerate((*BUCKETS, float("inf"))):
            self.counts[place] += seconds <= bound
        self.total += seconds


@dataclass
class RunTotals:
    """All runs of ``ops.runs`` summed up, row by row. Times are when a run ended, by the machine's clock."""

    runs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By command and outcome."""
    run_attempt: dict[str, datetime] = field(default_factory=dict)
    run_success: dict[str, datetime] = field(default_factory=dict)
    stage_attempt: dict[str, datetime] = field(default_factory=dict)
    stage_success: dict[str, datetime] = field(default_factory=dict)
    seconds: defaultdict[str, Seconds] = field(default_factory=lambda: defaultdict(Seconds))
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Written, by table and operation."""
    windows_failed: int = 0
    exported: Mapping[str, int] = field(default_factory=dict)
    """The version of each table that PostgreSQL was last made equal to."""
    lake_version: int = 0
    lake_clock: datetime | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in one row of ``ops.runs``; rows come in order of their lake version."""
        is_ok, ended = row["status"] == "ok", row["finished_at"]
        code = row.get("exit_code")
        known = ExitCode.OK if is_ok else ExitCode.FAILED  # older releases recorded no more
        self.runs[row["command"], OUTCOMES.get(known if code is None else code, "failed")] += 1
        self.run_attempt[row["command"]] = ended
        if is_ok:
            self.run_success[row["command"]] = ended
        for stage in row["stages"]:
            self._add_stage(stage, dict(stage["counts"]), ended)
        self.exported = newest.exported(row["stages"]) or self.exported
        self.windows_failed += len(row["failed_windows"])
        self.lake_version = row["lake_version"]
        self.lake_clock = row["lake_clock"] or self.lake_clock

    def _add_stage(self, stage: Mapping[str, Any], counts: Mapping[str, int], ended: datetime) -> None:
        name = stage["stage"]
        if name not in STAGES:
            return
        self.stage_attempt[name] = ended
        self.seconds[name].add(stage["seconds"])
        if stage["status"] == "ok":
            self.stage_success[name] = ended
        table = TABLE_OF.get(name)
        if table is not None:
            for operation in OPERATIONS:
                self.rows[table, operation] += counts.get(operation, 0)


@dataclass(frozen=True)
class Figures:
    """A lake at a moment. Tables by their names; what cannot be told, as of an empty table, is left out."""

    totals: RunTotals
    versions: Mapping[str, int]
    newest_period_end: Mapping[str, datetime]
    export_behind: int | None
    missing: Mapping[str, int]
    """Half-hours that lack a region, by span before the API's clock as it was last asked."""
    quarantined: Mapping[str, int]
    """Records in quarantine, by the rule that they broke."""
    retries: int
    """Attempts beyond the first of the answers in Bronze."""


class LakeFigures:
    """The figures of a lake, read anew when its tables have changed; from any thread."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = Lock()
        self._read_at: Mapping[str, tuple[str, int]] | None = None
        self._totals, self._figures = RunTotals(), Figures(RunTotals(), {}, {}, None, {}, {}, 0)

    def read(self) -> Figures:
        """The figures of now; of a lake that does not exist there are none.

        Raises:
            LakehouseError: a table cannot be read.
        """
        with self._lock:
            tables = Tables(self._root).opened_once()
            opened = {table.name: found for table in TABLES if (found := tables.open(table)) is not None}
            now = {name: (table.table_id, table.version) for name, table in opened.items()}
            if now != self._read_at:
                versions = {name: table.version for name, table in opened.items()}
                self._figures = self._of(newest.whole(tables), versions)
                self._read_at = now
            return self._figures

    def _of(self, tables: Tables, versions: Mapping[str, int]) -> Figures:
        runs = tables.open(RUNS)
        before = (self._read_at or {}).get(RUNS.name)
        if runs is None or before is None or before[0] != runs.table_id:
            self._totals = RunTotals()
        if runs is not None:
            for row in _rows_after(runs, self._totals.lake_version):
                self._totals.add(row)
        known = fetch_history.of_tables(tables)
        return Figures(
            self._totals,
            versions,
            newest.period_ends(tables, known),
            newest.behind(versions, self._totals.exported),
            self._missing(tables, known),
            _quarantined(tables.open(QUARANTINE)),
            sum(newest.retries(tables.open(BRONZE)).values()),
        )

    def _missing(self, tables: Tables, known: FetchHistory) -> dict[str, int]:
        now = self._totals.lake_clock
        if now is None or tables.open(SILVER) is None or tables.open(BRONZE) is None:
            return {}
        end = floor(now)
        found: dict[str, int] = {}
        for name, length in MISSING_WITHIN.items():
            found[name] = gaps.of_tables(tables, end - length, end, now, known).half_hours
        return found


def _rows_after(runs: Snapshot, lake_version: int) -> Iterable[dict[str, Any]]:
    names = ("lake_version", "command", "status", "exit_code", "lake_clock", "finished_at", "stages", "failed_windows")
    there = [name for name in names if name in runs.column_names]
    rows: list[dict[str, Any]] = runs.rows(there, f"lake_version > {lake_version}").to_pylist()
    return sorted(rows, key=lambda row: int(row["lake_version"]))


def _quarantined(quarantine: Snapshot | None) -> dict[str, int]:
    reasons = quarantine.rows(["reasons"]).column("reasons").to_pylist() if quarantine else []
    return dict(Counter(rule for rules in reasons for rule in rules))
