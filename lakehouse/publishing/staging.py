"""Gold's rows into PostgreSQL's staging tables: the days by Spark over JDBC, the few regions by this process."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sqlalchemy import Connection

from lakehouse.errors import LakehouseError
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import DIM_REGION, GOLD, Table
from lakehouse.postgres import PostgresTarget, explain
from lakehouse.publishing.mirror import DAYS, STAGING
from lakehouse.publishing.statements import load
from lakehouse.spark import session
from lakehouse.transform.quality import LONGEST_NAME

BATCH_ROWS = 10_000
"""Rows per JDBC batch; with rewritten inserts 20,000 rows take half a second, warm."""
CONNECTIONS = 2
"""JDBC connections at once: a day's table is small, and each costs a log-in."""
CONNECTION_LOGGERS = "org.apache.spark.sql.execution.datasources.jdbc.connection"
_SQL_EXCEPTION = "java.sql.SQLException"


def everything(days: pa.Table) -> pa.Table:
    """All days, none of them deleted."""
    return days.append_column("is_deleted", pa.repeat(False, len(days)))


def changed(days: pa.Table, keys: pa.Table) -> pa.Table:
    """The days of these keys (each once: those that Gold's change feed speaks of), as they are in ``days``.

    One row per key. A key that ``days`` lacks comes with ``is_deleted`` and no values. What the feed says of a row
    is not used: it tells of several versions, and across a RESTORE also of rows that stayed as they were.
    """
    near = days.filter(pc.is_in(days["date_recorded"], keys["date_recorded"].combine_chunks()))  # joined in no time
    found = keys.join(everything(near), list(GOLD.key), join_type="left outer")
    is_deleted = found["is_deleted"].fill_null(True)
    return found.select(list(GOLD.column_names)).append_column("is_deleted", is_deleted)


def refuse_unstorable(table: Table, rows: pa.Table) -> None:
    """Make sure that PostgreSQL can hold every name; Silver's rule ``names_storable`` refuses others.

    Raises:
        LakehouseError: it cannot; the sentence names the first such row.
    """
    for column in (column.name for column in table.columns if column.type == "STRING"):
        is_long = pc.greater(pc.utf8_length(rows[column]), LONGEST_NAME)
        found = rows.filter(pc.or_(is_long, pc.match_substring(rows[column], "\0"))).slice(0, 1)
        for row in found.to_pylist():
            key = " ".join(str(row[name]) for name in table.key)
            raise LakehouseError(
                f"PostgreSQL cannot hold {table.name} {key}: {column} is {row[column]!r}; a name has at most "
                f"{LONGEST_NAME} characters, none of them U+0000. `lakehouse run --stages silver,gold,export "
                "--full-refresh` refuses the records that say so."
            )


def stage_days(rows: DataFrame, run_id: str, target: PostgresTarget) -> None:
    """Append rows with ``is_deleted`` to the staging table. Each connection commits its own.

    Raises:
        PostgresError: the server refuses or is gone.
        LakehouseError: Spark could not do it for another reason.
    """
    _hush(rows)
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


def _hush(rows: DataFrame) -> None:
    """Keep Spark's connection loggers of this JVM from DEBUG, at which they print the password.

    An executor of a cluster is a JVM of its own: leave its log level above DEBUG.
    """
    log4j = rows.sparkSession._jvm.org.apache.logging.log4j  # type: ignore[union-attr]  # only a client of Spark Connect has none
    log4j.core.config.Configurator.setLevel(CONNECTION_LOGGERS, log4j.Level.WARN)


def _meaning(error: Py4JJavaError | PySparkException, target: PostgresTarget) -> LakehouseError:
    """What Spark's exception comes from: PostgreSQL, by its SQLSTATE, or the reading of Gold."""
    cause, sql_state, message = _java(error), None, ""
    while cause is not None:
        if (state := _sql_state(cause)) is not None:  # a batch's exception wraps that of its statement
            sql_state, message = state, str(cause.getMessage())
        cause = cause.getCause()
    if sql_state is not None:
        return explain(sql_state, message.removeprefix("ERROR: ").removeprefix("FATAL: "), target)
    return LakehouseError(f"Gold's rows could not be staged in {target.safe}: {session.reason(error)}")


def _java(error: Py4JJavaError | PySparkException) -> Any:
    """The Java exception behind it, None where Spark does not say."""
    return error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)


def _sql_state(exception: Any) -> str | None:
    """The SQLSTATE of a ``java.sql.SQLException``, None for any other exception."""
    kind = exception.getClass()
    while kind is not None and kind.getName() != _SQL_EXCEPTION:
        kind = kind.getSuperclass()
    return None if kind is None else str(exception.getSQLState() or "no code")
