"""What a run costs, by stage in time and peak memory: a first load, one more day, nothing new; and what looking costs.

    .venv/bin/python -m bench.run [--from 2022-01-01 --to 2025-01-01]

Everything runs as its users run it: the simulator and `lakehouse` in processes of their own, cold, the export into an
embedded PostgreSQL. Memory is the sum of the resident sets of the command and what it started, sampled five times a
second; the simulator's is not in it. Needs about 500 MB of disk for three years and leaves nothing behind.
"""

import argparse
import tempfile
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from bench.processes import MIB, Watched, environment, lakehouse, seconds, simulator
from lakehouse.messages import console
from lakehouse.transform.models import MODELS

GOLD_STAGES = {model.stage for model in MODELS}
LOOKING = (["--help"], ["plan"], ["gaps"], ["status"], ["history", "gold.carbon_intensity_daily"])
REPEATS = 5


def main() -> None:
    """Run, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--from", dest="start", default="2022-01-01")
    options.add_argument("--to", dest="end", default="2025-01-01")
    chosen = options.parse_args()
    before = str(date.fromisoformat(chosen.end) - timedelta(days=1))
    with tempfile.TemporaryDirectory() as place, simulator(f"{chosen.end}T00:00Z") as url:
        here = environment(Path(place) / "lake", LAKEHOUSE_API__URL=url, LAKEHOUSE_API__REQUESTS_PER_SECOND="0")
        for title, last in (("from nothing", before), ("one more day", chosen.end), ("nothing new", chosen.end)):
            done = lakehouse(here, "run", "--from", chosen.start, "--to", last, "--json")
            print(f"\n{title}: {done.seconds:.1f} s in all")
            console.print_rows(rows(done), as_json=False)
        print(f"\ncommands that look, median of {REPEATS}, seconds")
        console.print_rows([looked(arguments, here) for arguments in LOOKING], as_json=False)


def rows(done: Watched) -> list[dict[str, Any]]:
    """One row per stage; the start is what passes before the first."""
    spent: dict[str, float] = defaultdict(float)
    for stage in done.document["stages"]:
        spent["gold" if stage["stage"] in GOLD_STAGES else stage["stage"]] += stage["seconds"]
    spent["start"] = done.seconds - sum(spent.values())
    return [
        {"stage": name, "s": round(spent[name], 1), "Python, MiB": python // MIB, "JVM, MiB": jvm // MIB}
        for name, (python, jvm) in done.peaks.items()
    ]


def looked(arguments: list[str], here: dict[str, str]) -> dict[str, Any]:
    """How long a command takes as a whole process."""
    return {
        "command": " ".join(arguments),
        "s": round(median(seconds(here, *arguments) for _ in range(REPEATS)), 2),
    }


if __name__ == "__main__":
    main()
