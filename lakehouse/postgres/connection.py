"""A connection whose failures come as one clear sentence each, told apart by SQLSTATE or by how far we got.

libpq gives no SQLSTATE for a failed connection, and the server words it in its own language. So that stage is
told apart by asking: does the port answer, and does the same login work on the ``postgres`` database?
"""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from lakehouse.errors import LakehouseError, LakeLockedError, PostgresError
from lakehouse.postgres.target import (
    IDLE_IN_TRANSACTION_TIMEOUT_SECONDS,
    LOCK_TIMEOUT_SECONDS,
    STATEMENT_TIMEOUT_SECONDS,
    PostgresTarget,
)

ANEW = (
    "put what is there out of the way (ALTER SCHEMA carbon_data RENAME TO carbon_data_old), and `lakehouse export` "
    "makes all of it anew from Gold"
)
"""What helps where the schema is not what the migrations made."""
_CHANGED = f"something that the migrations made was dropped, renamed or changed by hand; {ANEW}"
_PRIVILEGE = "42501"
_ENDED = "the server or an administrator ended the session; run the command again"
_LOGIN = "the login was refused; check user and password"
_MEANINGS = {
    "28P01": _LOGIN,
    "28000": _LOGIN,
    "3D000": "there is no such database; create it first",
    "42P01": _CHANGED,
    "3F000": _CHANGED,
    "42703": _CHANGED,
    "42P16": "a view of this name has other columns; drop it (DROP VIEW), and `lakehouse export` makes it again",
    _PRIVILEGE: "this login lacks the privilege",
    "53100": "the server's disk is full; nothing was changed",
    "53300": "the server has no connection left; run the command again later",
    "57P01": _ENDED,
    "57P02": _ENDED,
    "57P03": "the server is starting or stopping; run the command again",
    "08006": _ENDED,
    "08003": _ENDED,
    "08001": "it cannot be reached; is it running?",
    "08P01": "the server, or a pooler before it, refuses how the session begins; with pgbouncer let it ignore what it "
    "names (ignore_startup_parameters), or name PostgreSQL itself in the URL",
    "22001": "a text is too long for its column",
    "22021": "a text holds a character that PostgreSQL cannot store",
    "22P05": "the database's encoding lacks a character of a name; export into one made with ENCODING 'UTF8'",
    "25006": "this server or this login only reads (a standby, or default_transaction_read_only); name the primary",
    "23503": "the days speak of a region that is not there; run `lakehouse gold`, then export again",
    "57014": "a statement ran into its time limit and was rolled back",
    "25P03": "the session was idle for too long in a transaction, which was rolled back",
}
"""What a SQLSTATE means to our user (codes: appendix A of the PostgreSQL manual)."""
_LOCKED = frozenset({"55P03", "40P01"})
"""Lock not available within ``lock_timeout``; deadlock."""
_PROBE = "carbon_data"
"""A search path that no server has by itself."""


class PrivilegeError(PostgresError):
    """The login may not do this; another one may."""


@contextmanager
def connect(
    target: PostgresTarget,
    *,
    statement_timeout: float = STATEMENT_TIMEOUT_SECONDS,
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    idle_in_transaction_timeout: float = IDLE_IN_TRANSACTION_TIMEOUT_SECONDS,
) -> Iterator[Connection]:
    """A connection, closed at the end; what was not committed is rolled back. Timeouts in seconds, 0 for none.

    Raises:
        PostgresError: it cannot be reached or used, now or inside the block.
        LakeLockedError: a lock inside the block was not free within ``lock_timeout``.
    """
    engine = target.engine(
        statement_timeout=statement_timeout,
        lock_timeout=lock_timeout,
        idle_in_transaction_timeout=idle_in_transaction_timeout,
    )
    try:
        connection = engine.connect()
    except (DBAPIError, psycopg2.Error) as error:
        raise _failed_connection(error, target) from error
    with connection:
        try:
            yield connection
        except (DBAPIError, psycopg2.Error) as error:
            raise translate(error, target) from error


