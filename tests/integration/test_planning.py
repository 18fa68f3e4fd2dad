"""What a run would fetch, and why, told from the receipts alone."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lakehouse.clock import machine_clock
from lakehouse.errors import SourceMismatchError, UsageError
from lakehouse.ingestion import fetch_history, planning
from lakehouse.ingestion.coverage import FetchLog, LoggedFetch, Reason
from lakehouse.ingestion.source import Source, simulator_here
from lakehouse.settings import Settings
from lakehouse.settings.sections import ApiSettings
from lakehouse.simulator import ThreadedSimulator, parse_script
from lakehouse.windows import Span
from tests.support.lake_rows import receive, record_run, refine, refuse
from tests.support.times import at, slots

SIMULATED = "simulator:seed=42"  # the simulator fixture's clock stands at 2024-01-05T00:00Z


@pytest.fixture
def lake(settings_for: Callable[..., Settings], lake_root: str, simulator: ThreadedSimulator) -> Settings:
    return settings_for(lake_root, simulator.url)


def asked(lake: Settings, start: str | None, end: str | None, *, force: bool = False) -> list[tuple[str, str, str]]:
    rows, _ = planning.requests(lake, start and at(start), end and at(end), force=force)  # type: ignore[arg-type]  # None or a time
    return [(f"{row['window_start']:%d %H:%M}", f"{row['window_end']:%d %H:%M}", row["why"]) for row in rows]


def test_asks_for_seven_days_in_an_empty_lake(lake: Settings) -> None:
    assert asked(lake, None, None) == [
        ("29 00:30", "31 23:30", "new"),
        ("01 00:00", "05 00:00", "new"),
    ]


def test_says_why_each_request_is_made(lake: Settings) -> None:
    hole = slots("2023-12-20", "2023-12-21")
    receive(lake, "2023-12-20", "2023-12-31", "2024-01-03T00:00", absent=hole, source=SIMULATED)
    receive(lake, "2024-01-01", "2024-01-04", "2024-01-04T00:00", source=SIMULATED)
    rows, total = planning.requests(lake, at("2023-12-19"), None, force=False)
    assert [(f"{row['window_start']:%d %H:%M}", row["half_hours"], row["why"]) for row in rows] == [
        ("19 00:30", 96, "new, asked again after empty"),
        ("31 00:30", 47, "new"),
        ("01 00:00", 1, "new"),
        ("02 00:30", 144, "new, may have changed"),
    ]
    assert total == {"requests_count": 4, "half_hours": 288, "bytes": 2_016_000, "seconds": 0.4}


def test_fetches_again_what_is_there_when_forced(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-05", source=SIMULATED)
    assert asked(lake, "2024-01-01", "2024-01-02") == []
    assert asked(lake, "2024-01-01", "2024-01-02", force=True) == [("01 00:30", "02 00:00", "forced")]


def test_asks_for_a_half_hour_of_which_one_region_came(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-04T23:00", source=SIMULATED, regionid=13)
    assert asked(lake, "2024-01-01", "2024-01-02") == [("01 00:30", "02 00:00", "new")]


def test_goes_back_to_the_oldest_half_hour_that_is_missing(lake: Settings) -> None:
    receive(lake, "2023-12-01", "2024-01-05", "2024-01-05", source=SIMULATED)
    assert asked(lake, None, None) == []
    record_run(lake, 1, None, ("2023-11-30T23:30", "2023-12-01T00:00", "HTTP 503"))
    assert asked(lake, None, None) == [("30 23:30", "01 00:00", "new")]


def test_measures_ages_by_the_clock_of_the_api(lake: Settings, simulator: ThreadedSimulator) -> None:
    receive(lake, "2024-01-01", "2024-01-05", "2024-01-05", source=SIMULATED)
    assert asked(lake, "2024-01-01", "2024-01-05") == []
    simulator.now = at("2024-01-05T00:30")
    assert asked(lake, "2024-01-01", "2024-01-05") == [("03 00:30", "05 00:00", "may have changed")]


@pytest.mark.parametrize(
    ("rate", "requests", "half_hours", "seconds"),
    [(5.0, 1097, 52_608, 219.4), (0.0, 1097, 52_608, 73.7), (0.0, 1097, 1097, 43.9)],
)
def test_estimates_the_slowest_of_rate_line_and_latency(
    lake: Settings, rate: float, requests: int, half_hours: int, seconds: float
) -> None:
    api = lake.api.model_copy(update={"requests_per_second": rate})
    chosen = lake.model_copy(update={"api": api})
    assert planning.seconds(requests, half_hours * 7000, chosen) == pytest.approx(seconds, abs=0.1)


def test_refuses_a_lake_of_another_api(lake: Settings) -> None:
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-05")
    with pytest.raises(SourceMismatchError, match="start a separate lake with LAKEHOUSE_ROOT=another/place"):
        asked(lake, None, None)


def test_asks_a_simulator_without_the_client(lake: Settings, simulator: ThreadedSimulator) -> None:
    machine = datetime(2030, 1, 1, tzinfo=UTC)
    assert simulator_here(lake.api, lambda: machine) == Source(SIMULATED, at("2024-01-05"))
    assert [(each.method, each.path) for each in simulator.requests] == [("HEAD", "/regional")]


def test_leaves_it_to_the_client_where_that_does_not_answer_at_once(
    lake: Settings, simulator: ThreadedSimulator
) -> None:
    simulator.add_rules(parse_script([{"fault": "status", "status": 503}]))
    assert simulator_here(lake.api, machine_clock) is None
    simulator.add_rules(parse_script([{"fault": "status", "status": 503}]))
    assert len(asked(lake, "2024-01-01", "2024-01-02")) == 1
    assert [each.method for each in simulator.requests] == ["HEAD", "HEAD", "GET"]
    simulator.stop()
    assert simulator_here(lake.api, machine_clock) is None


def test_asks_nothing_in_clear_where_the_address_is_https(simulator: ThreadedSimulator) -> None:
    assert simulator_here(ApiSettings(url=simulator.url.replace("http:", "https:")), machine_clock) is None
    assert simulator.requests == []


def test_takes_a_server_that_is_no_simulator_for_an_api_of_its_own(
    lake_root: str, settings_for: Callable[..., Settings]
) -> None:
    with HTTPServer(("127.0.0.1", 0), _Mirror) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            chosen = settings_for(lake_root, f"http://127.0.0.1:{server.server_port}")
            assert simulator_here(chosen.api, machine_clock) is None
            assert planning._asked(chosen).identity == chosen.api.url
        finally:
            server.shutdown()


class _Mirror(BaseHTTPRequestHandler):
    """Answers every request, and says nothing of a seed."""

    def do_GET(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_refuses_an_empty_range(lake: Settings) -> None:
    with pytest.raises(UsageError, match="--from 2024-01-05T00:00Z is not before --to 2024-01-05T00:00Z"):
        asked(lake, "2024-01-05", None)


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        ("2010-01-01", "2010-02-01", "ends before the API's first half-hour, 2018-05-10T23:30Z"),
        ("2099-01-01", "9999-12-31", "is in the future of the lake's clock (2024-01-05T00:00Z)"),
    ],
)
def test_says_of_a_range_outside_that_it_is(
    lake: Settings, caplog: pytest.LogCaptureFixture, start: str, end: str, why: str
) -> None:
    for force in (False, True):
        assert asked(lake, start, end, force=force) == []
    assert [record.getMessage() for record in caplog.records] == [f"The range {why}: {NOTHING[start]}."] * 2


NOTHING = {"2010-01-01": "there is nothing to ask for", "2099-01-01": "there is nothing to ask for yet"}


def test_asks_again_for_what_an_import_was_believed_to_hold(lake: Settings) -> None:
    """As older releases took in bodies whose periods hold no record: Silver has read them, and found nothing."""
    one, two = slots("2023-12-20", "2023-12-21"), slots("2023-12-21", "2023-12-22")
    (national,) = receive(lake, "2023-12-20", "2023-12-21", "2024-01-01", source=SIMULATED, file="national.json")
    (broken,) = receive(lake, "2023-12-21", "2023-12-22", "2024-01-01", source=SIMULATED, file="broken.json")
    refine(lake, {at("2023-12-01"): [1]}, landing=0)
    assert asked(lake, "2023-12-20", "2023-12-22") == []  # Silver has not looked at them
    refuse(lake, *((national, None, f"{slot:%FT%H:%MZ}", ["readable", "key_present"]) for slot in one))
    refuse(lake, *((broken, "7", f"{slot:%FT%H:%MZ}", ["label_known"]) for slot in two))
    refine(lake, {at("2023-12-02"): [1]}, landing=1)
    assert asked(lake, "2023-12-20", "2023-12-22") == [("20 00:30", "21 00:00", "asked again after empty")]


def test_is_not_steered_by_times_that_cannot_be(lake: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """As older releases landed them: windows of years that the API never knew, and answers from the future."""
    half_hour = timedelta(minutes=30)
    for year in (1001, 1677, 1970, 2017, 2262, 2999):
        receive(lake, f"{year}-06-01", f"{year}-06-02", "2024-01-04", source=SIMULATED, file=f"{year}.json")
    assert asked(lake, None, None)[0] == ("29 00:30", "31 23:30", "new")  # as in an empty lake
    assert caplog.records == []
    receive(lake, "2024-01-01", "2024-01-02", "2099-01-01", source=SIMULATED, file="future.json")
    assert asked(lake, "2024-01-01", "2024-01-02") == [("01 00:30", "02 00:00", "may have changed")]
    assert "were received at 2099-01-01T00:00Z, after its clock (2024-01-05T00:00Z)" in caplog.text
    receive(lake, "2024-01-01", "2024-01-02", "2024-01-05", source=SIMULATED)
    assert asked(lake, "2024-01-01", "2024-01-02") == []
    assert fetch_history.read(lake).now(machine_clock()) - at("2024-01-05") < half_hour


def test_never_asks_for_what_was_before_the_api(lake: Settings) -> None:
    known, source = fetch_history.read(lake), Source(SIMULATED, at("2024-01-05"))
    reasons = planning.reasons_to_fetch(known, at("2018-01-01"), at("2018-05-12"), source, lake, force=False)
    assert reasons == {Reason.NEW: [Span(at("2018-05-10T23:30"), at("2018-05-12"))]}


def test_keeps_thirty_years_of_half_hourly_runs_quick(lake: Settings) -> None:
    """A receipt for each of 525,000 half-hours, most of them seen many times."""
    start = at("2018-05-10T23:30")
    half = timedelta(minutes=30)
    many = [
        LoggedFetch(Span(start + number * half, start + (number + 96) * half), start + (number + 96) * half)
        for number in range(0, 525_000, 16)
    ]
    known = fetch_history.FetchHistory(fetch_log=FetchLog.of(many))
    now = start + 525_200 * half
    began = time.perf_counter()
    reasons = planning.reasons_to_fetch(known, None, None, Source(SIMULATED, now), lake, force=False)
    assert time.perf_counter() - began < 5  # takes less than 0.5 s
    assert reasons[Reason.NEW][-1].end == now


def test_answers_on_the_command_line_without_spark(lake: Settings, simulator: ThreadedSimulator) -> None:
    command = """
