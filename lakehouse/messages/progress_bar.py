"""How far work is, for a person: one bar at a terminal, which goes when the work is done; else a line now and then."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from lakehouse.messages import console
from lakehouse.messages.text import without_logins
from lakehouse.messages.wording import counted

LINE_SECONDS = 5.0
"""Without a terminal, a line of progress at most this often."""
FRAMES_PER_SECOND = 4.0
"""How often the bar is drawn."""


class ProgressBar:
    """Shows it on stderr unless ``out`` is given; ``timer`` counts seconds."""

    def __init__(self, out: TextIO | None = None, timer: Callable[[], float] = time.monotonic) -> None:
        self.out = out or sys.stderr
        self._timer = timer
        self._drawn: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._began = self._last_line = timer()

    def progress(self, what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
        """Show how far work is."""
        self.show(what, done, total, amount(done, total, unit))

    def show(self, what: str, done: int, total: int | None, described: str) -> None:
        """Show how far work is, in the caller's words; without a terminal a line, when it is time for the next one."""
        if console.is_hushed(self.out):
            return
        now = self._timer()
        if what != self._what:
            self._what, self._began, self._last_line = what, now, now
            if self._drawn is not None and self._task is not None:
                self._drawn.remove_task(self._task)
            self._task = None
        if self.out.isatty():
            self._draw(what, done, total, described)
        elif done and total and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            left = (now - self._began) / done * (total - done)
            self.say(f"{what}: {described}, {left:.0f} s left")

    def say(self, line: str, style: str = "") -> None:
        """Print a line; where there is a bar, above it: rich draws it anew below what its own console prints."""
        to = self._drawn.console if self._drawn is not None else None
        console.say(without_logins(line), out=self.out, style=style, to=to)

    def close(self) -> None:
        """Take the bar away; the second time nothing."""
        if self._drawn is not None:
            self._drawn.stop()
        self._drawn = self._task = None
        self._what = ""

    def _draw(self, what: str, done: int, total: int | None, described: str) -> None:
        if self._drawn is None:
            self._drawn = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
                TextColumn("{task.fields[amount]}", markup=False),
                TimeElapsedColumn(),
                _Left(),
                console=console.console(self.out),
                transient=True,
                expand=True,
                redirect_stdout=False,
                refresh_per_second=FRAMES_PER_SECOND,
                get_time=self._timer,
            )
            self._drawn.start()
        if self._task is None:
            self._task = self._drawn.add_task(what, total=total, amount=described)
        self._drawn.update(self._task, completed=done, total=total, amount=described)


class _Left(TimeRemainingColumn):
    """The time that is left; nothing where nobody can tell."""

    def render(self, task: Task) -> Text:
        """As rich says it, with the word."""
        return Text("") if task.time_remaining is None else Text.assemble(super().render(task), " left")


def amount(done: int, total: int | None, unit: str) -> str:
    """``1,200 of 52,608 half-hours``; nothing where nothing is counted."""
    if unit == "bytes":
        return console.size(done) if total is None else f"{console.size(done)} of {console.size(total)}"
    if total is None:
        return counted(done, unit) if unit else ""
    return f"{done:,} of {counted(total, unit)}"
