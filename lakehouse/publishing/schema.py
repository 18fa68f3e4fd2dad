"""What really stands in the export's schemas, whatever the record of migrations says, and what helps if it is wrong.

Adopted is a schema that an administrator has made beforehand, as long as it is empty. Made again is what was dropped as
a whole: all of it comes from Gold. What is half there, or not ours, is a person's to put out of the way.
"""

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from lakehouse.errors import PostgresError
from lakehouse.postgres import ANEW, PostgresTarget

DATA = "carbon_data"
RECORD = "carbon_migrations"
"""Where the record of applied migrations is kept; ``sql/bootstrap.sql`` makes it."""
RECORD_TABLES = frozenset({"applied_definitions", "applied_migration"})
SHOWN = 3
_MADE = re.compile(rf"^CREATE (?:UNLOGGED )?TABLE {DATA}\.(\w+)", re.MULTILINE)


class SchemaError(PostgresError):
    """The schema cannot be used as it is, and no other login would help; the message says what to do."""


def tables_of(migrations: Iterable[str]) -> set[str]:
    """The tables that the texts of migrations make."""
    return {name for statements in migrations for name in _MADE.findall(statements)}


def relations(connection: Connection, schema: str = DATA) -> set[str]:
    """The names of the tables and views in a schema; none where there is no such schema."""
    found = connection.execute(
        text("SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname = :schema"),
        {"schema": schema},
    )
    return set(found.scalars())


def exists(connection: Connection) -> bool:
    """Whether there is a schema of the published tables."""
    return (
        connection.execute(text("SELECT FROM pg_namespace WHERE nspname = :data"), {"data": DATA}).first() is not None
    )


def refuse_contents(connection: Connection, target: PostgresTarget, gone: Sequence[str]) -> None:
    """Make sure that the schema is empty or not there; ``gone``: tables that migrations made and that are no more.

    Raises:
        SchemaError: it holds something.
    """
    found = connection.execute(
        text(
            "SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend WHERE deptype = 'n' AND refclassid = "
            "'pg_namespace'::regclass AND refobjid = (SELECT oid FROM pg_namespace WHERE nspname = :data) ORDER BY 1"
        ),
        {"data": DATA},
    )
    held = list(found.scalars())
    if not held:
        return
    more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
    why = f"lacks {', '.join(f'{DATA}.{name}' for name in gone)}, made by a migration and dropped by hand"
    if not gone:
        why = (
            f"holds {', '.join(held[:SHOWN])}{more}, but {RECORD} knows of no migration: somebody else made this, or "
            "the record was dropped"
        )
    raise SchemaError(f"PostgreSQL at {target.safe} {why}; {ANEW}.")


def refuse_without_rights(connection: Connection, target: PostgresTarget, missing: Sequence[str]) -> None:
    """Make sure that this login may make both schemas, or owns those that are there.

    Raises:
        SchemaError: it may not; the sentence says what an administrator has to run.
    """
    found = connection.execute(
        text(
            "SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user) "
            "WHERE (SELECT count(*) FROM pg_namespace WHERE nspname IN (:data, :record)) < 2 "
            "AND NOT has_database_privilege(current_database(), 'CREATE') UNION ALL "
            "SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, current_user) FROM pg_namespace "
            "WHERE nspname IN (:data, :record) AND NOT pg_has_role(nspowner, 'USAGE')"
        ),
        {"data": DATA, "record": RECORD},
    )
    if statements := list(found.scalars()):
        raise SchemaError(
            f"PostgreSQL at {target.safe} lacks {', '.join(missing)}, which this login may not make; let an "
            f"administrator run there: {'; '.join(statements)}; or name a login that may with "
            "LAKEHOUSE_POSTGRES__OWNER_URL."
        )
