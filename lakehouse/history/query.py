"""Questions to the lake in Spark SQL, time travel included; nothing can be written."""

from typing import Any

from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrameReader, SparkSession

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import revisions, states
from lakehouse.lake import delta_log, integrity
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, TABLES
from lakehouse.settings import Settings
from lakehouse.spark import session

READING = ("select", "with", "from", "values", "table", "describe", "desc", "show", "explain")
"""First words of statements that only look."""


def select(settings: Settings, query: str, limit: int, at: str | None = None) -> tuple[list[dict[str, Any]], bool]:
    """At most ``limit`` rows of the answer, and whether there are more; all tables as in a state where one is named.

    Raises:
        UsageError: the statement would write, cannot be parsed, or names what does not exist.
        LakehouseError: there is no lake yet.
    """
    first = query.strip().lstrip("(").split(None, 1)[0].lower() if query.strip() else ""
    if first not in READING:
        raise UsageError(f"`lakehouse sql` only looks: begin with SELECT, WITH, SHOW or DESCRIBE, not {first!r}.")
    if all(delta_log.open_table(settings.path(table.path)) is None for table in TABLES):
        raise LakehouseError(f"There is no lake at {settings.root} yet; `lakehouse run` makes one.")
    state = None if at is None else states.named(settings, at)
    spark = session.open_session()
    if state is None:
        Store(spark, settings.root).register()
    else:
        Store(spark, state.root).register(state.versions)
    if revisions.VIEW in query.lower():
        bronze = settings.path(BRONZE.path) if state is None else state.path(BRONZE)
        said = _reader(spark, None if state is None else state.version(BRONZE)).load(bronze)
        revisions.statements(integrity.checked(said)).createOrReplaceTempView(revisions.VIEW)
    return rows(spark, query, limit)


def rows(spark: SparkSession, query: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """As ``select``, in a session whose tables are registered."""
    try:
        found = session.rows(spark.sql(query).limit(limit + 1))
    except PySparkException as error:
        if stopped := session.stopped_by_us(error):
            raise stopped from None
        if session.is_beyond_retention(error):
            raise UsageError(f"What was asked {session.BEYOND_RETENTION}") from None
        if not isinstance(error, AnalysisException | ParseException):
            raise LakehouseError(f"The query failed: {_first_line(error)}") from None
        raise UsageError(_first_line(error)) from None
    return found[:limit], len(found) > limit


def _reader(spark: SparkSession, version: int | None) -> DataFrameReader:
    reader = spark.read.format("delta")
    return reader if version is None else reader.option("versionAsOf", version)


def _first_line(error: PySparkException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].removeprefix("An error occurred: ")
