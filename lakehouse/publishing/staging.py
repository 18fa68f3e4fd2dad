"""Gold's rows into PostgreSQL's staging tables, by Spark over JDBC."""

from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import LakehouseError
from lakehouse.lake.tables import Table
from lakehouse.postgres import PostgresTarget, explain
from lakehouse.publishing.row_text import date_column
from lakehouse.spark import failures
from lakehouse.transform.quality import LONGEST_NAME

BATCH_ROWS = 10_000
"""Rows per JDBC batch; with rewritten inserts 20,000 rows take half a second, warm."""
CONNECTIONS = 2
"""JDBC connections at once for more rows than a batch: each costs a log-in."""

CONNECTION_LOGGERS = "org.apache.spark.sql.execution.datasources.jdbc.connection"


def everything(rows: pa.Table) -> pa.Table:
    """All rows of a table, none of them deleted."""
    return rows.append_column("is_deleted", pa.repeat(False, len(rows)))


def changed(table: Table, rows: pa.Table, keys: pa.Table) -> pa.Table:
    """The rows of these keys (each once: those that the table's change feed speaks of), as they are in ``rows``.

    One row per key. A key that ``rows`` lacks comes with ``is_deleted`` and no values. What the feed says of a row
    is not used: it tells of several versions, and across a RESTORE also of rows that stayed as they were.
    """
    if date := date_column(table):
        rows = rows.filter(pc.is_in(rows[date], keys[date].combine_chunks()))  # few are joined in no time
    found = keys.join(everything(rows), list(table.key), join_type="left outer")
    is_deleted = found["is_deleted"].fill_null(True)
    return found.select(list(table.column_names)).append_column("is_deleted", is_deleted)


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


def stage_rows(rows: DataFrame, table: Table, run_id: str, target: PostgresTarget, *, count: int) -> None:
    """Append ``count`` rows with ``is_deleted`` to a table's staging table. Each connection commits its own.

    Raises:
        PostgresError: the server refuses or is gone.
        LakehouseError: Spark could not do it for another reason.
    """
    _silence_connection_loggers(rows)
    url, properties = target.jdbc()
    marked = rows.withColumn("run_id", F.lit(run_id)).coalesce(1 if count <= BATCH_ROWS else CONNECTIONS)
    try:
        marked.write.jdbc(
            url,
            f"carbon_data.staging_{table.short_name}",
            mode="append",
            properties={**properties, "batchsize": str(BATCH_ROWS)},
        )
    except (Py4JJavaError, PySparkException) as error:
        raise _explained(error, target) from None  # the chain could quote connection properties


def _silence_connection_loggers(rows: DataFrame) -> None:
    """Keep Spark's connection loggers of this JVM from DEBUG, at which they print the password.

    Whatever log4j2 configuration the user has. An executor of a cluster is a JVM of its own: leave its log level above
    DEBUG.
    """
    log4j = rows.sparkSession._jvm.org.apache.logging.log4j  # type: ignore[union-attr]  # only a client of Spark Connect has none
    log4j.core.config.Configurator.setLevel(CONNECTION_LOGGERS, log4j.Level.WARN)


def _explained(error: Py4JJavaError | PySparkException, target: PostgresTarget) -> LakehouseError:
    """What Spark's exception comes from: PostgreSQL, by its SQLSTATE, or the reading of Gold."""
    cause = error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)
    refused = None
    while cause is not None:  # a batch's exception wraps that of its statement, which may wrap one of the socket
        with suppress(Py4JError):  # of another exception than an SQLException, which has no such method
            refused = (str(cause.getSQLState() or "no code"), str(cause.getMessage()))
        cause = cause.getCause()
    if refused is not None:
        sql_state, message = refused
        return explain(sql_state, message.removeprefix("ERROR: ").removeprefix("FATAL: "), target)
    return LakehouseError(f"Gold's rows could not be staged in {target.safe}: {failures.reason(error)}")
