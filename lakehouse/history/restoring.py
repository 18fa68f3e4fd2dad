"""Going back: Silver, the quarantine, Gold and the regions become what they were. Bronze stays as it is."""

from dataclasses import replace

from lakehouse.history import states
from lakehouse.history.states import State
from lakehouse.lake import commits
from lakehouse.lake.tables import BRONZE, DIM_REGION, GOLD, QUARANTINE, SILVER, Table
from lakehouse.refinement import stages
from lakehouse.refinement.stages import StageReport, Work
from lakehouse.settings import Settings

STAGE = "restore"
"""What commits of a restore call themselves: to Silver's and Gold's cursors a stranger, so the next run looks anew."""
RESTORED = (SILVER, QUARANTINE, GOLD, DIM_REGION)
_ALONG = {SILVER.name: "timestamp", QUARANTINE.name: "response_id", GOLD.name: "date_recorded"}


def checked(settings: Settings, name: str) -> State:
    """The state to go back to, every table of it there.

    Raises:
        UsageError: there is neither such a lake version nor such a release.
        LakehouseError: the state can no longer be read.
    """
    state = states.named(settings, name)
    for table in RESTORED:
        state.snapshot(table)
    return state


def restore(work: Work, state: State, table: Table) -> StageReport:
    """Make a derived table equal to the state, provenance included: one commit, none where nothing differs."""
    work.open_session()
    work = replace(work, max_deleted_share=1.0)  # it is what was asked for
    now = work.snapshot(table)
    wanted = work.store.at(state.root).read_declared(table, state.version(table))
    made_of = GOLD if table is DIM_REGION else BRONZE
    commit = work.commit(STAGE, {made_of.name: work.snapshot(made_of)}, writes=(table, now))
    current = work.store.read(table, now.version)
    version, _, counted = stages.bring(
        work,
        wanted,
        current,
        table,
        now,
        commit,
        _ALONG.get(table.name, table.key[0]),
        is_whole=True,
        values=table.beside_key,
    )
    return StageReport(f"{STAGE} {table.name}", version, counted.counts(), {table.name: now.version})


def set_back(work: Work) -> list[str]:
    """The tables whose newest data commit is a restore."""
    return [table.name for table in RESTORED if commits.newest_stage(work.snapshot(table).newest_commits()) == STAGE]
