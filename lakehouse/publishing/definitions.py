"""Views and grants (``sql/views``, ``sql/roles``): unnumbered, all applied again when one of them changed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, text

from lakehouse.postgres import PostgresTarget
from lakehouse.publishing import schema, sql_files
from lakehouse.publishing.sql_files import SqlFile

GROUPS = ("lakehouse_owner", "lakehouse_writer", "lakehouse_reader")
"""The roles of ``sql/roles``."""


def apply(connection: Connection, target: PostgresTarget, files: Sequence[SqlFile], newest: SqlFile) -> list[str]:
    """Apply all of them, in the caller's transaction, if one is needed; the names of those applied.

    Raises:
        PostgresError: a statement failed; the sentence names the file.
    """
    if are_current(connection, files, newest) and not missing_views(connection, files):
        return []
    for file in files:
        sql_files.execute(connection, file, target)
    connection.execute(text(f"DELETE FROM {schema.RECORD}.applied_definitions"))  # noqa: S608 (our own schema)
    connection.execute(
        text(f"INSERT INTO {schema.RECORD}.applied_definitions (fingerprint) VALUES (:fingerprint)"),  # noqa: S608 (our own schema)
        {"fingerprint": _fingerprint(connection, files, newest)},  # asked now: the grants may have made the groups
    )
    return [file.name for file in files]


def are_current(connection: Connection, files: Sequence[SqlFile], newest: SqlFile) -> bool:
    """Whether these very files were applied last, after the newest migration and for the groups that exist."""
    stored = connection.execute(text(f"SELECT fingerprint FROM {schema.RECORD}.applied_definitions"))  # noqa: S608 (our own schema)
    return bool(stored.scalar() == _fingerprint(connection, files, newest))


def missing_views(connection: Connection, files: Sequence[SqlFile]) -> list[str]:
    """The views that are not there."""
    made = {Path(file.name).stem for file in files if file.name.startswith("views/")}
    return sorted(made - schema.relations(connection))


def _fingerprint(connection: Connection, files: Sequence[SqlFile], newest: SqlFile) -> str:
    groups = connection.execute(
        text("SELECT rolname, oid::text FROM pg_roles WHERE rolname = ANY (:groups) ORDER BY rolname"),
        {"groups": list(GROUPS)},
    )
    parts = [file.name + file.sha256 for file in (newest, *files)]
    parts += [name + oid for name, oid in groups]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
