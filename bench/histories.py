"""Bronze of histories of several lengths, fetched from the simulated API: each goes on where the shorter one ends."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from bench.processes import environment, lakehouse, simulator

FIRST_DAY = date(2022, 1, 1)
"""The simulated API has every day from here on but two, in 2023 and 2024, of which parts are missing."""


def grown(place: Path, lengths: Sequence[int]) -> Iterator[tuple[int, Path]]:
    """Each length in days, ascending, with a lake of so many days of Bronze and nothing else; what is there stays.

    A lake is as a user's would be: fetched up to a day, and later from there to another one. ``place`` gets a folder
    for each; files that two of them have in common take their room once.
    """
    shorter: Path | None = None
    for days in sorted(lengths):
        lake = place / f"bronze-{days}"
        if not lake.exists():
            making = place / f"bronze-{days}.part"
            shutil.rmtree(making, ignore_errors=True)
            if shorter is not None:
                copy(shorter, making)
            fetch(making, days)
            making.rename(lake)
        yield days, lake
        shorter = lake


def fetch(lake: Path, days: int) -> None:
    """Bronze up to the last of so many days, whose end is the simulator's clock."""
    end = FIRST_DAY + timedelta(days=days)
    with simulator(f"{end}T00:00Z") as url:
        here = environment(lake, LAKEHOUSE_API__URL=url, LAKEHOUSE_API__REQUESTS_PER_SECOND="0")
        done = lakehouse(here, "bronze", "--from", str(FIRST_DAY), "--to", str(end), "--json")
    print(f"  Bronze of {days:,} days fetched in {done.seconds:.0f} s", flush=True)


def copy(lake: Path, into: Path) -> None:
    """The lake once more: files of data, which nobody writes again, as hard links, its logs as they are."""
    shutil.copytree(lake, into, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    if source.endswith(".parquet") and "_delta_log" not in source:
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)
