"""PostgreSQL's side of the export: make the published tables equal to what is staged, in one transaction.

The order is always: take :func:`export_lock`, :func:`clear_staging`, let Spark fill the staging tables, then
:func:`apply_staged` in one transaction on the lock's own connection. If that session dies, lock and transaction
die together, so an exporter that lost its lock can never commit, nor one whose staged rows a crash of the server
has emptied (the staging tables are unlogged).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, text
from sqlalchemy.exc import DBAPIError

from lakehouse.errors import LakeLockedError, PostgresError
from lakehouse.lake import losses
from lakehouse.lake.tables import PUBLISHED, Table
from lakehouse.postgres import PostgresTarget, connect, translate
from lakehouse.publishing import checksums, export_log
from lakehouse.publishing.checksums import Checksum, Checksums, Part
from lakehouse.publishing.export_log import ExportCounts, Exported, PublishedState
from lakehouse.publishing.statements import of_table, transaction

LOCK = (0x6C616B65, 1)
"""Key of the exporters' advisory lock: "lake" in ASCII, and a number of ours."""
SHOWN = 3
"""Parts named in a sentence."""
_KEY = {"a": LOCK[0], "b": LOCK[1]}


class ProofError(PostgresError):
    """The tables would not have been equal to Gold; nothing was committed."""


@dataclass(frozen=True)
class Staged:
    """A table that is staged: all rows (``is_full``), or those that changed, with ``is_deleted`` where they went.

    ``keys``: how many there have to be; None for whatever is there.
    """

    table: Table
    is_full: bool
    keys: int | None = None


@contextmanager
def export_lock(target: PostgresTarget, *, wait: float = 0.0) -> Iterator[Connection]:
    """Be the only exporter into the database; gives the connection that holds the lock, with no transaction open.

    Waits up to ``wait`` seconds for another exporter. The lock lasts until the block ends or the session dies.

    Raises:
        LakeLockedError: another exporter still holds it.
        PostgresError: as :func:`lakehouse.postgres.connect`.
    """
    with connect(target) as connection:
        try:
            with connection.begin():
                held = _take_lock(connection, wait)
        except DBAPIError as error:
            failure = translate(error, target)
            if not isinstance(failure, LakeLockedError):
                raise failure from error
            held = False
        if not held:
            raise LakeLockedError(f"Another export into {target.safe} is at work; run the command later.")
        yield connection
        # At once: the server frees a closed session's locks a moment later, when the next export may have asked.
        connection.rollback()
        with suppress(DBAPIError), connection.begin():  # a session that has died holds no lock
            connection.execute(text("SELECT pg_advisory_unlock(:a, :b)"), _KEY)


def _take_lock(connection: Connection, wait: float) -> bool:
    if wait <= 0:
        return bool(connection.execute(text("SELECT pg_try_advisory_lock(:a, :b)"), _KEY).scalar_one())
    # set_config(…, true) is SET LOCAL with a bind parameter
    connection.execute(
        text("SELECT set_config('lock_timeout', :wait, true), set_config('statement_timeout', '0', true)"),
        {"wait": f"{max(1, round(wait * 1000))}ms"},
    )
    connection.execute(text("SELECT pg_advisory_lock(:a, :b)"), _KEY)
    return True


def clear_staging(connection: Connection) -> None:
    """Empty the staging tables of what a run that died has left; nothing is written when they are empty."""
    with transaction(connection):
        for table in PUBLISHED:
            if not connection.execute(of_table("is_empty", table)).scalar_one():
                connection.execute(of_table("clear", table))


def read_checksums(connection: Connection) -> dict[Part, Checksum]:
    """The checksum of every part of every published table, as :mod:`lakehouse.publishing.checksums` has it of Gold."""
    with transaction(connection):
        found = [checksums.parts(table, connection.execute(of_table("checksum", table)).all()) for table in PUBLISHED]
    return {part: checksum for each in found for part, checksum in each.items()}


