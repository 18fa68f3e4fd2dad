"""Going back: Silver, the quarantine and every Gold table become what they were. Bronze stays as it is."""

import logging
from dataclasses import replace

import pyarrow as pa

from lakehouse.history import states
from lakehouse.history.states import LakeVersion
from lakehouse.lake import commits
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Rows
from lakehouse.lake.tables import BRONZE, QUARANTINE, SILVER, Table
from lakehouse.run_context import RunContext, StageReport
from lakehouse.settings import Settings
from lakehouse.transform import merge
from lakehouse.transform.models import MODELS

STAGE = "restore"
"""The stage of a restore's commits: no watermark accepts it, so the next run recomputes the table."""
SOURCES = {table.name: BRONZE for table in (SILVER, QUARANTINE)} | {model.table.name: model.source for model in MODELS}
"""What each derived table is made of."""
DERIVED = (SILVER, QUARANTINE, *(model.table for model in MODELS))

log = logging.getLogger(__name__)


def checked(settings: Settings, name: str) -> LakeVersion:
    """The state to go back to, every table of it there. Tables that it never had are named in a warning.

    Raises:
        UsageError: there is neither such a lake version nor such a release.
        LakehouseError: the state can no longer be read.
    """
    state = states.resolve_version(settings, name)
    for table in restored(state):
        state.snapshot(table)
    if lacking := [table.name for table in DERIVED if not state.holds(table)]:
        log.warning(
            "%s holds no %s: what is there stays until the next run builds it anew.",
            state.name,
            " and no ".join(lacking),
        )
    return state


def restored(state: LakeVersion) -> list[Table]:
    """The derived tables that a state holds."""
    return [table for table in DERIVED if state.holds(table)]


def restore_table(context: RunContext, state: LakeVersion, table: Table) -> StageReport:
    """Make a derived table equal to the state, provenance included: one commit, none where nothing differs."""
    context.open_session()
    context = replace(context, max_deleted_share=1.0)  # it is what was asked for
    now = context.snapshot(table)
    wanted = _wanted(context, state, table, now)
    source = SOURCES[table.name]
    commit = context.commit(STAGE, {source.name: context.snapshot(source)}, writes=(table, now))
    version, _, counted = merge.merge_changes(
        context,
        wanted,
        merge.current_rows(context, table, now),
        table,
        now,
        commit,
        is_whole=True,
        values=table.beside_key,
    )
    reads, writes = {table.name: now.version}, {table.name: version}
    return StageReport(f"{STAGE} {table.name}", version, counted.counts(), reads, writes=writes)


def _wanted(context: RunContext, state: LakeVersion, table: Table, now: Snapshot) -> Rows:
    """The table's rows in the state, where Spark works, with the columns of now; null where the state has none."""
    if not context.is_local or merge.is_void(now):
        return context.store.at(state.root).read_with_schema(table, state.version(table))
    types = now.arrow_types()
    return state.snapshot(table).stream_arrow_as(pa.schema([(name, types[name]) for name in table.column_names]))


def set_back(context: RunContext) -> list[str]:
    """The tables whose newest data commit is a restore."""
    return [table.name for table in DERIVED if commits.newest_stage(context.snapshot(table).newest_commits()) == STAGE]
