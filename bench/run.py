"""What a run costs, by stage in time and peak memory: a first load, one more day, nothing new; and what looking costs.

    .venv/bin/python bench/run.py [--from 2022-01-01 --to 2025-01-01]

Everything runs as its users run it: the simulator and `lakehouse` in processes of their own, cold, the export into an
embedded PostgreSQL. Memory is the sum of the resident sets of the command and what it started, sampled five times a
second; the simulator's is not in it. Needs about 500 MB of disk for three years and leaves nothing behind.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

from lakehouse import console

COMMAND = [sys.executable, "-c", "from lakehouse.cli import main; main()"]
MIB = 2**20
SAMPLE_SECONDS = 0.2
LOOKING = (["--help"], ["plan"], ["gaps"], ["status"], ["history", "gold.carbon_intensity_daily"])
REPEATS = 5


class Watched:
    """A command, its memory and the stage it is in, as it tells it on stderr."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.peaks: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.stage = "start"
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        said: list[str] = []
        readers = [Thread(target=self._follow), Thread(target=lambda: said.append(self._process.stdout.read()))]  # type: ignore[union-attr]
        for reader in readers:
            reader.start()
        while self._process.poll() is None:
            self._sample()
            time.sleep(SAMPLE_SECONDS)
        for reader in readers:
            reader.join()
        self.seconds = time.perf_counter() - began
        if self._process.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)} ended with {self._process.returncode}")
        self.document: Any = json.loads(said[0])

    def _follow(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.endswith(": begins\n"):
                self.stage = line.split(":")[0]

    def _sample(self) -> None:
        try:
            ours = psutil.Process(self._process.pid)
            family = [ours, *ours.children(recursive=True)]
            sizes = [(process.name(), process.memory_info().rss) for process in family]
        except psutil.Error:
            return  # it has just ended
        peak = self.peaks[self.stage]
        peak[0] = max(peak[0], sum(size for name, size in sizes if name != "java"))
        peak[1] = max(peak[1], sum(size for name, size in sizes if name == "java"))


def main() -> None:
    """Run, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--from", dest="start", default="2022-01-01")
    options.add_argument("--to", dest="end", default="2025-01-01")
    chosen = options.parse_args()
    before = str(date.fromisoformat(chosen.end) - timedelta(days=1))
    with tempfile.TemporaryDirectory() as place, simulator(f"{chosen.end}T00:00Z") as url:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
        environment = {
            **clean,
            "LAKEHOUSE_ROOT": str(Path(place) / "lake"),
            "LAKEHOUSE_API__URL": url,
            "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
        }
        for title, last in (("from nothing", before), ("one more day", chosen.end), ("nothing new", chosen.end)):
            done = Watched(["run", "--from", chosen.start, "--to", last, "--json"], environment)
            print(f"\n{title}: {done.seconds:.1f} s in all")
            console.print_rows(rows(done), as_json=False)
        print(f"\ncommands that look, median of {REPEATS}, seconds")
        console.print_rows([looked(arguments, environment) for arguments in LOOKING], as_json=False)


def rows(done: Watched) -> list[dict[str, Any]]:
    """One row per stage; the start is what passes before the first."""
    seconds: dict[str, float] = defaultdict(float)
    for stage in done.document["stages"]:
        seconds["gold" if stage["stage"] == "dim_region" else stage["stage"]] += stage["seconds"]
    seconds["start"] = done.seconds - sum(seconds.values())
    return [
        {"stage": name, "s": round(seconds[name], 1), "Python, MiB": python // MIB, "JVM, MiB": jvm // MIB}
        for name, (python, jvm) in done.peaks.items()
    ]


def looked(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """How long a command takes as a whole process."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run([*COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return {"command": " ".join(arguments), "s": round(sorted(times)[REPEATS // 2], 2)}


@contextmanager
def simulator(now: str) -> Iterator[str]:
    """The simulated API in a process of its own, its clock at ``now``."""
    command = [*COMMAND, "simulate", "--port", "0", "--now", now]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield next(word for word in server.stdout.readline().split() if word.startswith("http")).rstrip(";")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
