"""Questions to the lake in Spark SQL, time travel included; nothing can be written."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrameReader, SparkSession

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import reading, revisions, states
from lakehouse.lake import delta_log, integrity
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, TABLES
from lakehouse.messages.wording import in_one_line
from lakehouse.settings import Settings
from lakehouse.spark import failures, session

READING = ("select", "with", "from", "values", "table", "describe", "desc", "show", "explain")
"""First words of statements that may only look. Any other word needs no Spark to be refused; these prove nothing."""

log = logging.getLogger(__name__)


def select(settings: Settings, query: str, limit: int, at: str | None = None) -> tuple[list[dict[str, Any]], bool]:
    """At most ``limit`` rows of the answer, and whether there are more; all tables as in a state where one is named.

    Raises:
        UsageError: the statement would write, cannot be parsed, or names what does not exist or is not of the lake.
        LakehouseError: there is no lake yet.
    """
    first = query.strip().lstrip("(").split(None, 1)[0].lower() if query.strip() else ""
    if not first or (first.isalpha() and first not in READING):
        raise UsageError(f"`lakehouse sql` only looks: begin with SELECT, WITH, SHOW or DESCRIBE, not {first!r}.")
    if all(delta_log.open_table(settings.path(table.path)) is None for table in TABLES):
        raise LakehouseError(f"There is no lake at {settings.root} yet; `lakehouse run` makes one.")
    state = None if at is None else states.resolve_version(settings, at)
    spark = session.open_session()
    if state is None:
        Store(spark, settings.root).register()
    else:
        Store(spark, state.root).register(state.versions)
    if revisions.VIEW in query.lower():
        bronze = settings.path(BRONZE.path) if state is None else state.path(BRONZE)
        responses = _reader(spark, None if state is None else state.version(BRONZE)).load(bronze)
        revisions.of_spark(integrity.checked(responses)).createOrReplaceTempView(revisions.VIEW)
    return rows(spark, query, limit, settings.root)


def rows(spark: SparkSession, query: str, limit: int, root: str) -> tuple[list[dict[str, Any]], bool]:
    """As ``select``, in a session whose tables are registered. Columns of the same name get a number each."""
    try:
        reading.check(spark, query, root)
        answer = spark.sql(query)
        names = _apart(answer.columns)
        found = session.rows(answer.toDF(*names).limit(limit + 1))
    except PySparkException as error:
        if stopped := failures.stopped_by_us(error):
            raise stopped from None
        if failures.is_beyond_retention(error):
            raise UsageError(f"What was asked {failures.BEYOND_RETENTION}") from None
        if not isinstance(error, AnalysisException | ParseException):
            raise LakehouseError(f"The query failed: {_reason(error)}") from None
        raise UsageError(_reason(error)) from None
    except Py4JJavaError as error:
        raise LakehouseError(f"The query failed: {failures.reason(error)}") from None
    except OverflowError as error:
        raise UsageError(f"A value cannot be shown ({error}): cast its column to STRING.") from None
    if names != answer.columns:
        log.warning("Several columns have the same name, so they are shown as %s; AS names them.", ", ".join(names))
    shown = [{name: _of_json(value) for name, value in row.items()} for row in found[:limit]]
    return shown, len(found) > limit


def _of_json(value: object) -> object:
    """A value; of a number that JSON has not, its name."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _apart(names: Sequence[str]) -> list[str]:
    """The names of columns, each another: where one comes again, with the first number that is free."""
    apart: list[str] = []
    for name in names:
        free, number = name, 1
        while free in apart or (number > 1 and free in names):
            number += 1
            free = f"{name}_{number}"
        apart.append(free)
    return apart


def _reader(spark: SparkSession, version: int | None) -> DataFrameReader:
    reader = spark.read.format("delta")
    return reader if version is None else reader.option("versionAsOf", version)


def _reason(error: PySparkException) -> str:
    return in_one_line(str(error)).removeprefix("An error occurred: ") or type(error).__name__
