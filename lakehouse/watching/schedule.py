"""When the next run begins. Pure: the clock and the chance are given."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lakehouse.errors import ExitCode
from lakehouse.settings.sections import WatchSettings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=5)
"""Before a run that failed is tried again; doubled with each failure: an API that is down all night is spared."""
LOCK_WAIT = timedelta(seconds=15)
"""Before a lake that somebody else writes is tried again: most commands hold it for less."""


@dataclass(frozen=True)
class Schedule:
    """Runs at ``every``, counted from midnight UTC by the API's clock, ``delay`` and at most ``jitter`` later."""

    every: timedelta
    delay: timedelta
    jitter: timedelta

    @classmethod
    def of(cls, settings: WatchSettings) -> "Schedule":
        """The schedule that is set."""
        of_seconds = (settings.every_seconds, settings.delay, settings.jitter)
        return cls(*(timedelta(seconds=seconds) for seconds in of_seconds))

    def due(self, last: datetime, now: datetime, chance: float) -> datetime:
        """When the run after the one that began at ``last`` is due, by the API's clock; ``chance`` is in [0, 1).

        After slots that were missed it is due at once, and once for all of them.
        """
        covered = EPOCH + (last - self.delay - EPOCH) // self.every * self.every
        return max(now, covered + self.every + self.delay + chance * self.jitter)


def wait_after(outcome: int, failures: int) -> timedelta | None:
    """How long to wait after a run that ended with this exit code, the ``failures``-th in a row (from 1).

    None: waiting for less than the next slot cures nothing.
    """
    if outcome in (ExitCode.OK, ExitCode.QUALITY):
        return None
    if outcome == ExitCode.LOCKED:
        return LOCK_WAIT
    doublings = min(failures - 1, 16)  # beyond, the numbers only grow
    wait: timedelta = FIRST_WAIT * 2**doublings
    return min(wait, LONGEST_WAIT)
