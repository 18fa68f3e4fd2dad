"""How the rows that a table should have become one commit at most: compared with those it has, counted, merged.

A stage first asks the tables how far they are (``watermarks``); where they cannot say, it computes everything. Either
way the same comparison decides what is written, so the result is the same.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake import losses
from lakehouse.lake.changes import CHANGE, DELETE, EQUAL, INSERT, UPDATE
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Rows
from lakehouse.lake.tables import Table
from lakehouse.run_context import RunContext
from lakehouse.transform.changeset import changeset, changeset_here

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChangeCounts:
    """How many rows have to be written, by kind, and the range of ``along`` they lie in.

    ``equal`` is how many of those looked at are as they should be.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    low: object | None = None
    high: object | None = None
    equal: int = 0

    @property
    def total(self) -> int:
        """All rows that have to be written."""
        return sum(self.rows.values())

    def counts(self) -> dict[str, int]:
        """Idea 6's counts."""
        inserted, updated, deleted = (self.rows.get(kind, 0) for kind in (INSERT, UPDATE, DELETE))
        return {"inserted": inserted, "updated": updated, "deleted": deleted, "unchanged": self.equal}


def nothing(table: Snapshot) -> dict[str, int]:
    """The counts of a stage that had nothing to do."""
    return ChangeCounts(equal=int(table.totals()["rows"])).counts()


def tally(changes: DataFrame | pa.Table, along: str) -> ChangeCounts:
    """Count them."""
    if isinstance(changes, pa.Table):
        kinds = changes.group_by(CHANGE).aggregate([(along, "count"), (along, "min"), (along, "max")])
        rows: list[Any] = list(zip(*(column.to_pylist() for column in kinds.columns), strict=True))
    else:
        rows = changes.groupBy(CHANGE).agg(F.count(F.lit(1)), F.min(along), F.max(along)).collect()
    differing = [row for row in rows if row[0] != EQUAL]
    return ChangeCounts(
        {row[0]: int(row[1]) for row in differing},
        min((row[2] for row in differing), default=None),
        max((row[3] for row in differing), default=None),
        sum(int(row[1]) for row in rows if row[0] == EQUAL),
    )


def initial_load(
    context: RunContext, rows: DataFrame, table: Table, now: Snapshot, commit: Commit
) -> tuple[int | None, str, ChangeCounts]:
    """All rows of a table ``is_void``: the version written (None without a row), the account, and how many rows."""
    written = context.store.append(rows, table, commit, replacing=bool(now.lost_files))
    if written.version == now.version:  # Delta makes no commit of nothing
        return None, record_unchanged(commit, now), ChangeCounts()
    account = record_unchanged(commit, context.snapshot(table))
    return written.version, account, ChangeCounts({INSERT: written.metrics["numOutputRows"]})


def record_unchanged(commit: Commit, at: Snapshot) -> str:
    """The account that a table, as it is, is what the commit says."""
    return replace(commit, at=at.pin).to_json()


def merge_changes(
    context: RunContext,
    wanted: Rows,
    current: Rows,
    table: Table,
    now: Snapshot,
    commit: Commit,
    along: str,
    *,
    is_whole: bool,
    deleting: bool = True,
    values: Sequence[str] | None = None,
) -> tuple[int | None, str, ChangeCounts]:
    """Make ``current``, a part of the table or all of it (``is_whole``), what is ``wanted``, in one commit or none.

    ``along``: the column that files are laid out by. ``values``: the columns that make a difference, by default those
    that carry the row's value. If ``current`` is here, the rows are compared here. The version written (None: nothing
    differed), the account, and the counts.
    """
    if is_whole and is_void(now):
        order = (along, *(name for name in table.key if name != along))
        in_order = context.store.to_spark(wanted).coalesce(1).sortWithinPartitions(*order)
        return initial_load(context, in_order, table, now, commit)
    by: dict[str, Any] = {
        "key": table.key,
        "values": table.values if values is None else values,
        "deleting": deleting,
        "with_equals": not is_whole,
    }
    changes: Rows
    if isinstance(current, pa.Table):
        changes = changeset_here(wanted if isinstance(wanted, pa.Table) else wanted.toArrow(), current, **by)
    else:
        changes = changeset(context.store.to_spark(wanted), current, **by).persist()
    try:
        counted = tally(changes, along)
        if is_whole:
            written_over = counted.rows.get(UPDATE, 0) + counted.rows.get(DELETE, 0)
            counted = replace(counted, equal=int(now.totals()["rows"]) - written_over)
        if counted.total == 0:
            return None, record_unchanged(commit, now), counted
        losses.check_share(table.name, counted.rows.get(DELETE, 0), now.totals()["rows"], context.max_deleted_share)
        bounds = F.col(f"t.{along}").between(F.lit(counted.low), F.lit(counted.high))
        kinds = {kind for kind, rows in counted.rows.items() if rows}
        version = context.store.merge(_to_write(changes), table, commit, bounds, kinds).version
        return version, record_unchanged(commit, context.snapshot(table)), counted
    finally:
        if not isinstance(changes, pa.Table):
            changes.unpersist()


def _to_write(changes: Rows) -> Rows:
    return changes.filter(pc.field(CHANGE) != EQUAL if isinstance(changes, pa.Table) else F.col(CHANGE) != EQUAL)


def is_void(table: Snapshot) -> bool:
    """Whether a table has no rows that could be compared: no file, or not all of them any more. It is written whole."""
    return table.totals()["files"] == 0 or bool(table.lost_files)


def is_damaged(snapshot: Snapshot, table: Table) -> bool:
    """Whether a derived table has lost data files, so that it is built anew; this is told."""
    if snapshot.lost_files:
        log.warning("%s; the table is built anew.", losses.described(snapshot, table))
    return bool(snapshot.lost_files)
