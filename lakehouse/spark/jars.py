"""The pinned jars, resolved once into the project's own cache, so that later starts touch no network.

``python -m lakehouse.spark.jars`` resolves what ``spark-defaults.conf`` names. The commands then start Spark with these
files; ``spark-submit`` uses the same ones from Ivy's own cache, which the resolution fills too.
"""

import re
import shutil
import sys
from pathlib import Path

from lakehouse import resources
from lakehouse.errors import LakehouseError

PACKAGES = "spark.jars.packages"
LIST = "packages.txt"
"""Beside the jars: what they were resolved from."""


def cache() -> Path:
    """The project's own place for the jars."""
    return resources.path("spark-defaults.conf").parent / ".cache" / "jars"


def defaults() -> dict[str, str]:
    """The settings of ``spark-defaults.conf``."""
    return properties(resources.path("spark-defaults.conf").read_text(encoding="utf-8"))


def properties(text: str) -> dict[str, str]:
    """Settings as Spark reads them from a file: a name, then spaces, ``=`` or ``:``, then the value."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (re.split(r"\s*[=:\s]\s*", line, maxsplit=1) for line in lines if line and line[0] not in "#!")
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def local() -> list[Path]:
    """The resolved jars; none when they were not resolved yet, or from other versions."""
    stated = cache() / LIST
    if not stated.is_file() or stated.read_text() != defaults()[PACKAGES]:
        return []
    return sorted(cache().glob("*.jar"))


def resolve() -> list[Path]:
    """Resolve the pinned jars through Spark's Ivy, unless they are here already.

    Raises:
        LakehouseError: the repository cannot be reached or lacks a jar.
    """
    if found := local():
        return found
    from lakehouse.spark import session

    try:
        spark = session.open_session({"spark.ui.enabled": "false"})
    except LakehouseError:
        raise
    except Exception as error:  # pyspark says only that the JVM ended
        raise LakehouseError(
            f"The jars {defaults()[PACKAGES]} could not be resolved; is Maven Central reachable? "
            "What was printed above says more."
        ) from error
    listed = spark.sparkContext.getConf().get("spark.jars", "") or ""
    spark.stop()
    shutil.rmtree(cache(), ignore_errors=True)
    cache().mkdir(parents=True)
    for jar in filter(None, listed.split(",")):
        shutil.copy2(jar.removeprefix("file://"), cache())
    (cache() / LIST).write_text(defaults()[PACKAGES])
    return local()


if __name__ == "__main__":
    try:
        print(f"{len(resolve())} jars in {cache()}")
    except LakehouseError as error:
        sys.exit(f"error: {error}")
