"""How the rows that a table should have become one commit at most: compared with those it has, counted, merged.

A stage first asks the tables how far they are (``watermarks``); where they cannot say, it computes everything. Either
way the same comparison decides what is written, so the result is the same.
"""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake import losses
from lakehouse.lake.changes import DELETE, INSERT, UPDATE
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Rows
from lakehouse.lake.tables import Table
from lakehouse.run_context import RunContext
from lakehouse.transform.changeset import ChangeCounts, Comparison
from lakehouse.transform.comparing import Changes, LocalChanges, SparkChanges

PLACE = "_place"
"""Number of a row, while keys are looked up."""

log = logging.getLogger(__name__)


def nothing(table: Snapshot) -> dict[str, int]:
    """The counts of a stage that had nothing to do."""
    return ChangeCounts(equal=int(table.totals()["rows"])).counts()


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


def current_rows(context: RunContext, table: Table, now: Snapshot, where: str | None = None) -> Rows:
    """The rows of a table as it is, or those that meet a condition, where Spark works: here, or on a cluster."""
    if is_void(now):
        return now.no_rows(table.column_names)
    if context.is_local:
        return now.stream_arrow(table.column_names, where)
    rows = context.store.read(table, now.version)
    return rows if where is None else rows.where(where)


def matching(context: RunContext, rows: Rows, keys: pa.Table) -> Rows:
    """The rows whose values of the keys' columns are among the keys."""
    if isinstance(rows, DataFrame):
        return rows.join(F.broadcast(context.store.to_spark(keys)), keys.column_names, "left_semi")

    def among(batch: pa.RecordBatch) -> pa.Table:
        places = pa.table([*batch.select(keys.column_names).columns, pa.array(range(len(batch)), pa.int64())], names)
        return pa.Table.from_batches([batch]).take(places.join(keys, keys.column_names, join_type="left semi")[PLACE])

    names = [*keys.column_names, PLACE]
    reader = rows.to_reader() if isinstance(rows, pa.Table) else rows
    found = chain.from_iterable(among(batch).to_batches() for batch in reader)
    return pa.RecordBatchReader.from_batches(rows.schema, found)


def merge_changes(
    context: RunContext,
    rows: Rows,
    current: Rows,
    table: Table,
    now: Snapshot,
    commit: Commit,
    *,
    is_whole: bool,
    deleting: bool = True,
    values: Sequence[str] | None = None,
) -> tuple[int | None, str, ChangeCounts]:
    """Make ``current``, a part of the table or all of it (``is_whole``), equal to ``rows``, in one commit or none.

    ``values``: the columns that make a difference, by default those that carry the row's value. Rows are compared where
    Spark works: in this process where it is local, else on the cluster, by the same query. Returns the version written
    (None: nothing differed), the account, and the counts.
    """
    if is_whole and is_void(now):
        in_order = context.store.to_spark(rows).coalesce(1).sortWithinPartitions(*table.order)
        return initial_load(context, in_order, table, now, commit)
    compared_by = table.values if values is None else values
    comparison = Comparison(table.key, compared_by, deleting=deleting, with_equals=not is_whole)
    with closing(_compared(context, rows, current, table, comparison)) as changes:
        counted = changes.counts()
        if is_whole:
            written_over = counted.rows.get(UPDATE, 0) + counted.rows.get(DELETE, 0)
            counted = replace(counted, equal=int(now.totals()["rows"]) - written_over)
        if counted.total == 0:
            return None, record_unchanged(commit, now), counted
        losses.check_share(table.name, counted.rows.get(DELETE, 0), now.totals()["rows"], context.max_deleted_share)
        bounds = F.col(f"t.{table.clustered_by}").between(F.lit(counted.low), F.lit(counted.high))
        kinds = {kind for kind, number in counted.rows.items() if number}
        version = context.store.merge(
            changes.rows(), table, commit, bounds, kinds, are_in_file=changes.is_in_file
        ).version
        return version, record_unchanged(commit, context.snapshot(table)), counted


def _compared(context: RunContext, rows: Rows, current: Rows, table: Table, comparison: Comparison) -> Changes:
    if context.is_local:
        return LocalChanges(context.store, _here(rows), _here(current), table, comparison)
    return SparkChanges(context.store.to_spark(rows), context.store.to_spark(current), table, comparison)


def _here(rows: Rows) -> pa.Table | pa.RecordBatchReader:
    return rows.toArrow() if isinstance(rows, DataFrame) else rows


def is_void(table: Snapshot) -> bool:
    """Whether a table has no rows that could be compared: no file, or not all of them any more. It is written whole."""
    return table.totals()["files"] == 0 or bool(table.lost_files)


def is_damaged(snapshot: Snapshot, table: Table) -> bool:
    """Whether a derived table has lost data files, so that it is built anew; this is told."""
    if snapshot.lost_files:
        log.warning("%s; the table is built anew.", losses.described(snapshot, table))
    return bool(snapshot.lost_files)