def apply_staged(
    connection: Connection,
    *,
    run_id: str,
    state: PublishedState,
    staged: Sequence[Staged],
    proof: Checksums | None = None,
    may_delete: float = 1.0,
) -> Exported:
    """Bring the published tables to the staged rows of ``run_id``, log the export, empty the staging tables.

    Rows that are equal are neither locked nor written, and a table that is not staged stays as it is. ``may_delete``
    is the share of each table's rows that may go. The transaction is the caller's: nothing shows before its COMMIT,
    and it has to be rolled back if this raises.

    Raises:
        LakeLockedError: another session holds the export's lock.
        PostgresError: a key was staged twice with different values, or not as many keys as there have to be.
        LossError: more rows of a table would be deleted than may be.
        ProofError: the tables do not have the checksums of ``proof`` now.
    """
    _require_lock(connection)
    by_name = {each.table.short_name: each for each in staged}
    in_order = [by_name[table.short_name] for table in PUBLISHED if table.short_name in by_name]
    for each in in_order:
        _refuse_conflicts(connection, each, run_id)
        _refuse_other_count(connection, each, run_id)
    changed = _apply(connection, in_order, run_id)
    found = read_checksums(connection)
    counts = {table.short_name: _counted(table, found, changed) for table in PUBLISHED}
    for name, done in counts.items():
        before = done.unchanged + done.updated + done.deleted
        losses.check_share(f"carbon_data.{name} in PostgreSQL", done.deleted, before, may_delete)
    if proof is not None:
        _refuse_difference(found, proof)
    export_log.record(connection, run_id, state, counts, proof)
    clear_staging(connection)
    return counts


def _require_lock(connection: Connection) -> None:
    if not connection.in_transaction():
        raise ValueError("apply_staged needs a transaction that the caller commits")
    if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:a, :b)"), _KEY).scalar_one():
        raise LakeLockedError("Another export into this database is at work; run the command later.")


def _apply(connection: Connection, staged: Sequence[Staged], run_id: str) -> dict[tuple[str, str], int]:
    """Write what differs; the rows inserted, updated and deleted, by table and verb."""
    changed: dict[tuple[str, str], int] = {}

    def execute(verb: str, table: Table, what: str) -> None:
        result: CursorResult[Any] = connection.execute(of_table(verb, table), {"run_id": run_id})
        changed[table.short_name, what] = result.rowcount

    for each in staged:  # a table that others refer to comes first
        execute("insert", each.table, "inserted")
        # after the insert, so that a row which another session put there meanwhile is corrected, too
        execute("update", each.table, "updated")
    for each in reversed(staged):
        execute("delete_absent" if each.is_full else "delete_marked", each.table, "deleted")
    return changed


def _counted(table: Table, found: Checksums, changed: Mapping[tuple[str, str], int]) -> ExportCounts:
    """What was done to a table that has these checksums now."""
    name = table.short_name
    inserted, updated, deleted = (changed.get((name, what), 0) for what in ("inserted", "updated", "deleted"))
    return ExportCounts(inserted, updated, deleted, checksums.total(found, table).rows - inserted - updated)


def _refuse_conflicts(connection: Connection, staged: Staged, run_id: str) -> None:
    keys = connection.execute(of_table("conflicts", staged.table), {"run_id": run_id}).all()
    if keys:
        named = "; ".join(", ".join(map(str, key)) for key in keys)
        raise PostgresError(
            f"{staged.table.short_name} was staged with different values for one key ({named}); nothing changed."
        )


def _refuse_other_count(connection: Connection, staged: Staged, run_id: str) -> None:
    if staged.keys is None:
        return
    found = int(connection.execute(of_table("staged", staged.table), {"run_id": run_id}).scalar_one())
    if found != staged.keys:
        raise PostgresError(
            f"{found:,} rows of {staged.table.short_name} are staged instead of {staged.keys:,}; nothing changed. "
            "Export again."
        )


def _refuse_difference(found: Checksums, proof: Checksums) -> None:
    wrong = [str(part) for part in checksums.differing(found, proof)]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ProofError(
            f"PostgreSQL would differ from Gold in {', '.join(wrong[:SHOWN])}{more}; nothing changed. Export again."
        )
