"""How a ``watch`` is: written by its loop, read by the threads that answer monitors."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lakehouse.clock import machine_clock
from lakehouse.errors import ExitCode
from lakehouse.settings.sections import WatchSettings

STALL_SECONDS = 300.0
"""Without any progress for so long, a run is taken to hang. ``WatchdogSec`` of the systemd unit is the same."""


@dataclass
class Condition:
    """What the loop has done so far; times by the machine's clock. Each field is written by the loop alone."""

    settings: WatchSettings
    clock: Callable[[], datetime] = machine_clock
    progress_at: datetime = field(init=False)
    last_success: datetime | None = None
    next_start: datetime | None = None
    error: str | None = None
    cycles: Counter[int] = field(default_factory=Counter)
    """By exit code."""
    lost_jvms: int = 0

    def __post_init__(self) -> None:
        self.progress_at = self.clock()

    def advance(self) -> None:
        """Something was done, or is known to have nothing to do."""
        self.progress_at = self.clock()

    def ended(self, outcome: int, error: str | None) -> None:
        """A run ended with this exit code."""
        self.cycles[outcome] += 1
        self.error = error
        if outcome == ExitCode.OK:
            self.last_success = self.clock()

    def stalled(self) -> str | None:
        """Why the loop is taken to hang; None: it does not."""
        silent = (self.clock() - self.progress_at).total_seconds()
        return f"no progress for {silent:.0f} s" if silent > STALL_SECONDS else None

    def unready(self) -> str | None:
        """Why the tables may be old; None: a run ended well in the last two intervals."""
        if self.last_success is None:
            return self.error or "no run has ended well yet"
        allowed = timedelta(seconds=2 * self.settings.every_seconds + self.settings.delay + self.settings.jitter)
        age = self.clock() - self.last_success
        if age <= allowed:
            return None
        return f"no run has ended well for {age.total_seconds():.0f} s" + (f": {self.error}" if self.error else "")
