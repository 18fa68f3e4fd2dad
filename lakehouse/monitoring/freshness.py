"""How old each layer is, held against its target, and how complete the last days are. Pure.

The age of a layer is the time from the end of the newest half-hour that it holds to now, by the lake's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from lakehouse.ingestion.coverage import FetchLog
from lakehouse.lake.regions import REGIONS
from lakehouse.lake.tables import PERIODS_PER_DAY
from lakehouse.windows import HALF_HOUR, floor, slot

DAY = timedelta(days=1)
DAYS_SHOWN = 7
"""Days whose completeness is told, today included."""


class State(StrEnum):
    """What an age is to its target."""

    OK = "ok"
    LATE = "late"
    BROKEN = "broken"


@dataclass(frozen=True)
class Freshness:
    """A layer's newest half-hour (``until``: its end; None: it holds nothing), its age and its target."""

    layer: str
    until: datetime | None
    age: timedelta | None
    warn_after: timedelta
    fail_after: timedelta
    state: State

    def describe(self) -> str:
        """The state in one sentence."""
        if self.until is None or self.age is None:
            return f"{self.layer} holds nothing yet"
        limit = self.fail_after if self.state is State.BROKEN else self.warn_after
        is_old = f"{self.layer} is {hours(self.age)} old (its newest half-hour ended {self.until:%Y-%m-%dT%H:%MZ})"
        return is_old if self.state is State.OK else f"{is_old}; {hours(limit)} is the target"


@dataclass(frozen=True)
class Day:
    """A UTC day of Silver: its rows, one per region and half-hour, and how many there would be without a gap."""

    day: date
    rows: int
    expected: int

    @property
    def share(self) -> float:
        """The part that is there, from 0 to 1."""
        return self.rows / self.expected


def judged(
    until: Mapping[str, datetime | None], now: datetime, targets: Mapping[str, tuple[timedelta, timedelta]]
) -> tuple[Freshness, ...]:
    """The layers of ``until`` against their targets (warn after, fail after), in the order of the targets."""
    return tuple(_judged(layer, until[layer], now, *targets[layer]) for layer in targets if layer in until)


def _judged(layer: str, until: datetime | None, now: datetime, warn: timedelta, fail: timedelta) -> Freshness:
    age = None if until is None else max(now - until, timedelta(0))
    state = State.BROKEN if age is None or age > fail else State.LATE if age > warn else State.OK
    return Freshness(layer, until, age, warn, fail, state)


def newest_held(fetches: FetchLog) -> datetime | None:
    """The end of the newest half-hour that any answer on all regions held; None: none did."""
    newest = -1
    for place, (first, end) in enumerate(zip(fetches.first, fetches.end, strict=True)):
        if end - 1 <= newest:
            continue
        lacked = frozenset(fetches.absent.get(place, ()))
        newest = max(newest, next((each for each in range(end - 1, first - 1, -1) if each not in lacked), -1))
    return None if newest < 0 else slot(newest) + HALF_HOUR


def last_days(rows: Mapping[date, int], now: datetime, begin: datetime | None, count: int = DAYS_SHOWN) -> list[Day]:
    """The last days up to today, oldest first, from the first half-hour that the lake was ever asked for.

    ``rows``: of Silver by UTC day; ``begin``: that first half-hour, None in an empty lake, which has no days. A day of
    which no half-hour has ended is left out.
    """
    if begin is None:
        return []
    midnight = floor(now).replace(hour=0, minute=0)
    found = []
    for back in range(count - 1, -1, -1):
        start = midnight - back * DAY
        half_hours = max(timedelta(0), min(floor(now), start + DAY) - max(begin, start)) // HALF_HOUR
        if half_hours:
            found.append(Day(start.date(), rows.get(start.date(), 0), half_hours * len(REGIONS)))
    return found


def of_day(day: date, n_periods: Sequence[int]) -> datetime:
    """The end of a Gold day's newest half-hour, at least: as if all that it lacks were missing at its end."""
    periods = min(max(n_periods, default=0), PERIODS_PER_DAY)
    return datetime.combine(day, time(), UTC) + periods * HALF_HOUR


def hours(length: timedelta) -> str:
    """A length as people read it: ``45 min``, ``2 h 05 min``, ``3 d 4 h``."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    if length < 2 * DAY:
        return f"{minutes // 60} h {minutes % 60:02} min" if minutes % 60 else f"{minutes // 60} h"
    days, rest = divmod(minutes // 60, 24)
    return f"{days} d {rest} h" if rest else f"{days} d"
