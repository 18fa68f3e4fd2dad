"""What the API answers to a path at a moment of its clock: routes, range rule, errors. No sockets here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from lakehouse.simulator.calendar import (
    HORIZON_SLOTS,
    MINUTES_PER_SLOT,
    SLOTS_PER_DAY,
    exists,
    minute_of,
    parse_datetime,
    slot_at,
)
from lakehouse.simulator.regions import NATIONS, REGIONS, region_of_postcode
from lakehouse.simulator.rendering import error_json, period_json, region_head_json, region_period_json
from lakehouse.simulator.values import FINAL_SNAPSHOT, Grid

LONGEST_WINDOW = timedelta(days=14)

CURRENT_LAG = timedelta(minutes=2)
"""``/regional`` asked at 23:01:58Z still gave 22:30-23:00: the current half-hour comes a little late."""

_CACHED_PERIODS = 4096
"""About 7 kB each, so 29 MB: 85 days, or six of the longest windows."""

_HOURS = {"fw24h": 24, "fw48h": 48, "pt24h": -24}

_EXAMPLE_START = "/regional/intensity/2018-05-15T12:00Z"
_EXAMPLE_END = "2018-05-20T12:00Z"
_EXAMPLE_PLACES = {"regionid": "/regionid/1", "postcode": "/postcode/RG10"}


_EMPTY = "{}"
"""What a good request for half-hours that do not exist gets, with status 200."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body that is made piece by piece (about a day each) while it is read, once."""

    status: int
    pieces: Iterable[str]
    window_start: datetime | None = None
    """Where the asked range begins; None for the current half-hour and for errors."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Whom the answer is about; without a regionid: all 18 regions."""

    regionid: int | None = None
    postcode: str | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    """A range of time, both ends inclusive, and the year whose bands label its forecasts."""

    start: datetime
    end: datetime
    label_year: int


class _RefusedError(Exception):
    """The path is no request that the API serves."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class CarbonIntensityApi:
    """The regional part of the API over one simulated grid."""

    def __init__(self, seed: int) -> None:
        self._grid = Grid(seed)
        self._period = lru_cache(maxsize=_CACHED_PERIODS)(self._make_period)

    def answer(self, path: str, *, now: datetime, has_content_type: bool = False) -> Answer:
        """Answer a GET of ``path`` (decoded, without host) when the API's clock says ``now``."""
        try:
            window, place = _understand(path)
            if has_content_type:
                raise _RefusedError(400, _bad_datetime(path.strip("/").split("/")))
        except _RefusedError as refused:
            return Answer(refused.status, (error_json(refused.status, refused.message),))
        if window is None:
            return self._current(place, now)
        slots = slots_in(window.start, window.end, now=now)
        if not slots:
            return Answer(200, (_EMPTY,), window.start)
        if place.regionid is None:
            pieces = _wrapped('{"data":[', self._days(slots, window.label_year, now), "]}")
        else:
            pieces = self._region(place, place.regionid, slots, window.label_year, now)
        return Answer(200, pieces, window.start)

    def _current(self, place: _Place, now: datetime) -> Answer:
        """Answer a route without a range; a single region comes in a list of one here."""
        slot = slot_at(now - CURRENT_LAG)
        if not exists(slot, now=now):
            return Answer(200, (_EMPTY,))
        if place.regionid is None:
            return Answer(200, ('{"data":[', self._period(slot, now.year, snapshot_of(slot, now=now)), "]}"))
        head = region_head_json(place.regionid, slot, postcode=place.postcode, with_dnoregion=True)
        period = self._region_period(place.regionid, slot, now.year, now)
        return Answer(200, (f'{{"data":[{{{head},"data":[{period}]}}]}}',))

    def _region(
        self, place: _Place, regionid: int, slots: Sequence[int], label_year: int, now: datetime
    ) -> Iterator[str]:
        """Write a range of one region: an object, where the other ranges give a list."""
        head = region_head_json(regionid, slots[0], postcode=place.postcode, with_dnoregion=place.postcode is None)
        days = (
            ",".join(self._region_period(regionid, slot, label_year, now) for slot in day) for day in _by_day(slots)
        )
        return _wrapped(f'{{"data":{{{head},"data":[', days, "]}}")

    def _region_period(self, regionid: int, slot: int, label_year: int, now: datetime) -> str:
        reading = self._grid.readings(slot, snapshot_of(slot, now=now))[regionid - 1]
        return region_period_json(slot, reading, label_year)

    def _days(self, slots: Sequence[int], label_year: int, now: datetime) -> Iterator[str]:
        """Write the periods of all regions, at most 48 to a piece."""
        for day in _by_day(slots):
            yield ",".join([self._period(slot, label_year, snapshot_of(slot, now=now)) for slot in day])

    def _make_period(self, slot: int, label_year: int, snapshot: int) -> str:
        return period_json(slot, self._grid.readings(slot, snapshot), label_year)


