"""The schema as code: ``sql/migrations/NNNN_name.sql``, each applied once and in one transaction by Alembic.

Alembic's revisions are made here from the SQL files, so a migration is its SQL file and nothing else. The history
is a line, and there is no way down: a mistake is repaired by the next migration. The SHA-256 of each file is
stored in the file's own transaction, and a file edited afterwards is refused. Views and grants (``sql/views``,
``sql/roles``) are not numbered: all of them are applied again, together, when anything about them changed.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script
from alembic.script.revision import RevisionMap
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from lakehouse import resources
from lakehouse.errors import LakehouseError, LakeLockedError, PostgresError
from lakehouse.postgres import PostgresTarget, connect, translate
from lakehouse.publishing import schema

SCHEMA = schema.RECORD
MAKES_SCHEMA = f"CREATE SCHEMA {schema.DATA};"
"""Left out where the schema is there; the migration's own text cannot change, for its hash stands in every record."""
GROUPS = ("lakehouse_owner", "lakehouse_writer", "lakehouse_reader")
"""The roles of ``sql/roles``."""
LOCK = (0x6C616B65, 2)
"""Key of the migrators' advisory lock: "lake" in ASCII, and a number of ours."""
LOCK_WAIT_SECONDS = 60.0
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SqlFile:
    """A SQL file: its name under ``sql/`` and its text, line ends made ``\\n``."""

    name: str
    text: str

    @property
    def revision(self) -> str:
        """The number a migration's name begins with."""
        return self.name[:4]

    @property
    def sha256(self) -> str:
        """Hash of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


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
    files, definitions = _migration_files(sql), _definition_files(sql)
    with connect(target, statement_timeout=0) as connection, _lock(connection, target):
        with connection.begin():
            if not _is_prepared(connection):
                schema.refuse_without_rights(connection, target, [file.name for file in files])
                _run(connection, _read(_sql_directory(sql) / "bootstrap.sql", "bootstrap.sql"))
            pending = _pending(files, _applied(connection))
            if _begins_anew(connection, target, files, pending):
                _forget(connection)
                pending = files
        if pending:
            _upgrade(connection, target, files)
        with connection.begin():
            fingerprint = _fingerprint(connection, files, definitions)
            if _stored_fingerprint(connection) == fingerprint and not _missing_views(connection, definitions):
                return [file.name for file in pending]
            for file in definitions:
                with _named(file, target):
                    _run(connection, file)
            # the grants may just have made the groups that the fingerprint speaks of
            _store_fingerprint(connection, _fingerprint(connection, files, definitions))
        return [file.name for file in (*pending, *definitions)]


def check(target: PostgresTarget, *, sql: Path | None = None) -> None:
    """Make sure that the database is what this code expects; the owner or the writer may ask.

    Raises:
        PostgresError: it is behind; the sentence says what is missing.
        LakehouseError: a file was edited after it was applied, or the database is newer than this code.
    """
    files, definitions = _migration_files(sql), _definition_files(sql)
    with connect(target) as connection:
        missing = [file.name for file in files]
        if _is_prepared(connection):
            pending = _pending(files, _applied(connection))
            gone = [*_missing_tables(connection, files, pending), *_missing_views(connection, definitions)]
            missing = [file.name for file in pending] or [f"{schema.DATA}.{name}" for name in gone]
            if not missing and _stored_fingerprint(connection) != _fingerprint(connection, files, definitions):
                missing = ["the newest views and grants"]
        if missing:
            raise PostgresError(
                f"PostgreSQL at {target.safe} lacks {', '.join(missing)}; "
                f"`lakehouse export` applies migrations, with the owner's login (LAKEHOUSE_POSTGRES__OWNER_URL)."
            )


def _begins_anew(
    connection: Connection, target: PostgresTarget, files: Sequence[SqlFile], pending: Sequence[SqlFile]
) -> bool:
    """Whether nothing is applied, or nothing any more: then what is left of a record has to go, too."""
    applied = len(files) > len(pending)
    gone = _missing_tables(connection, files, pending)
    if applied and not gone:
        return False
    schema.refuse_contents(connection, target, gone)
    schema.refuse_without_rights(connection, target, [file.name for file in files])
    if applied:
        log.warning("The schema %s of %s was dropped; it is made anew.", schema.DATA, target.safe)
    return True


def _missing_tables(connection: Connection, files: Sequence[SqlFile], pending: Sequence[SqlFile]) -> list[str]:
    made = schema.tables_of(file.text for file in files if file not in pending)
    return sorted(made - schema.relations(connection))


def _missing_views(connection: Connection, definitions: Sequence[SqlFile]) -> list[str]:
    made = {Path(file.name).stem for file in definitions if file.name.startswith("views/")}
    return sorted(made - schema.relations(connection))


def _forget(connection: Connection) -> None:
    for table in sorted(schema.RECORD_TABLES):
        connection.execute(text(f"DELETE FROM {SCHEMA}.{table}"))  # noqa: S608 (our own schema)


def _upgrade(connection: Connection, target: PostgresTarget, files: Sequence[SqlFile]) -> None:
    """Let Alembic run what is above the database's version, each file and its record in one transaction."""
    by_revision = {file.revision: file for file in files}

    def record(*, ctx: MigrationContext, step: Any, heads: set[str], run_args: Any) -> None:
        file = by_revision[step.up_revision_id]
        connection.execute(
            text(f"INSERT INTO {SCHEMA}.applied_migration (name, sha256) VALUES (:name, :sha256)"),  # noqa: S608 (our own schema)
            {"name": file.name, "sha256": file.sha256},
        )

    revisions = RevisionMap(lambda: _scripts(connection, target, files))

    def steps(heads: tuple[str, ...], _: MigrationContext) -> list[RevisionStep]:
        above = list(revisions.iterate_revisions("heads", heads))
        return [RevisionStep(revisions, script, True) for script in reversed(above) if isinstance(script, Script)]

    context = MigrationContext.configure(
        connection,
        opts={
            "fn": steps,
            "transaction_per_migration": True,
            "version_table_schema": SCHEMA,
            "on_version_apply": (record,),
        },
    )
    with context.begin_transaction():
        context.run_migrations()
    if connection.in_transaction():  # begun by Alembic's own look at its version table
        connection.commit()


