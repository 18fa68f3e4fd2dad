"""The first run on a machine: it makes the archive of the JVM's classes, so that later starts are quicker.

``python -m lakehouse.warmup`` lets a JVM do what runs do, on two days of simulated responses and an odd one, and
archives what it has loaded by then (``lakehouse.spark.archive`` finds it).
"""

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from lakehouse import settings
from lakehouse.errors import LakehouseError
from lakehouse.ingestion.reception import ReceivedAt
from lakehouse.pipeline import STAGES, Run
from lakehouse.postgres import EmbeddedPostgres
from lakehouse.simulator import Simulator, run_in_thread
from lakehouse.spark import archive, java, jvm

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)
LATER = datetime(2024, 1, 3, 12, tzinfo=UTC)
"""Half a day on, the newest half-hours have been revised: the second run merges."""
ODD = json.dumps({"data": [{"regionid": 13, "data": [{"from": "2024-01-02T12:00Z", "generationmix": []}]}]})
"""What is read part by part, refused, and kept in the quarantine."""
LARGEST_WAIT = 600
"""Seconds that a JVM may take to run and to write its archive."""
TRAIN = "--train"


def make_archive() -> Path:
    """Make the archive, unless it is here already.

    Raises:
        LakehouseError: the JVM failed or wrote none.
    """
    java_home = java.find(settings.environment())
    if found := archive.find(java_home):
        return found
    shutil.rmtree(archive.CACHE, ignore_errors=True)
    archive.NO_CONF.mkdir(parents=True)
    fresh = archive.CACHE / "fresh"
    _succeed(sys.executable, "-m", "lakehouse.warmup", TRAIN, str(fresh))
    _succeed(str(java_home / "bin" / "java"), *archive.use(fresh), "-version")
    return fresh.rename(archive.CACHE / f"{archive.name(java_home)}.{fresh.stat().st_size}.jsa")


def _succeed(*command: str) -> None:
    """Run a command to its end."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LARGEST_WAIT, check=False)  # noqa: S603 (our own)
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("[")]  # those are the JVM's
        last = (lines or ["it said nothing"])[-1]
        raise LakehouseError(f"The JVM's classes could not be archived in {archive.CACHE}: {last}")


def train(into: Path) -> None:
    """Load, revise and export two days and refuse an odd body, in a JVM that archives its classes when it ends."""
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
        run.context.store.spark.stop()
    _await_end(jvm.process)


def _await_end(jvm: "subprocess.Popen[bytes] | None") -> None:
    """The JVM ends with its standard input, and writes its archive as the last thing it does."""
    if jvm is None or jvm.stdin is None:
        raise LakehouseError("Only a JVM that this process has started is archived; call python -m lakehouse.warmup.")
    jvm.stdin.close()
    jvm.wait(LARGEST_WAIT)


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == [TRAIN]:
            train(Path(sys.argv[2]))
        else:
            made = make_archive()
            print(f"{made.stat().st_size >> 20} MiB of classes in {made}")
    except LakehouseError as error:
        sys.exit(f"error: {error}")