def slots_in(start: datetime, end: datetime, *, now: datetime) -> list[int]:
    """Give the slots whose END lies in ``start..end``, both inclusive, in order.

    As upstream since 2019, slots that end in a later calendar year than ``start`` are lost.
    """
    first_end = -(-minute_of(start) // MINUTES_PER_SLOT)
    last_end = minute_of(end) // MINUTES_PER_SLOT
    new_year = slot_at(start.replace(year=start.year + 1, month=1, day=1, hour=0, minute=0))
    last_end = min(last_end, new_year - 1)
    return [slot for slot in range(first_end - 1, last_end) if exists(slot, now=now)]


def snapshot_of(slot: int, *, now: datetime) -> int:
    """Give how often a slot may have changed so far: 0 at 48 h before it, FINAL_SNAPSHOT from 24 h after."""
    return min(max(slot_at(now) - slot + HORIZON_SLOTS, 0), FINAL_SNAPSHOT)


def refusal_of_datetime(path: str) -> str:
    """Give the API's 400 body for a bad datetime, or a window too long, on the route of ``path``."""
    return error_json(400, _bad_datetime(path.strip("/").split("/")))


def _understand(path: str) -> tuple[_Window | None, _Place]:
    """Read a path: its window (None: the current half-hour) and its place; raise :class:`_RefusedError`."""
    segments = path.strip("/").split("/")
    match segments:
        case ["regional"]:
            return None, _Place()
        case ["regional", nation] if nation in NATIONS:
            return None, _Place(NATIONS[nation])
        case ["regional", ("regionid" | "postcode") as kind, name]:
            return None, _place(kind, name)
        case ["regional", "intensity", start, end]:
            return _window(start, end, segments), _Place()
        case ["regional", "intensity", start, end, ("regionid" | "postcode") as kind, name]:
            return _window(start, end, segments), _place(kind, name)
    raise _RefusedError(500, "Requested resource not found.")


def _window(start_text: str, end_text: str, segments: list[str]) -> _Window:
    start = parse_datetime(start_text)
    hours = _HOURS.get(end_text)
    if hours is not None and start is not None:
        moved = start + timedelta(hours=hours)
        return _Window(min(start, moved), max(start, moved), start.year)
    end = parse_datetime(end_text)
    if start is None or end is None or not start <= end <= start + LONGEST_WINDOW:
        raise _RefusedError(400, _bad_datetime(segments))
    return _Window(start, end, start.year)


def _bad_datetime(segments: list[str]) -> str:
    """Write the refusal of a datetime with an example that follows the asked route."""
    end = segments[3] if len(segments) > 3 and segments[3] in _HOURS else _EXAMPLE_END
    place = _EXAMPLE_PLACES.get(segments[4], "") if len(segments) > 4 else ""
    example = f"{_EXAMPLE_START}/{end}{place}"
    return f"Please enter a valid datetime in ISO8601 format YYYY-MM-DDThh:mmZ e.g. {example}"


def _place(kind: str, name: str) -> _Place:
    if kind == "regionid":
        if name.isascii() and name.isdigit() and 1 <= int(name) <= len(REGIONS):
            return _Place(int(name))
        raise _RefusedError(400, f"Please enter a valid region id between 1 and {len(REGIONS)}.")
    regionid = region_of_postcode(name)
    if regionid is None:
        raise _RefusedError(400, "Please enter a valid outward postcode e.g. RG10.")
    return _Place(regionid, name.upper())


def _by_day(slots: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(slots), SLOTS_PER_DAY):
        yield slots[first : first + SLOTS_PER_DAY]


def _wrapped(head: str, days: Iterable[str], tail: str) -> Iterator[str]:
    """Put pieces between a head and a tail, with commas between the pieces."""
    separator = head
    for day in days:
        yield separator
        yield day
        separator = ","
    yield tail