import sys
from lakehouse import cli
code = cli.exit_code(sys.argv[1:])
assert not {"pyspark", "delta", "aiohttp"} & set(sys.modules), sorted(sys.modules)
sys.exit(code)
"""
    project = Path(__file__).resolve().parents[2]
    arguments = ["--root", lake.root, "plan", "--from", "2024-01-01", "--to", "2024-01-03"]

    def call(*more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments, *more],
            capture_output=True,
            text=True,
            cwd=project,
            env={"LAKEHOUSE_API__URL": simulator.url},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    document: dict[str, Any] = json.loads(call("--json"))
    assert document["requests"] == [
        {
            "window_start": "2024-01-01T00:30:00Z",
            "window_end": "2024-01-03T00:00:00Z",
            "half_hours": 96,
            "why": "new",
        }
    ]
    assert (document["requests_count"], document["bytes"]) == (1, 672_000)
    assert "1 request, 96 half-hours, about 656.2 KiB" in call()
    assert not Path(lake.root).exists()
    assert len(simulator.requests) == 2  # its clock, once for each call


def test_sums_requests_up_as_far_as_their_reason_is_the_same() -> None:
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 6)]
    half = timedelta(minutes=30)
    whys = ["new", "new", "may have changed", "new"]
    rows = [
        {"window_start": start + half, "window_end": end, "half_hours": 48, "why": why}
        for (start, end), why in zip(itertools.pairwise(days), whys, strict=True)
    ]
    found = [tuple(row.values()) for row in planning.summed_up(rows)]
    assert found == [
        (2, days[0], days[2], 96, "new"),
        (1, days[2], days[3], 48, "may have changed"),
        (1, days[3], days[4], 48, "new"),
    ]
    assert planning.summed_up([]) == []


def test_gives_every_reason_that_touches_a_request() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    halves = [start + timedelta(minutes=30 * number) for number in range(9)]
    reasons = {Reason.NEW: [Span(halves[0], halves[2]), Span(halves[5], halves[6])], Reason.FORCED: []}
    touched = [planning._touches(Span(a, b), reasons[Reason.NEW]) for a, b in itertools.pairwise(halves)]
    assert touched == [True, True, False, False, False, True, False, False]
    assert not planning._touches(Span(halves[0], halves[8]), reasons[Reason.FORCED])
