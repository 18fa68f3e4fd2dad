"""Losses: a table that holds less than others were made of, noticed before anything is deleted or published.

A mount that is not there, a backup of which half was brought back, a file that was removed: a stage that derives a
table from what is left would delete the rest from it, rightly and for nobody's good.
"""

from lakehouse.errors import LossError
from lakehouse.lake import delta_log, watermarks
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import BRONZE, SILVER, Table
from lakehouse.lake.watermarks import Places
from lakehouse.messages.wording import counted

SHOWN = 3
"""FailedWindow files that are named; of more, how many."""


def check_bronze(store: Places) -> None:
    """Before a run touches anything: Bronze holds every landing that Silver was made of.

    Raises:
        LossError: landings, or data files of Bronze, are missing.
    """
    bronze, silver = (delta_log.open_table(store.path(table)) for table in (BRONZE, SILVER))
    stated = watermarks.consumed(store, SILVER, silver, "silver") if silver else None
    newest = 0
    if bronze is not None:
        check_files(bronze, BRONZE, "bring them back from a backup: nothing else holds what they say")
        newest = int(bronze.highest("landing") or 0)
    if stated is not None and newest < stated:
        raise LossError(
            f"Bronze at {store.path(BRONZE)} lacks {_landings(newest + 1, stated)}, of which Silver was made (is a "
            "disk not mounted, or a backup only half there?): bring Bronze back, or say with --accept-loss that what "
            "only they held shall be deleted; nothing was written."
        )


def check_source(
    store: Places,
    source: Table,
    source_now: Snapshot,
    held: int | None,
    table: Table,
    now: Snapshot,
    stage: str,
    *,
    accept_loss: bool,
) -> None:
    """Before a table is derived: its source can be read and, but for a loss that is accepted, holds all it was made of.

    ``held``: the last landing that went into the source, None where it cannot say. ``stage`` writes the table.

    Raises:
        LossError: the source is empty or older than the table, or has lost data files.
    """
    command = f"`lakehouse {source.name.split('.')[0]}`"
    check_files(source_now, source, f"run {command}, which builds the table anew")
    if accept_loss:
        return
    if not source_now.totals()["rows"] and now.totals()["rows"]:
        raise LossError(
            f"{source.name} at {source_now.path} is empty, and {table.name} holds "
            f"{counted(now.totals()['rows'], 'row')} made of it: run {command} first, or say with --accept-loss that "
            f"{table.name} shall be empty, too; nothing was written."
        )
    stated = watermarks.consumed(store, table, now, stage)
    if stated is not None and held is not None and held < stated:
        raise LossError(
            f"{source.name} at {source_now.path} lacks {_landings(held + 1, stated)}, of which {table.name} was made: "
            f"run {command} first; nothing was written."
        )


def check_files(snapshot: Snapshot, table: Table, cure: str) -> None:
    """Before a table is read: its data files are there.

    Raises:
        LossError: some are gone, or not of the size that the log says.
    """
    if snapshot.lost_files:
        raise LossError(f"{described(snapshot, table)}; {cure}; nothing was written.")


def described(snapshot: Snapshot, table: Table) -> str:
    """Which data files a table has lost, as a clause."""
    lost, count = snapshot.lost_files, snapshot.totals()["files"]
    named = ", ".join(lost[:SHOWN]) + (f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else "")
    return f"{table.name} at {snapshot.path} has lost {len(lost)} of its {count} data files ({named})"


def check_share(table: str, deleted: int, rows: int, most: float) -> None:
    """Before rows are deleted: they are no more than a declared share of a table.

    Raises:
        LossError: they are more.
    """
    if deleted > rows * most:
        raise LossError(
            f"{table} would lose {deleted:,} of its {rows:,} rows, more than the share of {most:g} that one run may "
            "delete (quality.max_deleted_share); if that is meant, say --accept-loss; nothing was written."
        )


def _landings(first: int, last: int) -> str:
    return f"landing {first}" if first == last else f"the landings {first} to {last}"
