"""What the answers received say of each half-hour, and what to ask for therefore. Pure.

Answers are held column by column and half-hours marked in a string of bytes, slice by slice: thirty years of a fetch
every half-hour are half a million answers.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from lakehouse.windows import HALF_HOUR_MICROS, MICROSECOND, Span, floor, micros, moment, number, slot

NEVER, ANSWERED, YOUNG, DUE = range(4)
"""What a half-hour's newest answer is to it: none; settled; received when it was young; settled, and long ago."""
HELD = 4
"""Added where any answer held the half-hour."""


CLOCK_TOLERANCE = timedelta(days=1) // MICROSECOND
"""Microseconds that a time of reception may be after the lake's clock and still be by that clock."""


@dataclass(frozen=True)
class LoggedFetch:
    """That an answer on all regions was received for these slots, in which landing, and which of them it lacked."""

    span: Span
    received_at: datetime
    absent: frozenset[datetime] = frozenset()
    landing: int = 0


@dataclass(frozen=True)
class FetchLog:
    """FetchLog in the order in which they were received, column by column.

    ``first`` and ``end`` are numbers of half-hours (``windows.number``), ``end`` exclusive; ``received`` microseconds
    since 1970; ``absent`` the numbers of the half-hours that an answer lacked, by its place in the columns;
    ``of_files`` the places of imported answers.
    """

    first: Sequence[int] = ()
    end: Sequence[int] = ()
    received: Sequence[int] = ()
    landing: Sequence[int] = ()
    absent: Mapping[int, Sequence[int]] = field(default_factory=dict)
    of_files: frozenset[int] = frozenset()

    @classmethod
    def of(cls, given: Iterable[LoggedFetch]) -> "FetchLog":
        """These, in any order."""
        ordered = sorted(given, key=lambda fetch: fetch.received_at)
        return cls(
            [number(fetch.span.start) for fetch in ordered],
            [number(fetch.span.end) for fetch in ordered],
            [micros(fetch.received_at) for fetch in ordered],
            [fetch.landing for fetch in ordered],
            {
                place: sorted(number(lacked) for lacked in fetch.absent)
                for place, fetch in enumerate(ordered)
                if fetch.absent
            },
        )

    def __len__(self) -> int:
        return len(self.received)

    def up_to(self, landing: int) -> "FetchLog":
        """Those of the landings up to this one."""
        if max(self.landing, default=landing) <= landing:
            return self
        return self._at([place for place, each in enumerate(self.landing) if each <= landing])

    def about(self, span: Span) -> "FetchLog":
        """Those about half-hours of a span."""
        first, end = number(span.start), number(span.end)
        about = zip(self.first, self.end, strict=True)
        return self._at([place for place, (low, high) in enumerate(about) if low < end and high > first])

    def imported(self) -> "FetchLog":
        """Those of files."""
        return self._at(sorted(self.of_files))

    def without(self, slots: Collection[datetime]) -> "FetchLog":
        """The same, but none of them held these half-hours."""
        if not slots:
            return self
        numbers, absent = [number(slot) for slot in slots], dict(self.absent)
        for place, (first, end) in enumerate(zip(self.first, self.end, strict=True)):
            if added := [each for each in numbers if first <= each < end]:
                absent[place] = sorted({*absent.get(place, ()), *added})
        return replace(self, absent=absent)

    def as_of(self, now: int) -> "FetchLog":
        """Those received after ``now`` as if they were the oldest: when they came, nobody knows."""
        later = bisect_right(self.received, now)
        if later == len(self):
            return self
        order = [*range(later, len(self)), *range(later)]
        return replace(self._at(order), received=[*[0] * (len(self) - later), *self.received[:later]])

    def _at(self, order: Sequence[int]) -> "FetchLog":
        places = {old: new for new, old in enumerate(order)}
        first, end, received, landing = (
            [column[place] for place in order] for column in (self.first, self.end, self.received, self.landing)
        )
        absent = {places[place]: lacked for place, lacked in self.absent.items() if place in places}
        return FetchLog(
            first,
            end,
            received,
            landing,
            absent,
            frozenset(places[place] for place in self.of_files if place in places),
        )

    def empty_fetches_of(self, hole: Span) -> tuple[datetime, ...]:
        """When answers came that should have held some of these half-hours and did not, ascending."""
        first, end = number(hole.start), number(hole.end)
        lacking = (
            self.received[place] for place, lacked in self.absent.items() if any(first <= each < end for each in lacked)
        )
        return tuple(moment(at) for at in sorted(set(lacking)))


