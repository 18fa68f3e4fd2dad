"""A run told on stderr: a bar on a terminal, plain lines otherwise, a summary at the end."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lakehouse.console import console, described, say
from lakehouse.ingestion.api import Failure
from lakehouse.ingestion.bronze import PERIOD_FORM, Response
from lakehouse.ingestion.coverage import Reason
from lakehouse.ingestion.ingest import BadFile
from lakehouse.run_context import StageReport
from lakehouse.run_record import RunObserver
from lakehouse.text import visible, without_logins
from lakehouse.windows import Span, Window
from lakehouse.wording import counted

LINE_SECONDS = 5.0
"""Without a terminal, a line of progress at most this often."""
LINES_IN_FULL = 20
"""Failed windows told one by one; thousands of lines would say no more."""


class ConsoleReporter(RunObserver):
    """Tells a run. ``timer`` counts seconds; ``out`` is stderr unless a test says otherwise."""

    def __init__(self, out: TextIO | None = None, timer: Callable[[], float] = time.monotonic) -> None:
        self._out = out or sys.stderr
        self._timer = timer
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._windows = self._ended = self._half_hours = self._bytes = self._retries = self._failures = 0
        self._began = self._last_line = timer()

    def tables_missing(self, root: str, count: int) -> None:
        """Say where tables are made; it takes seconds."""
        self._say(f"lake: creates {counted(count, 'table')} in {root}")

    def stage_began(self, stage: str) -> None:
        """Say which stage begins."""
        self._say(f"{stage}: begins")

    def windows_planned(self, windows: Sequence[Window], reasons: dict[Reason, list[Span]]) -> None:
        """Say how many requests follow and why; show the bar."""
        self._windows, self._began = len(windows), self._timer()
        self._last_line = self._began
        why = ", ".join(f"{counted(sum(map(len, spans)), 'half-hour')} {reason}" for reason, spans in reasons.items())
        self._say(f"bronze: {counted(len(windows), 'request')} ({why or 'nothing to ask for'})")
        if windows and self._out.isatty():
            self._bar = Progress(
                TextColumn("bronze"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeRemainingColumn(),
                console=console(self._out),
                transient=True,
            )
            self._task = self._bar.add_task("bronze", total=len(windows), detail="")
            self._bar.start()

    def received(self, response: Response) -> None:
        """Count a response."""
        self._ended += 1
        self._half_hours += len(response.contents.periods)
        self._bytes += len(response.body)
        self._advance()

    def failed(self, failure: Failure) -> None:
        """Name a window that was given up."""
        self._ended += 1
        self._failures += 1
        if self._failures <= LINES_IN_FULL:
            self._say(f"bronze: {failure.window.start:{PERIOD_FORM}} failed: {failure.error}")
        self._advance()

    def retried(self, what: str, error: str, wait: float) -> None:
        """Name a retry."""
        self._retries += 1
        self._say(f"bronze: {what} {error}; again in {wait:.1f} s")

    def split(self, window: Window) -> None:
        """Name a window that is asked in halves."""
        self._windows += 1
        self._say(f"bronze: {window.start:{PERIOD_FORM}} refused as too long, asked in two halves")

    def left_out(self, file: BadFile) -> None:
        """Name a file that holds nothing to land."""
        self._say(f"import: {file.name} left out: {file.reason}")

    def stage_ended(self, report: StageReport) -> None:
        """Say what a stage did."""
        self.close()
        version = "nothing to write" if report.version is None else f"version {report.version}"
        self._say(f"{report.stage}: {described(report.counts)} ({report.outcome or version}, {report.seconds:.1f} s)")

    def close(self) -> None:
        """Take the bar away and sum the requests up, whatever happened; the second time nothing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._windows:
            seconds = self._timer() - self._began
            self._say(
                f"bronze: {self._ended:,} of {counted(self._windows, 'request')} in {seconds:.1f} s, {self._detail()}, "
                f"{self._failures} failed"
            )
            self._windows = 0

    def _advance(self) -> None:
        now = self._timer()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._ended, total=self._windows, detail=self._detail())
        elif now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            left = (now - self._began) / self._ended * (self._windows - self._ended)
            self._say(
                f"bronze: {self._ended:,}/{counted(self._windows, 'request')}, {self._detail()}, {left:.0f} s left"
            )

    def _detail(self) -> str:
        rate = self._ended / max(self._timer() - self._began, 1e-3)
        return (
            f"{counted(self._half_hours, 'half-hour')}, {self._bytes / 2**20:,.1f} MiB, {rate:.1f} requests/s, "
            f"{self._retries} {'retry' if self._retries == 1 else 'retries'}"
        )

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(visible(without_logins(line)))
        else:
            say(without_logins(line), out=self._out)
