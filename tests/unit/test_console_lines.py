"""What a person is told of a run: plain lines to a file, a bar on a terminal, a summary in both."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.console_reporter import ConsoleReporter
from lakehouse.ingestion.api import Failure
from lakehouse.ingestion.bronze import PayloadSummary, Response
from lakehouse.ingestion.coverage import Reason
from lakehouse.ingestion.ingest import BadFile
from lakehouse.messages.progress import weighed
from lakehouse.messages.progress_bar import ProgressBar, amount
from lakehouse.run_context import StageReport
from lakehouse.run_record import RunReport
from lakehouse.windows import Span, Window, plan
from tests.support.terminals import Terminal, seen
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
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    written = told(Terminal())
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written)
    assert re.search(r"bronze [━╺]+ 3 of 4 requests, 2.0 MiB 0:00:24 0:00:06 left", plain)
    assert max(len(line) for line in re.split(r"\x1b\[2K|\n", plain)) <= 80
    assert "\x1b[31mbronze: 2024-01-04T00:30Z failed: HTTP 404" in written
    assert seen(written) == [
        "lake: creates 6 tables in /data/lake",
        "bronze: 4 requests (192 half-hours new)",
        "bronze: 2024-01-03T00:30Z HTTP 503; again in 2.3 s",
        "bronze: 2024-01-04T00:30Z failed: HTTP 404",
        "bronze: 2024-01-05T00:30Z refused as too long, asked in two halves",
        "import: a.json left out: it is not valid JSON",
        "bronze: 3 of 5 requests in 24.0 s, 96 half-hours, 2.0 MiB, 0.1 requests/s, 1",
        "retry, 1 failed",
        "bronze: 2 received, 2 inserted (version 3, 24.0 s)",
    ]


def test_names_some_of_many_failures_and_counts_all() -> None:
    out = io.StringIO()
    narrator = ConsoleReporter(out, lambda: 0.0)
    narrator.windows_planned([Window(at("2024-01-02"), at("2024-01-02"))] * 50, {})
    for _ in range(50):
        narrator.failed(Failure(WINDOWS[0], "HTTP 404"))
    narrator.close()
    assert out.getvalue().count("failed: HTTP 404") == 20
    assert "50 failed" in out.getvalue()


def stage(name: str, counts: dict[str, int], version: int | None, status: str = "ok") -> StageReport:
    return StageReport(name, version, counts, seconds=1.25, status=status)


def test_sums_a_run_up_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = RunReport("20240101T000000Z-00000000", "run")
    run.stages = [
        stage("silver", {"received": 314964, "inserted": 314964, "updated": 0, "unchanged": 0}, 1),
        stage("carbon_intensity_monthly", {"inserted": 216, "updated": 0, "unchanged": 0}, None, "failed"),
    ]
    for out in (Terminal(), io.StringIO()):
        ConsoleReporter(out, lambda: 0.0).ended(run)
        assert seen(out.getvalue()) == [
            "stage                     received  inserted  version  seconds  status",
            "──────────────────────────────────────────────────────────────────────",
            "silver                     314,964   314,964        1      1.2  ok",
            "carbon_intensity_monthly                 216               1.2  failed",
        ]


def test_needs_no_table_for_one_stage() -> None:
    run, out = RunReport("20240101T000000Z-00000000", "silver"), io.StringIO()
    run.stages = [stage("silver", {"received": 1, "inserted": 1}, 1)]
    ConsoleReporter(out, lambda: 0.0).ended(run)
    assert out.getvalue() == ""


def test_tells_in_a_file_how_far_work_is_now_and_then() -> None:
    out, moments = io.StringIO(), iter([100.0, 100.0, 104.0, 106.0, 108.0, 120.0])
    bar = ProgressBar(out, lambda: next(moments))
    for what, done in (("reads", 0), ("reads", 20), ("reads", 30), ("writes", 90)):
        bar.progress(what, done, 90, "half-hour")
    bar.progress("writes")
    bar.close()
    assert out.getvalue() == "reads: 30 of 90 half-hours, 12 s left\n"


@pytest.mark.parametrize(
    ("done", "total", "unit", "said"),
    [
        (0, None, "", ""),
        (7, None, "row", "7 rows"),
        (1, 1, "table", "1 of 1 table"),
        (1200, 52608, "half-hour", "1,200 of 52,608 half-hours"),
        (1024, 2**21, "bytes", "1.0 KiB of 2.0 MiB"),
        (1024, None, "bytes", "1.0 KiB"),
    ],
)
def test_says_how_much_is_done(done: int, total: int | None, unit: str, said: str) -> None:
    assert amount(done, total, unit) == said


def test_tells_before_and_after_each_part_how_far_it_is() -> None:
    told: list[Any] = []
    parts = weighed([("a", 3), ("b", 0), ("c", 4)], 7, lambda *how_far: told.append(how_far), "import", "bytes")
    assert [len(told) for _ in parts] == [1, 2, 3]
    assert told == [("import", done, 7, "bytes") for done in (0, 3, 3, 7)]
