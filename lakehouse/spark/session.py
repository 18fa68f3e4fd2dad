"""One Spark session a process, built from ``spark-defaults.conf`` however the process was started."""

import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JNetworkError
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from lakehouse import resources, settings
from lakehouse.errors import UsageError
from lakehouse.spark import archive, jars, java
from lakehouse.wording import in_one_line

DEFAULTS = "spark-defaults.conf"
STDERR = 2
JVM_END_SECONDS = 2.0
"""How long a JVM that no longer answers may take to end, before it counts as one that is there."""
WEEKS, YEARS = 1_000, 60_000
"""Half-hours (three weeks, 3.4 years) up to which a JVM with less machinery is done earlier."""
QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
"""For years the JVM's first compiler alone: the second one takes half of the processor time of half a minute's run."""
SPARING_COMPILER = (
    "-XX:Tier3DelayOn=0 -XX:Tier4InvocationThreshold=25000 -XX:Tier4MinInvocationThreshold=3000 "
    "-XX:Tier4CompileThreshold=75000 -XX:Tier4BackEdgeThreshold=120000"
)
"""For more the second compiler for what is run five times as often as HotSpot asks for by itself."""
COLLECTOR, SMALL_COLLECTOR = "-XX:+UseParallelGC", "-XX:+UseSerialGC"
"""For weeks the second in place of the first: a new day takes three fifths of the memory."""
JVM_OPTIONS = "spark.driver.extraJavaOptions"
EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"


def open_session(overrides: Mapping[str, str] | None = None, *, half_hours: int | None = None) -> SparkSession:
    """The process's Spark session. The JVM is fitted to how many ``half_hours`` are to be worked on; None: many.

    Under ``spark-submit`` the JVM is already there with its ``--properties-file``; otherwise one is started with
    the same file, so that both behave alike.

    Raises:
        LakehouseError: no JDK 17 or newer.
        UsageError: ``spark-submit`` was called without our properties file.
    """
    environ = settings.environment()
    _hush_py4j()
    _hush_pyspark()
    if "PYSPARK_GATEWAY_PORT" not in environ and SparkContext._gateway is None:
        _prepare_jvm(overrides or {}, half_hours)
        # What the JVM prints goes to stderr: stdout is for our own answers (VACUUM writes a line there).
        SparkContext._ensure_initialized(gateway=launch_gateway(popen_kwargs={"stdout": STDERR}))  # type: ignore[no-untyped-call]  # pyspark gives no types here
    spark = SparkSession.builder.getOrCreate()
    if EXTENSION not in (spark.conf.get("spark.sql.extensions", "") or ""):
        raise UsageError(f"Spark was started without Delta: call spark-submit --properties-file {DEFAULTS} ...")
    return spark


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


def is_open() -> bool:
    """Whether this process has a session."""
    return SparkContext._active_spark_context is not None


def is_local() -> bool:
    """Whether all of Spark runs, or is going to run, on this machine; nothing is started to tell."""
    context = SparkContext._active_spark_context
    if context is not None:
        master = context.master
    elif "PYSPARK_GATEWAY_PORT" in settings.environment():
        SparkContext._ensure_initialized()
        master = SparkConf().get("spark.master", None)
    else:
        master = jars.defaults()["spark.master"]
    return str(master).startswith("local")


def rows(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as Python values, times aware and in UTC.

    Through Arrow: ``collect`` gives times without a zone, in that of this machine.
    """
    found: list[dict[str, Any]] = frame.toArrow().to_pylist(maps_as_pydicts="strict")
    return found


BEYOND_RETENTION = (
    "is older than the retention that was set (retention.days), so it can no longer be read; a release of its time can."
)


def is_beyond_retention(error: BaseException) -> bool:
    """Whether Delta refused a version because it is older than the retention, or than the log that it left."""
    if "DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION" in str(error):
        return True
    said = re.search(r"DELTA_VERSION_NOT_FOUND.* to version (\d+)\. Available versions: \[(\d+),", str(error))
    return said is not None and int(said[1]) < int(said[2])


def check() -> None:
    """Whether a session can be had, before anything is touched for it.

    Raises:
        LakehouseError: no JDK 17 or newer, and no session either.
    """
    environ = settings.environment()
    if "PYSPARK_GATEWAY_PORT" not in environ and SparkContext._gateway is None:
        java.find(environ)


def reason(error: BaseException) -> str:
    """What an error says, on one line; of one that came from the JVM, what its innermost cause says."""
    if isinstance(error, Py4JNetworkError):
        return _lost(error)
    try:
        text = _said(error)
    except Py4JNetworkError as lost:  # the JVM went before it could be asked for the cause
        return _lost(lost)
    return in_one_line(text) or type(error).__name__


def _said(error: BaseException) -> str:
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if cause is None or not hasattr(cause, "getCause"):
        return str(error)
    while cause.getCause() is not None:
        cause = cause.getCause()
    name, message = cause.getClass().getSimpleName(), cause.getMessage()
    return f"{name}: {message}" if message else str(name)


def _lost(error: Py4JNetworkError) -> str:
    """How it came that the JVM did not answer, as far as this process can tell."""
    process = getattr(SparkContext._gateway, "proc", None)  # spark-submit's JVM is not ours
    what = "does not answer"
    if process is not None:
        with suppress(subprocess.TimeoutExpired):
            what = f"ended with {process.wait(JVM_END_SECONDS)}"  # negative: by this signal
    why = f" ({type(error.cause).__name__}: {error.cause})" if error.cause else ""
    return f"Spark's JVM {what}{why}; what was committed stays, and the same command goes on from there."


def _prepare_jvm(overrides: Mapping[str, str], half_hours: int | None) -> None:
    environ = settings.environment()
    java_home = java.find(environ)
    settings.set_variable("JAVA_HOME", str(java_home))
    if "PYSPARK_PYTHON" not in environ:  # else Spark's Python workers are whatever "python3" is on the PATH
        settings.set_variable("PYSPARK_PYTHON", sys.executable)
    compiler = QUICK_COMPILER if half_hours is not None and half_hours <= YEARS else SPARING_COMPILER
    # Read by spark-submit for the driver's JVM before anything is logged.
    logging = f"-Dlog4j2.configurationFile={resources.path('conf') / 'log4j2.properties'}"
    for option in (logging, archive.options(java_home), compiler):
        if option not in environ.get("SPARK_SUBMIT_OPTS", ""):
            settings.set_variable("SPARK_SUBMIT_OPTS", f"{environ.get('SPARK_SUBMIT_OPTS', '')} {option}".strip())
    if archive.NO_CONF.is_dir() and not {"SPARK_CONF_DIR", "SPARK_HOME"} & set(environ):
        settings.set_variable("SPARK_CONF_DIR", str(archive.NO_CONF))
    if half_hours is not None and half_hours <= WEEKS:
        overrides = {JVM_OPTIONS: jars.defaults().get(JVM_OPTIONS, "").replace(COLLECTOR, SMALL_COLLECTOR), **overrides}
    resolved = jars.local()
    if resolved:  # no look-up by Ivy at every start; on the class path they share the archive
        listed = list(map(str, resolved))
        here = {"spark.driver.extraClassPath": os.pathsep.join(listed), "spark.jars": ",".join(listed)}
        overrides = {**here, jars.PACKAGES: "", **overrides}
    arguments = ["--properties-file", str(resources.path(DEFAULTS))]
    for key, value in overrides.items():
        arguments += ["--conf", f"{key}={value}"]
    settings.set_variable("PYSPARK_SUBMIT_ARGS", shlex.join([*arguments, "pyspark-shell"]))
