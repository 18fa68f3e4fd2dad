"""What a person sees: progress on stderr, tables as aligned text or one JSON document on stdout."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from lakehouse.api import Failure
from lakehouse.bronze import Reason, Response
from lakehouse.pipeline import Listener
from lakehouse.stages import StageReport
from lakehouse.windows import Span, Window

LINE_SECONDS = 5.0
"""Without a terminal, a line of progress at most this often."""
BARE_WIDTH = 400
"""Columns when the output is no terminal: a table in a file is never wrapped."""


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, out: TextIO | None = None) -> None:
    """Rows as aligned text, or as one JSON list."""
    out = out or sys.stdout
    if as_json:
        print_json(list(rows), out=out)
        return
    if not rows:
        print("(no rows)", file=out)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, value in rows[0].items():
        numeric = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(text(value) for value in row.values()))
    console(out).print(table)


def print_json(document: object, *, out: TextIO | None = None) -> None:
    """One JSON document; decimals as numbers in plain notation, times in ISO form."""
    print(json.dumps(document, default=_plain, ensure_ascii=False), file=out or sys.stdout)


def text(value: object) -> str:
    """A value as a person reads it; nothing is shortened."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={text(item)}" for key, item in value.items())
    return str(value)


def console(out: TextIO) -> Console:
    """A console that never wraps what goes to a file and never reads markup in data."""
    width = None if out.isatty() else BARE_WIDTH
    return Console(file=out, width=width, markup=False, highlight=False, emoji=False)


class Narrator(Listener):
    """Tells a run on stderr: a bar on a terminal, plain lines otherwise."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._windows = self._asked = self._half_hours = self._bytes = self._retries = 0
        self._began = self._last_line = 0.0

    def stage_began(self, stage: str) -> None:
        """Say which stage begins."""
        self._say(f"{stage}: begins")

    def windows_planned(self, windows: Sequence[Window], reasons: dict[Reason, list[Span]]) -> None:
        """Say how many requests follow and why; show the bar."""
        self._windows, self._began = len(windows), time.monotonic()
        why = ", ".join(f"{sum(map(len, spans))} half-hours {reason}" for reason, spans in reasons.items())
        self._say(f"bronze: {len(windows)} requests ({why or 'nothing to ask for'})")
        if windows and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("bronze"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeRemainingColumn(),
                console=console(sys.stderr),
                transient=True,
            )
            self._task = self._bar.add_task("bronze", total=len(windows), detail="")
            self._bar.start()

    def received(self, response: Response) -> None:
        """Count a response."""
        self._asked += 1
        self._half_hours += len(response.contents.periods)
        self._bytes += len(response.body)
        self._advance()

    def failed(self, failure: Failure) -> None:
        """Name a window that was given up."""
        self._asked += 1
        self._say(f"bronze: {failure.window.start:%Y-%m-%dT%H:%MZ} failed: {failure.error}")
        self._advance()

    def retried(self, window: Window, error: str, wait: float) -> None:
        """Name a retry."""
        self._retries += 1
        self._say(f"bronze: {window.start:%Y-%m-%dT%H:%MZ} {error}; again in {wait:.1f} s")

    def split(self, window: Window) -> None:
        """Name a window that is asked in halves."""
        self._windows += 1
        self._say(f"bronze: {window.start:%Y-%m-%dT%H:%MZ} refused as too long, asked in two halves")

    def stage_ended(self, report: StageReport) -> None:
        """Say what a stage did."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        version = "nothing to write" if report.version is None else f"version {report.version}"
        if report.stage == "export":
            version = "PostgreSQL"
        self._say(f"{report.stage}: {said(report.counts)} ({version}, {report.seconds:.1f} s)")

    def close(self) -> None:
        """Take the bar away, whatever happened."""
        if self._bar is not None:
            self._bar.stop()

    def _advance(self) -> None:
        rate = self._asked / max(time.monotonic() - self._began, 1e-3)
        detail = (
            f"{self._half_hours:,} half-hours, {self._bytes / 2**20:,.1f} MiB, {rate:.1f} requests/s, "
            f"{self._retries} retries"
        )
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._asked, total=self._windows, detail=detail)
        elif not sys.stderr.isatty() and (
            time.monotonic() - self._last_line >= LINE_SECONDS or self._asked == self._windows
        ):
            self._last_line = time.monotonic()
            self._say(f"bronze: {self._asked}/{self._windows} requests, {detail}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line)
        else:
            print(line, file=sys.stderr, flush=True)


def said(counts: Mapping[str, int]) -> str:
    """Counts as words: ``0 inserted, 0 updated, 19,710 unchanged``."""
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    raise TypeError(f"{type(value).__name__} has no JSON form")
