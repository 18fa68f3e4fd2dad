"""The daily life of a lake: one new day through all four stages, once more with nothing new, and looking at it."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from bench.processes import environment, lakehouse, seconds, simulator
from lakehouse.lake import delta_log
from lakehouse.lake.tables import GOLD, SILVER
from lakehouse.transform.models import MODELS

CLOCK_DAYS = 60
"""The simulator's clock stands so many days after the lake's last day: nothing of it may still be revised."""
LOOKS = (["--help"], ["plan"], ["gaps"], ["status"], ["history", GOLD.name])
LIBRARIES = "import gc, typer, pydantic_settings, rich.console, rich.table, pyarrow, deltalake; gc.freeze()"
"""What a command that reads tables cannot do without; like a command, nothing is collected when it ends."""
DERIVED = (SILVER, *(model.table for model in MODELS))


@dataclass
class Days:
    """Seconds of whole processes, a number for each repetition; ``mebibytes``: the largest peak of a new day."""

    first_export: float = 0.0
    new_day: list[float] = field(default_factory=list)
    nothing_new: list[float] = field(default_factory=list)
    looks: dict[str, list[float]] = field(default_factory=dict)
    libraries: list[float] = field(default_factory=list)
    mebibytes: int = 0


def live(lake: Path, last_day: date, repeats: int) -> Days:
    """Fill PostgreSQL, let ``repeats`` new days come one by one, then run as often with nothing new, and look.

    Raises:
        SystemExit: a command failed, or a run with nothing new wrote a version or touched a row.
    """
    found = Days()
    with simulator(f"{last_day + timedelta(days=CLOCK_DAYS)}T00:00Z") as url:
        here = environment(lake, LAKEHOUSE_API__URL=url)
        found.first_export = lakehouse(here, "export", "--json").seconds
        for number in range(1, repeats + 1):
            day = ("--from", str(last_day + timedelta(days=number)), "--to", str(last_day + timedelta(days=number + 1)))
            done = lakehouse(here, "run", *day, "--json")
            counts = {stage["stage"]: stage["counts"] for stage in done.document["stages"]}
            if counts["export"]["inserted"] < 1:
                raise SystemExit(f"{' '.join(day)} brought no new row: {counts}")
            found.new_day.append(done.seconds)
            found.mebibytes = max(found.mebibytes, done.peak // 2**20)
            print(f"  new day   {done.seconds:8.1f} s", flush=True)
        before = _versions(lake)
        for _ in range(repeats):
            done = lakehouse(here, "run", *day, "--json")
            export = done.document["stages"][-1]["counts"]
            if _versions(lake) != before or any(export[kind] for kind in ("inserted", "updated", "deleted")):
                raise SystemExit(f"a run with nothing new wrote something: {before} {_versions(lake)} {export}")
            found.nothing_new.append(done.seconds)
            print(f"  no news   {done.seconds:8.1f} s", flush=True)
        for arguments in LOOKS:
            found.looks[" ".join(arguments)] = [seconds(here, *arguments) for _ in range(repeats)]
        found.libraries = [_import_of_libraries() for _ in range(repeats)]
        found.looks["simulate, until it answers"] = [_start_of_simulator() for _ in range(repeats)]
    return found


def _versions(lake: Path) -> list[int]:
    tables = (delta_log.open_table(str(lake / table.path)) for table in DERIVED)
    return [table.version for table in tables if table]


def _import_of_libraries() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True)
    return time.perf_counter() - began


def _start_of_simulator() -> float:
    began = time.perf_counter()
    with simulator("2025-01-01T00:00Z"):
        return time.perf_counter() - began
