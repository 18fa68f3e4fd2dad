"""``lakehouse watch`` for many half-hours: latencies, memory, and the same lake in the end as by one clean run.

    python -m bench.watch --lake /path/to/a/lake/of/three/years --cycles 500

The simulator's clock moves on by half an hour after each run that ended well; answers are faulty now and then, recent
half-hours are revised as the simulator does by itself, the API is gone once, and the JVM is killed once.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from bench.processes import LAKEHOUSE, MIB, environment, lakehouse
from lakehouse import settings
from lakehouse.lake import delta_log
from lakehouse.lake.tables import PUBLISHED, SILVER
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, connect
from lakehouse.simulator import Match, Rule, Simulator, ThreadedSimulator, fault, run_in_thread

HALF_HOUR = timedelta(minutes=30)
OUTAGE_SECONDS = 12.0


class Watched:
    """A ``watch`` in a process of its own, its lines of JSON, and its memory after each."""

    def __init__(self, root: Path, url: str) -> None:
        here = environment(root, LAKEHOUSE_API__URL=url, LAKEHOUSE_API__REQUESTS_PER_SECOND="0")
        command = [*LAKEHOUSE, "watch", "--every", "1s", "--port", "0", "--json"]
        self.log = open(root.parent / "watch.log", "w")  # noqa: SIM115 (closed by `end`)
        self.process = subprocess.Popen(command, env=here, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"watch ended with {self.process.wait()}; its log: {self.log.name}")
        found: dict[str, Any] = json.loads(line)
        return found

    def memory(self) -> tuple[int, int]:
        """MiB of Python and of the JVM."""
        jvm = self.jvm()
        ours = psutil.Process(self.process.pid).memory_info().rss // MIB
        return ours, jvm.memory_info().rss // MIB if jvm else 0

    def processor_seconds(self) -> float:
        """Of Python and the JVM since they started."""
        jvm = self.jvm()
        both = [psutil.Process(self.process.pid), *([jvm] if jvm else [])]
        return sum(sum(each.cpu_times()[:2]) for each in both)

    def jvm(self) -> psutil.Process | None:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next((each for each in children if each.name() == "java"), None)

    def end(self) -> tuple[int, float]:
        """The exit code after SIGTERM, and how many seconds it took."""
        began = time.perf_counter()
        self.process.terminate()
        code = self.process.wait(60)
        self.log.close()
        return code, time.perf_counter() - began


def run(watched: Watched, api: ThreadedSimulator, cycles: int) -> list[dict[str, Any]]:
    """So many half-hours; one line of figures for each run, failed ones too."""
    found: list[dict[str, Any]] = []
    ended_well, worked = 0, 0.0
    while ended_well < cycles:
        line = watched.next()
        ours, jvm = watched.memory() if line["status"] == "ok" else (0, 0)
        before, worked = worked, watched.processor_seconds()
        found.append({**line, "python_mib": ours, "jvm_mib": jvm, "processor": worked - before})
        print(
            f"{line['cycle']:5} {line['status']:7} {line['seconds']:7.2f} s, latency {line['latency_seconds']}, "
            f"processor {worked - before:.1f} s, {ours} + {jvm} MiB {line['error'] or ''}",
            flush=True,
        )
        if line["status"] != "ok":
            continue
        ended_well += 1
        _spoil(watched, api, ended_well, cycles)
        assert api.now is not None
        if ended_well < cycles:
            api.now += HALF_HOUR
    return found


def _spoil(watched: Watched, api: ThreadedSimulator, number: int, cycles: int) -> None:
    if number % 10 == 5:
        api.add_rules([Rule(fault("status", status=503), Match(), times=1)])
    if number == cycles // 3:
        api.stop()
        time.sleep(OUTAGE_SECONDS)
        api.start()
    if number == 2 * cycles // 3 and (jvm := watched.jvm()) is not None:
        jvm.kill()


def rows_of(root: str, target: PostgresTarget) -> dict[str, list[str]]:
    """Every value of Silver and Gold, and every row in PostgreSQL, by table."""
    found = {}
    chosen = settings.load({"root": root})
    for table in (SILVER, *PUBLISHED):
        snapshot = delta_log.open_table(chosen.path(table.path))
        assert snapshot is not None
        names = (*table.key, *table.values)
        found[table.name] = sorted(map(str, snapshot.rows(names).to_pylist()))
    with connect(target) as connection:
        for table in PUBLISHED:
            rows = connection.exec_driver_sql(f"SELECT * FROM carbon_data.{table.short_name}").fetchall()
            found[f"postgres {table.short_name}"] = sorted(map(str, rows))
    return found


def contents(root: Path) -> dict[str, list[str]]:
    """The same of a lake that exports into the PostgreSQL beside it."""
    with EmbeddedPostgres(settings.load({"root": str(root)}).embedded_data) as target:
        return rows_of(str(root), target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True, help="filled from the simulator with seed 42; only copied")
    parser.add_argument("--now", default="2025-06-01T00:00+00:00", help="the simulator's clock at the start")
    parser.add_argument("--cycles", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as place:
        lake, clean = Path(place) / "watched" / "lake", Path(place) / "clean" / "lake"
        for root in (lake, clean):
            shutil.copytree(given.lake, root)
        with run_in_thread(Simulator(seed=42, now=datetime.fromisoformat(given.now))) as api:
            watched = Watched(lake, api.url)
            try:
                lines = run(watched, api, given.cycles)
                code, seconds = watched.end()
            finally:
                watched.process.kill()
            here = environment(clean, LAKEHOUSE_API__URL=api.url, LAKEHOUSE_API__REQUESTS_PER_SECOND="0")
            lakehouse(here, "run", "--json")
        _tell(lines, code, seconds, contents(lake) == contents(clean))


def _tell(lines: list[dict[str, Any]], code: int, seconds: float, is_equal: bool) -> None:
    well = [line for line in lines if line["status"] == "ok"]
    warm = sorted(line["latency_seconds"] for line in well[3:] if line["latency_seconds"] is not None)
    print(f"{len(well)} runs ended well, {len(lines) - len(well)} did not; SIGTERM: {code} after {seconds:.1f} s")
    if warm:
        print(
            f"from answer to PostgreSQL: median {statistics.median(warm):.2f} s, "
            f"p95 {warm[int(len(warm) * 0.95)]:.2f} s, longest {warm[-1]:.2f} s of {len(warm)}"
        )
        worked = statistics.median(line["processor"] for line in well[3:])
        print(f"processor time of a run, Python and JVM: median {worked:.2f} s")
    for line in well[:: max(1, len(well) // 10)]:
        print(f"  run {line['cycle']:4}: Python {line['python_mib']} MiB, JVM {line['jvm_mib']} MiB")
    print(f"lake and PostgreSQL equal to those of one clean run: {'yes' if is_equal else 'NO'}")
    if not is_equal:
        sys.exit(1)


if __name__ == "__main__":
    main()
