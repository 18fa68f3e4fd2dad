"""Half-hours as whole numbers: slot 0 starts at 1970-01-01T00:00Z, and every slot lasts 30 minutes.

Also which slots the API never published, and how far ahead of its clock it forecasts.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SLOTS_PER_DAY = 48
MINUTES_PER_SLOT = 30

HORIZON_SLOTS = 96
"""Forecasts reach 48 hours ahead of the clock."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def minute_of(moment: datetime) -> int:
    """Give the whole minutes from 1970-01-01T00:00Z to an aware datetime, rounded down."""
    return (moment - _EPOCH) // timedelta(minutes=1)


def slot_at(moment: datetime) -> int:
    """Give the slot that contains an aware datetime."""
    return minute_of(moment) // MINUTES_PER_SLOT


def _slot(text: str) -> int:
    return slot_at(datetime.fromisoformat(f"{text}:00+00:00"))


FIRST_SLOT = _slot("2018-05-10T23:30")
"""The first half-hour that the regional API knows."""

# Half-hours that do not exist upstream, by their start, both ends inclusive.
_HOLES = (
    (_slot("2018-07-13T01:30"), _slot("2018-07-16T01:00")),
    (_slot("2018-08-03T23:30"), _slot("2018-08-05T23:00")),
    (_slot("2023-10-20T22:00"), _slot("2023-10-22T14:30")),
    (_slot("2024-06-11T23:00"), _slot("2024-06-12T09:30")),
)
_MISSING = frozenset(slot for first, last in _HOLES for slot in range(first, last + 1))

FIRST_UNROUNDED_SLOT = _slot("2020-02-01T00:00")
"""Until January 2020 the published shares add up to exactly 100.0."""

FIRST_RENAMED_SLOT = _slot("2020-04-21T00:00")
"""From here region 6 is written with an ampersand."""


def exists(slot: int, *, now: datetime) -> bool:
    """Tell whether the API holds this slot when its clock says ``now``."""
    published = FIRST_SLOT <= slot < slot_at(now) + HORIZON_SLOTS
    return published and slot not in _MISSING


_CLOCK_TIMES = tuple(f"T{half // 2:02d}:{half % 2 * 30:02d}Z" for half in range(SLOTS_PER_DAY))


@lru_cache(maxsize=64)
def _date_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")


def slot_text(slot: int) -> str:
    """Write a slot's start as the API does: ``YYYY-MM-DDThh:mmZ``."""
    day, half = divmod(slot, SLOTS_PER_DAY)
    return _date_text(day) + _CLOCK_TIMES[half]


# Years 1900-2999 only, so that no window leaves the range of a datetime.
_DATETIME = re.compile(r"((?:19|2\d)\d{2}-\d{2}-\d{2})(?:T(\d{2}:\d{2})Z)?", re.ASCII)


def parse_datetime(text: str) -> datetime | None:
    """Read ``YYYY-MM-DDThh:mmZ`` or a bare ``YYYY-MM-DD`` (midnight UTC); None if it is neither."""
    matched = _DATETIME.fullmatch(text)
    if matched is None:
        return None
    try:
        return datetime.fromisoformat(f"{matched[1]}T{matched[2] or '00:00'}:00+00:00")
    except ValueError:
        return None
