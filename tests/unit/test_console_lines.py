"""What a person is told of a run: plain lines to a file, a bar on a terminal, a summary in both."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.console_reporter import ConsoleReporter
from lakehouse.ingestion.api import Failure
from lakehouse.ingestion.bronze import PayloadSummary, Response
from lakehouse.ingestion.coverage import Reason
from lakehouse.ingestion.ingest import BadFile
from lakehouse.run_context import StageReport
from lakehouse.windows import Span, Window, plan
from tests.support.terminals import Terminal
from tests.support.times import at

WINDOWS = plan([Span(at("2024-01-02"), at("2024-01-06"))], 48)
ANSWER = Response(b"x" * 2**20, WINDOWS[0], at("2024-01-07"), PayloadSummary((at("2024-01-02"),) * 48))


@pytest.fixture
def told() -> Callable[[io.StringIO], str]:
    """Tell a run of four windows, four seconds between two events, and give what was written."""

    def run(out: io.StringIO) -> str:
        moment = 100.0
        narrator = ConsoleReporter(out, lambda: moment)
        narrator.tables_missing("/data/lake", 6)
        narrator.stage_began("bronze")
        narrator.windows_planned(WINDOWS, {Reason.NEW: [Span(at("2024-01-02"), at("2024-01-06"))]})
        steps: list[Callable[[], Any]] = [
            lambda: narrator.received(ANSWER),
            lambda: narrator.retried("2024-01-03T00:30Z", "HTTP 503", 2.26),
            lambda: narrator.received(ANSWER),
            lambda: narrator.failed(Failure(WINDOWS[2], "HTTP 404")),
            lambda: narrator.split(WINDOWS[3]),
            lambda: narrator.left_out(BadFile("a.json", "it is not valid JSON")),
        ]
        for step in steps:
            moment += 4
            step()
        narrator.stage_ended(StageReport("bronze", 3, {"received": 2, "inserted": 2}, seconds=24.0))
        narrator.close()
        return out.getvalue()

    return run


def test_writes_plain_lines_to_a_file(told: Callable[[io.StringIO], str]) -> None:
    assert told(io.StringIO()).splitlines() == [
        "lake: creates 6 tables in /data/lake",
        "bronze: begins",
        "bronze: 4 requests (192 half-hours new)",
        "bronze: 2024-01-03T00:30Z HTTP 503; again in 2.3 s",
        "bronze: 2/4 requests, 96 half-hours, 2.0 MiB, 0.2 requests/s, 1 retry, 12 s left",
        "bronze: 2024-01-04T00:30Z failed: HTTP 404",
        "bronze: 2024-01-05T00:30Z refused as too long, asked in two halves",
        "import: a.json left out: it is not valid JSON",
        "bronze: 3 of 5 requests in 24.0 s, 96 half-hours, 2.0 MiB, 0.1 requests/s, 1 retry, 1 failed",
        "bronze: 2 received, 2 inserted (version 3, 24.0 s)",
    ]


def test_draws_a_bar_on_a_terminal(told: Callable[[io.StringIO], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    written = told(Terminal())
    assert "━" in written
    assert "3/4" in written
    assert "96 half-hours, 2.0 MiB, 0.2 requests/s, 1 retry" in written
    assert "0:00:01" in written  # left
    assert "bronze: 3 of 5 requests in 24.0 s" in written


def test_names_some_of_many_failures_and_counts_all() -> None:
    out = io.StringIO()
    narrator = ConsoleReporter(out, lambda: 0.0)
    narrator.windows_planned([Window(at("2024-01-02"), at("2024-01-02"))] * 50, {})
    for _ in range(50):
        narrator.failed(Failure(WINDOWS[0], "HTTP 404"))
    narrator.close()
    assert out.getvalue().count("failed: HTTP 404") == 20
    assert "50 failed" in out.getvalue()
