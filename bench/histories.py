"""Bronze of histories of several lengths. The shortest is fetched from the simulated API, longer ones repeat it.

    .venv/bin/python -m bench.histories SHORTEST LAKE FROM TO

Appends to a lake the responses of the shortest one, moved on by whole days as often as they fit between two days, and
with them every date in their bodies: that is five times as quick as the simulator. Responses that lack half-hours are
left out, so that holes do not repeat. What is missing then, the lakehouse fetches.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path

from bench.processes import environment, lakehouse, simulator
from lakehouse import settings
from lakehouse.ingestion import fetch_history
from lakehouse.ingestion.bronze import Response, inspect_payload
from lakehouse.ingestion.bronze_job import BronzeLoad, LoadObserver
from lakehouse.lake import delta_log
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE
from lakehouse.run_context import RunContext
from lakehouse.spark import session
from lakehouse.windows import Window

FIRST_DAY = date(2022, 1, 1)
"""The simulated API has every half-hour from here on, but for two holes in 2023 and 2024."""
DATE = re.compile(rb"\d{4}-\d\d-\d\d")


def grown(place: Path, lengths: Sequence[int]) -> Iterator[tuple[int, Path]]:
    """Each length in days, ascending, with a lake of so many days of Bronze and nothing else; what is there stays.

    ``place`` gets a folder for each. Files that two of them have in common take their room once.
    """
    shortest, shorter = min(lengths), 0
    for days in sorted(lengths):
        lake = place / f"bronze-{days}"
        if not lake.exists():
            making = place / f"bronze-{days}.part"
            shutil.rmtree(making, ignore_errors=True)
            began = time.perf_counter()
            if shorter:
                copy(place / f"bronze-{shorter}", making)
                repeated = (str(place / f"bronze-{shortest}"), str(making), str(_day(shorter)), str(_day(days)))
                subprocess.run([sys.executable, "-m", "bench.histories", *repeated], check=True)
            fetch(making, _day(days))
            making.rename(lake)
            print(f"  Bronze of {days:,} days made in {time.perf_counter() - began:.0f} s", flush=True)
        yield days, lake
        shorter = days


def _day(days: int) -> date:
    """The day after the last of a history."""
    return FIRST_DAY + timedelta(days=days)


def fetch(lake: Path, end: date) -> None:
    """What Bronze lacks up to a day, at whose begin the simulator's clock stands."""
    with simulator(f"{end}T00:00Z") as url:
        here = environment(lake, LAKEHOUSE_API__URL=url, LAKEHOUSE_API__REQUESTS_PER_SECOND="0")
        lakehouse(here, "bronze", "--from", str(FIRST_DAY), "--to", str(end), "--json")


def copy(lake: Path, into: Path) -> None:
    """The lake once more: files of data, which nobody writes again, as hard links, its logs as they are."""
    shutil.copytree(lake, into, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    if source.endswith(".parquet") and "_delta_log" not in source:
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)


def repeat(shortest: Path, lake: Path, start: date, end: date) -> None:
    """Append to Bronze the shortest history as often as it fits between two days, received when the second begins."""
    chosen = settings.load({"root": str(lake)})
    context = RunContext(Store(session.open_session(), str(lake)), "repeated", "bench", "bench")
    history = fetch_history.read(chosen)
    assert history.source is not None
    writer = BronzeLoad(context, chosen, "bronze", LoadObserver()).open_writer(history.source, history)
    for response in _moved(shortest, start, end):
        writer.add(response)
        if writer.is_full:
            writer.flush()
    writer.flush()


def _moved(shortest: Path, start: date, end: date) -> Iterator[Response]:
    bronze = delta_log.open_table(str(shortest / BRONZE.path))
    assert bronze is not None
    landings = sorted(set(bronze.rows(["landing"])["landing"].to_pylist()))
    ends = bronze.highest("window_end")
    low, high = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (start, end))
    length = timedelta(days=(ends.astimezone(UTC).date() - FIRST_DAY).days)
    for by in (length * number for number in count(1)):
        if by + datetime(FIRST_DAY.year, 1, 1, tzinfo=UTC) >= high:
            return
        for landing in landings:
            names = ("source_url", "window_start", "window_end", "http_status", "headers", "body")
            whole = f"landing = {landing} AND n_periods > 0 AND cardinality(absent) = 0"
            for row in bronze.rows(names, whole).to_pylist(maps_as_pydicts="strict"):
                window = Window(row["window_start"].astimezone(UTC) + by, row["window_end"].astimezone(UTC) + by)
                if low <= window.start and window.end <= high:
                    body = _on(row["body"], by.days)
                    url = _on(row["source_url"].encode(), by.days).decode()
                    summary = inspect_payload(body)
                    yield Response(
                        body, window, high, summary, url=url, status=row["http_status"], headers=row["headers"]
                    )


def _on(text: bytes, days: int) -> bytes:
    """The text with every date in it moved on."""
    return DATE.sub(lambda found: _later(found[0], days), text)


@cache
def _later(day: bytes, days: int) -> bytes:
    return str(date.fromisoformat(day.decode()) + timedelta(days=days)).encode()


if __name__ == "__main__":
    repeat(Path(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3]), date.fromisoformat(sys.argv[4]))
