"""How far a table surely is: what commits and runs say of its progress, held against the histories.

An account (``Commit``) stands in the newest data commit of a table, or, of a run that changed nothing, in
``ops.runs``. It counts while the table has stayed as it says and the tables it was made of have only been added to.
Where no account counts, None says so, and the stage computes everything anew.
"""

from collections.abc import Iterator

from lakehouse import commits, delta_log
from lakehouse.commits import Commit
from lakehouse.delta_log import Snapshot
from lakehouse.store import Store
from lakehouse.tables import BRONZE, GOLD, QUARANTINE, RUNS, SILVER, Table

LANDING_STAGES = frozenset({"bronze", "import"})
"""The stages whose commits may stand in Bronze; anything else makes Silver look at all of it again."""
RUNS_ASKED = 20
"""Newest runs whose accounts are looked at; an older one saves a computation at most."""
CHANGES_FEED = frozenset({"SET TBLPROPERTIES", "UNSET TBLPROPERTIES"})
"""They may have switched the change feed off for a while: no reason to distrust rows, but the feed."""


def landing(store: Store, table: Snapshot, bronze: Snapshot, quarantine: Snapshot) -> int | None:
    """The last landing that Silver and the quarantine surely contain, None when all of Bronze has to be looked at."""
    history = bronze.history()
    refusals = quarantine.history()
    found = None
    for account in _accounts(store, SILVER, table, "silver"):
        read, beside = account.reads.get(BRONZE.name), account.reads.get(QUARANTINE.name)
        if read is None or beside is None or account.landing is None:
            continue
        is_added_to = commits.added_to_since(read, bronze.table_id, history, stages=LANDING_STAGES)
        is_whole = commits.added_to_since(beside, quarantine.table_id, refusals, stages=frozenset({"quarantine"}))
        if is_added_to and is_whole:
            found = max(found or 0, account.landing)
            if not _follows(history, read.version):
                break  # nothing has landed since: no account can say more
    return found


def version_of_silver(store: Store, table: Snapshot, half_hours: Snapshot) -> int | None:
    """The version of Silver that Gold surely reflects and whose change feed leads here; None: compute it all."""
    history = half_hours.history()
    harmless = commits.NOT_DATA - CHANGES_FEED
    found = None
    for account in _accounts(store, GOLD, table, "gold"):
        read = account.reads.get(SILVER.name)
        if read is None:
            continue
        if commits.added_to_since(read, half_hours.table_id, history, stages=frozenset()):
            return half_hours.version
        ours = frozenset({"silver"})
        if commits.added_to_since(read, half_hours.table_id, history, stages=ours, harmless=harmless):
            found = max(found or 0, read.version)
    return found


def reflects(store: Store, table: Table, now: Snapshot, stage: str, source: Table, source_now: Snapshot) -> bool:
    """Whether a table surely is what its stage makes of ``source`` as it stands."""
    history = source_now.history()
    return any(
        read is not None and commits.added_to_since(read, source_now.table_id, history, stages=frozenset())
        for account in _accounts(store, table, now, stage)
        for read in (account.reads.get(source.name),)
    )


def _accounts(store: Store, table: Table, now: Snapshot, stage: str) -> Iterator[Commit]:
    """What counts of the table itself: its newest data commit's account, then those of the newest runs."""
    history = now.history()
    own = commits.newest_data_commit(history, stage)
    if own is not None and own.schema == table.schema:
        yield own
    runs = delta_log.open_table(store.path(RUNS))
    rows = runs.newest_rows(["stages"], "lake_version", RUNS_ASKED) if runs else []
    for row in rows:
        for done in row["stages"]:
            account = commits.parse(done["account"])
            if account is None or account.stage != stage or account.schema != table.schema:
                continue
            if commits.holds(account, now.table_id, history):
                yield account


def _follows(history: list[dict[str, object]], version: int) -> bool:
    """Whether any commit that may have changed rows came after ``version``."""
    return any(
        int(str(entry["version"])) > version and entry.get("operation") not in commits.NOT_DATA for entry in history
    )
