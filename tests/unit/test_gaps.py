"""Every missing half-hour with its cause, on real tables that were written without a JVM."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import UsageError
from lakehouse.ingestion import gaps
from lakehouse.ingestion.gaps import Cause
from lakehouse.lake import watermarks
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import BRONZE, QUARANTINE, SILVER
from lakehouse.settings import Settings
from lakehouse.windows import Span
from tests.support.lake_rows import account_of_run, receive, record_run, refine, refuse
from tests.support.times import at, slots

ALL = range(1, 19)


@pytest.fixture
def lake(settings_for: Callable[..., Settings], lake_root: str) -> Settings:
    return settings_for(lake_root)


def found(lake: Settings, start: str | None = None, end: str | None = None) -> list[tuple[Any, ...]]:
    """The gaps as (from, to, cause, regions, detail)."""
    rows = [gap.row() for gap in gaps.find(lake, start and at(start), end and at(end)).gaps]  # type: ignore[arg-type]  # None or a time
    return [
        (f"{row['from']:%d %H:%M}", f"{row['to']:%d %H:%M}", row["cause"], row["regions"], row["detail"])
        for row in rows
    ]


def test_tells_what_was_never_fetched(lake: Settings) -> None:
    receive(lake, "2024-01-02", "2024-01-03", "2024-01-10")
    assert found(lake, "2024-01-01", "2024-01-04") == [
        ("01 00:00", "02 00:00", "not fetched yet", [], ""),
        ("03 00:00", "04 00:00", "not fetched yet", [], ""),
    ]


def test_tells_what_the_api_does_not_have_and_when_it_said_so(lake: Settings) -> None:
    hole = slots("2024-01-01T22:00", "2024-01-02T03:00")
    # Two windows meet inside the hole: it is one hole all the same.
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-10T12:00", absent=hole)
    receive(lake, "2024-01-02", "2024-01-03", "2024-01-10T12:01", absent=hole)
    receive(lake, "2024-01-02", "2024-01-03", "2024-01-12T09:00", absent=hole)
    assert found(lake, "2024-01-01", "2024-01-03") == [
        ("01 22:00", "02 03:00", "upstream empty", [], "answered 2024-01-10, 2024-01-12")
    ]
    (gap,) = gaps.find(lake, at("2024-01-01"), at("2024-01-03")).gaps
    assert [f"{moment:%d %H:%M}" for moment in gap.answered_at] == ["10 12:00", "10 12:01", "12 09:00"]


def test_does_not_count_as_missing_what_another_answer_held(lake: Settings) -> None:
    hole = slots("2024-01-01T02:00", "2024-01-01T03:00")
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-10")
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-11", absent=hole)
    assert found(lake, "2024-01-01", "2024-01-02") == []


def test_sums_many_dates_up(lake: Settings) -> None:
    hole = slots("2024-01-01", "2024-01-01T00:30")
    for day in range(10, 15):
        receive(lake, "2024-01-01", "2024-01-02", f"2024-01-{day}", absent=hole)
    assert found(lake, "2024-01-01", "2024-01-02")[0][4] == "answered on 5 days, 2024-01-10 to 2024-01-14"


def test_tells_what_failed_with_the_last_error(lake: Settings) -> None:
    receive(lake, "2024-01-03", "2024-01-04", "2024-01-10")
    record_run(lake, 2, None, ("2024-01-02T00:30", "2024-01-02T02:00", "HTTP 503 Service Unavailable"))
    record_run(lake, 1, None, ("2024-01-01T00:30", "2024-01-02T02:00", "HTTP 500 Internal Server Error"))
    record_run(lake, 3, None, ("2024-01-03T00:30", "2024-01-03T02:00", "a window that came with a later run"))
    record_run(lake, 4, None, ("2024-01-04T00:30", "2024-01-04T01:00", "HTTP 502 Bad Gateway"))
    record_run(lake, 5, None, ("2024-01-04T00:30", "2024-01-04T01:00", "HTTP 504 Gateway Timeout"))
    assert found(lake, None, "2024-01-04T01:00") == [  # the range begins with the oldest window that was ever asked for
        ("01 00:00", "02 00:00", "fetch failed", [], "HTTP 500 Internal Server Error"),
        ("02 00:00", "02 02:00", "fetch failed", [], "HTTP 503 Service Unavailable"),
        ("02 02:00", "03 00:00", "not fetched yet", [], ""),
        ("04 00:00", "04 01:00", "fetch failed", [], "HTTP 504 Gateway Timeout"),
    ]


def test_tells_what_is_in_the_future_of_the_lakes_clock(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-01T12:00", "2024-01-01T12:00", source="simulator:seed=1")
    record_run(lake, 1, "2024-01-01T12:10")
    assert found(lake, None, "2024-01-02") == [("01 12:00", "02 00:00", "in the future", [], "")]
    record_run(lake, 2, "2024-01-01T13:00")
    assert found(lake) == [("01 12:00", "01 13:00", "not fetched yet", [], "")]


def test_goes_by_the_machines_clock_in_a_real_lake(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-02")
    record_run(lake, 1, "2024-01-02")
    assert found(lake, None, "2024-01-03") == [("02 00:00", "03 00:00", "not fetched yet", [], "")]


def test_tells_which_region_the_answer_lacked(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-01T02:00", "2024-01-10")
    there = dict.fromkeys(slots("2024-01-01", "2024-01-01T02:00"), tuple(ALL))
    there[at("2024-01-01T00:30")] = there[at("2024-01-01T01:00")] = (1, *range(3, 13), *range(14, 19))
    del there[at("2024-01-01T01:30")]
    refine(lake, there, landing=1)
    assert found(lake, "2024-01-01", "2024-01-01T02:00") == [
        ("01 00:30", "01 01:30", "region missing in the answer", [2, 13], ""),
        ("01 01:30", "01 02:00", "region missing in the answer", [], ""),
    ]


def test_tells_what_was_quarantined_and_why(lake: Settings) -> None:
    first, second = "2024-01-01", "2024-01-01T00:30"
    (response,) = receive(lake, first, "2024-01-01T01:30", "2024-01-10")
    refine(lake, {at(first): range(1, 18), at(second): range(2, 18), at("2024-01-01T01:00"): ALL}, landing=1)
    refuse(
        lake,
        (response, "18", f"{first}T00:00Z", ["fuels_complete", "mix_is_whole"]),
        (response, "1", f"{second}Z", ["forecast_is_integer"]),
        (response, "19", f"{second}Z", ["region_known"]),  # never a gap: there is no region 19
        (response, "5", f"{second}Z", ["mix_is_whole"]),  # an older answer's good value stands in Silver
    )
    assert found(lake, first, "2024-01-01T01:30") == [
        ("01 00:00", "01 00:30", "quarantined", [18], "fuels_complete, mix_is_whole"),
        ("01 00:30", "01 01:00", "quarantined", [1], "forecast_is_integer"),
        ("01 00:30", "01 01:00", "region missing in the answer", [18], ""),
    ]


def test_places_a_piece_without_a_half_hour_in_its_responses_window(lake: Settings) -> None:
    (response,) = receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-10")
    refine(lake, {at("2024-01-01"): ALL}, landing=1)
    refuse(lake, (response, None, None, ["readable"]))
    assert found(lake, "2024-01-01", "2024-01-01T01:00") == [("01 00:30", "01 01:00", "quarantined", [], "readable")]


def test_judges_no_answer_that_silver_has_not_seen(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-10", landing=1)
    receive(lake, "2024-01-01T01:00", "2024-01-01T02:00", "2024-01-10", landing=2)
    refine(lake, dict.fromkeys(slots("2024-01-01", "2024-01-01T01:00"), ALL), landing=1)
    result = gaps.find(lake, at("2024-01-01"), at("2024-01-01T02:00"))
    assert (result.gaps, result.unrefined, result.half_hours) == ((), 1, 0)


def test_goes_by_the_watermark_that_silver_goes_by(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-10", landing=1)
    refine(lake, dict.fromkeys(slots("2024-01-01", "2024-01-01T01:00"), ALL), landing=1)
    receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-11", landing=2)
    assert gaps.find(lake, at("2024-01-01"), at("2024-01-02")).unrefined == 1
    account_of_run(lake, landing=2)  # Silver had nothing to write: it says so in the row of the run alone
    assert gaps.find(lake, at("2024-01-01"), at("2024-01-02")).unrefined == 0
    receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-12", landing=3)
    assert gaps.find(lake, at("2024-01-01"), at("2024-01-02")).unrefined == 1
    assert gaps.find(lake, at("2023-01-01"), at("2023-01-02")).unrefined == 0  # it is about another day


def test_tells_of_pinned_tables_what_was_known_then(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watermarks, "RUNS_ASKED", 1)
    receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-10", landing=1)
    refine(lake, dict.fromkeys(slots("2024-01-01", "2024-01-01T01:00"), ALL), landing=1)
    receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-11", landing=2)
    account_of_run(lake, landing=2)  # lake version 1
    now = {table.name: Tables(lake.root).open(table) for table in (BRONZE, SILVER, QUARANTINE)}
    then = Tables(lake.root, {name: table.version for name, table in now.items() if table}, last_run=1)
    receive(lake, "2024-01-01T01:00", "2024-01-01T02:00", "2024-01-12", landing=3)
    record_run(lake, 2, None, ("2024-01-01T01:30", "2024-01-01T02:00", "no answer"))
    report = gaps.of_tables(then, at("2024-01-01"), at("2024-01-01T02:00"), at("2024-01-11"))
    assert report.unrefined == 0
    assert [(gap.span, gap.cause) for gap in report.gaps] == [
        (Span(at("2024-01-01T01:00"), at("2024-01-01T02:00")), Cause.NOT_FETCHED)
    ]
    early = gaps.of_tables(then, at("2024-01-01"), at("2024-01-01T02:00"), at("2024-01-01T01:00"))
    assert [gap.cause for gap in early.gaps] == [Cause.FUTURE]


def test_says_of_a_range_outside_that_it_is(lake: Settings, caplog: pytest.LogCaptureFixture) -> None:
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-10")
    found = gaps.find(lake, at("2010-01-01"), at("2010-02-01"))
    assert (found.gaps, found.unrefined) == ((), 0)
    assert "ends before the API's first half-hour, 2018-05-10T23:30Z" in caplog.text
    caplog.clear()
    began = time.perf_counter()
    found = gaps.find(lake, at("2999-01-01"), at("9999-12-31"))
    assert time.perf_counter() - began < 5  # takes about 0.1 s
    assert [(gap.span, gap.cause, gap.regions) for gap in found.gaps] == [(found.span, Cause.FUTURE, ())]
    assert found.half_hours == len(found.span)
    assert "is in the future of the lake's clock" in caplog.text


def test_gives_the_future_as_one_gap(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-01T12:00", "2024-01-01T12:00", source="simulator:seed=1")
    assert found(lake, None, "2024-02-01") == [("01 12:00", "01 00:00", "in the future", [], "")]


def test_begins_with_nothing_that_cannot_be(lake: Settings) -> None:
    for year in (1001, 1970, 2999):
        receive(lake, f"{year}-06-01", f"{year}-06-02", "2024-01-04", file=f"{year}.json")
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-10")
    assert gaps.find(lake, None, at("2024-01-02")).span == Span(at("2024-01-01"), at("2024-01-02"))


def test_counts_regions_that_came_one_by_one(lake: Settings) -> None:
    for region in ALL:
        receive(lake, "2024-01-01", "2024-01-01T01:00", "2024-01-10", regionid=region)
    refine(lake, {at("2024-01-01"): ALL, at("2024-01-01T00:30"): range(1, 18)}, landing=1)
    assert found(lake, "2024-01-01", "2024-01-01T01:00") == [("01 00:30", "01 01:00", "not fetched yet", [18], "")]


def test_begins_with_the_apis_first_half_hour(lake: Settings) -> None:
    (gap,) = gaps.find(lake, at("2018-01-01"), at("2018-05-11T01:00")).gaps
    assert (gap.span.start, len(gap.span)) == (at("2018-05-10T23:30"), 3)


def test_refuses_an_empty_range(lake: Settings) -> None:
    with pytest.raises(UsageError, match="begins at 2024-01-02T00:00Z, which is not before its end, 2024-01-02T00:00Z"):
        gaps.find(lake, at("2024-01-02"), at("2024-01-02"))


def test_answers_on_the_command_line_without_spark(lake: Settings) -> None:
    hole = slots("2024-01-01T22:00", "2024-01-02")
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-10", absent=hole)
    command = f"""