def translate(error: Exception, target: PostgresTarget) -> LakehouseError:
    """What a driver's or SQLAlchemy's error inside a session means, in one sentence without any secret."""
    driver_error = _driver_error(error)
    code = driver_error.pgcode if driver_error else None
    if driver_error is None:
        return PostgresError(f"PostgreSQL at {target.safe}: {_scrubbed(str(error), target)}")
    return explain(code, driver_error.diag.message_primary or "", target)


def explain(code: str | None, message: str, target: PostgresTarget) -> LakehouseError:
    """What a SQLSTATE with the server's message means, in one sentence without any secret.

    None stands for a connection that broke before an answer came.
    """
    if code in _LOCKED:
        return LakeLockedError(
            f"PostgreSQL at {target.safe}: another session holds a lock that is needed; run the command later."
        )
    if code is None:
        return PostgresError(f"PostgreSQL at {target.safe}: {_ENDED}.")
    primary = _scrubbed(message, target)
    meaning = _MEANINGS.get(code)
    if meaning is None:
        return PostgresError(f"PostgreSQL at {target.safe} refused a statement ({code}): {primary}.")
    kind = PrivilegeError if code == _PRIVILEGE else PostgresError
    return kind(f"PostgreSQL at {target.safe}: {meaning} ({code}: {primary}).")


def probe(target: PostgresTarget) -> PostgresTarget:
    """The target as other drivers need to know it: with the password that libpq has found, and ``takes_options``.

    A pooler may refuse settings with a log-in (pgbouncer's default) or drop them.

    Raises:
        PostgresError: as :func:`connect`.
    """
    try:
        with closing(target.log_in(options=f"-c search_path={_PROBE}")) as session, session.cursor() as cursor:
            cursor.execute("SHOW search_path")
            row = cursor.fetchone()
            return replace(_with_password(target, session), takes_options=bool(row and row[0] == _PROBE))
    except psycopg2.OperationalError:
        with connect(target) as connection:  # which says what is wrong, if it is something else
            return replace(_with_password(target, connection.connection.driver_connection), takes_options=False)


def _with_password(target: PostgresTarget, session: psycopg2.extensions.connection) -> PostgresTarget:
    return replace(target, password=target.password or session.info.password or None)


def _failed_connection(error: Exception, target: PostgresTarget) -> PostgresError:
    """Why no session came about: the address, the database, or the login."""
    try:
        socket.create_connection((target.host, target.port), timeout=target.connect_timeout).close()
    except socket.gaierror:
        return PostgresError(f"PostgreSQL's host {target.host} is unknown; check its name in the URL.")
    except ConnectionRefusedError:
        return PostgresError(f"Nothing listens on {target.address}; is PostgreSQL running there?")
    except OSError as failure:
        return PostgresError(f"PostgreSQL at {target.address} cannot be reached: {failure}.")
    reason = _scrubbed(str(_driver_error(error) or error), target)
    exists = _database_exists(target)
    if exists is False:
        return PostgresError(f"PostgreSQL at {target.address} has no database {target.database!r}; create it first.")
    if exists is True:
        return PostgresError(
            f"PostgreSQL at {target.safe}: the login is right, but may not connect to this database ({reason})."
        )
    password = "no password was given" if "no password supplied" in reason else "check user and password"
    return PostgresError(f"PostgreSQL at {target.safe} did not accept the login; {password} ({reason}).")


def _database_exists(target: PostgresTarget) -> bool | None:
    """Whether the database is there, asked with the same login of ``postgres``; None when that fails as well."""
    try:
        with closing(target.log_in(database="postgres")) as session, session.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", (target.database,))
            row = cursor.fetchone()
            return bool(row and row[0])
    except psycopg2.Error:
        return None


def _driver_error(error: Exception) -> psycopg2.Error | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause if isinstance(cause, psycopg2.Error) else None


def _scrubbed(text: str, target: PostgresTarget) -> str:
    """One line without the password, should a driver ever quote it."""
    line = " ".join(text.split())
    return line.replace(target.password, "***") if target.password else line
