"""Keeping a lake small and quick inside what it promises: retention, compaction, checkpoints, vacuum.

By default every version of every table is kept for ever, so nothing is ever deleted. A bounded retention is asked for
by a setting and takes effect here: Delta then refuses versions older than that, and files that only they need go.
Releases are no tables of the lake: they keep their own files whatever the retention.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession

from lakehouse.lake import damage, delta_log, files
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Store
from lakehouse.lake.tables import FOREVER, SILVER, TABLES, Table
from lakehouse.settings import Settings

MIB = 2**20
SMALL_FILE, LARGE_FILE = MIB, 128 * MIB
"""Sizes to compact to: of tables whose files a MERGE copies (about a quarter of Silver), and of those only added to."""
WORTH_IT = 4
"""A compaction is done when it leaves at most one file in this many."""
MAX_FILE_SIZE = "spark.databricks.delta.optimize.maxFileSize"


@dataclass(frozen=True)
class MaintenancePlan:
    """What there is to do for a table, or what was done. Sizes in bytes.

    ``live`` are the files of the newest version; ``kept`` those that only older versions need and that stay, because
    of ``retention``; ``goes`` those that a vacuum takes away.
    """

    table: str
    files: int
    live: int
    kept: int
    goes: int
    files_to_go: int
    compact_to: int | None
    retention: str
    new_retention: str | None

    @property
    def why(self) -> str:
        """Why what is kept is kept."""
        if self.kept == 0:
            return "nothing but the newest version's files"
        return f"older versions, kept {self.how_long}"

    @property
    def how_long(self) -> str:
        """The retention of now on, as a person says it."""
        retention = self.new_retention or self.retention
        return "for ever" if retention == FOREVER else retention.removeprefix("interval ")

    def as_row(self) -> dict[str, object]:
        """For a table of text, and for ``--json``."""
        return {
            "table": self.table,
            "files": self.files,
            "bytes": self.live,
            "compact_to": self.compact_to,
            "kept_bytes": self.kept,
            "goes_bytes": self.goes,
            "goes_files": self.files_to_go,
            "why_kept": self.why,
            "retention": self.how_long,
        }


def retention(settings: Settings) -> str:
    """The retention that is set, as Delta's interval."""
    days = settings.retention.days
    return FOREVER if days is None else f"interval {days} days"


def planned(settings: Settings) -> list[MaintenancePlan]:
    """What :func:`maintain` would do for each table that exists. No JVM."""
    found = ((table, delta_log.open_table(settings.path(table.path))) for table in TABLES)
    return [_planned(settings, table, snapshot) for table, snapshot in found if snapshot is not None]


def _planned(settings: Settings, table: Table, snapshot: Snapshot) -> MaintenancePlan:
    totals = snapshot.totals()
    now, wanted = snapshot.properties.get("delta.deletedFileRetentionDuration", ""), retention(settings)
    size = LARGE_FILE if table.append_only else SMALL_FILE
    best = max(1, math.ceil(totals["bytes"] / size))
    going = [] if wanted == FOREVER else snapshot.unneeded(settings.retention.days or 0)
    there = _data_files(settings, table)
    goes = sum(there.get(file, 0) for file in going)
    unreferenced = sum(there.values()) - totals["bytes"]
    return MaintenancePlan(
        table.name,
        totals["files"],
        totals["bytes"],
        max(0, unreferenced - goes),
        goes,
        len(going),
        best if totals["files"] >= WORTH_IT * best else None,
        now,
        wanted if now != wanted else None,
    )


def maintain(store: Store, settings: Settings, table: Table, commit: Commit) -> MaintenancePlan:
    """Bring a table's retention to what is set, compact it, write a checkpoint, and vacuum if the retention is bounded.

    A vacuum goes by the table's own retention; Delta's check of it stays on.
    """
    spark, path = store.spark, f"delta.`{store.path(table)}`"
    wanted = retention(settings)
    snapshot = delta_log.open_table(store.path(table))
    assert snapshot is not None  # noqa: S101 (the caller has made sure of it)
    todo = _planned(settings, table, snapshot)
    with store.with_commit_info(commit):
        if todo.new_retention is not None:
            names = ("delta.deletedFileRetentionDuration", "delta.logRetentionDuration")
            assignments = ", ".join(f"'{name}' = '{wanted}'" for name in names)
            spark.sql(f"ALTER TABLE {path} SET TBLPROPERTIES ({assignments})")
        if todo.compact_to is not None:
            with _file_size(spark, LARGE_FILE if table.append_only else SMALL_FILE):
                spark.sql(f"OPTIMIZE {path}{' ZORDER BY (`timestamp`)' if table is SILVER else ''}")
    now = delta_log.open_table(store.path(table))
    if now is not None and now.version != damage.checkpoint_hinted_at(store.path(table)):
        store.checkpoint(table)
    if wanted != FOREVER:
        with store.with_commit_info(commit):
            spark.sql(f"VACUUM {path}")
    return todo


@contextmanager
def _file_size(spark: SparkSession, size: int) -> Iterator[None]:
    before = spark.conf.get(MAX_FILE_SIZE)
    spark.conf.set(MAX_FILE_SIZE, str(size))
    try:
        yield
    finally:
        spark.conf.set(MAX_FILE_SIZE, str(before))


def _data_files(settings: Settings, table: Table) -> dict[str, int]:
    """The sizes of a table's data files, whatever version needs them, by their paths under the table."""
    found = files.sizes_below(settings.path(table.path))
    return {name: size for name, size in found.items() if name.endswith(".parquet") and "_delta_log" not in name}
