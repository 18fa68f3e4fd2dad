"""The stage of a Gold table: which groups of its rows to look at, what is written. One commit at most."""

from collections.abc import Sequence

import pyarrow as pa

from lakehouse.lake import commits, losses, watermarks
from lakehouse.lake.delta_log import FeedError, Snapshot
from lakehouse.lake.store import Rows
from lakehouse.lake.tables import Table
from lakehouse.messages.progress import each
from lakehouse.run_context import RunContext, StageReport
from lakehouse.transform import merge
from lakehouse.transform.models import STAGE_OF, Group, Model, batches, within


def build_model(
    context: RunContext, model: Model, *, full: bool = False, upstream: StageReport | None = None
) -> StageReport:
    """A model's table from its source: only groups that changed since it last looked, or all if it cannot say.

    ``upstream``: what the source's own stage did in this run, which ``ops.runs`` does not tell yet.

    Raises:
        LossError: the source holds less than the table was made of, or the table would lose more than the share that
            is set.
    """
    context.on_progress(model.stage)
    source, table = context.snapshot(model.source), context.snapshot(model.table)
    landing = _landing(context, model.source, source, upstream)
    losses.check_source(
        *(context.store, model.source, source, landing),
        *(model.table, table, model.stage),
        accept_loss=context.accept_loss,
    )
    reads = {model.source.name: source.version}
    commit = context.commit(model.stage, {model.source.name: source}, landing, writes=(model.table, table))
    is_whole = full or merge.is_damaged(table, model.table)
    touched = None if is_whole else _touched(context, model, source, table)
    if touched is not None and not touched:
        account = merge.record_unchanged(commit, table)
        counts = merge.nothing(table)
        return StageReport(model.stage, None, counts, reads, account=account, writes={model.table.name: None})
    context.open_session()
    rows = _built(context, model, source, touched)
    where = None if touched is None else _among(model.table, touched)
    current = merge.current_rows(context, model.table, table, where)
    version, account, counted = merge.merge_changes(
        context, rows, current, model.table, table, commit, is_whole=touched is None
    )
    writes = {model.table.name: version}
    return StageReport(model.stage, version, counted.counts(), reads, account=account, writes=writes)


def _landing(context: RunContext, table: Table, now: Snapshot, done: StageReport | None) -> int | None:
    """The last landing that went into the source."""
    account = commits.parse(done.account) if done else None
    return account.landing if account else watermarks.consumed(context.store, table, now, STAGE_OF[table.name])


def _touched(context: RunContext, model: Model, source: Snapshot, table: Snapshot) -> Sequence[Group] | None:
    """The groups in which source rows have changed since the table was made of them; None: all, or it cannot say."""
    since = watermarks.source_version(
        *(context.store, model.table, table, model.stage),
        *(model.source, source, STAGE_OF[model.source.name]),
    )
    if since == source.version:
        return []
    if since is None:
        return None
    column = model.source.clustered_by
    try:
        return model.groups(source.changes(since, [column])[column])
    except FeedError:
        return None


def _built(context: RunContext, model: Model, source: Snapshot, touched: Sequence[Group] | None) -> Rows:
    """The rows that the table should have in the touched groups, or all of them.

    A cluster reads what it works on. On one machine some groups are read by this process, a year at a time, since
    Delta plans each of Spark's scans with jobs that take longer.
    """
    if touched is None or not context.is_local:
        rows = context.store.read(model.source, source.version).select(*model.reads)
        return (rows if touched is None else rows.where(_among(model.source, touched))).transform(model.build)
    built = []
    for batch in each(batches(touched), context.on_progress, model.stage, "part"):
        rows = context.store.to_spark(source.read_arrow(model.reads, within(model.source.clustered_by, batch)))
        built.append(rows.coalesce(1).transform(model.build).toArrow())  # in one part nothing has to be shuffled
    return pa.concat_tables(built)


def _among(table: Table, touched: Sequence[Group]) -> str:
    """The condition that just those rows of a table meet that the batches make."""
    return " OR ".join(within(table.clustered_by, batch) for batch in batches(touched))
