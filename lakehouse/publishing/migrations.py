"""The schema as code: ``sql/migrations/NNNN_name.sql``, each applied once, in order and in a transaction of its own.

There is no way down: a mistake is repaired by the next migration. The SHA-256 of each file is stored in the file's
own transaction, and a file edited afterwards is refused. Then come the views and grants (``definitions``).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from lakehouse.errors import LakehouseError, LakeLockedError, PostgresError
from lakehouse.postgres import PostgresTarget, connect, translate
from lakehouse.publishing import definitions, schema, sql_files
from lakehouse.publishing.sql_files import SqlFile

MAKES_SCHEMA = f"CREATE SCHEMA {schema.DATA};"
"""Left out where the schema is there; the migration's own text cannot change, for its hash stands in every record."""
LOCK = (0x6C616B65, 2)
"""Key of the migrators' advisory lock: "lake" in ASCII, and a number of ours."""
LOCK_WAIT_SECONDS = 60.0

log = logging.getLogger(__name__)


def migrate(target: PostgresTarget, *, sql: Path | None = None) -> list[str]:
    """Bring the database up to this code with the owner's login; the names of what was applied, in order.

    Two migrators at once take turns. A failing migration leaves the ones before it applied and nothing of itself.
    A schema that is there and empty is adopted; one that was dropped is made again, and so are views.

    Raises:
        LakehouseError: a file was edited after it was applied, or the database is newer than this code.
        SchemaError: part of what was applied is gone, what is there is not ours, or the login may not make it.
        PostgresError: a statement failed; the sentence names the file.
        LakeLockedError: another migrator was still at work after a minute.
    """
    files, views_and_grants = sql_files.migrations(sql), sql_files.definitions(sql)
    with connect(target, statement_timeout=0) as connection, _lock(connection, target):
        with connection.begin():
            if not _has_record(connection):
                schema.refuse_without_rights(connection, target, [file.name for file in files])
                sql_files.execute(connection, sql_files.bootstrap(sql), target)
            pending = _pending(files, _applied(connection))
            if _begins_anew(connection, target, files, pending):
                for table in sorted(schema.RECORD_TABLES):
                    connection.execute(text(f"DELETE FROM {schema.RECORD}.{table}"))  # noqa: S608 (our own schema)
                pending = files
        for file in pending:
            with connection.begin():
                _apply(connection, target, file)
        with connection.begin():
            applied = definitions.apply(connection, target, views_and_grants, files[-1])
        return [*(file.name for file in pending), *applied]


def check(target: PostgresTarget, *, sql: Path | None = None) -> None:
    """Make sure that the database is what this code expects; the owner or the writer may ask.

    Raises:
        PostgresError: it is behind; the sentence says what is missing.
        LakehouseError: a file was edited after it was applied, or the database is newer than this code.
    """
    files, views_and_grants = sql_files.migrations(sql), sql_files.definitions(sql)
    with connect(target) as connection:
        missing = [file.name for file in files]
        if _has_record(connection):
            pending = _pending(files, _applied(connection))
            gone = _missing_tables(connection, files, pending) + definitions.missing_views(connection, views_and_grants)
            missing = [file.name for file in pending] or [f"{schema.DATA}.{name}" for name in gone]
            if not missing and not definitions.are_current(connection, views_and_grants, files[-1]):
                missing = ["the newest views and grants"]
        if missing:
            raise PostgresError(
                f"PostgreSQL at {target.safe} lacks {', '.join(missing)}; "
                f"`lakehouse export` applies migrations, with the owner's login (LAKEHOUSE_POSTGRES__OWNER_URL)."
            )


def _apply(connection: Connection, target: PostgresTarget, file: SqlFile) -> None:
    """Run a migration and record it, in the caller's transaction."""
    schema_exists = schema.exists(connection)
    text_to_run = file.text.replace(MAKES_SCHEMA, "", 1) if schema_exists else file.text
    sql_files.execute(connection, replace(file, text=text_to_run), target)
    connection.execute(
        text(f"INSERT INTO {schema.RECORD}.applied_migration (name, sha256) VALUES (:name, :sha256)"),  # noqa: S608 (our own schema)
        {"name": file.name, "sha256": file.sha256},
    )


def _begins_anew(
    connection: Connection, target: PostgresTarget, files: Sequence[SqlFile], pending: Sequence[SqlFile]
) -> bool:
    """Whether nothing is applied, or nothing any more: then what is left of a record has to go, too."""
    is_applied = len(files) > len(pending)
    gone = _missing_tables(connection, files, pending)
    if is_applied and not gone:
        return False
    schema.refuse_contents(connection, target, gone)
    schema.refuse_without_rights(connection, target, [file.name for file in files])
    if is_applied:
        log.warning("The schema %s of %s was dropped; it is made anew.", schema.DATA, target.safe)
    return True


def _missing_tables(connection: Connection, files: Sequence[SqlFile], pending: Sequence[SqlFile]) -> list[str]:
    made = schema.tables_of(file.text for file in files if file not in pending)
    return sorted(made - schema.relations(connection))


def _pending(files: Sequence[SqlFile], applied: Mapping[str, str]) -> list[SqlFile]:
    """The files still to apply, after proof that those applied are ours and unedited."""
    known = {file.name: file for file in files}
    for name, sha256 in sorted(applied.items()):
        if name not in known:
            raise LakehouseError(
                f"The database has the migration {name}, which this version of lakehouse does not know: "
                f"it is newer than this program; upgrade lakehouse."
            )
        if known[name].sha256 != sha256:
            raise LakehouseError(
                f"The migration {name} was edited after it was applied; "
                f"put the file back as it was and write the change as a new migration."
            )
    newest = max(applied, default="")
    pending = [file for file in files if file.name not in applied]
    for file in pending:
        if file.name < newest:
            raise LakehouseError(
                f"The migration {file.name} is new, but {newest} is applied already; give it a higher number."
            )
    return pending


def _has_record(connection: Connection) -> bool:
    return schema.relations(connection, schema.RECORD) >= schema.RECORD_TABLES


def _applied(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text(f"SELECT name, sha256 FROM {schema.RECORD}.applied_migration"))  # noqa: S608 (our own schema)
    return {name: sha256 for name, sha256 in rows}


@contextmanager
def _lock(connection: Connection, target: PostgresTarget) -> Iterator[None]:
    """Keep other migrators of this database out until the session ends."""
    try:
        with connection.begin():
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS:.0f}s'"))
            connection.execute(text("SELECT pg_advisory_lock(:a, :b)"), {"a": LOCK[0], "b": LOCK[1]})
    except DBAPIError as error:
        failure = translate(error, target)
        if isinstance(failure, LakeLockedError):
            raise LakeLockedError(f"Another process migrates {target.safe}; run the command later.") from error
        raise failure from error
    yield
