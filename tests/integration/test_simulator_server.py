"""The simulator over real sockets: headers, clock, record of requests, stops and starts, threads, processes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from lakehouse.errors import UsageError
from lakehouse.simulator import Match, Rule, Simulator, fault, run_in_thread

NOW = datetime(2024, 1, 5, tzinfo=UTC)
DAY = "/regional/intensity/2024-01-02T00:30Z/2024-01-02T23:30Z"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(now=NOW) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(simulator.url, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def test_answers_a_get_as_json_with_its_length(client: aiohttp.ClientSession) -> None:
    async with client.get(DAY) as response:
        body = await response.read()
        assert response.status == 200
        assert response.headers["Content-Type"].split(";")[0] == "application/json"
        assert int(response.headers["Content-Length"]) == len(body)
        assert "Content-Encoding" not in response.headers
        assert body.count(b'"regions":') == 47


@pytest.mark.parametrize("path", ["/regional", "/regional/"])
async def test_serves_the_current_half_hour_with_and_without_a_slash(
    client: aiohttp.ClientSession, simulator: Simulator, path: str
) -> None:
    simulator.now = datetime(2024, 1, 5, 10, 40, tzinfo=UTC)
    async with client.get(path) as response:
        (period,) = (await response.json())["data"]
    assert (period["from"], period["to"]) == ("2024-01-05T10:30Z", "2024-01-05T11:00Z")


@pytest.mark.parametrize(("path", "status"), [(DAY, 200), ("/regional/x", 500), ("/regional/regionid/0", 400)])
async def test_states_seed_and_clock_in_every_answer(path: str, status: int) -> None:
    async with Simulator(seed=7, now=NOW) as running, aiohttp.ClientSession(running.url) as client:
        async with client.get(path) as response:
            assert response.status == status
            assert response.headers["X-Simulator-Seed"] == "7"
            assert response.headers["X-Simulator-Now"] == "2024-01-05T00:00:00Z"
        async with client.post(path) as response:
            assert response.status == 405
            assert response.headers["X-Simulator-Seed"] == "7"


async def test_states_seed_and_clock_in_an_answer_with_a_fault() -> None:
    rules = [Rule(fault("status", status=429, retry_after_s=7))]
    async with Simulator(now=NOW, rules=rules) as running, aiohttp.ClientSession(running.url) as client:
        response = await client.get(DAY)
        assert response.status == 429
        assert response.headers["X-Simulator-Seed"] == "42"
        assert response.headers["X-Simulator-Now"] == "2024-01-05T00:00:00Z"


async def test_follows_its_clock_when_it_is_moved(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    path = "/regional/intensity/2024-01-07T00:00Z/fw24h"
    async with client.get(path) as response:
        assert (await response.text()).count('"regions"') == 1
    simulator.now = datetime(2024, 1, 5, 1, 0, 0, 250_000, tzinfo=UTC)
    async with client.get(path) as response:
        assert (await response.text()).count('"regions"') == 3
        assert response.headers["X-Simulator-Now"] == "2024-01-05T01:00:00.250000Z"


async def test_follows_the_machines_clock_when_it_has_none() -> None:
    async with Simulator() as running, aiohttp.ClientSession(running.url) as client:
        response = await client.get("/regional")
        stated = datetime.fromisoformat(response.headers["X-Simulator-Now"])
    assert abs(datetime.now(UTC) - stated) < timedelta(minutes=1)


def test_refuses_a_clock_without_a_time_zone() -> None:
    with pytest.raises(UsageError, match="time zone"):
        Simulator(now=datetime(2024, 1, 5))


def test_refuses_a_seed_of_more_than_64_bits() -> None:
    with pytest.raises(UsageError, match="64 bits"):
        Simulator(seed=2**63)


async def test_understands_an_escaped_path(client: aiohttp.ClientSession) -> None:
    async with client.get("/regional/intensity/2024-01-02T00%3A30Z/2024-01-02T23%3A30Z") as response:
        assert (await response.text()).count('"regions"') == 47


async def test_refuses_a_get_with_a_content_type_header(client: aiohttp.ClientSession) -> None:
    async with client.get(DAY, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "400 Bad Request"


async def test_packs_answers_only_when_told_to(client: aiohttp.ClientSession) -> None:
    async with client.get(DAY) as response:
        plain = await response.read()
    async with Simulator(now=NOW, compress=True) as packing, aiohttp.ClientSession(packing.url) as other:
        async with other.get(DAY, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert await response.read() == plain
        async with other.get(DAY, headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers


async def test_waits_for_its_latency() -> None:
    async with Simulator(now=NOW, latency_ms=150) as running, aiohttp.ClientSession(running.url) as client:
        started = time.monotonic()
        async with client.get("/regional") as response:
            assert response.status == 200
        assert time.monotonic() - started >= 0.15


async def test_remembers_each_request(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    before = datetime.now(UTC)
    async with client.get(f"{DAY}?a=b", headers={"User-Agent": "we/1"}) as response:
        await response.read()
    async with client.get("/regional/x") as response:
        await response.read()
    first, second = simulator.requests
    assert (first.number, first.method, first.path, first.status) == (1, "GET", f"{DAY}?a=b", 200)
    assert first.headers["user-agent"] == "we/1"
    assert before <= first.received_at <= datetime.now(UTC)
    assert (second.number, second.path, second.status, second.fault) == (2, "/regional/x", 500, None)


async def test_counts_requests_under_way(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.script.add(Rule(fault("stall_headers"), times=3))
    tasks = [asyncio.create_task(client.get(DAY)) for _ in range(3)]
    await simulator.until_held(3)
    assert simulator.in_flight == 3
    simulator.release()
    for response in await asyncio.gather(*tasks):
        await response.read()
    assert simulator.in_flight == 0
    assert simulator.peak_in_flight == 3
    assert sorted(request.in_flight for request in simulator.requests) == [1, 2, 3]


async def test_forgets_a_request_whose_client_went_away(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.script.add(Rule(fault("stall_headers")))
    task = asyncio.create_task(client.get(DAY))
    await simulator.until_held()
    task.cancel()
    async with asyncio.timeout(5):
        while simulator.in_flight:  # noqa: ASYNC110 - the server has no event for a client that left
            await asyncio.sleep(0.01)
    assert simulator.hold.waiting == 0


async def test_serves_others_while_it_makes_a_long_answer(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    long = asyncio.create_task(client.get("/regional/intensity/2023-03-01/2023-03-15"))
    while simulator.in_flight == 0:  # noqa: ASYNC110 - only passes control until the request is there
        await asyncio.sleep(0)
    async with client.get("/regional/regionid/13") as response:
        assert response.status == 200
        assert not long.done()
    async with await long as response:
        assert (await response.text()).count('"regions"') == 673


async def test_is_gone_when_stopped_and_back_on_the_same_port(
    client: aiohttp.ClientSession, simulator: Simulator
) -> None:
    async with client.get(DAY) as response:
        before = await response.read()
    url = simulator.url
    await simulator.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(DAY)
    await simulator.start()
    assert simulator.url == url
    async with client.get(DAY) as response:
        assert await response.read() == before
    assert [request.number for request in simulator.requests] == [1, 2]


async def test_breaks_answers_under_way_when_stopped(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.script.add(Rule(fault("stall_headers")))
    task = asyncio.create_task(client.get(DAY))
    await simulator.until_held()
    started = time.monotonic()
    await simulator.stop()
    assert time.monotonic() - started < 2
    with pytest.raises(aiohttp.ClientConnectionError):
        await task
    assert simulator.in_flight == 0


async def test_refuses_a_port_that_is_taken(simulator: Simulator) -> None:
    second = Simulator(port=simulator.port)
    with pytest.raises(UsageError, match=f"Port {simulator.port} on 127.0.0.1 is taken"):
        await second.start()


async def test_refuses_a_host_that_is_not_here() -> None:
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1"):
        await Simulator(host="192.0.2.1").start()


# --- without an event loop


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as response:
        return bytes(response.read())


def test_serves_a_synchronous_caller_from_a_thread() -> None:
    with run_in_thread(Simulator(now=NOW)) as simulator:
        assert fetch(simulator.url + DAY).count(b'"regions":') == 47
        simulator.now = datetime(2024, 1, 2, tzinfo=UTC) - timedelta(days=2)
        assert fetch(simulator.url + DAY) == b"{}"
        assert [request.status for request in simulator.requests] == [200, 200]
        assert simulator.server.peak_in_flight == 1
        url = simulator.url
    with pytest.raises(urllib.error.URLError):
        fetch(url + DAY)


def test_stops_and_starts_in_its_thread() -> None:
    with run_in_thread(Simulator(now=NOW)) as simulator:
        url = simulator.url
        simulator.stop()
        with pytest.raises(urllib.error.URLError):
            fetch(url + DAY)
        simulator.start()
        assert fetch(url + DAY).count(b'"regions":') == 47


def test_holds_and_releases_from_another_thread() -> None:
    with run_in_thread(Simulator(now=NOW)) as simulator:
        simulator.add_rules([Rule(fault("stall_headers"), Match(path_contains="2024-01-02"))])
        bodies: list[bytes] = []
        caller = threading.Thread(target=lambda: bodies.append(fetch(simulator.url + DAY)))
        caller.start()
        simulator.until_held(1)
        assert bodies == []
        assert simulator.server.in_flight == 1
        simulator.release()
        caller.join(10)
        assert bodies[0].count(b'"regions":') == 47


def test_tires_of_waiting_for_a_stall_that_never_comes() -> None:
    with run_in_thread(Simulator(now=NOW)) as simulator, pytest.raises(TimeoutError):
        simulator.until_held(1, timeout_s=0.05)


def test_forgets_its_rules_on_request() -> None:
    with run_in_thread(Simulator(now=NOW, rules=[Rule(fault("status", status=503), times=None)])) as simulator:
        with pytest.raises(urllib.error.HTTPError):
            fetch(simulator.url + DAY)
        simulator.clear_rules()
        assert fetch(simulator.url + DAY).count(b'"regions":') == 47


def test_leaves_no_thread_behind() -> None:
    with run_in_thread(Simulator(now=NOW)):
        assert "simulator" in [thread.name for thread in threading.enumerate()]
    assert "simulator" not in [thread.name for thread in threading.enumerate()]


def test_reports_a_taken_port_from_a_thread() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match="is taken"), run_in_thread(Simulator(port=port)):
            pass


_PROCESS = """
from datetime import UTC, datetime
from lakehouse.simulator import Simulator, serve_forever
serve_forever(Simulator(now=datetime(2024, 1, 5, tzinfo=UTC)), on_ready=lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_as_a_process_until_a_signal(number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", _PROCESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert fetch(url + DAY).count(b'"regions":') == 47
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (out, err, process.returncode) == ("stopped\n", "", 0)
