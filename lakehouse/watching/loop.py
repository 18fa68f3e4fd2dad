"""The loop of ``watch``: one run after the other, never two at once, whatever the last one came to."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from lakehouse.clock import machine_clock
from lakehouse.errors import ExitCode, UsageError
from lakehouse.settings import Settings
from lakehouse.watching.condition import Condition
from lakehouse.watching.cycle import Cycle, perform
from lakehouse.watching.notify import Notifier
from lakehouse.watching.schedule import Schedule, wait_after

TICK_SECONDS = 10.0
"""While it waits the loop says so often that it is alive."""


class Waiter(Protocol):
    """What ends a wait and the loop: signals, or a test."""

    is_stopping: bool

    def wait(self, seconds: float) -> None:
        """Wait so long, or shorter."""

    def take_reload(self) -> bool:
        """Whether settings are to be read anew."""


@dataclass
class Watch:
    """The loop. ``perform``, ``clock`` and ``chance`` are given so that tests own runs, time and luck.

    ``read`` gives the settings of now, ``maintained_at`` when the lake was last maintained; ``say`` tells a person a
    line, ``on_cycle`` is told the end of each run with its number, ``on_end`` also that of ``maintain``.
    """

    settings: Settings
    condition: Condition
    signals: Waiter
    read: Callable[[], Settings]
    say: Callable[[str], None]
    on_cycle: Callable[[int, Cycle], None] = lambda number, cycle: None
    on_end: Callable[[Settings, str, Cycle], None] = lambda settings, command, cycle: None
    maintained_at: Callable[[Settings], datetime | None] = lambda settings: None
    perform: Callable[[Settings, str, Callable[[str], None]], Cycle] = perform
    notifier: Notifier = field(default_factory=Notifier)
    clock: Callable[[], datetime] = machine_clock
    chance: Callable[[], float] = random.random
    _offset: timedelta = timedelta(0)
    _failures: int = 0

    def run(self, cycles: int | None = None) -> int:
        """Run until a signal, or so many times; gives the exit code.

        That is 0 after a signal, else the last run's own. A run that the settings make impossible (2) ends the loop.
        """
        self.notifier.tell("READY=1")
        number, outcome = 0, int(ExitCode.OK)
        while not self.signals.is_stopping:
            number += 1
            try:
                began = self.clock()
                outcome = self._cycle(number)
                if outcome == ExitCode.USAGE or number == cycles:
                    return outcome
                if outcome == ExitCode.OK and not self.signals.is_stopping:
                    self._maintain()
                self._wait(self._next(began, outcome))
            except KeyboardInterrupt:
                break
        self.notifier.tell("STOPPING=1")
        return ExitCode.OK

    def _cycle(self, number: int) -> int:
        done = self._perform("watch")
        if done.lake_clock is not None:
            self._offset = done.lake_clock - self.clock()
        self._failures = 0 if done.outcome == ExitCode.OK else self._failures + 1
        self.condition.ended(done.outcome, done.error)
        self.on_cycle(number, done)
        return done.outcome

    def _maintain(self) -> None:
        """Keep the tables small when it is time; a failure is told, and tried again after the next run."""
        hours = self.settings.watch.maintain_hours
        last = self.maintained_at(self.settings)
        if hours and (last is None or self.clock() - last >= timedelta(hours=hours)):
            self._perform("maintain")

    def _perform(self, command: str) -> Cycle:
        done = self.perform(self.settings, command, self._advance)
        self.condition.lost_jvms += done.has_lost_jvm
        if done.error is not None:
            self.say(f"{command}: ended with {done.outcome}: {done.error}")
        self.on_end(self.settings, command, done)
        self._advance(f"{command}: {'done' if done.error is None else done.error}")
        return done

    def _next(self, began: datetime, outcome: int) -> datetime:
        """When the next run begins, by the machine's clock."""
        now, schedule = self.clock(), Schedule.of(self.settings.watch)
        due = schedule.due(began + self._offset, now + self._offset, self.chance()) - self._offset
        sooner = wait_after(outcome, self._failures)
        return due if sooner is None else min(due, now + sooner)

    def _wait(self, until: datetime) -> None:
        self.condition.next_start = until
        self._advance(f"next run at {until:%Y-%m-%dT%H:%M:%SZ}")
        while not self.signals.is_stopping:
            if self.signals.take_reload() and self._has_reloaded():
                return
            left = (until - self.clock()).total_seconds()
            if left <= 0:
                return
            self.signals.wait(min(left, TICK_SECONDS))
            self._advance()

    def _has_reloaded(self) -> bool:
        """Read settings anew, for a run by them at once; where they are wrong, those of before stay."""
        try:
            found = self.read()
        except UsageError as error:
            self.say(f"watch: the settings of before stay: {error}")
            return False
        served = [(each.watch.address, each.watch.port) for each in (found, self.settings)]
        if served[0] != served[1]:
            self.say("watch: watch.address and watch.port take effect when it is started again.")
        self.settings, self.condition.settings = found, found.watch
        self.say(f"watch: read its settings anew; a run every {found.watch.every_seconds:g} s")
        return True

    def _advance(self, status: str | None = None) -> None:
        self.condition.advance()
        self.notifier.tell("WATCHDOG=1", *([f"STATUS={status}"] if status else []))
