"""The lakehouse beside the tools people would pick instead, and what its daily life costs. Writes a document.

    .venv/bin/python -m bench.compare [--years 3 30] [--repeat 5] [--document docs/benchmarks.md]

Makes the responses with the simulator's pure API, one file a day, imports them into Bronze, and lets the lakehouse
and its peers (``bench.peers``) make half-hours and days of them, in turn, each in a cold process; then holds their
results against each other, row by row. On the lakehouse's own lake it then runs one new day through all four stages,
and once more with nothing new; for the shortest history also on a lake that got the same rows in many small commits
(``bench.feed``). Three years take about 15 minutes and 3 GB of disk, 20 minutes more for a thousand commits, thirty
years 20 minutes and 20 GB.
Times differ from machine to machine and from hour to hour: the ratios are the figures.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from bench import case_study, daily, document
from bench.document import LONG, MISSED, Measured
from bench.processes import environment, lakehouse
from bench.tools import CASE_STUDY, OURS, PEERS, compare

FED = "fed"
"""The folder of the lake in small commits."""


def main() -> int:
    """Measure, print, write; 1 if a target was missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--years", type=int, nargs="+", default=[3, 30], help="lengths of history, from 2022 on")
    options.add_argument("--days", type=int, help="instead: one history of so many days")
    options.add_argument("--repeat", type=int, default=5, help="repetitions of what is short")
    options.add_argument("--repeat-long", type=int, default=1, help=f"repetitions from {LONG} years on")
    options.add_argument("--commits", type=int, default=1096, help="of the lake that was fed little by little; 0: none")
    options.add_argument("--document", type=Path, help="write what was found here")
    options.add_argument("--place", type=Path, help="work here; default: a temporary folder")
    chosen = options.parse_args()
    lengths = [(0, chosen.days)] if chosen.days else [(years, _days(years)) for years in chosen.years]
    lengths_said = f"--days {chosen.days}" if chosen.days else f"--years {' '.join(map(str, chosen.years))}"
    arguments = f"{lengths_said} --repeat {chosen.repeat} --commits {chosen.commits}"
    first = case_study.FIRST_DAY
    found: list[Measured] = []
    lines: list[str] = []
    for years, days in lengths:
        print(f"{years} years, {days:,} days", flush=True)
        with _place(chosen.place) as place:
            responses = place / "responses"
            began = time.perf_counter()
            last = first + timedelta(days=days - 1)
            case_study.write_responses(responses, first, last)
            print(f"  responses made in {time.perf_counter() - began:.0f} s", flush=True)
            is_long = years >= LONG
            tools = [OURS, *(name for name in PEERS if not (is_long and name == CASE_STUDY))]
            compared = compare(place, responses, tools, chosen.repeat_long if is_long else chosen.repeat)
            print(f"  all agree: {compared.rows}, {compared.duplicates} duplicates of the case study's", flush=True)
            shutil.rmtree(responses)
            commits = min(chosen.commits, compared.responses) if not found else 0  # a run that gets nothing makes none
            if commits:
                _feed(place, commits)
            life = daily.live(place / OURS, last, chosen.repeat)
            fed = daily.live(place / FED, last, chosen.repeat) if commits else None
            found.append(Measured(years, compared, life, fed, commits))
        lines = document.written(found, arguments)
        if chosen.document:  # what has been found so far
            chosen.document.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if any(MISSED in line for line in lines) else 0


def _days(years: int) -> int:
    return (date(case_study.FIRST_DAY.year + years, 1, 1) - case_study.FIRST_DAY).days


def _feed(place: Path, commits: int) -> None:
    """The lakehouse's lake once more, in small commits, and maintained as the documents say."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "bench.feed", str(place / OURS), str(place / FED), str(commits)]
    subprocess.run(command, check=True)
    print(f"  fed by {commits:,} commits in {time.perf_counter() - began:.0f} s", flush=True)
    done = lakehouse(environment(place / FED), "maintain", "--json")
    print(f"  maintained in {done.seconds:.0f} s", flush=True)


@contextmanager
def _place(chosen: Path | None) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="bench-", dir=chosen))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
