"""From the simulator's sockets into Bronze: exact, in few commits, within memory, whatever ends it."""

import asyncio
import hashlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import ApiUnavailableError
from lakehouse.ingestion import fetch_history, gaps, planning
from lakehouse.ingestion.api import Client
from lakehouse.ingestion.coverage import Reason
from lakehouse.ingestion.ingest import BronzeWriter, until_interrupted, write_from_api
from lakehouse.ingestion.source import Source
from lakehouse.lake.commits import Commit
from lakehouse.pipeline import Run
from lakehouse.settings import Settings
from lakehouse.simulator import Simulator, ThreadedSimulator, parse_script
from lakehouse.windows import Span, Window, plan
from tests.support.lake_rows import bronze_rows, landing_in, quick_append
from tests.support.times import at

DAYS = plan([Span(at("2023-12-20"), at("2023-12-26"))], 48)


@pytest.fixture
async def api() -> AsyncIterator[Simulator]:
    async with Simulator(now=datetime(2024, 1, 5, tzinfo=UTC)) as running:
        yield running


@pytest.fixture
def lake(settings_for: Callable[..., Settings], lake_root: str, api: Simulator) -> Settings:
    return settings_for(lake_root, api.url)


async def no_wait(seconds: float) -> None:
    await asyncio.sleep(0)


def client_of(lake: Settings) -> Client:
    return Client(lake.api, lambda: datetime.now(UTC), sleep=no_wait, timer=lambda: 0.0)


async def landed(lake: Settings, landing: BronzeWriter, windows: list[Window]) -> int:
    """Land windows; gives how many failed."""
    async with client_of(lake) as client:
        return len(await write_from_api(client, windows, landing))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (what it looks at says nothing when it changes)
            await asyncio.sleep(0.01)


async def test_lands_what_came_and_how(lake: Settings, api: Simulator) -> None:
    odd = '{ "data" : [ ],\r\n\t"caf\\u00e9" : "café \\/ 🎉",  "n":1.0e0 }\n'
    api.script.add(
        *parse_script(
            [
                {"fault": "status", "status": 200, "body": odd, "match": {"window_start": "2023-12-20T00:30Z"}},
                {"fault": "empty_object", "match": {"window_start": "2023-12-21T00:30Z"}},
                {"fault": "no_body", "match": {"window_start": "2023-12-22T00:30Z"}},
                {"fault": "cut_json", "match": {"window_start": "2023-12-23T00:30Z"}},
            ]
        )
    )
    landing = landing_in(lake, source="simulator:seed=42")
    assert await landed(lake, landing, DAYS) == 0
    rows = sorted(bronze_rows(lake), key=lambda row: row["window_start"])
    assert [row["body"] for row in rows[:3]] == [odd.encode(), b"{}", b""]
    assert all(row["body_sha256"] == hashlib.sha256(row["body"]).hexdigest() for row in rows)
    assert [row["n_periods"] for row in rows] == [0, 0, 0, 48, 48, 48]
    assert [len(row["absent"]) for row in rows] == [48, 48, 48, 0, 0, 0]
    assert [row["attempts"] for row in rows] == [1, 1, 1, 2, 1, 1]
    assert {(row["http_status"], row["ingestion_timestamp"], row["landing"]) for row in rows} == {
        (200, at("2024-01-05"), 1)  # by the simulator's clock
    }
    assert rows[0]["source_url"] == f"{api.url}/regional/intensity/2023-12-20T00:30Z/2023-12-21T00:00Z"
    assert dict(rows[0]["headers"])["x-simulator-seed"] == "42"
    assert landing.counts() == {"received": 6, "duplicates": 0, "inserted": 6, "empty": 3}


NO_ANSWERS = {
    "2023-12-20T00:30Z": '{"data":{"regionid":true,"data":[{"from":"2023-12-20T00:00Z","intensity":{}}]}}',
    "2023-12-21T00:30Z": '{"data":[{"from":"2023-12-21T00:00Z","intensity":{"forecast":1}}]}',
    "2023-12-22T00:30Z": "<html>caf\u00e9</html>",
    "2023-12-23T00:30Z": '{"data":{"regionid":13,"data":[{"from":"2023-12-23T00:00Z","intensity":{}}]}}',
}


