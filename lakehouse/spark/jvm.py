"""The JVM of this process: with which options, variables and jars it is started, what it prints, how it is ended."""

import locale
import os
import resource
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway

from lakehouse import interrupts, logs, resources, settings
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.settings import certificates, object_store
from lakehouse.spark import archive, configuration, jars, java, jvm_log

DEFAULTS = "spark-defaults.conf"
IS_SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""By this variable ``spark-submit`` tells the programs that it starts where their JVM is."""
END_SECONDS = 2.0
"""How long a JVM that no longer answers may take to end, before it counts as one that is there."""
OPEN_FILES = 1024
"""What Linux allows by default. With 300 the JVM starts, and fails at the first program that it calls."""
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
UTC = "-Duser.timezone=UTC"
"""For JDBC, whatever else the user's own options for the JVM are."""
process: "subprocess.Popen[bytes] | None" = None
"""The JVM that this process has started; None under ``spark-submit``, which starts it itself."""
words: threading.Thread | None = None
"""Passes on what that JVM prints; it ends with the JVM."""
is_long_lived = False
"""Whether this process does many runs, for which the code of HotSpot's second compiler pays."""


def expect_many_runs() -> None:
    """From now on a JVM is started for a process that does many runs."""
    global is_long_lived
    is_long_lived = True


def end() -> None:
    """End the JVM that this process started, at once: one that does not answer any more."""
    if process is not None:
        process.kill()
        process.wait(END_SECONDS)


def is_started() -> bool:
    """Whether there is one, started here or by ``spark-submit``."""
    return process is not None or IS_SUBMITTED in settings.environment()


def allow_open_files() -> None:
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


def start(variables: Mapping[str, str]) -> Any:
    """Start the JVM with these variables.

    Raises:
        LakehouseError: it did not start.
    """
    global process, words
    with settings.variables(variables):
        try:
            with interrupts.deferred():  # of a launch that is broken off a JVM stays for ever
                said, ours = os.pipe()
                words = hearing = _hear(said)
                try:
                    gateway = launch_gateway(popen_kwargs={"stdout": ours, "stderr": ours})  # type: ignore[no-untyped-call]  # pyspark gives no types here
                finally:
                    os.close(ours)
        except PySparkRuntimeError as error:  # JAVA_GATEWAY_EXITED, all that it says
            hearing.join()
            raise LakehouseError(NOT_STARTED) from error
    process = gateway.proc
    return gateway


def submit_variables(overrides: Mapping[str, str]) -> dict[str, str]:
    """What ``spark-submit`` reads of its environment to start the JVM that we want, with these settings of Spark's.

    Raises:
        UsageError: the user's own variables or configuration ask for what the lakehouse cannot do.
        LakehouseError: no JDK 17 or newer.
    """
    environ = settings.environment()
    configuration.refuse(environ)
    allow_open_files()
    java_home = java.find(environ)
    fetched = jars.local()
    stored = configuration.with_store(configuration.stated(environ), for_object_store())
    for_store = jars_for_store()
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


def for_object_store() -> dict[str, str]:
    """Spark's settings for the object store of this process; none where the lake stands on a disk."""
    chosen = object_store.ObjectStore.chosen
    return chosen.for_spark if chosen else {}


def jars_for_store() -> list[Path]:
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
