"""One Spark session a process, built from ``spark-defaults.conf`` however the process was started."""

import locale
import logging
import os
import re
import resource
import shlex
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from lakehouse import certificates, interrupts, logs, object_store, resources, settings
from lakehouse.errors import LakehouseError, QualityError, UsageError
from lakehouse.spark import archive, configuration, jars, java, jvm_log, workers
from lakehouse.wording import in_one_line

DEFAULTS = "spark-defaults.conf"
IS_SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""By this variable ``spark-submit`` tells the programs that it starts where their JVM is."""
JVM_END_SECONDS = 2.0
"""How long a JVM that no longer answers may take to end, before it counts as one that is there."""
OPEN_FILES = 1024
"""What Linux allows by default. With 300 the JVM starts, and fails at the first program that it calls."""
WHY_ENDED = {
    **dict.fromkeys((3, 50, 51, 52), "its heap was full: raise spark.driver.memory in spark-defaults.conf; "),
    -9: "it was killed, mostly by the system for want of memory (`dmesg` tells); ",
}
"""What exit codes of the JVM mean: 3 is its own at the first ``OutOfMemoryError``, 50 to 52 are Spark's."""
JIT_C1_ONLY = "-XX:TieredStopAtLevel=1"
"""HotSpot's second compiler takes 25 of the 62 s of processor time of a new day: 35 s with it, 28 without; for three
years the two come to the same. Beyond, its code would pay: who rebuilds decades sets ``-XX:TieredStopAtLevel=4``."""
NOT_STARTED = (
    "Spark's JVM did not start; what it printed above says why. For want of memory lower spark.driver.memory in "
    "spark-defaults.conf, or run with more."
)
AT_FULL_HEAP = "-XX:+ExitOnOutOfMemoryError"
"""A JVM that lacks memory ends: half of one answers nobody."""
NO_NEWS = "WARNING: Using incubator modules:"
"""How a line begins that every JVM prints which ``spark-submit`` starts, and that nobody can act on."""
PYSPARKS_VARIABLES = {
    "PYSPARK_PYTHON": sys.executable,
    "SPARK_AUTH_SOCKET_TIMEOUT": "15",
    "SPARK_BUFFER_SIZE": "65536",
}
"""Variables that a session sets, with PySpark's own values for those that it sets anew from Spark's configuration."""
IMPORTABLE = (".zip", ".egg", ".jar", ".whl")
"""Files of ``--py-files`` from which executors import. PySpark's own list lacks wheels: they get the file all the same,
and cannot import from it."""
UTC = "-Duser.timezone=UTC"
"""For JDBC, whatever else the user's own options for the JVM are."""


jvm_process: "subprocess.Popen[bytes] | None" = None
"""The JVM that this process has started; None under ``spark-submit``, which starts it itself."""

jvm_words: threading.Thread | None = None
"""Passes on what that JVM prints; it ends with the JVM."""

is_long_lived = False
"""Whether this process does many runs, for which the code of HotSpot's second compiler pays."""


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
    if not _has_jvm():
        reserve_variables()
        gateway = _start_jvm(jvm_variables(overrides or {}))
    try:
        if gateway is not None:
            SparkContext(gateway=gateway)  # the JVM knows its settings from its start
        stated = dict(SparkConf().getAll())  # by files and arguments of whoever started the JVM
        stored = configuration.with_store(stated, _for_object_store())
        spark: SparkSession = SparkSession.builder.config(map={**stored}).getOrCreate()
        configuration.check(spark)
    except LakehouseError:
        raise
    except Exception as error:  # of py4j, of PySpark, of any class that a setting names
        is_strange = IS_SUBMITTED in environ and not known(error)
        hint = "; PYSPARK_GATEWAY_PORT is set: unset it unless spark-submit set it" if is_strange else ""
        raise LakehouseError(f"Spark could not be started: {reason(error).rstrip('.')}{hint}.") from error
    return spark


def reserve_variables() -> None:
    """Set what PySpark will set, before other threads are at work: a variable that is there already may be changed."""
    for name, value in PYSPARKS_VARIABLES.items():
        if not settings.environment().get(name):
            settings.set_variable(name, value)


def expect_many_runs() -> None:
    """From now on a JVM is started for a process that does many runs."""
    global is_long_lived
    is_long_lived = True


def forget_lost() -> bool:
    """Whether the JVM that this process started has ended: then the next session gets one of its own.

    PySpark keeps the first gateway of a process for ever, so what it remembers of it is taken away.
    """
    global jvm_process
    if jvm_process is None or jvm_process.poll() is None:
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
    jvm_process = None
    return True


