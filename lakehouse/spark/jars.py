"""The pinned jars, fetched once into the project's own cache, so that later starts touch no network.

``python -m lakehouse.spark.jars`` fetches them. The commands start Spark with these files. ``spark-submit`` resolves
the same versions from ``spark.jars.packages`` through Spark's Ivy, into Ivy's own cache.
"""

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from lakehouse import resources, settings
from lakehouse.errors import LakehouseError
from lakehouse.text import without_logins

PACKAGES = "spark.jars.packages"
MIRROR = "DEFAULT_ARTIFACT_REPOSITORY"
"""Spark's own variable: the Maven repository that is asked in place of Maven Central, by its Ivy, too."""
MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
SILENT_SECONDS = 60
"""Without a byte, before a download is given up."""


@dataclass(frozen=True)
class Jar:
    """One artifact of a Maven repository, and the SHA-256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name in the cache."""
        return f"{self.group}_{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Its place in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.artifact}-{self.version}.jar"


PINNED = (
    Jar(
        "io.delta",
        "delta-spark_4.2_2.13",
        "4.4.0",
        "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    ),
    Jar("io.delta", "delta-storage", "4.4.0", "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc"),
    Jar("io.delta", "delta-kernel-api", "4.4.0", "ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11"),
    Jar(
        "io.delta",
        "delta-kernel-defaults",
        "4.4.0",
        "225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b",
    ),
    Jar(
        "io.delta",
        "delta-kernel-unitycatalog",
        "4.4.0",
        "cea22dfb4ac562b3cd27bf652697750e8336009d73fb06631363aaaad5345ffa",
    ),
    Jar(
        "io.unitycatalog",
        "unitycatalog-client",
        "0.6.0",
        "48257499a86b801a3e2372cec55ac226ca1c1c7eabe5c118e7302f29a1fdbc19",
    ),
    Jar(
        "io.unitycatalog",
        "unitycatalog-hadoop",
        "0.6.0",
        "c47b63c961c87102b9e1d63809a0915ba4c86b7652f57c8d39ca3a05b441a150",
    ),
    Jar("org.postgresql", "postgresql", "42.7.13", "6e0e4cc2d8cae902084f8a2b18728b073a6fd9d1f87c9d8bff8f298c18185b93"),
)
"""What ``spark.jars.packages`` of ``spark-defaults.conf`` comes to, with what it needs and Spark itself has not."""


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
    """The pinned jars in the cache; none when they have not all been fetched yet."""
    files = sorted(cache() / jar.file_name for jar in PINNED)
    return files if all(file.is_file() for file in files) else []


def fetch(environ: Mapping[str, str]) -> list[Path]:
    """Fetch the pinned jars that the cache lacks, and check all of them.

    The proxy is the one that the usual variables name.

    Raises:
        LakehouseError: the repository cannot be reached or lacks a jar, or a jar is not the pinned one.
    """
    repository = (environ.get(MIRROR) or MAVEN_CENTRAL).rstrip("/")
    try:
        cache().mkdir(parents=True, exist_ok=True)
        for jar in PINNED:
            file = cache() / jar.file_name
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != jar.sha256:
                _download(f"{repository}/{jar.path}", file, jar.sha256)
    except OSError as error:
        raise LakehouseError(f"The jars cannot be kept in {cache()}: {error.strerror or error}.") from error
    return local()


def _download(url: str, file: Path, sha256: str) -> None:
    """Put what is at ``url`` into ``file``, all of it or nothing."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        new = Path(folder) / file.name
        try:
            with urlopen(url, timeout=SILENT_SECONDS) as answer, new.open("wb") as into:  # noqa: S310 (a repository of the user's)
                shutil.copyfileobj(answer, into)
        except (URLError, HTTPException, ConnectionError, TimeoutError, ValueError) as error:
            raise LakehouseError(
                f"{without_logins(url)} could not be fetched ({getattr(error, 'reason', error)}); "
                f"is Maven Central reachable? {MIRROR} names another repository."
            ) from None
        found = hashlib.sha256(new.read_bytes()).hexdigest()
        if found != sha256:
            raise LakehouseError(f"{without_logins(url)} is not the pinned jar: its SHA-256 is {found}, not {sha256}.")
        new.rename(file)


if __name__ == "__main__":
    try:
        print(f"{len(fetch(settings.environment()))} jars in {cache()}")
    except LakehouseError as error:
        sys.exit(f"error: {error}")
