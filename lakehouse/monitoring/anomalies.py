"""Days whose number of rows is not what such days have. Pure.

The rule: a whole UTC day of Silver is an anomaly when its rows differ by more than ``TOLERANCE`` from the median of the
same weekday in the ``WEEKS`` weeks before. A day that has fewer than ``LEAST_WEEKS`` such days is not judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

WEEKS = 8
"""Weeks that a day is held against: enough that one or two odd ones do not move the median."""
LEAST_WEEKS = 4
"""Fewer days than this have no median worth a name."""
TOLERANCE = 0.05
"""Share of the median: of 18 regions and 48 half-hours two whole half-hours are less, three are more."""


@dataclass(frozen=True)
class Anomaly:
    """A day with its rows, the median of the days that it was held against, and how many those were."""

    day: date
    rows: int
    median: float
    weeks: int

    def describe(self) -> str:
        """The finding in one sentence."""
        than = "fewer" if self.rows < self.median else "more"
        return (
            f"{self.day:%A} {self.day} has {self.rows:,} rows in Silver, {than} than the median of the "
            f"{self.weeks} such weekdays before ({self.median:,.0f})"
        )


def find(rows: Mapping[date, int], days: Iterable[date], begin: date) -> list[Anomaly]:
    """The anomalies among whole days, in their order.

    ``rows``: of Silver by UTC day, 0 where a day is not named; ``begin``: the lake's first whole day, before which
    there is nothing to compare with.
    """
    found = []
    for day in days:
        before = [day - timedelta(weeks=back) for back in range(1, WEEKS + 1)]
        counts = [rows.get(each, 0) for each in before if each >= begin]
        if day < begin or len(counts) < LEAST_WEEKS:
            continue
        usual, own = median(counts), rows.get(day, 0)
        if abs(own - usual) > TOLERANCE * usual:
            found.append(Anomaly(day, own, usual, len(counts)))
    return found