@dataclass(frozen=True)
class Coverage:
    """A mark for each half-hour of a span, as a byte."""

    span: Span
    marks: bytes

    def never(self) -> list[Span]:
        """The half-hours that no answer was about, ascending, as the fewest spans."""
        return self.spans(NEVER)

    def lacked(self) -> list[Span]:
        """Those that answers were about, and none held."""
        return self.spans(ANSWERED, YOUNG, DUE)

    def held(self) -> list[Span]:
        """Those that an answer held."""
        return self.spans(ANSWERED | HELD, YOUNG | HELD, DUE | HELD)

    def spans(self, *marks: int) -> list[Span]:
        """Those with one of these marks."""
        offset = number(self.span.start)
        found = re.finditer(b"[" + bytes(marks) + b"]+", self.marks)
        return [Span(slot(offset + run.start()), slot(offset + run.end())) for run in found]


def coverage(span: Span, fetches: FetchLog) -> Coverage:
    """What the fetches say of each half-hour of a span, whenever they came."""
    return _coverage(span, fetches, lambda _: (number(span.end), ANSWERED))


def _coverage(span: Span, fetches: FetchLog, marks_of: Callable[[int], tuple[int, int]]) -> Coverage:
    """``marks_of`` a moment of reception are the first half-hour that was young then, and the mark of older ones."""
    offset, count = number(span.start), len(span)
    marks = bytearray(count)
    for place, (first, end, received) in enumerate(zip(fetches.first, fetches.end, fetches.received, strict=True)):
        low, high = max(first - offset, 0), min(end - offset, count)
        if low >= high:
            continue
        first_young, settled = marks_of(received)
        middle = min(max(first_young - offset, low), high)
        lacked = fetches.absent.get(place, ())
        before = marks[low:high] if lacked else b""
        marks[low:middle] = bytes((settled | HELD,)) * (middle - low)
        marks[middle:high] = bytes((YOUNG | HELD,)) * (high - middle)
        for each in lacked:
            at = each - offset
            if low <= at < high:  # what an older answer held is not forgotten
                marks[at] = marks[at] & ~HELD | before[at - low] & HELD
    return Coverage(span, bytes(marks))


class Reason(StrEnum):
    """Why a half-hour is asked for."""

    NEW = "new"
    MAY_HAVE_CHANGED = "may have changed"
    AGAIN_AFTER_EMPTY = "asked again after empty"
    FORCED = "forced"


@dataclass(frozen=True)
class Policy:
    """When a half-hour that was received is asked for again."""

    refetch_horizon: timedelta
    empty_retry: timedelta


def to_fetch(wanted: Span, fetches: FetchLog, *, now: datetime, policy: Policy) -> dict[Reason, list[Span]]:
    """The slots of ``wanted`` that have ended by ``now`` and have to be asked for, by reason."""
    at, horizon, retry = micros(now), policy.refetch_horizon // MICROSECOND, policy.empty_retry // MICROSECOND
    ended = wanted.clip(wanted.start, max(wanted.start, floor(now)))
    none_young = number(ended.end)

    def marks_of(received: int) -> tuple[int, int]:
        if received >= at:  # nothing can have changed since
            return none_young, ANSWERED
        # Slots that ended less than the horizon before they were received, and those that ended earlier.
        return (received - horizon) // HALF_HOUR_MICROS, DUE if at - received >= retry else ANSWERED

    found = _coverage(ended, fetches, marks_of)
    due = {
        Reason.NEW: found.never(),
        Reason.MAY_HAVE_CHANGED: found.spans(YOUNG | HELD),
        Reason.AGAIN_AFTER_EMPTY: found.spans(YOUNG, DUE),
    }
    return {reason: spans for reason, spans in due.items() if spans}
