"""The client against every fault of the simulator, over real sockets; time is the test's own.

One row per fault: the script, what comes of it, and the waits between the attempts.
"""

import asyncio
import hashlib
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from lakehouse.errors import ApiUnavailableError, UsageError
from lakehouse.ingestion.api import Client, Failure
from lakehouse.ingestion.bronze import Response
from lakehouse.ingestion.retries import RefusedError, TransientError, retry_after
from lakehouse.ingestion.source import clock_of
from lakehouse.settings.sections import ApiSettings
from lakehouse.simulator import Simulator
from lakehouse.windows import Span, plan
from tests.support.api_fixtures import FOREVER, NOW, SLOTS, WINDOW, Time, collected, order, until
from tests.support.times import at

MIB = 1024 * 1024


# --- faults that pass: the next attempt is good

QUICK = {"read_timeout_seconds": 0.3, "attempt_timeout_seconds": 0.6}


@pytest.mark.parametrize(
    ("rule", "settings", "waits"),
    [
        ({"fault": "status", "status": 429, "retry_after_s": 7}, {}, [7]),
        ({"fault": "status", "status": 429, "retry_after_s": 0}, {}, [0]),
        ({"fault": "status", "status": 429, "retry_after_s": 90_000}, {}, [120]),
        ({"fault": "status", "status": 429}, {}, [5]),
        ({"fault": "status", "status": 429, "headers": {"Retry-After": "soon"}}, {}, [5]),
        ({"fault": "status", "status": 429, "times": 3}, {"attempts": 4}, [5, 10, 15]),
        ({"fault": "status", "status": 500}, {}, [2]),
        ({"fault": "status", "status": 503, "times": 4}, {"attempts": 5}, [2, 4, 6, 6]),
        ({"fault": "status", "status": 408}, {}, [2]),
        ({"fault": "status", "status": 204}, {}, [2]),
        ({"fault": "stall_headers"}, QUICK, [2]),
        ({"fault": "stall_body"}, QUICK, [2]),
        ({"fault": "slow_drip", "pause_s": 0.05}, QUICK, [2]),
        ({"fault": "disconnect"}, {}, [2]),
        ({"fault": "reset"}, {}, [2]),
        ({"fault": "truncated_gzip"}, {}, [2]),
        ({"fault": "html"}, {}, [2]),
        ({"fault": "html", "content_type": "application/json"}, {}, [2]),
        ({"fault": "cut_json"}, {}, [2]),
        ({"fault": "status", "status": 200, "body": '{"error":{"code":"500 Internal Server Error"}}'}, {}, [2]),
        ({"fault": "status", "status": 200, "headers": {"Content-Encoding": "br"}, "body": "x"}, {}, [2]),
        ({"fault": "status", "status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "x"}, {}, [2]),
    ],
    ids=lambda value: "-".join(f"{part}" for part in value.values()) if isinstance(value, dict) and value else None,
)
async def test_asks_again_after_a_passing_fault(
    api: Simulator, own_time: Time, client_for: Callable[..., Client], rule: Any, settings: Any, waits: list[float]
) -> None:
    order(api, rule)
    async with client_for(**settings) as client:
        response = await client.fetch(WINDOW)
    assert own_time.waits == waits
    assert (response.attempts, api.request_count) == (len(waits) + 1, len(waits) + 1)
    assert response.contents.periods == SLOTS


async def test_waits_until_the_date_that_a_429_names(
    api: Simulator, own_time: Time, client_for: Callable[..., Client]
) -> None:
    order(api, {"fault": "status", "status": 429, "retry_after_s": 90, "retry_after_date": True})
    async with client_for() as client:
        await client.fetch(WINDOW)
    assert own_time.waits == [pytest.approx(90, abs=1.1)]  # both dates are whole seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "Fri, 05 Jan 2024 12:00:30 GMT", "Date": "Fri, 05 Jan 2024 12:00:00 GMT"}, 30),
        ({"Retry-After": "Fri, 05 Jan 2024 12:00:30 GMT", "Date": "no date"}, 3630),
        ({"Retry-After": "Fri, 05 Jan 2024 12:00:30 GMT"}, 3630),
        ({"Retry-After": "Fri, 05 Jan 2024 10:00:00 GMT"}, -3600),
        ({"Retry-After": " 12 "}, 12),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_reads_retry_after_by_the_servers_own_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, at("2024-01-05T11:00")) == seconds


async def test_adds_jitter_to_every_wait(api: Simulator, own_time: Time, client_for: Callable[..., Client]) -> None:
    order(api, {"fault": "status", "status": 500, "times": 2})
    async with client_for() as client:
        client.jitter = iter((0.25, 0.5)).__next__
        await client.fetch(WINDOW)
    assert own_time.waits == [2.25, 4.5]


# --- faults that stay


@pytest.mark.parametrize(
    ("rule", "settings", "why", "waits"),
    [
        ({"fault": "status", "status": 500}, {}, "HTTP 500 Internal Server Error", [2, 4]),
        ({"fault": "status", "status": 429, "retry_after_s": 1}, {}, "HTTP 429 Too Many Requests", [1, 1]),
        ({"fault": "stall_headers"}, QUICK, "nothing came for 0.3 s", [2, 4]),
        ({"fault": "slow_drip", "pause_s": 0.05}, QUICK | {"attempts": 1}, "no complete answer within 0.6 s", []),
        ({"fault": "html"}, {}, "not usable: it is not valid JSON", [2, 4]),
        ({"fault": "truncated_gzip"}, {}, "does not end where it should", [2, 4]),
    ],
)
async def test_gives_up_after_all_attempts(
    api: Simulator,
    own_time: Time,
    client_for: Callable[..., Client],
    rule: Any,
    settings: Any,
    why: str,
    waits: list[float],
) -> None:
    order(api, rule | FOREVER)
    async with client_for(**settings) as client:
        with pytest.raises(TransientError, match=why):
            await client.fetch(WINDOW)
    assert own_time.waits == waits
    assert api.request_count == len(waits) + 1


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"fault": "status", "status": 400}, "HTTP 400"),
        ({"fault": "status", "status": 401}, "HTTP 401"),
        ({"fault": "status", "status": 403}, "HTTP 403"),
        ({"fault": "status", "status": 404}, "HTTP 404"),
        ({"fault": "status", "status": 425}, "HTTP 425"),
        ({"fault": "redirect", "location": "http://elsewhere.invalid/x"}, "redirects to http://elsewhere.invalid/x"),
        ({"fault": "redirect", "location": "/regional", "status": 308}, "redirects to /regional"),
        ({"fault": "oversize_body", "mebibytes": 3}, "larger than 1 MiB"),
        ({"fault": "oversize_body", "mebibytes": 3, "declare_length": False}, "larger than 1 MiB"),
        ({"fault": "gzip_bomb", "mebibytes": 3}, "larger than 1 MiB"),
    ],
)
async def test_never_asks_again_what_is_refused(
    api: Simulator, own_time: Time, client_for: Callable[..., Client], rule: Any, why: str
) -> None:
    order(api, rule | FOREVER)
    async with client_for() as client:
        with pytest.raises(RefusedError, match=why):
            await client.fetch(WINDOW)
    assert (own_time.waits, api.request_count) == ([], 1)