def end_jvm() -> None:
    """End the JVM that this process started, at once: one that does not answer any more."""
    if jvm_process is not None:
        jvm_process.kill()
        jvm_process.wait(JVM_END_SECONDS)


def _has_jvm() -> bool:
    return jvm_process is not None or IS_SUBMITTED in settings.environment()


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
    if IS_SUBMITTED in settings.environment():
        SparkContext._ensure_initialized()  # connects; opens no session
        return configuration.is_local(SparkConf().get("spark.master", "") or "")
    return configuration.is_local(configuration.master(settings.environment()))


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
    refused = re.search(r"DELTA_VERSION_NOT_FOUND.* to version (\d+)\. Available versions: \[(\d+),", str(error))
    return refused is not None and int(refused[1]) < int(refused[2])


RAISED = re.compile(r"\[USER_RAISED_EXCEPTION\] (.*?)\s*(?:SQLSTATE: \w+)?$", re.MULTILINE)
"""How Spark says what a query of ours has raised (``raise_error``)."""


def stopped_by_us(error: BaseException) -> QualityError | None:
    """The gate that a query of ours raised while Spark worked, as an error of ours; None: it was something else."""
    found = RAISED.search(str(error))
    return QualityError(found[1]) if found else None


def check() -> None:
    """Whether a session can be had, before anything is touched for it.

    Raises:
        LakehouseError: no JDK 17 or newer, and no session either.
        UsageError: spark-submit was called without Delta's settings, or for workers that cannot reach this driver; the
            jars for an object store have not been fetched.
    """
    environ = settings.environment()
    if IS_SUBMITTED in environ:
        SparkContext._ensure_initialized()  # connects; opens no session
        given = dict(SparkConf().getAll())
        configuration.check_delta(given.get("spark.sql.extensions", ""))
        configuration.refuse_unreachable(given)
    elif not _has_jvm():
        configuration.refuse(environ)
        java.find(environ)
        _jars_for_store()
        _allow_open_files()


def _allow_open_files() -> None:
    """Let this process, and the JVM that it starts, open as many files as Spark needs; macOS begins with 256.

    Raises:
        LakehouseError: so many are not allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        raise LakehouseError(
            f"Only {hard} files may be open at once, but Spark needs {OPEN_FILES}; allow so many (`ulimit -n`)."
        )
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def reason(error: BaseException) -> str:
    """What an error says, on one line; of one that came from the JVM, what its innermost cause says."""
    if cause := known(error):
        return cause
    if stopped := stopped_by_us(error):
        return str(stopped)
    try:
        text = _innermost_text(error)
    except Py4JNetworkError as unanswered:  # the JVM went before it could be asked for the cause
        return lost(unanswered) or str(error)
    return in_one_line(text) or type(error).__name__


def _innermost_text(error: BaseException) -> str:
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if cause is None or not hasattr(cause, "getCause"):
        return str(error)
    while cause.getCause() is not None:
        cause = cause.getCause()
    name, message = cause.getClass().getSimpleName(), cause.getMessage()
    return f"{name}: {message}" if message else str(name)


def known(error: BaseException) -> str | None:
    """What ended the work, where it is no mistake in the code: JVM or cluster are gone, a worker's Python is unfit."""
    return lost(error) or workers.unfit(error) or workers.gone(error)


def lost(error: BaseException) -> str | None:
    """How it came that the JVM is gone, as far as this process can tell; None if that is not what ended it.

    Where the JVM has ended, whatever else failed failed for that: a socket of Arrow's says only that it was cut off.
    """
    process = jvm_process
    was_cut_off = isinstance(error, Py4JNetworkError)
    what, hint = "does not answer" if was_cut_off else None, ""
    if process is not None:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(JVM_END_SECONDS if _may_be_cut_off(error) else 0)
            what = f"ended with {code}"  # negative: by this signal
            if jvm_words is not None:
                jvm_words.join(JVM_END_SECONDS)
            hint = WHY_ENDED.get(code, "")
    if what is None:
        return None
    cause = getattr(error, "cause", None)
    why = f" ({type(cause).__name__}: {cause})" if cause else ""
    return f"Spark's JVM {what}{why}; {hint}what was committed stays, and the same command goes on from there."


def _may_be_cut_off(error: BaseException) -> bool:
    """Whether an error may come of a JVM that ends just now: py4j's own, and those of sockets."""
    if isinstance(error, OSError):
        return error.errno is None or isinstance(error, ConnectionError)
    return isinstance(error, Py4JError | EOFError) and not isinstance(error, Py4JJavaError)


