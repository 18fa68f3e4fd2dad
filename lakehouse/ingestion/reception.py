"""When imported files count as received: never after the lake's clock, and each later than the one before."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lakehouse.clock import machine_clock
from lakehouse.errors import UsageError
from lakehouse.ingestion.bronze import AHEAD
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.windows import EPOCH

SECOND_FORM = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class ReceivedAt:
    """When imported files count as received: a moment, in path order, or each file's own modification time.

    None counts as received after ``latest``, the lake's clock (None: the machine's).
    """

    moment: datetime | None
    latest: datetime | None = None

    def of(self, number: int, modified: datetime) -> datetime:
        """The time of the ``number``-th file; microseconds keep them apart."""
        return (self.moment or min(modified, self._latest)) + timedelta(microseconds=number)

    def is_clamped(self, modified: datetime) -> bool:
        """Whether a file's own time cannot be when it was received."""
        return self.moment is None and modified > self._latest

    @property
    def possible_until(self) -> datetime:
        """From here on no half-hour can have been spoken of, by whichever clock is ahead."""
        return max(self._latest, machine_clock()) + AHEAD

    @property
    def _latest(self) -> datetime:
        return self.latest or machine_clock()


def received_at(
    stated: datetime | None, known: FetchHistory, machine: datetime, *, by_file: bool = False
) -> ReceivedAt:
    """When the files of an import count as received: at the time ``stated``, or now (None), or ``by_file``.

    "Now" is after all that the lake has received by its clock, which in a simulated lake stands between two runs.

    Raises:
        UsageError: it is after the lake's clock, or before there were computers.
    """
    now = known.now(machine)
    if by_file:
        return ReceivedAt(None, now)
    if stated is None:
        return ReceivedAt(known.next_reception(machine), now)
    if not EPOCH <= stated <= now:
        which = "after the lake's clock, which says" if stated > now else "before"
        limit = now if stated > now else EPOCH
        raise UsageError(
            f"--received-at {stated:{SECOND_FORM}} is {which} {limit:{SECOND_FORM}}: no response can have been "
            "received then; write the time at which they were."
        )
    return ReceivedAt(stated, now)