async def test_never_holds_what_a_gzip_bomb_unpacks_to(api: Simulator, client_for: Callable[..., Client]) -> None:
    order(api, {"fault": "gzip_bomb", "mebibytes": 256})
    async with client_for() as client:
        tracemalloc.start()
        try:
            with pytest.raises(RefusedError, match="larger than 1 MiB"):
                await client.fetch(WINDOW)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 16 * MIB


# --- answers that are strange but answers: landed as they are, asked once


@pytest.mark.parametrize(
    ("rule", "periods", "lacked"),
    [
        ({"fault": "empty_object"}, 0, SLOTS),
        ({"fault": "empty_list"}, 0, SLOTS),
        ({"fault": "no_body"}, 0, SLOTS),
        ({"fault": "forecast_value", "value": "abc"}, 4, ()),
        ({"fault": "perc_value"}, 4, ()),
        ({"fault": "regions_value"}, 4, SLOTS[:1]),
        ({"fault": "region_missing"}, 4, ()),
        ({"fault": "region_extra"}, 4, ()),
        ({"fault": "fuel_missing"}, 4, ()),
        ({"fault": "fuel_extra"}, 4, ()),
        ({"fault": "half_hour_twice"}, 5, ()),
        ({"fault": "outside_window"}, 6, ()),
        ({"fault": "keys_reordered"}, 4, ()),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else None,
)
async def test_takes_a_strange_answer_as_it_is(
    api: Simulator, own_time: Time, client_for: Callable[..., Client], rule: Any, periods: int, lacked: Any
) -> None:
    order(api, rule)
    async with client_for() as client:
        response = await client.fetch(WINDOW)
    assert len(response.contents.periods) == periods
    assert response.row(source="s", landing=1, run_id="r")["absent"] == list(lacked)
    assert (own_time.waits, api.request_count, response.attempts) == ([], 1, 1)


ABOUT_ONE = '{"data":{"regionid":%s,"data":[{"from":"2024-01-02T00:00Z","intensity":{}}]}}'


@pytest.mark.parametrize(
    ("body", "regionid", "why"),
    [
        ("<html>no</html>", 0, "it is not valid JSON"),
        ('{"error":{"code":"500"}}', 0, "it is an error message of the API"),
        ('{"data":[{"from":"2024-01-02T00:00Z","intensity":{"forecast":1}}]}', 0, "it is no answer about regions"),
        (ABOUT_ONE % "true", 0, "its 'regionid' is true"),
        (ABOUT_ONE % "13", 13, "it is about one region and not about all"),
    ],
)
async def test_hands_on_what_is_no_answer_with_the_failure(
    api: Simulator, client_for: Callable[..., Client], body: str, regionid: int, why: str
) -> None:
    order(api, {"fault": "status", "status": 200, "body": body, **FOREVER})
    async with client_for(attempts=2) as client:
        (failure,) = await collected(client, [WINDOW])
    assert isinstance(failure, Failure)
    assert why in failure.error
    assert failure.response is not None
    row = failure.response.row(source="s", landing=1, run_id="r")
    assert (row["body"], row["regionid"], row["n_periods"], row["attempts"]) == (body.encode(), regionid, 1, 2)


def test_believes_no_clock_but_a_simulators() -> None:
    now = datetime(2024, 1, 5, tzinfo=UTC)
    for headers in (
        {"X-Simulator-Now": "2099-01-01T00:00:00Z"},
        {"X-Simulator-Seed": "1", "X-Simulator-Now": "9999-12-31T23:59:59-14:00"},
        {"X-Simulator-Seed": "1", "X-Simulator-Now": "9000-01-01T00:00:00Z"},
        {"X-Simulator-Seed": "1", "X-Simulator-Now": "0001-01-01T00:00:00Z"},
        {"Date": "Fri, 01 Jan 2099 00:00:00 GMT"},
    ):
        assert clock_of(headers, lambda: now) == now
    told = {"X-Simulator-Seed": "1", "X-Simulator-Now": "2030-01-01T00:00:00Z"}
    assert clock_of(told, lambda: now) == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("packed", [False, True])
async def test_keeps_the_bytes_that_came(client_for: Callable[..., Client], packed: bool) -> None:
    text = '{ "data" : [ ],\r\n\t"caf\\u00e9" : "café \\/ 🎉",  "n":1.0e0 }\n'
    async with Simulator(now=NOW, compress=packed) as other:
        order(other, {"fault": "status", "status": 200, "body": text})
        async with client_for(url=other.url) as client:
            response = await client.fetch(WINDOW)
            good = await client.fetch(WINDOW)
    assert response.body == text.encode()
    assert response.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert (good.headers.get("content-encoding") == "gzip") is packed
    assert good.contents.periods == SLOTS


# --- manners


async def test_says_who_asks_and_nothing_else(api: Simulator, client_for: Callable[..., Client]) -> None:
    order(api, {"fault": "status", "status": 200, "headers": {"Set-Cookie": "a=b"}, "body": "{}"})
    # By name: from an address in digits no client keeps a cookie.
    async with client_for(contact="ops@example.org", url=f"http://localhost:{api.port}") as client:
        await client.fetch(WINDOW)
        await client.fetch(WINDOW)
    first, second = api.requests
    assert first.path == "/regional/intensity/2024-01-02T00:30Z/2024-01-02T02:00Z"
    assert first.headers["User-Agent"] == "carbon-lakehouse/0.1.0 (ops@example.org)"
    assert "Cookie" not in second.headers
    assert "Content-Type" not in first.headers  # the API refuses a GET that has one


async def test_does_not_ask_again_unseen_when_a_kept_connection_dies(
    api: Simulator, client_for: Callable[..., Client]
) -> None:
    order(api, {"fault": "disconnect", "match": {"nth": 2}})
    async with client_for(attempts=1) as client:
        await client.fetch(WINDOW)
        with pytest.raises(TransientError):
            await client.fetch(WINDOW)
    assert api.request_count == 2


async def test_has_at_most_so_many_requests_under_way(api: Simulator, client_for: Callable[..., Client]) -> None:
    order(api, {"fault": "stall_headers", "times": 3})
    async with client_for(concurrency=3) as client:
        asking = [asyncio.create_task(client.fetch(WINDOW)) for _ in range(8)]
        await asyncio.wait_for(api.until_held(3), 10)
        assert api.request_count == 3
        api.release()
        await asyncio.gather(*asking)
    assert (api.peak_in_flight, api.request_count) == (3, 8)


async def test_keeps_to_the_rate(api: Simulator, client_for: Callable[..., Client]) -> None:
    async with client_for(requests_per_second=20) as client:
        began = time.monotonic()
        await asyncio.gather(*(client.fetch(WINDOW) for _ in range(6)))
    assert time.monotonic() - began > 0.2  # five pauses of 50 ms; the first of six needs none


async def test_slows_everybody_after_a_429(api: Simulator, own_time: Time, client_for: Callable[..., Client]) -> None:
    one, two, three = plan([Span(at("2024-01-02T00:00"), at("2024-01-02T01:30"))], 1)
    order(api, {"fault": "status", "status": 429, "retry_after_s": 7}, {"fault": "stall_headers"})
    go_on = asyncio.Event()

    async def sleep(seconds: float) -> None:
        own_time.waits.append(seconds)
        await go_on.wait()
        own_time.now = max(own_time.now, 1007.0)

    async with client_for(concurrency=2) as client:
        client.sleep = sleep
        everything = asyncio.create_task(collected(client, [one, two, three]))
        await asyncio.wait_for(api.until_held(), 10)  # the second request is under way, the first was told 429
        api.release()
        await until(lambda: len(own_time.waits) == 2)  # the worker that was not told 429 waits with its next window
        assert (own_time.waits, api.request_count) == ([7, 7], 2)
        go_on.set()
        assert {type(result) for result in await everything} == {Response}
    assert api.request_count == 4


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://api.example.org", "may go without https"),
        ("http://127.0.0.1.example.org", "may go without https"),
        ("ftp://api.example.org", "write an https:// address"),
        ("api.example.org", "write an https:// address"),
        ("https://user:secret@api.example.org", "write the plain address"),
        ("https://api.example.org?key=secret", "write the plain address"),
    ],
)
async def test_refuses_an_address_that_is_not_safe(url: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        async with Client(ApiSettings(url=url), lambda: NOW):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://api.example.org/", "http://localhost:1", "http://[::1]:1", "http://127.0.0.1:1"]
)
async def test_takes_https_and_this_machine(url: str) -> None:
    async with Client(ApiSettings(url=url), lambda: NOW):
        pass


# --- which API


async def test_knows_a_simulator_by_its_seed_and_clock(
    api: Simulator, own_time: Time, client_for: Callable[..., Client]
) -> None:
    order(api, {"fault": "status", "status": 503})
    async with client_for() as client:
        source = await client.identify()
    assert (source.identity, source.now, own_time.waits) == ("simulator:seed=42", NOW, [2])


async def test_says_that_nobody_answers(own_time: Time, client_for: Callable[..., Client]) -> None:
    async with client_for(url="http://127.0.0.1:9") as client:
        with pytest.raises(ApiUnavailableError, match=r"http://127\.0\.0\.1:9 cannot be asked"):
            await client.identify()
    assert own_time.waits == [2, 4]
