"""Two ``lakehouse watch`` on one lake in an object store, of which one is stopped or killed again and again.

    python -m bench.writers --rounds 100

In each round the simulator's clock moves on by half an hour, and while a run is at work one of the two, by chance, is
stopped (alone or with its JVM, for shorter or longer than the lease's term) or killed and started again; the round ends
when a run has ended well. In the end the lake and PostgreSQL have to be those of one undisturbed writer, no commit may
be lost or doubled, and where two leases wrote at once ``lakehouse status`` has to say so. Needs what
``make setup EXTRAS=s3`` fetches. A round takes half a minute.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from bench.processes import LAKEHOUSE, environment, lakehouse
from bench.watch import HALF_HOUR, rows_of
from lakehouse import settings
from lakehouse.lake import commits, delta_log
from lakehouse.lake.tables import RUNS, TABLES
from lakehouse.monitoring.writers import claimed, interleaved, overwritten
from lakehouse.postgres import EmbeddedPostgres
from lakehouse.simulator import Simulator, ThreadedSimulator, run_in_thread
from tests.support.export_fixtures import url_of
from tests.support.object_stores import serving

START = datetime(2024, 1, 4, tzinfo=UTC)
TERM = 5
"""Seconds; one that is stopped for TERM + 2 is taken over."""
STOPPED = {0.5: 4, 3.0: 3, 9.0: 3}
"""Seconds, and how likely."""
KILLED = 0.2
"""Share of the rounds."""
PATIENCE_SECONDS = 300
"""For a run that ends well after a disturbance."""
STATUS_ROUNDS = 10
"""``status`` looks at the newest fifty commits of a table."""


class Writer:
    """A ``watch`` in a process of its own."""

    def __init__(self, variables: Mapping[str, str], log: Path) -> None:
        self._variables, self._log = variables, log
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [*LAKEHOUSE, "watch", "--every", "1s", "--port", "0", "--json"]
        with open(self._log, "ab") as log:
            return subprocess.Popen(command, env=self._variables, stdout=log, stderr=log)

    def stop_for(self, seconds: float, *, with_jvm: bool) -> None:
        ours = psutil.Process(self.process.pid)
        stopped = [ours, *(ours.children(recursive=True) if with_jvm else [])]
        for sent in (signal.SIGSTOP, signal.SIGCONT):
            for process in stopped:
                with suppress(psutil.NoSuchProcess):  # its JVM has ended by itself
                    process.send_signal(sent)
            if sent is signal.SIGSTOP:
                time.sleep(seconds)

    def kill(self) -> None:
        """Its JVM is left alone, and may end what it is about."""
        self.process.kill()
        self.process.wait()
        self.process = self._started()

    def runs(self) -> int:
        """How many runs have ended well."""
        return self._log.read_text().count('"status": "ok"')

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(120)


def disturbed(
    writers: list[Writer], api: ThreadedSimulator, rounds: int, chance: random.Random, here: Mapping[str, str]
) -> list[str]:
    """So many rounds, each told in a line; gives what ``status`` said meanwhile of two writers at once."""
    told: list[str] = []
    for number in range(1, rounds + 1):
        assert api.now is not None
        api.now += HALF_HOUR
        ended = sum(writer.runs() for writer in writers)
        time.sleep(chance.uniform(0, 8))
        victim = chance.randrange(2)
        if chance.random() < KILLED:
            writers[victim].kill()
            what = "killed"
        else:
            seconds, with_jvm = chance.choices([*STOPPED], [*STOPPED.values()])[0], chance.random() < 0.5
            writers[victim].stop_for(seconds, with_jvm=with_jvm)
            what = f"stopped for {seconds:g} s{' with its JVM' if with_jvm else ''}"
        print(f"{number:4} writer {victim} {what}", flush=True)
        until = time.monotonic() + PATIENCE_SECONDS
        while sum(writer.runs() for writer in writers) == ended:
            if time.monotonic() > until:
                raise SystemExit(f"no run has ended well for {PATIENCE_SECONDS} s")
            time.sleep(0.2)
        if number % STATUS_ROUNDS == 0 or number == rounds:
            said = lakehouse(here, "status", "--json").document["findings"]
            told += [each["sentence"] for each in said if "under lease" in each["sentence"]]
    return told


def traces(root: str) -> tuple[list[str], list[str]]:
    """A sentence for each commit that was lost or row that is there twice, and for each commit under an old lease."""
    chosen = settings.load({"root": root})
    runs = delta_log.open_table(chosen.path(RUNS.path))
    assert runs is not None
    claims = claimed(runs.rows(["run_id", "stages"]).to_pylist())
    wrong, late, leases = [], [], Counter[int | None]()
    for table in TABLES:
        snapshot = delta_log.open_table(chosen.path(table.path))
        if snapshot is None:
            continue
        history = snapshot.history()
        said = [commits.parse(entry.get("userMetadata")) for entry in history]
        leases.update(each.generation for each in said if each is not None)
        late += [f"{table.name}: {sentence}" for sentence in interleaved(history)]
        wrong += [f"{table.name}: {sentence}" for sentence in overwritten(history, claims.get(table.name, {}))]
        keys = Counter(map(str, snapshot.rows(table.key).to_pylist()))
        wrong += [f"{table.name} holds {key} {times} times" for key, times in keys.items() if times > 1]
    print(f"{sum(leases.values())} commits under {len(leases)} leases, {len(late)} of them late")
    return wrong, late


def main() -> int:
    """Disturb, compare; 1 if anything is wrong."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=100)
    options.add_argument("--seed", type=int, default=20)
    chosen = options.parse_args()
    with ExitStack() as opened:
        place = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-writers-")))
        api = opened.enter_context(run_in_thread(Simulator(seed=42, now=START)))
        bucket = opened.enter_context(serving())("writers")
        os.environ |= bucket.variables
        targets = {where: opened.enter_context(EmbeddedPostgres(place / where)) for where in ("watched", "clean")}
        asked = {"LAKEHOUSE_API__URL": api.url, "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0"}
        clean_root = str(place / "lake")
        watched, clean = (
            environment(root, **asked, **more, LAKEHOUSE_POSTGRES__URL=url_of(targets[where]))
            for root, where, more in (
                (bucket.root, "watched", {**bucket.variables, "LAKEHOUSE_S3__LEASE_SECONDS": str(TERM)}),
                (clean_root, "clean", {}),
            )
        )
        first = ("--from", f"{START - timedelta(days=2):%F}", "--to", f"{START:%F}", "--json")
        lakehouse(watched, "run", *first)
        lakehouse(clean, "run", *first)
        writers = [Writer(watched, place / f"writer-{number}.log") for number in range(2)]
        try:
            told = disturbed(writers, api, chosen.rounds, random.Random(chosen.seed), watched)
            print("SIGTERM:", *(writer.end() for writer in writers))
        finally:
            for writer in writers:
                writer.process.kill()
        lakehouse(watched, "run", "--json")
        lakehouse(clean, "run", "--json")
        wrong, late = traces(bucket.root)
        ours, theirs = rows_of(bucket.root, targets["watched"]), rows_of(clean_root, targets["clean"])
        wrong += [f"{name} is not that of one undisturbed writer" for name in ours if ours[name] != theirs[name]]
        if late and not told:
            wrong.append("status does not tell of two writers at once")
        print(*(f"late: {line}" for line in late), *wrong, sep="\n")
    print(f"lake and PostgreSQL are those of one undisturbed writer: {'NO' if wrong else 'yes'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
