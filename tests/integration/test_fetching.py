"""Many windows at once: halved where they are too long, given up where nobody answers, in the hands of the caller."""

import asyncio
from collections.abc import Callable

import pytest

from lakehouse.ingestion.api import Client, Failure
from lakehouse.ingestion.bronze import Response
from lakehouse.ingestion.fetching import fetch_all, unreachable
from lakehouse.simulator import Simulator
from lakehouse.windows import Span, Window, plan
from tests.support.api_fixtures import FOREVER, SLOTS, WINDOW, Time, collected, order, until
from tests.support.times import at


async def test_halves_a_window_that_is_too_long(api: Simulator, client_for: Callable[..., Client]) -> None:
    order(api, {"fault": "window_too_long", "times": 3})
    week = plan([Span(at("2023-12-01T00:00"), at("2023-12-08T00:00"))])
    async with client_for(concurrency=1, max_body_mib=32) as client:
        results = await collected(client, week)
    assert [result.window for result in results] == [
        Window(at("2023-12-01T00:30"), at("2023-12-01T21:00")),
        Window(at("2023-12-01T21:30"), at("2023-12-02T18:00")),
        Window(at("2023-12-02T18:30"), at("2023-12-04T12:00")),
        Window(at("2023-12-04T12:30"), at("2023-12-08T00:00")),
    ]
    slots = [slot for result in results if isinstance(result, Response) for slot in result.contents.periods]
    assert (len(slots), len(set(slots))) == (336, 336)
    assert (min(slots), max(slots)) == (at("2023-12-01T00:00"), at("2023-12-07T23:30"))


async def test_does_not_halve_a_day_that_is_refused(api: Simulator, client_for: Callable[..., Client]) -> None:
    order(api, {"fault": "window_too_long"} | FOREVER)
    async with client_for() as client:
        (result,) = await collected(client, plan([Span(at("2023-12-01T00:00"), at("2023-12-02T00:00"))]))
    assert isinstance(result, Failure)
    assert (result.error, api.request_count) == ("HTTP 400 Bad Request", 1)


async def test_stops_asking_after_several_windows_in_a_row_failed(
    api: Simulator, own_time: Time, client_for: Callable[..., Client]
) -> None:
    windows = plan([Span(at("2024-01-02T00:00"), at("2024-01-02T10:00"))], 1)
    order(api, {"fault": "status", "status": 502, "match": {"nth": 3}} | FOREVER)
    async with client_for(concurrency=1, give_up_after=3) as client:
        results = await collected(client, windows)
    failures = [result for result in results if isinstance(result, Failure)]
    assert (len(results), len(failures), api.request_count) == (20, 18, 2 + 3 * 3)
    assert [failure.asked for failure in failures] == [True] * 3 + [False] * 15
    assert failures[-1].error == "not asked: 3 windows in a row had failed, the last: HTTP 502 Bad Gateway"
    error = unreachable(failures)
    assert (error.exit_code, "18 windows" in str(error), "HTTP 502" in str(error)) == (4, True, True)


async def test_goes_on_after_single_windows_failed(api: Simulator, client_for: Callable[..., Client]) -> None:
    windows = plan([Span(at("2024-01-02T00:00"), at("2024-01-02T10:00"))], 1)
    order(api, {"fault": "status", "status": 404, "match": {"every": 2}} | FOREVER)
    async with client_for(concurrency=1, give_up_after=2) as client:
        results = await collected(client, windows)
    assert sum(isinstance(result, Failure) for result in results) == 10
    assert api.request_count == 20


async def test_survives_a_server_that_goes_and_comes_back(
    api: Simulator, own_time: Time, client_for: Callable[..., Client]
) -> None:
    windows = plan([Span(at("2024-01-02T00:00"), at("2024-01-02T02:00"))], 1)
    order(api, {"fault": "stall_headers", "match": {"nth": 2}})

    async def sleep(seconds: float) -> None:
        await own_time.sleep(seconds)
        await api.start()

    async with client_for(concurrency=1) as client:
        client.sleep = sleep
        everything = asyncio.create_task(collected(client, windows))
        await asyncio.wait_for(api.until_held(), 10)
        await api.stop()
        results = await everything
    assert [slot for result in results if isinstance(result, Response) for slot in result.contents.periods] == list(
        SLOTS
    )
    assert own_time.waits == [2]


async def test_asks_no_more_while_its_caller_is_busy_and_ends_when_told_to(
    api: Simulator, client_for: Callable[..., Client]
) -> None:
    windows = plan([Span(at("2024-01-02T00:00"), at("2024-01-03T00:00"))], 1)
    taken: list[Response | Failure] = []

    async def busy(result: Response | Failure) -> None:
        taken.append(result)
        await asyncio.Event().wait()

    async with client_for(concurrency=5) as client:
        everything = asyncio.create_task(fetch_all(client, windows, busy))
        await until(lambda: len(taken) == 5)
        everything.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(everything, 10)
    assert api.request_count == 5


async def test_lets_an_error_of_its_caller_through(api: Simulator, client_for: Callable[..., Client]) -> None:
    async def fail(result: Response | Failure) -> None:
        if result.window == WINDOW:
            raise OSError("no space left")

    async with client_for() as client:
        with pytest.raises(OSError, match="no space left"):
            await fetch_all(client, [WINDOW, *plan([Span(SLOTS[0], at("2024-01-03T00:00"))], 1)], fail)
    assert api.request_count < 49
