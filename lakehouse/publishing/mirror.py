"""PostgreSQL's side of the export: make the published tables equal to what is staged, in one transaction.

The order is always: take :func:`export_lock`, :func:`clear_staging`, let Spark fill the staging tables, then
:func:`apply_staged` in one transaction on the lock's own connection. If that session dies, lock and transaction
die together, so an exporter that lost its lock can never commit, nor one whose staged rows a crash of the server
has emptied (the staging tables are unlogged).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, CursorResult, text
from sqlalchemy.exc import DBAPIError

from lakehouse.errors import LakeLockedError, PostgresError
from lakehouse.lake import losses
from lakehouse.postgres import PostgresTarget, connect, translate
from lakehouse.publishing import export_log
from lakehouse.publishing.export_log import REGIONS, Checksum, ExportCounts, Exported, GoldVersion
from lakehouse.publishing.statements import load, transaction

LOCK = (0x6C616B65, 1)
"""Key of the exporters' advisory lock: "lake" in ASCII, and a number of ours."""
DAYS = "carbon_intensity_daily"
STAGING = {table: f"carbon_data.staging_{table}" for table in (DAYS, REGIONS)}
"""The staging table of each published one; its columns, ``run_id`` and optionally ``is_deleted``."""
_KEY = {"a": LOCK[0], "b": LOCK[1]}
_PARENTS_FIRST = (REGIONS, DAYS)


class ProofError(PostgresError):
    """The tables would not have been equal to Gold; nothing was committed."""


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
        if not connection.execute(load("staging_is_empty")).scalar_one():
            connection.execute(load("staging_clear"))


def apply_staged(
    connection: Connection,
    *,
    run_id: str,
    gold: GoldVersion,
    full: bool,
    staged_rows: int | None = None,
    proof: Mapping[str, Checksum] | None = None,
    may_delete: float = 1.0,
) -> Exported:
    """Bring the published tables to the staged rows of ``run_id``, log the export, empty the staging tables.

    All regions are staged. With ``full`` all days are, too, and those that are not staged are deleted; without,
    the days that changed: rows to insert or update, and with ``is_deleted`` the keys of rows to delete. Rows that
    are equal are neither locked nor written. ``may_delete`` is the share of the published days that may go. The
    transaction is the caller's: nothing shows before its COMMIT, and it has to be rolled back if this raises.

    Raises:
        LakeLockedError: another session holds the export's lock.
        PostgresError: a key was staged twice with different values, or not ``staged_rows`` days.
        LossError: more days would be deleted than may be.
        ProofError: the tables do not have the checksums of ``proof`` now.
    """
    if not connection.in_transaction():
        raise ValueError("apply_staged needs a transaction that the caller commits")
    if not connection.execute(
        text("SELECT pg_try_advisory_xact_lock(:a, :b)"), {"a": LOCK[0], "b": LOCK[1]}
    ).scalar_one():
        raise LakeLockedError("Another export into this database is at work; run the command later.")
    run = {"run_id": run_id}
    for table in _PARENTS_FIRST:
        _refuse_conflicts(connection, table, run)
    if staged_rows is not None:
        _refuse_other_count(connection, run, staged_rows)
    inserted, updated, deleted = {}, {}, {}
    for table in _PARENTS_FIRST:
        inserted[table] = _rows(connection, f"{table}_insert", run)
        # after the insert, so that a row which another session put there meanwhile is corrected, too
        updated[table] = _rows(connection, f"{table}_update", run)
    deleted[DAYS] = _rows(connection, f"{DAYS}_delete_{'absent' if full else 'marked'}", run)
    deleted[REGIONS] = _rows(connection, f"{REGIONS}_delete_absent", run)
    days, regions = (
        ExportCounts(
            inserted[table],
            updated[table],
            deleted[table],
            count_rows(connection, table) - inserted[table] - updated[table],
        )
        for table in (DAYS, REGIONS)
    )
    counts = Exported(days, regions)
    before = days.unchanged + days.updated + days.deleted
    losses.check_share(f"carbon_data.{DAYS} in PostgreSQL", days.deleted, before, may_delete)
    if proof is not None:
        _refuse_difference(checksums(connection), proof)
    export_log.record(connection, run_id, gold, counts, proof)
    clear_staging(connection)
    return counts


def count_rows(connection: Connection, table: str) -> int:
    """Rows of a published table."""
    with transaction(connection):
        return int(connection.execute(load(f"{table}_count")).scalar_one())


def checksums(connection: Connection) -> dict[str, Checksum]:
    """A checksum of every month (``2024-02``) and of ``dim_region``, whatever the order of rows.

    The same as :mod:`lakehouse.publishing.checksums` computes of Gold, where a row's number is explained.
    """
    with transaction(connection):
        rows = connection.execute(load("checksums")).all()
    return {part: Checksum(int(count), int(total)) for part, count, total in rows}


def _refuse_conflicts(connection: Connection, table: str, run: dict[str, str]) -> None:
    keys = connection.execute(load(f"{table}_conflicts"), run).all()
    if keys:
        named = "; ".join(", ".join(map(str, key)) for key in keys)
        raise PostgresError(f"{table} was staged with different values for one key ({named}); nothing changed.")


def _refuse_other_count(connection: Connection, run: dict[str, str], expected: int) -> None:
    found = int(connection.execute(load(f"{DAYS}_staged"), run).scalar_one())
    if found != expected:
        raise PostgresError(f"{found:,} rows are staged instead of {expected:,}; nothing changed. Export again.")


def _refuse_difference(found: Mapping[str, Checksum], wanted: Mapping[str, Checksum]) -> None:
    wrong = sorted(part for part in {*found, *wanted} if found.get(part) != wanted.get(part))
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ProofError(
            f"PostgreSQL would differ from Gold in {', '.join(wrong[:3])}{more}; nothing changed. Export again."
        )


def _rows(connection: Connection, name: str, run: dict[str, str]) -> int:
    result: CursorResult[Any] = connection.execute(load(name), run)
    return result.rowcount
