"""A session of the dashboard in PostgreSQL: what it may read, for how long, and with whose rights."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from lakehouse.errors import LakehouseError
from lakehouse.postgres import PostgresTarget, connect

READER = "lakehouse_reader"
"""The group of ``sql/roles``; a login that may act as it does so."""
STATEMENT_TIMEOUT_SECONDS = 30.0
"""Each takes less than a second for thirty years of two regions."""
READ = ("dim_region", "carbon_intensity_daily", "carbon_intensity_monthly", "intensity_profile", "export_log")
_MAY_ACT_AS_READER = """
SELECT pg_has_role(
    oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END
)
FROM pg_roles WHERE rolname = :reader
"""


@contextmanager
def reading(target: PostgresTarget) -> Iterator[Connection]:
    """A session in one read-only transaction, so that all figures of a page are of the same state.

    Raises:
        PostgresError: the database cannot be reached or read.
        LakehouseError: it holds no published tables.
    """
    with connect(target, statement_timeout=STATEMENT_TIMEOUT_SECONDS) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(text("SET LOCAL jit = off"))  # compiling takes a second, and the queries milliseconds
        if connection.execute(text(_MAY_ACT_AS_READER), {"reader": READER}).scalar_one_or_none():
            connection.exec_driver_sql(f"SET LOCAL ROLE {READER}")
        for table in READ:
            found = connection.execute(text("SELECT to_regclass(:name)"), {"name": f"carbon_data.{table}"})
            if found.scalar_one() is None:
                raise LakehouseError(
                    f"The database {target.safe} has no table carbon_data.{table}; `lakehouse export` makes it."
                )
        yield connection


def role(connection: Connection) -> str:
    """Whose rights the session reads with."""
    return str(connection.execute(text("SELECT current_user")).scalar_one())
