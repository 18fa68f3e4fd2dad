"""A JDK that runs Spark: found where the user has one, or fetched into the project's own cache.

``python -m lakehouse.spark.java`` prints its home and fetches one when none is found; the commands only look.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jdk

from lakehouse import resources, settings
from lakehouse.errors import LakehouseError

OLDEST = 17
"""Spark 4 runs on Java 17 and later."""
FETCHED = "17"
"""The version fetched when none is found: the one that Spark 4.2 is tested with most."""
FETCH = f"{shlex.quote(sys.executable)} -m lakehouse.spark.java"
ADVICE = f"run `{FETCH}`, which fetches one, or install a JDK 17 and set JAVA_HOME"


def cache() -> Path:
    """The project's own place for a fetched JDK."""
    return resources.path("spark-defaults.conf").parent / ".cache" / "jdk"


def find(environ: Mapping[str, str]) -> Path:
    """The home of a JDK >= 17: JAVA_HOME, then PATH, then the project's cache.

    Raises:
        LakehouseError: JAVA_HOME names something else, or none was found.
    """
    stated = environ.get("JAVA_HOME")
    if stated:
        found = version(Path(stated))
        if found is None:
            raise LakehouseError(f"JAVA_HOME is {stated}, but there is no Java in it; correct or unset it.")
        if found < OLDEST:
            raise LakehouseError(f"JAVA_HOME is Java {found}, but Spark needs {OLDEST} or newer; {ADVICE}.")
        return Path(stated)
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    candidates = [Path(on_path).resolve().parent.parent] if on_path else []
    candidates += sorted(cache().glob("*")) + sorted(cache().glob("*/Contents/Home"))
    for home in candidates:
        if (version(home) or 0) >= OLDEST:
            return home
    raise LakehouseError(f"No JDK {OLDEST} or newer was found in JAVA_HOME, on PATH or in {cache()}; {ADVICE}.")


def version(home: Path) -> int | None:
    """The major version of the Java installed at ``home``, None where there is none."""
    java = home / "bin" / "java"
    if not java.is_file():
        return None
    release = home / "release"
    text = release.read_text(errors="replace") if release.is_file() else ""
    stated = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', text)
    if stated is None:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 (a Java of the user's)
        stated = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(stated.group(1)) if stated else None


def find_or_fetch(environ: Mapping[str, str]) -> Path:
    """As ``find``, fetching a Temurin JDK into the project's cache when none is found."""
    try:
        return find(environ)
    except LakehouseError:
        if environ.get("JAVA_HOME"):
            raise
    print(f"No JDK found; fetching Temurin {FETCHED} into {cache()} ...", file=sys.stderr)
    cache().mkdir(parents=True, exist_ok=True)
    try:
        jdk.install(FETCHED, path=str(cache()))
    except Exception as error:  # urllib, tarfile and the library each raise their own
        reason = str(error).strip() or type(error).__name__
        raise LakehouseError(
            f"No JDK {OLDEST} or newer was found and fetching one failed ({reason}); "
            "install one (Debian: apt install openjdk-17-jre-headless) or set JAVA_HOME."
        ) from error
    return find(environ)


if __name__ == "__main__":
    try:
        print(find_or_fetch(settings.environment()))
    except LakehouseError as error:
        sys.exit(f"error: {error}")