import sys
from lakehouse import cli
code = cli.exit_code(["--root", {lake.root!r}, "gaps", "--from", "2024-01-01", "--to", "2024-01-03", *sys.argv[1:]])
assert not {{"pyspark", "aiohttp"}} & set(sys.modules), sorted(sys.modules)
sys.exit(code)
"""
    project = Path(__file__).resolve().parents[2]

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments], capture_output=True, text=True, cwd=project, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    document = json.loads(call("--json"))
    assert document["gaps"][0] == {
        "from": "2024-01-01T22:00:00Z",
        "to": "2024-01-02T00:00:00Z",
        "half_hours": 4,
        "cause": "upstream empty",
        "regions": [],
        "detail": "answered 2024-01-10",
        "answered_at": ["2024-01-10T00:00:00Z"],
    }
    assert (document["half_hours"], len(document["gaps"]), document["unrefined_responses"]) == (52, 2, 1)
    told = call()
    assert "upstream empty" in told
    assert "52 of 96 half-hours from 2024-01-01T00:00:00Z to 2024-01-03T00:00:00Z lack something." in told
    assert "1 response has not gone into Silver yet" in told


def test_finds_the_holes_of_eight_years_at_once(lake: Settings) -> None:
    hole = slots("2023-10-20T22:00", "2023-10-22T15:00")
    receive(lake, "2018-05-10T23:30", "2026-01-01", "2026-01-02", absent=hole)
    began = time.perf_counter()
    result = gaps.find(lake, None, at("2026-01-01"))
    assert time.perf_counter() - began < 5  # takes about 0.2 s
    assert [gap.span for gap in result.gaps] == [Span(at("2023-10-20T22:00"), at("2023-10-22T15:00"))]
