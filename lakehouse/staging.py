"""Gold's rows into PostgreSQL's staging tables: the days by Spark over JDBC, the few regions by this process."""

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sqlalchemy import Connection

from lakehouse.delta_log import Snapshot
from lakehouse.errors import LakehouseError, PostgresError
from lakehouse.mirror import DAYS, STAGING
from lakehouse.postgres import PostgresTarget, explain
from lakehouse.statements import load
from lakehouse.tables import DIM_REGION, GOLD

BATCH_ROWS = 10_000
"""Rows per JDBC batch; with rewritten inserts 20,000 rows take half a second, warm."""
CONNECTIONS = 2
"""JDBC connections at once: a day's table is small, and each costs a log-in."""
_SQL_EXCEPTION = "java.sql.SQLException"


def everything(days: DataFrame) -> DataFrame:
    """All days, none of them deleted."""
    return days.withColumn("is_deleted", F.lit(False))


def changed(days: DataFrame, changes: DataFrame) -> DataFrame:
    """The days that ``changes`` (Gold's change feed) speaks of, as they are in ``days``.

    One row per key. A key that ``days`` lacks comes with ``is_deleted`` and no values. What the feed says of a row
    is not used: it tells of several versions, and across a RESTORE also of rows that stayed as they were.
    """
    keys = changes.select(*GOLD.key).distinct()
    there = days.withColumn("is_deleted", F.lit(False))
    found = F.broadcast(keys).join(there, list(GOLD.key), "left")
    return found.select(*GOLD.column_names, F.coalesce("is_deleted", F.lit(True)).alias("is_deleted"))


def stage_days(rows: DataFrame, run_id: str, target: PostgresTarget) -> None:
    """Append rows with ``is_deleted`` to the staging table; committed per connection, so seen by an export only.

    Raises:
        PostgresError: the server refuses or is gone.
        LakehouseError: Gold could not be read.
    """
    url, properties = target.jdbc()
    marked = rows.withColumn("run_id", F.lit(run_id)).coalesce(CONNECTIONS)
    try:
        marked.write.jdbc(url, STAGING[DAYS], mode="append", properties={**properties, "batchsize": str(BATCH_ROWS)})
    except (Py4JJavaError, PySparkException) as error:
        raise _meaning(error, target) from None  # the chain could quote connection properties


def stage_regions(connection: Connection, regions: Snapshot, run_id: str) -> None:
    """Append all regions to their staging table, in the caller's transaction."""
    rows = [{**row, "run_id": run_id} for row in regions.rows(DIM_REGION.column_names).to_pylist()]
    if rows:
        connection.execute(load("dim_region_stage"), rows)


def _meaning(error: Py4JJavaError | PySparkException, target: PostgresTarget) -> LakehouseError:
    """What Spark's exception comes from: PostgreSQL, by its SQLSTATE, or Gold's files."""
    cause = _java(error)
    first = str(error).strip().splitlines()[0]
    while cause is not None:
        sql_state = _sql_state(cause)
        if sql_state is not None:
            return explain(sql_state, str(cause.getMessage()), target)
        first = str(cause.getMessage()).splitlines()[0]
        cause = cause.getCause()
    return LakehouseError(f"Gold's rows could not be brought to PostgreSQL at {target.safe}: {first}")


def _java(error: Py4JJavaError | PySparkException) -> Any:
    """The Java exception behind it, None where Spark does not say."""
    return error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)


def _sql_state(exception: Any) -> str | None:
    """The SQLSTATE of a ``java.sql.SQLException``, None for any other exception."""
    kind = exception.getClass()
    while kind is not None and kind.getName() != _SQL_EXCEPTION:
        kind = kind.getSuperclass()
    return None if kind is None else str(exception.getSQLState())
