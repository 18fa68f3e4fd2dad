"""What ends a query because the Python of a cluster's workers cannot do its part."""

import re
import sys

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkException

UNFIT = re.compile(
    r"^(?:ModuleNotFoundError|ImportError): (?P<import>.+)$"
    r"|\[PYTHON_VERSION_MISMATCH\] (?P<version>.+?), PySpark"
    r"|java\.io\.IOException: (?P<program>Cannot run program .+)$",
    re.MULTILINE,
)
"""How Python and Spark say that a module is missing or another, that the Python is another, or that there is none."""


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
