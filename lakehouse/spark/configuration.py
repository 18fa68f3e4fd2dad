"""What the user's own Spark configuration says, beside ``spark-defaults.conf``: respected or refused, never dropped.

It stands in ``spark-defaults.conf`` of ``SPARK_CONF_DIR`` (or ``SPARK_HOME/conf``), in ``PYSPARK_SUBMIT_ARGS`` and in
variables. What it says wins, but for what the lake's promises rest on: a session without that is refused.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import SparkSession

from lakehouse.errors import UsageError
from lakehouse.spark import jars

DEFAULTS = "spark-defaults.conf"
SHELL = "pyspark-shell"
"""What ends the arguments of a Spark that is started from Python."""
REQUIRED = (
    "spark.sql.extensions",
    "spark.sql.catalog.spark_catalog",
    "spark.sql.catalogImplementation",
    "spark.sql.session.timeZone",
    "spark.sql.ansi.enabled",
)
"""Delta, one catalog a session, UTC, and casts that fail where a value does not fit."""
LISTS = {"spark.jars": ",", "spark.jars.packages": ",", "spark.driver.extraClassPath": os.pathsep}
"""Settings to which the user's are added, by what separates their parts."""
REMOTE = ("SPARK_REMOTE", "SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_API_MODE")
FOR_SPARK_CONNECT = "Spark Connect has no Delta tables by path and no JVM of this process"
LOOPBACK = ("127.0.0.1", "localhost")
CHECK_WORKER = (
    "import importlib.util as u, sys; print(*sys.version_info[:2], all(map(u.find_spec, ('pyarrow', 'pyspark'))))"
)
CHECK_SECONDS = 30


