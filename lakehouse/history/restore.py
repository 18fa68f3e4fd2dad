"""Going back: Silver, the quarantine, Gold and the regions become what they were. Bronze stays as it is."""

from dataclasses import replace

from lakehouse.history import states
from lakehouse.history.states import LakeVersion
from lakehouse.lake import commits
from lakehouse.lake.tables import BRONZE, DIM_REGION, GOLD, QUARANTINE, SILVER, Table
from lakehouse.run_context import RunContext, StageReport
from lakehouse.settings import Settings
from lakehouse.transform import merge

STAGE = "restore"
"""The stage of a restore's commits: no watermark accepts it, so the next run recomputes the table."""
RESTORED = (SILVER, QUARANTINE, GOLD, DIM_REGION)


def checked(settings: Settings, name: str) -> LakeVersion:
    """The state to go back to, every table of it there.

    Raises:
        UsageError: there is neither such a lake version nor such a release.
        LakehouseError: the state can no longer be read.
    """
    state = states.resolve_version(settings, name)
    for table in RESTORED:
        state.snapshot(table)
    return state


def restore_table(context: RunContext, state: LakeVersion, table: Table) -> StageReport:
    """Make a derived table equal to the state, provenance included: one commit, none where nothing differs."""
    context.open_session()
    context = replace(context, max_deleted_share=1.0)  # it is what was asked for
    now = context.snapshot(table)
    wanted = context.store.at(state.root).read_with_schema(table, state.version(table))
    made_of = GOLD if table is DIM_REGION else BRONZE
    commit = context.commit(STAGE, {made_of.name: context.snapshot(made_of)}, writes=(table, now))
    current = context.store.read(table, now.version)
    version, _, counted = merge.merge_changes(
        context,
        wanted,
        current,
        table,
        now,
        commit,
        is_whole=True,
        values=table.beside_key,
    )
    return StageReport(f"{STAGE} {table.name}", version, counted.counts(), {table.name: now.version})


def set_back(context: RunContext) -> list[str]:
    """The tables whose newest data commit is a restore."""
    return [table.name for table in RESTORED if commits.newest_stage(context.snapshot(table).newest_commits()) == STAGE]
