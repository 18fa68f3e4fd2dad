"""The lakehouse beside the tools people would pick instead, and what its daily life costs. Writes a document.

    .venv/bin/python -m bench.compare [--years 3 30] [--repeat 5] [--document docs/benchmarks.md]

Makes the responses with the simulator's pure API, one file a day, imports them into Bronze, and lets the lakehouse
and its peers (``bench.peers``) make half-hours and days of them, in turn, each in a cold process; then holds their
results against each other, row by row. On the lakehouse's own lake it then runs one new day through all four stages,
and once more with nothing new. Three years take about 15 minutes and 3 GB of disk, thirty years 40 minutes and 25 GB.
Times differ from machine to machine and from hour to hour: the ratios are the figures.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from bench import case_study, daily, document
from bench.document import LONG, MISSED, Measured
from bench.tools import CASE_STUDY, OURS, PEERS, compare

LAST_DAY = case_study.LAST_DAY


def main() -> int:
    """Measure, print, write; 1 if a target was missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--years", type=int, nargs="+", default=[3, 30], help="lengths of history, up to 2024-12-31")
    options.add_argument("--days", type=int, help="instead: one history of so many days")
    options.add_argument("--repeat", type=int, default=5, help="repetitions of what is short")
    options.add_argument("--repeat-long", type=int, default=1, help=f"repetitions from {LONG} years on")
    options.add_argument("--document", type=Path, help="write what was found here")
    options.add_argument("--place", type=Path, help="work here; default: a temporary folder")
    chosen = options.parse_args()
    lengths = [(0, chosen.days)] if chosen.days else [(years, _days(years)) for years in chosen.years]
    found = []
    for years, days in lengths:
        print(f"{years} years, {days:,} days", flush=True)
        with _place(chosen.place) as place:
            responses = place / "responses"
            began = time.perf_counter()
            case_study.write_responses(responses, LAST_DAY - timedelta(days=days - 1), LAST_DAY)
            print(f"  responses made in {time.perf_counter() - began:.0f} s", flush=True)
            is_long = years >= LONG
            tools = [OURS, *(name for name in PEERS if not (is_long and name == CASE_STUDY))]
            compared = compare(place, responses, tools, chosen.repeat_long if is_long else chosen.repeat)
            print(f"  all agree: {compared.rows}, {compared.duplicates} duplicates of the case study's", flush=True)
            shutil.rmtree(responses)
            found.append(Measured(years, compared, daily.live(place / OURS, LAST_DAY, chosen.repeat)))
    lines = document.written(found, " ".join(sys.argv[1:]))
    print("\n".join(lines))
    if chosen.document:
        chosen.document.write_text("\n".join(lines) + "\n")
    return 1 if any(MISSED in line for line in lines) else 0


def _days(years: int) -> int:
    first = date(LAST_DAY.year - years + 1, 1, 1)
    return (LAST_DAY - first).days + 1


@contextmanager
def _place(chosen: Path | None) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="bench-", dir=chosen))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
