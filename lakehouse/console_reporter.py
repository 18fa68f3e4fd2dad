"""A run told on stderr: a bar on a terminal, plain lines otherwise, a summary at the end."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from lakehouse import logs
from lakehouse.ingestion.api import Failure
from lakehouse.ingestion.bronze import PERIOD_FORM, Response
from lakehouse.ingestion.coverage import Reason
from lakehouse.ingestion.ingest import BadFile
from lakehouse.messages import console
from lakehouse.messages.progress_bar import ProgressBar, amount
from lakehouse.messages.wording import counted
from lakehouse.run_context import StageReport
from lakehouse.run_record import RunObserver, RunReport
from lakehouse.windows import Span, Window

log = logging.getLogger(__name__)

LINES_IN_FULL = 20
"""Failed windows told one by one; thousands of lines would say no more."""
KINDS = ("received", "inserted", "updated", "deleted", "unchanged", "quarantined", "files", "files_now")
"""Counts that the table at a run's end shows, where a stage has any."""


class ConsoleReporter(RunObserver):
    """Tells a run. ``timer`` counts seconds; ``out`` is stderr unless a test says otherwise."""

    def __init__(self, out: TextIO | None = None, timer: Callable[[], float] = time.monotonic) -> None:
        self._bar = ProgressBar(out or sys.stderr, timer)
        self._timer = timer
        self._windows = self._ended = self._half_hours = self._bytes = self._retries = self._failures = 0
        self._fetch_began = timer()

    def tables_missing(self, root: str, count: int) -> None:
        """Say where tables are made; it takes seconds."""
        self._bar.say(f"lake: creates {counted(count, 'table')} in {root}")
        self.progress("lake")

    def stage_began(self, stage: str) -> None:
        """Say which stage begins."""
        if not self._bar.out.isatty():
            self._bar.say(f"{stage}: begins")
        self.progress(stage)

    def progress(self, what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
        """Move the bar, or write a line when it is time for the next one."""
        self._bar.progress(what, done, total, unit)

    def windows_planned(self, windows: Sequence[Window], reasons: dict[Reason, list[Span]]) -> None:
        """Say how many requests follow and why."""
        self._windows, self._fetch_began = len(windows), self._timer()
        why = ", ".join(f"{counted(sum(map(len, spans)), 'half-hour')} {reason}" for reason, spans in reasons.items())
        self._bar.say(f"bronze: {counted(len(windows), 'request')} ({why or 'nothing to ask for'})")
        if windows:
            self._fetched()

    def received(self, response: Response) -> None:
        """Count a response."""
        self._ended += 1
        self._half_hours += len(response.contents.periods)
        self._bytes += len(response.body)
        self._fetched()

    def failed(self, failure: Failure) -> None:
        """Name a window that was given up."""
        self._ended += 1
        self._failures += 1
        window = {
            "window_start": f"{failure.window.start:{PERIOD_FORM}}",
            "window_end": f"{failure.window.end:{PERIOD_FORM}}",
        }
        log.warning("window failed", extra={**logs.TOLD, **window, "error": failure.error})
        if self._failures <= LINES_IN_FULL:
            self._bar.say(f"bronze: {failure.window.start:{PERIOD_FORM}} failed: {failure.error}", console.FAILURE)
        self._fetched()

    def retried(self, what: str, error: str, wait: float) -> None:
        """Name a retry."""
        self._retries += 1
        log.warning(
            "request retried", extra={**logs.TOLD, "request": what, "error": error, "wait_seconds": round(wait, 1)}
        )
        self._bar.say(f"bronze: {what} {error}; again in {wait:.1f} s", console.WARNING)

    def split(self, window: Window) -> None:
        """Name a window that is asked in halves."""
        self._windows += 1
        self._bar.say(f"bronze: {window.start:{PERIOD_FORM}} refused as too long, asked in two halves")

    def left_out(self, file: BadFile) -> None:
        """Name a file that holds nothing to land."""
        log.warning("file left out", extra={**logs.TOLD, "file": file.name, "error": file.reason})
        self._bar.say(f"import: {file.name} left out: {file.reason}", console.WARNING)

    def stage_ended(self, report: StageReport) -> None:
        """Say what a stage did; at a terminal without the counts that are zero."""
        self.close()
        version = "nothing to write" if report.version is None else f"version {report.version}"
        counts = report.counts
        if self._bar.out.isatty():
            counts = {name: number for name, number in counts.items() if number} or counts
        described = console.described(counts)
        self._bar.say(f"{report.stage}: {described} ({report.outcome or version}, {report.seconds:.1f} s)")

    def ended(self, report: RunReport) -> None:
        """Sum up a run of several stages in a table."""
        self.close()
        if len(report.stages) < 2 or console.is_hushed(self._bar.out):
            return
        kinds = [kind for kind in KINDS if any(stage.counts.get(kind) for stage in report.stages)]
        is_broken = any(stage.status != "ok" for stage in report.stages)
        rows = [
            {
                "stage": stage.stage,
                **{kind: stage.counts.get(kind) for kind in kinds},
                "version": stage.version,
                "seconds": round(stage.seconds, 1),
                **({"status": stage.status} if is_broken else {}),
            }
            for stage in report.stages
        ]
        console.print_table(rows, self._bar.out, counts=kinds, least=("received", "unchanged", "quarantined"))

    def close(self) -> None:
        """Take the bar away and sum the requests up, whatever happened; the second time nothing."""
        self._bar.close()
        if self._windows:
            seconds = self._timer() - self._fetch_began
            self._bar.say(
                f"bronze: {self._ended:,} of {counted(self._windows, 'request')} in {seconds:.1f} s, {self._detail()}, "
                f"{self._failures} failed"
            )
            self._windows = 0

    def _fetched(self) -> None:
        """Show how far the fetch is; on a terminal there is no room for all that a line says."""
        if self._bar.out.isatty():
            described = f"{amount(self._ended, self._windows, 'request')}, {console.size(self._bytes)}"
        else:
            described = f"{self._ended:,}/{counted(self._windows, 'request')}, {self._detail()}"
        self._bar.show("bronze", self._ended, self._windows, described)

    def _detail(self) -> str:
        rate = self._ended / max(self._timer() - self._fetch_began, 1e-3)
        return (
            f"{counted(self._half_hours, 'half-hour')}, {self._bytes / 2**20:,.1f} MiB, {rate:.1f} requests/s, "
            f"{self._retries} {'retry' if self._retries == 1 else 'retries'}"
        )