def refuse(environ: Mapping[str, str]) -> None:
    """Refuse variables with which no JVM of ours can start, before one is started.

    Raises:
        UsageError: one of them asks for another Spark, for Spark Connect, for a Python that cannot be Spark's or for
            workers that cannot reach this driver.
    """
    for name in REMOTE:
        if environ.get(name, "classic") != "classic":
            raise UsageError(f"{name} is set, but the lakehouse runs Spark itself ({FOR_SPARK_CONNECT}): unset it.")
    if home := environ.get("SPARK_HOME"):
        ours = f"spark-core_2.13-{pyspark.__version__}.jar"
        if not (Path(home) / "jars" / ours).is_file() or not (Path(home) / "bin" / "spark-submit").is_file():
            raise UsageError(f"SPARK_HOME is {home}, but no Spark {pyspark.__version__} is there; correct or unset it.")
    for name in ("SPARK_CONF_DIR", "HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        if environ.get(name) and not Path(environ[name]).is_dir():
            raise UsageError(f"{name} is {environ[name]!r}, which is no folder; correct or unset it.")
    chosen = {**jars.defaults(), **stated(environ)}
    refuse_unreachable(chosen)
    if is_local(chosen["spark.master"]):  # elsewhere it is a path on the workers
        _refuse_other_python(environ)


def refuse_unreachable(settings: Mapping[str, str]) -> None:
    """Refuse a driver that listens to its own machine alone while its workers are on others: they would never come.

    Raises:
        UsageError: so it is.
    """
    master = settings["spark.master"]
    if is_local(master) or re.match(rf"spark://({'|'.join(LOOPBACK)})[:,]", master):
        return
    for name in ("spark.driver.host", "spark.driver.bindAddress"):
        if settings.get(name) in LOOPBACK:
            raise UsageError(
                f"Spark's master is {master}, but {name} is {settings[name]}, where no worker reaches this driver: set "
                "spark.driver.host to a name by which workers find this machine, and spark.driver.bindAddress to "
                "0.0.0.0 (docs/clusters.md)."
            )


def _refuse_other_python(environ: Mapping[str, str]) -> None:
    stated = environ.get("PYSPARK_PYTHON", sys.executable)
    if stated == sys.executable:
        return
    wanted = ".".join(map(str, sys.version_info[:2]))
    found = shutil.which(stated, path=environ.get("PATH"))
    try:
        checked = subprocess.run(  # noqa: S603 (a Python of the user's)
            [found or stated, "-c", CHECK_WORKER], capture_output=True, text=True, timeout=CHECK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        raise UsageError(f"PYSPARK_PYTHON is {stated!r}, which cannot be run; correct or unset it.") from None
    if checked.stdout.split() != [*wanted.split("."), "True"]:
        raise UsageError(
            f"PYSPARK_PYTHON is {stated!r}, but Spark's workers need a Python {wanted} with pyarrow and pyspark; "
            "correct or unset it."
        )


def folder(environ: Mapping[str, str]) -> Path:
    """Where Spark looks for the user's configuration."""
    home = environ.get("SPARK_HOME") or str(Path(pyspark.__file__).parent)
    return Path(environ.get("SPARK_CONF_DIR") or f"{home}/conf")


def has_files(environ: Mapping[str, str]) -> bool:
    """Whether the user has a configuration; what ``make setup`` writes beside PySpark is none."""
    place = folder(environ)
    stated = {"SPARK_CONF_DIR", "SPARK_HOME"} & set(environ)
    return place.is_dir() and any(stated or file.name != "spark-env.sh" for file in place.iterdir())


def has_log_settings(environ: Mapping[str, str]) -> bool:
    """Whether the user says what Spark logs, and where."""
    return any(folder(environ).glob("log4j2.*"))


def stated(environ: Mapping[str, str]) -> dict[str, str]:
    """What the user says of settings, by their names.

    Raises:
        UsageError: the file or the variable cannot be read.
    """
    file = folder(environ) / DEFAULTS
    try:
        of_file = jars.properties(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as Spark's settings: {error}.") from None
    known, _ = _parser().parse_known_args(_words(environ))
    pairs = (pair.partition("=") for pair in known.conf)
    of_variable = {name: value for name, _, value in pairs} | ({"spark.master": known.master} if known.master else {})
    return {**of_file, **of_variable}


def master(environ: Mapping[str, str]) -> str:
    """Spark's master, as the user's configuration or else ``spark-defaults.conf`` says it."""
    return {**jars.defaults(), **stated(environ)}["spark.master"]


def is_local(master: str) -> bool:
    """Whether a master is this machine alone."""
    return master.startswith("local")


def arguments(environ: Mapping[str, str], ours: Mapping[str, str], file: Path) -> list[str]:
    """The arguments of ``spark-submit``: our file, our own settings, and what the user says, which wins.

    Settings that only the user's file has are left to Spark, which reads them there: they may hold a secret.
    """
    users, basis = stated(environ), {**jars.defaults(), **ours}
    joined = {
        name: separator.join((ours[name], users[name]))
        for name, separator in LISTS.items()
        if users.get(name) and ours.get(name)
    }
    overridden = {name: value for name, value in users.items() if name in basis}
    return [
        *("--properties-file", str(file), "--load-spark-defaults"),
        *_as_conf({**ours, **overridden}),
        *_words(environ),
        *_as_conf(joined),
        SHELL,
    ]


def with_store(stated: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Spark's settings for an object store: those wanted, but the credentials' provider that the user states.

    Raises:
        UsageError: the user's Spark settings lead to another store than the lakehouse's own, which delta-rs goes by.
    """
    found = dict(wanted)
    for name, value in wanted.items():
        users = stated.get(name)
        if name.endswith(".credentials.provider"):
            found[name] = users or value
        elif users not in (None, value):
            raise UsageError(
                f"Your Spark configuration sets {name} to {users!r}, but the lakehouse's settings say {value!r}: "
                "say it by LAKEHOUSE_S3__ENDPOINT, __REGION and __PATH_STYLE alone."
            )
    return found


def _as_conf(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]


def _words(environ: Mapping[str, str]) -> list[str]:
    """The arguments of ``PYSPARK_SUBMIT_ARGS``."""
    try:
        words = shlex.split(environ.get("PYSPARK_SUBMIT_ARGS", ""))
    except ValueError as error:
        raise UsageError(f"PYSPARK_SUBMIT_ARGS cannot be read: {error}; correct or unset it.") from None
    return [word for word in words if word != SHELL]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--conf", "-c", action="append", default=[])
    parser.add_argument("--master")
    return parser


def check_delta(extensions: str) -> None:
    """Refuse a Spark whose setting ``spark.sql.extensions`` lacks Delta.

    Raises:
        UsageError: it does.
    """
    if jars.defaults()[REQUIRED[0]] not in extensions.split(","):
        raise UsageError(f"Spark was started without Delta: call spark-submit --properties-file {DEFAULTS} ...")


def check(spark: SparkSession) -> None:
    """Refuse a session whose settings break what the lake promises, whoever made them.

    Raises:
        UsageError: a required setting is another, or paths without a scheme are not those of this machine.
    """
    needed = jars.defaults()
    found = {name: spark.conf.get(name, None) or "" for name in REQUIRED}
    check_delta(found[REQUIRED[0]])
    jvm: Any = spark._jvm
    found["user.timezone"], needed["user.timezone"] = jvm.java.util.TimeZone.getDefault().getID(), "UTC"
    for name in (*REQUIRED[1:], "user.timezone"):
        if found[name].lower() != needed[name].lower():
            raise UsageError(
                f"Your Spark configuration sets {name} to {found[name]!r}, but the lakehouse needs {needed[name]!r}."
            )
    files = jvm.org.apache.hadoop.fs.FileSystem.getDefaultUri(spark.sparkContext._jsc.hadoopConfiguration()).toString()
    if is_local(str(spark.sparkContext.master)) and not files.startswith("file:"):
        raise UsageError(
            f"Your Hadoop configuration sets fs.defaultFS to {files}, where Spark would look for the lake: "
            "unset HADOOP_CONF_DIR for this command, or set fs.defaultFS to file:///."
        )
