"""Half-hours, half-open spans of them, and the requests that return exactly the half-hours wanted.

A **slot** is a half-hour named by its start (``from``), UTC. A **span** is a half-open range of slots. A
**window** is what one request asks the API for; the API tests a period's END (``to``) against it, both ends
inclusive, and returns only periods whose ``to`` lies in the calendar year of the window's start. So a window
runs from the ``to`` of its first slot to the ``to`` of its last one, and never crosses New Year.
Everything here is pure: no clock, no network.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from lakehouse.errors import UsageError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HALF_HOUR = timedelta(minutes=30)
HALF_HOUR_MICROS = HALF_HOUR // MICROSECOND
FIRST_SLOT = datetime(2018, 5, 10, 23, 30, tzinfo=UTC)
"""The first half-hour that the regional routes know."""
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Later than any half-hour of ours, and in what every format of times can hold."""
MAX_HALF_HOURS = 14 * 48 + 1
"""Half-hours in the longest window that the API answers: 14 days with both ends inclusive."""
SINGLE_SLOT = timedelta(minutes=29)
"""Length of a window that holds one slot: start and end differ, and the next ``to`` is not reached."""


@dataclass(frozen=True, order=True)
class Span:
    """The slots ``start <= slot < end``; both ends on the half-hour grid, UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for edge in (self.start, self.end):
            is_on_it = not (edge.minute % 30 or edge.second or edge.microsecond)
            if not is_on_it or (edge.tzinfo is not UTC and edge != floor(edge)):
                raise UsageError(f"{edge:%Y-%m-%dT%H:%M:%SZ} is not on the half-hour grid.")

    def __len__(self) -> int:
        return max(0, (self.end - self.start) // HALF_HOUR)

    def slots(self) -> Iterator[datetime]:
        """Every slot of the span, ascending."""
        slot = self.start
        while slot < self.end:
            yield slot
            slot += HALF_HOUR

    def clip(self, start: datetime, end: datetime) -> "Span":
        """The part of this span that lies in ``[start, end)``; empty when nothing does."""
        low = max(self.start, start)
        return Span(low, max(low, min(self.end, end)))


@dataclass(frozen=True, order=True)
class Window:
    """One request: the API returns the periods with ``start <= to <= end`` and ``to`` in ``start``'s year."""

    start: datetime
    end: datetime

    def span(self) -> Span:
        """The slots that the range rule gives for this window, whether the API has data for them or not."""
        first, end = numbers(micros(self.start), micros(self.end))
        return Span(slot(first), slot(end))

    def halves(self) -> "tuple[Window, Window]":
        """Two windows that together hold the same slots, for an API that refuses this one as too long."""
        slots = list(self.span().slots())
        if len(slots) < 2:
            raise ValueError(f"{self} holds a single half-hour and cannot be halved")
        middle = len(slots) // 2
        return _window(slots[0], slots[middle - 1]), _window(slots[middle], slots[-1])


def numbers(start: int, end: int) -> tuple[int, int]:
    """Of a window between two moments (``micros``): its first slot's number and that of the one after its last."""
    first = -(-start // HALF_HOUR_MICROS) - 1
    year = datetime.fromtimestamp(start // 1_000_000, UTC).year
    return first, max(first, min(end // HALF_HOUR_MICROS, _last_end(year)))


@cache
def _last_end(year: int) -> int:
    """The number of the last ``to`` in a year."""
    return number(datetime(year, 12, 31, 23, 30, tzinfo=UTC))


def number(slot: datetime) -> int:
    """A slot's number: half-hours since 1970."""
    return (slot - EPOCH) // HALF_HOUR


def slot(number: int) -> datetime:
    """The slot of a number."""
    return EPOCH + number * HALF_HOUR


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return (moment - EPOCH) // MICROSECOND


def moment(micros: int) -> datetime:
    """The moment so many microseconds after the beginning of 1970."""
    return EPOCH + micros * MICROSECOND


def floor(moment: datetime) -> datetime:
    """The latest half-hour boundary not after ``moment`` (aware), in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 30 * 30, second=0, microsecond=0)


def spans(slots: Iterable[datetime]) -> list[Span]:
    """Distinct slots, in any order, as the fewest ascending spans."""
    found: list[list[datetime]] = []
    for slot in sorted(set(slots)):
        if found and found[-1][1] == slot:
            found[-1][1] = slot + HALF_HOUR
        else:
            found.append([slot, slot + HALF_HOUR])
    return [Span(start, end) for start, end in found]


def joined(wanted: Iterable[Span]) -> list[Span]:
    """The same slots as the fewest ascending spans; those that touch or overlap become one."""
    found: list[Span] = []
    for span in sorted(span for span in wanted if len(span)):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def plan(wanted: Iterable[Span], longest: int = MAX_HALF_HOURS) -> list[Window]:
    """The fewest windows of at most ``longest`` half-hours that return exactly the spans' slots, each once."""
    if not 1 <= longest <= MAX_HALF_HOURS:
        raise UsageError(f"A window holds 1 to {MAX_HALF_HOURS} half-hours, not {longest}.")
    windows = []
    for span in joined(wanted):
        first = span.start
        while first < span.end:
            end_of_year = datetime((first + HALF_HOUR).year, 12, 31, 23, 0, tzinfo=UTC)
            last = min(span.end - HALF_HOUR, first + (longest - 1) * HALF_HOUR, end_of_year)
            windows.append(_window(first, last))
            first = last + HALF_HOUR
    return windows


def _window(first: datetime, last: datetime) -> Window:
    start = first + HALF_HOUR
    return Window(start, start + SINGLE_SLOT if first == last else last + HALF_HOUR)


def parse_day(text: str, name: str) -> datetime:
    """A UTC day ``YYYY-MM-DD`` (or half-hour ``YYYY-MM-DDThh:mmZ``) from the argument called ``name``."""
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%MZ"):
        try:
            moment = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if moment != floor(moment):
            break
        return moment
    raise UsageError(
        f"{name} is {text!r}: write a UTC day such as 2024-01-31 or a half-hour such as 2024-01-31T12:30Z."
    )
