"""One Spark session a process, built from ``spark-defaults.conf`` however the process was started."""

import logging
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from lakehouse import settings
from lakehouse.errors import LakehouseError
from lakehouse.spark import configuration, failures, java, jvm

PYSPARKS_VARIABLES = {
    "PYSPARK_PYTHON": sys.executable,
    "SPARK_AUTH_SOCKET_TIMEOUT": "15",
    "SPARK_BUFFER_SIZE": "65536",
}
"""Variables that a session sets, with PySpark's own values for those that it sets anew from Spark's configuration."""
IMPORTABLE = (".zip", ".egg", ".jar", ".whl")
"""Files of ``--py-files`` from which executors import. PySpark's own list lacks wheels: they get the file all the same,
and cannot import from it."""


def open_session(overrides: Mapping[str, str] | None = None) -> SparkSession:
    """The process's Spark session, made active for this thread.

    Under ``spark-submit`` the JVM is already there with its ``--properties-file``; otherwise one is started with
    the same file, so that both behave alike.

    Raises:
        LakehouseError: no JDK 17 or newer, or the JVM did not start.
        UsageError: ``spark-submit`` was called without our properties file, or the user's own Spark configuration
            asks for what the lakehouse cannot do.
    """
    environ = settings.environment()
    _hush_py4j()
    _hush_pyspark()
    SparkContext.PACKAGE_EXTENSIONS = IMPORTABLE
    gateway = None
    if not jvm.is_started():
        reserve_variables()
        gateway = jvm.start(jvm.submit_variables(overrides or {}))
    try:
        if gateway is not None:
            SparkContext(gateway=gateway)  # the JVM knows its settings from its start
        stated = dict(SparkConf().getAll())  # by files and arguments of whoever started the JVM
        stored = configuration.with_store(stated, jvm.for_object_store())
        spark: SparkSession = SparkSession.builder.config(map={**stored}).getOrCreate()
        configuration.check(spark)
    except LakehouseError:
        raise
    except Exception as error:  # of py4j, of PySpark, of any class that a setting names
        is_strange = jvm.IS_SUBMITTED in environ and not failures.known(error)
        hint = "; PYSPARK_GATEWAY_PORT is set: unset it unless spark-submit set it" if is_strange else ""
        raise LakehouseError(f"Spark could not be started: {failures.reason(error).rstrip('.')}{hint}.") from error
    return spark


def reserve_variables() -> None:
    """Set what PySpark will set, before other threads are at work: a variable that is there already may be changed."""
    for name, value in PYSPARKS_VARIABLES.items():
        if not settings.environment().get(name):
            settings.set_variable(name, value)


def forget_lost() -> bool:
    """Whether the JVM that this process started has ended: then the next session gets one of its own.

    PySpark keeps the first gateway of a process for ever, so what it remembers of it is taken away.
    """
    if jvm.process is None or jvm.process.poll() is None:
        return False
    context, gateway = SparkContext._active_spark_context, SparkContext._gateway
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it could not be shut down: it is gone
        if context is not None:
            with suppress(OSError):  # where nobody answers the first stop breaks off; the second does the rest
                context.stop()
            context.stop()
    if gateway is not None:
        gateway.close()
    SparkContext._gateway = SparkContext._jvm = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None
    jvm.process = None
    return True


def _hush_py4j() -> None:
    """At Ctrl-C and when the JVM dies, py4j logs stack traces beside what it raises, some to the root logger."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_not_of_py4j)


def _hush_pyspark() -> None:
    """Beside each error in a query that it raises, pyspark logs the JVM's stack trace to stderr."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return "py4j" not in Path(record.pathname).parts


def is_local() -> bool:
    """Whether Spark works on this machine alone, so that this process reaches every file that its tasks reach."""
    if jvm.IS_SUBMITTED in settings.environment():
        SparkContext._ensure_initialized()  # connects; opens no session
        return configuration.is_local(SparkConf().get("spark.master", "") or "")
    return configuration.is_local(configuration.master(settings.environment()))


def rows(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as Python values, times aware and in UTC.

    Through Arrow: ``collect`` gives times without a zone, in that of this machine.
    """
    found: list[dict[str, Any]] = frame.toArrow().to_pylist(maps_as_pydicts="strict")
    return found


def check() -> None:
    """Whether a session can be had, before anything is touched for it.

    Raises:
        LakehouseError: no JDK 17 or newer, and no session either.
        UsageError: spark-submit was called without Delta's settings, or for workers that cannot reach this driver; the
            jars for an object store have not been fetched.
    """
    environ = settings.environment()
    if jvm.IS_SUBMITTED in environ:
        SparkContext._ensure_initialized()  # connects; opens no session
        given = dict(SparkConf().getAll())
        configuration.check_delta(given.get("spark.sql.extensions", ""))
        configuration.refuse_unreachable(given)
    elif not jvm.is_started():
        configuration.refuse(environ)
        java.find(environ)
        jvm.jars_for_store()
        jvm.allow_open_files()
