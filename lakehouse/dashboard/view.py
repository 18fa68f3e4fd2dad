"""What the page shows, as a link says it: ``?region=13&compare=18&first=2024-01-01&last=2024-12-31``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from lakehouse.dashboard.queries import Region
from lakehouse.errors import UsageError

DEFAULT_DAYS = 365
"""The newest days that are shown where a link names none."""
PARAMETERS = ("region", "compare", "first", "last")


@dataclass(frozen=True)
class View:
    """One region or two, and a range of UTC days of which both ends are shown."""

    region: int
    compare: int | None
    first: date
    last: date

    @property
    def regionids(self) -> list[int]:
        """The regions that are shown, the chosen one first."""
        return [self.region] if self.compare is None else [self.region, self.compare]

    def as_parameters(self) -> dict[str, str]:
        """The link's parameters; all of them, so that the link shows the same when newer days have come."""
        compared = {} if self.compare is None else {"compare": str(self.compare)}
        return {"region": str(self.region), **compared, "first": str(self.first), "last": str(self.last)}


def from_parameters(parameters: Mapping[str, str], regions: Sequence[Region], first: date, last: date) -> View:
    """The view that a link asks for; what it leaves out is the first region and the newest days.

    ``first`` and ``last``: the days that there are.

    Raises:
        UsageError: a parameter is unknown, or names a region or days that there are not.
    """
    unknown = sorted(set(parameters) - set(PARAMETERS))
    if unknown:
        raise UsageError(f"The link has a parameter {unknown[0]!r}; it takes {', '.join(PARAMETERS)}.")
    known = [region.regionid for region in regions]
    start = max(first, last - timedelta(days=DEFAULT_DAYS - 1))
    view = View(
        region=_region(parameters.get("region"), known) or known[0],
        compare=_region(parameters.get("compare"), known),
        first=_day("first", parameters.get("first"), first, last) or start,
        last=_day("last", parameters.get("last"), first, last) or last,
    )
    if view.first > view.last:
        raise UsageError(f"The first day {view.first} is after the last one, {view.last}.")
    if view.compare == view.region:
        raise UsageError(f"Region {view.region} is compared with itself; choose two regions.")
    return view


def _region(said: str | None, known: Sequence[int]) -> int | None:
    if said is None:
        return None
    if not said.isascii() or not said.isdigit() or int(said) not in known:
        raise UsageError(f"The link names the region {said!r}; there are {', '.join(map(str, known))}.")
    return int(said)


def _day(name: str, said: str | None, first: date, last: date) -> date | None:
    if said is None:
        return None
    try:
        day = date.fromisoformat(said)
    except ValueError:
        raise UsageError(f"The link's {name} day {said!r} is not a day; write it as {last}.") from None
    if not first <= day <= last:
        raise UsageError(f"The link's {name} day {day} is not there; the database has {first} to {last}.")
    return day