def _scripts(connection: Connection, target: PostgresTarget, files: Sequence[SqlFile]) -> Iterator[Script]:
    below: str | None = None
    for file in files:
        module = ModuleType(file.name, doc=file.name)
        vars(module).update(revision=file.revision, down_revision=below)

        def upgrade(file: SqlFile = file) -> None:
            text = file.text.replace(MAKES_SCHEMA, "", 1) if schema.exists(connection) else file.text
            with _named(file, target):
                _run(connection, replace(file, text=text))

        vars(module)["upgrade"] = upgrade
        yield Script(module, file.revision, file.name)
        below = file.revision


def _pending(files: Sequence[SqlFile], applied: dict[str, str]) -> list[SqlFile]:
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


def _migration_files(sql: Path | None) -> list[SqlFile]:
    directory = _sql_directory(sql) / "migrations"
    files = [_read(path, path.name) for path in sorted(directory.glob("*.sql"))]
    for number, file in enumerate(files, start=1):
        if not _NAME.fullmatch(file.name) or int(file.revision) != number:
            raise LakehouseError(
                f"{directory / file.name} is out of line: migrations are called 0001_name.sql, "
                f"0002_name.sql and so on, without a gap."
            )
    return files


def _definition_files(sql: Path | None) -> list[SqlFile]:
    """The views, then the grants, which speak of the views."""
    directory = _sql_directory(sql)
    return [
        _read(path, f"{kind}/{path.name}")
        for kind in ("views", "roles")
        for path in sorted((directory / kind).glob("*.sql"))
    ]


def _sql_directory(sql: Path | None) -> Path:
    return sql or resources.path("sql")


def _read(path: Path, name: str) -> SqlFile:
    return SqlFile(name, path.read_text(encoding="utf-8"))


def _is_prepared(connection: Connection) -> bool:
    return schema.relations(connection, SCHEMA) >= schema.RECORD_TABLES


def _applied(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text(f"SELECT name, sha256 FROM {SCHEMA}.applied_migration"))  # noqa: S608 (our own schema)
    return {name: sha256 for name, sha256 in rows}


def _fingerprint(connection: Connection, files: Sequence[SqlFile], definitions: Sequence[SqlFile]) -> str:
    """What the views and grants rest on: their text, the newest migration, and which of the groups exist."""
    groups = connection.execute(
        text("SELECT rolname, oid::text FROM pg_roles WHERE rolname = ANY (:groups) ORDER BY rolname"),
        {"groups": list(GROUPS)},
    )
    parts = [file.name + file.sha256 for file in (*files[-1:], *definitions)]
    parts += [name + oid for name, oid in groups]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _stored_fingerprint(connection: Connection) -> str | None:
    found = connection.execute(text(f"SELECT fingerprint FROM {SCHEMA}.applied_definitions"))  # noqa: S608 (our own schema)
    return found.scalar()


def _store_fingerprint(connection: Connection, fingerprint: str) -> None:
    connection.execute(text(f"DELETE FROM {SCHEMA}.applied_definitions"))  # noqa: S608 (our own schema)
    connection.execute(
        text(f"INSERT INTO {SCHEMA}.applied_definitions (fingerprint) VALUES (:fingerprint)"),  # noqa: S608 (our own schema)
        {"fingerprint": fingerprint},
    )


def _run(connection: Connection, file: SqlFile) -> None:
    """Send the file as it is, past SQLAlchemy, for which ``:name`` means something and notices do not."""
    driver_connection = connection.connection.driver_connection
    if driver_connection is None:  # closed by somebody in between
        raise PostgresError("The connection of the migrations is closed.")
    with driver_connection.cursor() as cursor:
        cursor.execute(file.text)
    for notice in driver_connection.notices:
        log.warning("sql/%s: %s", file.name, notice.strip())
    driver_connection.notices.clear()


@contextmanager
def _named(file: SqlFile, target: PostgresTarget) -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        meaning = translate(error, target)
        raise type(meaning)(f"sql/{file.name} could not be applied. {meaning}") from error


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