async def test_lands_the_others_and_asks_again_for_what_was_no_answer(lake: Settings, api: Simulator) -> None:
    once = lake.model_copy(update={"api": lake.api.model_copy(update={"attempts": 1, "give_up_after": 9})})
    for inserted in (6, 1):  # the second time what is not understood is known, what is about one region is another
        rules = [
            {"fault": "status", "status": 200, "body": body, "match": {"window_start": start}}
            for start, body in NO_ANSWERS.items()
        ]
        api.script.add(*parse_script(rules))
        api.now += timedelta(minutes=1)
        landing = landing_in(lake, source="simulator:seed=42")
        known, source = fetch_history.read(lake), Source("simulator:seed=42", api.now)
        missing = planning.reasons_to_fetch(known, at("2023-12-20"), at("2023-12-24"), source, lake, force=False)
        assert missing == {Reason.NEW: [Span(at("2023-12-20"), at("2023-12-24"))]}
        assert await landed(once, landing, DAYS[:4] if inserted == 1 else DAYS) == 4
        assert landing.inserted == inserted
    rows = bronze_rows(lake)
    assert [(f"{row['window_start']:%d}", row["regionid"], row["n_periods"]) for row in rows] == [
        *(("20", 0, 1), ("21", 0, 1), ("22", 0, 1), ("23", 13, 1), ("24", None, 48), ("25", None, 48)),
        ("23", 13, 1),
    ]
    assert [row["body"].decode() for row in rows[:4]] == list(NO_ANSWERS.values())
    assert await landed(lake, landing_in(lake, source="simulator:seed=42"), DAYS[:4]) == 0
    known = fetch_history.read(lake)
    assert planning.reasons_to_fetch(known, at("2023-12-20"), at("2023-12-24"), source, lake, force=False) == {}


async def test_asks_on_while_a_batch_is_committed_until_the_next_is_full(lake: Settings, api: Simulator) -> None:
    windows = plan([Span(at("2023-12-20"), at("2023-12-21"))], 1)
    begun, go_on = threading.Event(), threading.Event()

    def append(responses: pa.Table, commit: Commit) -> int:
        begun.set()
        assert go_on.wait(20)
        return quick_append(lake)(responses, commit)

    landing = landing_in(lake, batch_bytes=1)  # every response is a batch
    landing.append = append
    everything = asyncio.create_task(landed(lake, landing, windows))
    # One is being committed, and each of five workers waits with the one that it has brought since.
    await until(lambda: begun.is_set() and api.request_count == 6)
    await asyncio.sleep(0.1)
    assert api.request_count == 6
    go_on.set()
    assert await everything == 0
    landings = [row["landing"] for row in bronze_rows(lake)]
    assert (len(landings), landings.count(1)) == (48, 1)


async def test_commits_what_it_has_when_it_is_cancelled(lake: Settings, api: Simulator) -> None:
    api.script.add(*parse_script([{"fault": "stall_headers", "match": {"nth": 4}, "times": None}]))
    one_at_a_time = lake.model_copy(update={"api": lake.api.model_copy(update={"concurrency": 1})})
    landing = landing_in(lake)
    everything = asyncio.create_task(landed(one_at_a_time, landing, DAYS))
    await asyncio.wait_for(api.until_held(), 10)
    everything.cancel()
    with pytest.raises(asyncio.CancelledError):
        await everything
    assert [row["window_start"] for row in bronze_rows(lake)] == [window.start for window in DAYS[:3]]


async def test_waits_for_a_commit_under_way_when_it_is_cancelled(lake: Settings, api: Simulator) -> None:
    api.script.add(*parse_script([{"fault": "stall_headers", "match": {"nth": 4}, "times": None}]))
    begun, go_on = threading.Event(), threading.Event()

    def append(responses: pa.Table, commit: Commit) -> int:
        if not begun.is_set():
            begun.set()
            assert go_on.wait(20)
        return quick_append(lake)(responses, commit)

    landing = landing_in(lake, batch_bytes=600_000)  # two days
    landing.append = append
    one_at_a_time = lake.model_copy(update={"api": lake.api.model_copy(update={"concurrency": 1})})
    everything = asyncio.create_task(landed(one_at_a_time, landing, DAYS))
    await asyncio.wait_for(api.until_held(), 10)
    await until(begun.is_set)
    everything.cancel()
    await asyncio.sleep(0.05)
    assert not everything.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await everything
    assert sorted((row["landing"], row["window_start"]) for row in bronze_rows(lake)) == [
        (1, DAYS[0].start),
        (1, DAYS[1].start),
        (2, DAYS[2].start),
    ]


