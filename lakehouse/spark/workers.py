"""What ends a query because of the cluster: it is not there, or the Python of its workers cannot do its part."""

import re
import sys

from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException

UNFIT = re.compile(
    r"^(?:ModuleNotFoundError|ImportError): (?P<import>.+)$"
    r"|\[PYTHON_VERSION_MISMATCH\] (?P<version>.+?), PySpark"
    r"|java\.io\.IOException: (?P<program>Cannot run program .+)$",
    re.MULTILINE,
)
"""How Python and Spark say that a module is missing or another, that the Python is another, or that there is none."""

GONE = re.compile(r"stopped SparkContext|SparkContext was shut down")
"""How Spark says that it gave up: it does so a minute after a master has stopped answering."""


def gone(error: BaseException) -> str | None:
    """That the cluster ended the application or never had it; None where something else ended the work."""
    if not isinstance(error, PySparkException | Py4JJavaError) or not GONE.search(str(error)):
        return None
    return (
        f"Spark's master {SparkConf().get('spark.master', '')} does not answer, or has ended this application; see "
        "that the cluster is up. What was committed stays, and the same command goes on from there."
    )


def unfit(error: BaseException) -> str | None:
    """What the Python of a worker lacks, and what each worker needs; None where something else ended the query."""
    found = UNFIT.search(str(error)) if isinstance(error, PySparkException | Py4JJavaError) else None
    if found is None:
        return None
    context = SparkContext._active_spark_context
    which = f" ({context.pythonExec})" if context else ""
    said = next(text for text in found.groups() if text).rstrip(".")
    return (
        f"The Python of Spark's workers{which} cannot do its part: {said}. Each worker needs a Python "
        f"{sys.version_info.major}.{sys.version_info.minor} with pyarrow, duckdb and this package, and "
        "spark.pyspark.python names it (docs/clusters.md)."
    )
