"""The archive of the JVM's classes (AppCDS): later starts map them instead of loading and checking each.

``lakehouse.warmup`` makes it. An archive holds for one JDK and for the jars as they stand; with others the JVM starts
without it. The commands use it where it is; ``spark-submit`` starts its own JVM and does not.
"""

import hashlib
from pathlib import Path

from lakehouse import resources
from lakehouse.spark import jars

QUIET = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")
"""An archive that no longer fits is left aside without a word: what is lost is a second or two."""
CACHE = resources.path("spark-defaults.conf").parent / ".cache" / "cds"
"""The project's own place for the archive."""
NO_CONF = CACHE / "conf"
"""An empty folder in place of Spark's ``conf``: on a class path with a folder that holds files no archive is used."""


def find(java_home: Path) -> Path | None:
    """The archive for a JDK and the pinned jars; none if there is none, or not all of it: the JVM would crash."""
    for archive in CACHE.glob(f"{name(java_home)}.*.jsa"):
        if archive.name.split(".")[1] == str(archive.stat().st_size):
            return archive
    return None


def options(java_home: Path) -> list[str]:
    """The JVM's options that use the archive; none where there is none."""
    archive = find(java_home)
    return use(archive) if archive else []


def use(archive: Path) -> list[str]:
    """The JVM's options that use this archive."""
    return [f"-XX:SharedArchiveFile={archive}", *QUIET]


def name(java_home: Path) -> str:
    """What the archive for a JDK and the pinned jars is called, before its size."""
    release = java_home / "release"
    made_of = [str(java_home), release.read_text() if release.is_file() else ""]
    made_of += [f"{jar} {jar.stat().st_mtime_ns}" for jar in jars.local()]  # a JVM takes no archive of other files
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
