"""The pinned jars, fetched once into the project's own cache, so that later starts touch no network.

``python -m lakehouse.spark.jars [s3]`` fetches them, and prints where they are: a line of paths a list, as ``--jars``
of ``spark-submit`` takes them. The commands start Spark with these files. ``spark-submit`` resolves the same versions
of the first list from ``spark.jars.packages`` through Spark's Ivy, into Ivy's own cache.
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
from lakehouse.messages.text import without_logins

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


BASE, S3 = "jars.txt", "jars-s3.txt"
"""The lists in ``conf/``: what every session needs, and what one needs beside it for a root in an object store."""


def pinned(name: str = BASE) -> tuple[Jar, ...]:
    """The jars of a list, as they are pinned."""
    lines = (resources.path("conf") / name).read_text(encoding="utf-8").splitlines()
    columns = (line.replace(":", " ").split() for line in lines if not line.startswith("#"))
    return tuple(Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in columns)


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


def local(name: str = BASE) -> list[Path]:
    """The jars of a list in the cache; none when they have not all been fetched yet."""
    files = sorted(cache() / jar.file_name for jar in pinned(name))
    return files if all(file.is_file() for file in files) else []


def fetch(environ: Mapping[str, str], name: str = BASE) -> list[Path]:
    """Fetch the jars of a list that the cache lacks, and check all of them.

    The proxy is the one that the usual variables name.

    Raises:
        LakehouseError: the repository cannot be reached or lacks a jar, or a jar is not the pinned one.
    """
    repository = (environ.get(MIRROR) or MAVEN_CENTRAL).rstrip("/")
    try:
        cache().mkdir(parents=True, exist_ok=True)
        for jar in pinned(name):
            file = cache() / jar.file_name
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != jar.sha256:
                _download(f"{repository}/{jar.path}", file, jar.sha256)
    except OSError as error:
        raise LakehouseError(f"The jars cannot be kept in {cache()}: {error.strerror or error}.") from error
    return local(name)


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
        for wanted in (BASE, *(f"jars-{extra}.txt" for extra in sys.argv[1:])):
            print(*fetch(settings.environment(), wanted), sep=",")
    except LakehouseError as error:
        sys.exit(f"error: {error}")
