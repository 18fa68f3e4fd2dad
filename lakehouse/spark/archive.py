"""The JVM's classes archived once (AppCDS), so that later starts map them instead of loading and checking each.

``python -m lakehouse.spark.archive`` lets a JVM do what runs do, on two days of simulated responses and an odd one, and
archives what it has loaded by then. An archive holds for one JDK and for the jars as they stand; with others the JVM
starts without it. The commands use it where it is; ``spark-submit`` starts its own JVM and does not.
"""

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from lakehouse import resources, settings
from lakehouse.errors import LakehouseError
from lakehouse.spark import jars, java

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)
LATER = datetime(2024, 1, 3, 12, tzinfo=UTC)
"""Half a day on, the newest half-hours have been revised: the second run merges."""
ODD = json.dumps({"data": [{"regionid": 13, "data": [{"from": "2024-01-02T12:00Z", "generationmix": []}]}]})
"""What is read part by part, refused, and kept in the quarantine."""
LARGEST_WAIT = 600
"""Seconds that a JVM may take to run and to write its archive."""
QUIET = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")
"""An archive that no longer fits is left aside without a word: what is lost is a second or two."""
TRAIN = "--train"
CACHE = resources.path("spark-defaults.conf").parent / ".cache" / "cds"
"""The project's own place for the archive."""
NO_CONF = CACHE / "conf"
"""An empty folder in place of Spark's ``conf``: on a class path with a folder that holds files no archive is used."""


def find(java_home: Path) -> Path | None:
    """The archive for a JDK and the pinned jars; none if there is none, or not all of it: the JVM would crash."""
    for archive in CACHE.glob(f"{_name(java_home)}.*.jsa"):
        if archive.name.split(".")[1] == str(archive.stat().st_size):
            return archive
    return None


def options(java_home: Path) -> list[str]:
    """The JVM's options that use the archive; none where there is none."""
    archive = find(java_home)
    return [f"-XX:SharedArchiveFile={archive}", *QUIET] if archive else []


def make() -> Path:
    """Make the archive, unless it is here already.

    Raises:
        LakehouseError: the JVM failed or wrote none.
    """
    java_home = java.find(settings.environment())
    if archive := find(java_home):
        return archive
    shutil.rmtree(CACHE, ignore_errors=True)
    NO_CONF.mkdir(parents=True)
    fresh = CACHE / "fresh"
    _succeed(sys.executable, "-m", "lakehouse.spark.archive", TRAIN, str(fresh))
    _succeed(str(java_home / "bin" / "java"), f"-XX:SharedArchiveFile={fresh}", *QUIET, "-version")
    return fresh.rename(CACHE / f"{_name(java_home)}.{fresh.stat().st_size}.jsa")


def _name(java_home: Path) -> str:
    release = java_home / "release"
    made_of = [str(java_home), release.read_text() if release.is_file() else "", *map(str, jars.local())]
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]


def _succeed(*command: str) -> None:
    said = subprocess.run(command, capture_output=True, text=True, timeout=LARGEST_WAIT, check=False)  # noqa: S603 (our own)
    if said.returncode != 0:
        last = (said.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise LakehouseError(f"The JVM's classes could not be archived in {CACHE}: {last}")


def train(into: Path) -> None:
    """Load, revise and export two days and refuse an odd body, in a JVM that archives its classes when it ends."""
    from pyspark import SparkContext

    from lakehouse.ingestion.ingest import ReceivedAt
    from lakehouse.pipeline import STAGES, Run
    from lakehouse.postgres import EmbeddedPostgres
    from lakehouse.simulator import Simulator, run_in_thread

    settings.set_variable("SPARK_SUBMIT_OPTS", shlex.quote(f"-XX:ArchiveClassesAtExit={into}"))
    with tempfile.TemporaryDirectory() as place, run_in_thread(Simulator(seed=42, now=LAST)) as api:
        chosen = settings.load({"root": f"{place}/lake", "api": {"url": api.url, "requests_per_second": 0}})
        with EmbeddedPostgres(chosen.embedded_data):
            for start, end in ((FIRST, LAST), (None, None)):
                run = Run(chosen, "run")
                with run.recorded():
                    run.fetch(start, end)
                    run.transform(STAGES)
                api.now = LATER
            (file := Path(place) / "odd.json").write_text(ODD)
            run = Run(chosen, "import")
            with run.recorded():
                run.import_files([file], None, ReceivedAt(LATER))
                run.transform(["silver"])
        jvm = SparkContext._gateway.proc  # type: ignore[union-attr]  # it is running
        run.context.store.spark.stop()
        jvm.stdin.close()  # which is how it learns that it is to end
        jvm.wait(LARGEST_WAIT)


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == [TRAIN]:
            train(Path(sys.argv[2]))
        else:
            made = make()
            print(f"{made.stat().st_size >> 20} MiB of classes in {made}")
    except LakehouseError as error:
        sys.exit(f"error: {error}")