def _hear(said: int) -> threading.Thread:
    """Pass on what a JVM prints into a pipe: records of its log into ours, the rest to stderr, but for ``NO_NEWS``.

    Through ``sys.stderr``, so that a bar that is drawn there is drawn anew below it.
    """

    def pass_on() -> None:
        with open(said, encoding="utf-8", errors="backslashreplace") as lines:
            for line in lines:
                if not line.startswith(NO_NEWS) and not jvm_log.passed_on(line):
                    with suppress(OSError, ValueError):  # nobody reads stderr any more; a full pipe would stop the JVM
                        print(line, end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=pass_on, name="what the JVM says", daemon=True)
    thread.start()
    return thread


def _start_jvm(variables: Mapping[str, str]) -> Any:
    """Start the JVM with these variables.

    Raises:
        LakehouseError: it did not start.
    """
    global jvm_process, jvm_words
    with settings.variables(variables):
        try:
            with interrupts.deferred():  # of a launch that is broken off a JVM stays for ever
                said, ours = os.pipe()
                jvm_words = hearing = _hear(said)
                try:
                    gateway = launch_gateway(popen_kwargs={"stdout": ours, "stderr": ours})  # type: ignore[no-untyped-call]  # pyspark gives no types here
                finally:
                    os.close(ours)
        except PySparkRuntimeError as error:  # JAVA_GATEWAY_EXITED, all that it says
            hearing.join()
            raise LakehouseError(NOT_STARTED) from error
    jvm_process = gateway.proc
    return gateway


def jvm_variables(overrides: Mapping[str, str]) -> dict[str, str]:
    """What ``spark-submit`` reads of its environment to start the JVM that we want, with these settings of Spark's.

    Raises:
        UsageError: the user's own variables or configuration ask for what the lakehouse cannot do.
        LakehouseError: no JDK 17 or newer.
    """
    environ = settings.environment()
    configuration.refuse(environ)
    _allow_open_files()
    java_home = java.find(environ)
    fetched = jars.local()
    stored = configuration.with_store(configuration.stated(environ), _for_object_store())
    for_store = _jars_for_store()
    if fetched:  # no look-up by Ivy at every start; on the class path they share the archive
        listed = list(map(str, [*fetched, *for_store]))  # the archive's own come first, or it is not used
        of_cache = {"spark.driver.extraClassPath": os.pathsep.join(listed), "spark.jars": ",".join(listed)}
        overrides = {**of_cache, jars.PACKAGES: "", **stored, **overrides}
    found = {
        "JAVA_HOME": str(java_home),
        "SPARK_SUBMIT_OPTS": " ".join(_jvm_options(environ, java_home)),
        "PYSPARK_SUBMIT_ARGS": shlex.join(configuration.arguments(environ, overrides, resources.path(DEFAULTS))),
    }
    if locale.getencoding().upper() not in ("UTF-8", "UTF8"):  # by which the JVM writes the names of files
        found["LC_ALL"] = "C.UTF-8"
    if not configuration.has_files(environ) and archive.NO_CONF.is_dir():
        found["SPARK_CONF_DIR"] = str(archive.NO_CONF)
    return found


def _for_object_store() -> dict[str, str]:
    """Spark's settings for the object store of this process; none where the lake stands on a disk."""
    chosen = object_store.ObjectStore.chosen
    return chosen.for_spark if chosen else {}


def _jars_for_store() -> list[Path]:
    """The jars for the object store of this process; none where the lake stands on a disk.

    Raises:
        UsageError: they have not been fetched.
    """
    if object_store.ObjectStore.chosen is None:
        return []
    if not (found := jars.local(jars.S3)):
        raise UsageError(object_store.EXTRA)
    return found


def _jvm_options(environ: Mapping[str, str], java_home: Path) -> list[str]:
    """Words of ``SPARK_SUBMIT_OPTS``, which spark-submit reads for the driver's JVM before anything is logged.

    The user's come last: of two that say one thing the JVM takes the later.
    """
    ours = [UTC, AT_FULL_HEAP, *archive.options(java_home), *([] if is_long_lived else [JIT_C1_ONLY])]
    chosen = object_store.ObjectStore.chosen
    if chosen and chosen.ca_file:
        store = certificates.key_store(java_home, chosen.ca_file)
        ours += [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={certificates.PASSWORD}"]
    if not configuration.has_log_settings(environ):
        file = "log4j2-lines.properties" if logs.has_file() else "log4j2.properties"
        ours.insert(0, f"-Dlog4j2.configurationFile={(resources.path('conf') / file).as_uri()}")
    users = environ.get("SPARK_SUBMIT_OPTS", "")
    return [*(quoted for option in ours if (quoted := shlex.quote(option)) not in users), users]