async def test_fails_when_a_commit_fails(lake: Settings, api: Simulator) -> None:
    def append(responses: pa.Table, commit: Commit) -> int:
        raise OSError("no space left on the device")

    landing = landing_in(lake, batch_bytes=1)
    landing.append = append
    with pytest.raises(OSError, match="no space left"):
        await landed(lake, landing, DAYS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_with_what_it_has_at_the_first_signal(number: signal.Signals) -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            os.kill(os.getpid(), number)  # an impatient second one must not break the last commit
            await asyncio.sleep(0.05)
            said.append("landed")
            raise

    def sparks_own(number: int, frame: object) -> None:
        raise AssertionError("called in the middle of the work")

    before = signal.signal(number, sparks_own)
    try:
        with pytest.raises(KeyboardInterrupt):
            until_interrupted(work())
        assert said == ["landed"]
        assert signal.getsignal(number) is sparks_own
    finally:
        signal.signal(number, before)


def test_is_interrupted_even_while_the_last_batch_is_committed() -> None:
    async def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)  # noqa: ASYNC251 (a commit holds the event loop, and nothing is awaited after it)
        return "landed"

    with pytest.raises(KeyboardInterrupt):
        until_interrupted(work())


def test_goes_on_when_signals_are_ignored() -> None:
    async def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.05)
        return "done"

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and shells in the background do
    try:
        assert until_interrupted(work()) == "done"
    finally:
        signal.signal(signal.SIGINT, before)


def test_gives_the_result_when_nobody_interrupts() -> None:
    async def work() -> str:
        return "done"

    assert until_interrupted(work()) == "done"


def _in_a_thread(work: Callable[[], Coroutine[Any, Any, str]]) -> list[str]:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(until_interrupted(work())))
    thread.start()
    thread.join(20)
    return found


def test_leaves_signals_alone_outside_the_main_thread() -> None:
    async def work() -> str:
        return "done"

    assert _in_a_thread(work) == ["done"]


def test_keeps_what_came_names_what_did_not_and_goes_on_from_there(
    settings_for: Callable[..., Settings], lake_root: str, simulator: ThreadedSimulator, spark: SparkSession
) -> None:
    lake = settings_for(lake_root, simulator.url, window_half_hours=48)
    faults = (
        {"fault": "region_missing", "match": {"window_start": "2023-12-20T00:30Z"}},
        {"fault": "forecast_value", "value": "abc", "regionid": 5, "match": {"window_start": "2023-12-21T00:30Z"}},
        {"fault": "empty_list", "match": {"window_start": "2023-12-22T00:30Z"}},
        {"fault": "status", "status": 503, "times": None, "match": {"window_start": "2023-12-23T00:30Z"}},
    )
    simulator.add_rules(parse_script(list(faults)))

    def run() -> Run:
        return Run(lake, "bronze", client_options={"sleep": no_wait, "timer": lambda: 0.0})

    with (first := run()).recorded():
        with pytest.raises(ApiUnavailableError, match=r"^1 window could not be fetched.*HTTP 503") as caught:
            first.fetch(at("2023-12-20"), at("2023-12-26"))
        first.transform(["silver"])
    assert caught.value.exit_code == 4
    stopped = first.report.stages[0]
    assert (stopped.stage, stopped.status, stopped.version) == ("bronze", "failed", 1)
    assert dict(stopped.counts) == {"received": 5, "duplicates": 0, "inserted": 5, "empty": 1}
    assert stopped.seconds > 0
    assert len(bronze_rows(lake)) == 5

    def missing() -> list[tuple[str, ...]]:
        rows = [gap.row() for gap in gaps.find(lake, None, at("2023-12-26")).gaps]
        return [
            (f"{row['from']:%d %H:%M}", f"{row['to']:%d %H:%M}", row["cause"], str(row["regions"]), row["detail"])
            for row in rows
        ]

    assert missing() == [
        ("20 00:00", "21 00:00", "region missing in the answer", "[13]", ""),
        ("21 00:00", "21 00:30", "quarantined", "[5]", "forecast_is_integer, forecast_plausible"),
        ("22 00:00", "23 00:00", "upstream empty", "[]", "answered 2024-01-05"),
        ("23 00:00", "24 00:00", "fetch failed", "[]", "HTTP 503 Service Unavailable"),
    ]
    rows, _ = planning.requests(lake, at("2023-12-20"), at("2023-12-26"), force=False)
    assert [(f"{row['window_start']:%d %H:%M}", row["why"]) for row in rows] == [("23 00:30", "new")]

    simulator.clear_rules()
    asked_before = len(simulator.requests)
    with (second := run()).recorded():
        second.fetch(at("2023-12-20"), at("2023-12-26"))
    assert [request.path for request in simulator.requests[asked_before:]] == [
        "/regional",
        "/regional/intensity/2023-12-23T00:30Z/2023-12-24T00:00Z",
    ]
    assert [gap[2] for gap in missing()] == ["region missing in the answer", "quarantined", "upstream empty"]
