"""How far a table surely is: what commits and runs say of its progress, held against the histories.

An account (``Commit``) stands in the newest data commit of a table, or, of a run that changed nothing, in
``ops.runs``. It counts while the table has stayed as it says and the tables it was made of have only been added to.
Where no account counts, None says so, and the stage computes everything anew.
"""

from collections.abc import Iterator
from typing import Protocol

from lakehouse.lake import commits
from lakehouse.lake.commits import Commit, Pin
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import BRONZE, QUARANTINE, RUNS, SILVER, Table

LANDING_STAGES = frozenset({"bronze", "import"})
"""The stages whose commits may stand in Bronze; anything else makes Silver look at all of it again."""
RUNS_ASKED = 20
"""Newest runs whose accounts are looked at; an older one saves a computation at most."""
CHANGES_FEED = frozenset({"SET TBLPROPERTIES", "UNSET TBLPROPERTIES"})
"""They may have switched the change feed off for a while: no reason to distrust rows, but the feed."""


class Places(Protocol):
    """The tables of a lake: its ``Store``, or what knows no more of it than where they stand."""

    def path(self, table: Table) -> str:
        """Where a table stands."""

    def open(self, table: Table) -> Snapshot | None:
        """The table without a JVM; None where there is none."""


def landing(
    store: Places, table: Snapshot, bronze: Snapshot, quarantine: Snapshot, runs: str | None = None
) -> int | None:
    """The last landing that Silver and the quarantine surely contain, None when all of Bronze has to be looked at.

    ``runs``: the condition, in SQL, of the runs that are asked; by default all.
    """
    found = None
    for account in _accounts(store, SILVER, table, "silver", runs):
        read, quarantined = account.reads.get(BRONZE.name), account.reads.get(QUARANTINE.name)
        if read is None or quarantined is None or account.landing is None:
            continue
        is_whole = _added_to(quarantine, quarantined, frozenset({"quarantine"}))
        if is_whole and _added_to(bronze, read, LANDING_STAGES):
            found = max(found or 0, account.landing)
            if _added_to(bronze, read, frozenset()):
                break  # nothing has landed since: no account can say more
    return found


def source_version(
    store: Places, table: Table, now: Snapshot, stage: str, source: Table, source_now: Snapshot, source_stage: str
) -> int | None:
    """The version of its source that a table surely reflects and whose change feed leads here; None: compute it all.

    ``stage`` and ``source_stage`` are those that write the two tables.
    """
    found = None
    for account in _accounts(store, table, now, stage):
        read = account.reads.get(source.name)
        if read is None:
            continue
        if _added_to(source_now, read, frozenset()):
            return source_now.version
        if _added_to(source_now, read, frozenset({source_stage}), harmless=commits.NOT_DATA - CHANGES_FEED):
            found = max(found or 0, read.version)
    return found


def consumed(store: Places, table: Table, now: Snapshot, stage: str) -> int | None:
    """The last landing that went into a table, by its latest account, whatever became of Bronze since."""
    stated = list(_accounts(store, table, now, stage))
    latest = next((account for account in stated if account.at is not None), next(iter(stated), None))
    return latest.landing if latest else None


def stated_source(store: Places, table: Table, now: Snapshot, stage: str, source: Table) -> int | None:
    """The newest version of its source that a table says it was made of, whatever became of the source since."""
    read = (account.reads.get(source.name) for account in _accounts(store, table, now, stage))
    return max((pin.version for pin in read if pin is not None), default=None)


def _accounts(store: Places, table: Table, now: Snapshot, stage: str, among: str | None = None) -> Iterator[Commit]:
    """What counts of the table itself: its newest data commit's account, then those of the newest runs."""
    own = commits.newest_data_commit(now.newest_commits(), stage)
    if own is not None and own.schema == table.schema:
        yield own
    runs = store.open(RUNS)
    rows = runs.newest_rows(["stages"], "lake_version", RUNS_ASKED, among) if runs else []
    for row in rows:
        for done in row["stages"]:
            account = commits.parse(done["account"])
            if account is None or account.at is None or (account.stage, account.schema) != (stage, table.schema):
                continue
            if _added_to(now, account.at, frozenset()):
                yield account


def _added_to(now: Snapshot, pin: Pin, stages: frozenset[str], harmless: frozenset[str] = commits.NOT_DATA) -> bool:
    """Whether all that came after the pin was made by ``stages`` or left rows alone; as far back as the pin is read."""
    history = now.history(pin.version - 1)
    return commits.added_to_since(pin, now.table_id, history, stages=stages, harmless=harmless)
