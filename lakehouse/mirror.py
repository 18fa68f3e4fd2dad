"""PostgreSQL's side of the export: make the published tables equal to what is staged, in one transaction.

The order is always: take :func:`export_lock`, :func:`clear_staging`, let Spark fill the staging tables, then
:func:`apply_staged` in one transaction on the lock's own connection. If that session dies, lock and transaction
die together, so an exporter that lost its lock can never commit, nor one whose staged rows a crash of the server
has emptied (the staging tables are unlogged).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Connection, CursorResult, text
from sqlalchemy.exc import DBAPIError

from lakehouse import resources
from lakehouse.errors import LakeLockedError, PostgresError
from lakehouse.postgres import PostgresTarget, connect, translate

LOCK = (0x6C616B65, 1)
"""Key of the exporters' advisory lock: "lake" in ASCII, and a number of ours."""
STAGING = {
    "carbon_intensity_daily": "carbon_data.staging_carbon_intensity_daily",
    "dim_region": "carbon_data.staging_dim_region",
}
"""The staging table of each published one; its columns, ``run_id`` and optionally ``is_deleted``."""
_PARENTS_FIRST = ("dim_region", "carbon_intensity_daily")


@dataclass(frozen=True)
class ExportCounts:
    """What an export did to the rows of ``dim_region`` and ``carbon_intensity_daily`` together."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    @property
    def rows_total(self) -> int:
        """Rows of both tables afterwards."""
        return self.inserted + self.updated + self.unchanged


@dataclass(frozen=True)
class Checksum:
    """How many rows there are, and the sum of their numbers."""

    rows: int
    total: int


@dataclass(frozen=True)
class ExportRecord:
    """A row of ``export_log``: the Gold version that the tables equal."""

    export_id: int
    run_id: str
    gold_version: int
    gold_table_id: str
    dim_version: int | None
    lake_version: int | None
    counts: ExportCounts
    checksum: int | None
    exported_at: datetime


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


def _take_lock(connection: Connection, wait: float) -> bool:
    key = {"a": LOCK[0], "b": LOCK[1]}
    if wait <= 0:
        return bool(connection.execute(text("SELECT pg_try_advisory_lock(:a, :b)"), key).scalar_one())
    # set_config(…, true) is SET LOCAL with a bind parameter
    connection.execute(
        text("SELECT set_config('lock_timeout', :wait, true), set_config('statement_timeout', '0', true)"),
        {"wait": f"{max(1, round(wait * 1000))}ms"},
    )
    connection.execute(text("SELECT pg_advisory_lock(:a, :b)"), key)
    return True


def clear_staging(connection: Connection) -> None:
    """Empty the staging tables of what a run that died has left; nothing is written when they are empty."""
    with _transaction(connection):
        if not connection.execute(_statement("staging_is_empty")).scalar_one():
            connection.execute(_statement("staging_clear"))


def apply_staged(
    connection: Connection,
    *,
    run_id: str,
    gold_version: int,
    gold_table_id: str,
    dim_version: int | None = None,
    lake_version: int | None = None,
    full: bool,
    staged_rows: int | None = None,
    checksum: int | None = None,
) -> ExportCounts:
    """Bring the published tables to the staged rows of ``run_id``, log the export, empty the staging tables.

    With ``full`` the staging tables hold all of Gold and the dimension: rows that are not staged are deleted.
    Without, they hold what changed: rows to insert or update, and with ``is_deleted`` the keys of rows to delete.
    Rows that are equal are neither locked nor written. The transaction is the caller's: nothing shows before its
    COMMIT, and it has to be rolled back if this raises.

    Raises:
        LakeLockedError: another session holds the export's lock.
        PostgresError: a key was staged twice with different values, or not ``staged_rows`` keys in both tables.
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
    inserted = updated = deleted = 0
    for table in _PARENTS_FIRST:
        inserted += _rows(connection, f"{table}_insert", run)
        # after the insert, so that a row which another session put there meanwhile is corrected, too
        updated += _rows(connection, f"{table}_update", run)
    for table in reversed(_PARENTS_FIRST):
        deleted += _rows(connection, f"{table}_delete_{'absent' if full else 'marked'}", run)
    total = count_rows(connection)
    counts = ExportCounts(inserted, updated, deleted, unchanged=total - inserted - updated)
    connection.execute(
        _statement("log_insert"),
        {
            "run_id": run_id,
            "gold_version": gold_version,
            "gold_table_id": gold_table_id,
            "dim_version": dim_version,
            "lake_version": lake_version,
            "inserted": inserted,
            "updated": updated,
            "deleted": deleted,
            "unchanged": counts.unchanged,
            "rows_total": total,
            "checksum": checksum,
        },
    )
    clear_staging(connection)
    return counts


def count_rows(connection: Connection) -> int:
    """Rows of both published tables together: what an export that had nothing to do reports as unchanged."""
    with _transaction(connection):
        return sum(int(connection.execute(_statement(f"{table}_count")).scalar_one()) for table in _PARENTS_FIRST)


def checksums(connection: Connection) -> dict[str, Checksum]:
    """A checksum of every month (``2024-02``) and of ``dim_region``, whatever the order of rows.

    A row's text is its columns in table order, joined by ``|``, null as ``\\N``; a date is ``2024-02-29``, a
    boolean ``true``, a decimal has both its places. Its number is the first 60 bits of the text's SHA-256.
    """
    with _transaction(connection):
        rows = connection.execute(_statement("checksums")).all()
    return {part: Checksum(int(count), int(total)) for part, count, total in rows}


def last_export(connection: Connection) -> ExportRecord | None:
    """The newest export, None before the first."""
    with _transaction(connection):
        row = connection.execute(_statement("log_last")).mappings().first()
    if row is None:
        return None
    fields: dict[str, Any] = dict(row)
    counts = ExportCounts(*(fields.pop(name) for name in ("inserted", "updated", "deleted", "unchanged")))
    checksum: Decimal | None = fields.pop("checksum")
    return ExportRecord(**fields, counts=counts, checksum=None if checksum is None else int(checksum))


def _refuse_conflicts(connection: Connection, table: str, run: dict[str, str]) -> None:
    keys = connection.execute(_statement(f"{table}_conflicts"), run).all()
    if keys:
        named = "; ".join(", ".join(map(str, key)) for key in keys)
        raise PostgresError(f"{table} was staged with different values for one key ({named}); nothing changed.")


def _refuse_other_count(connection: Connection, run: dict[str, str], expected: int) -> None:
    found = sum(int(connection.execute(_statement(f"{table}_staged"), run).scalar_one()) for table in _PARENTS_FIRST)
    if found != expected:
        raise PostgresError(f"{found} rows are staged instead of {expected}; nothing changed. Export again.")


def _rows(connection: Connection, name: str, run: dict[str, str]) -> int:
    result: CursorResult[Any] = connection.execute(_statement(name), run)
    return result.rowcount


def _statement(name: str) -> Any:
    return text(_sql(name))


@cache
def _sql(name: str) -> str:
    return (resources.path("sql") / "export" / f"{name}.sql").read_text(encoding="utf-8")


def _transaction(connection: Connection) -> AbstractContextManager[Any]:
    """The caller's transaction, or one of our own, so that reading leaves none open."""
    return nullcontext() if connection.in_transaction() else connection.begin()
