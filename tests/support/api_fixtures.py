"""A client's side of the simulated API on real sockets, in the test's own event loop and its own time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from lakehouse.ingestion.api import Client, Failure
from lakehouse.ingestion.bronze import Response
from lakehouse.ingestion.fetching import fetch_all
from lakehouse.settings.sections import ApiSettings
from lakehouse.simulator import Simulator, parse_script
from lakehouse.windows import Window
from tests.support.times import at

NOW = datetime(2024, 1, 5, tzinfo=UTC)
FOREVER = {"times": None}


WINDOW = Window(at("2024-01-02T00:30"), at("2024-01-02T02:00"))  # four half-hours: 28 kB
PATH = "/regional/intensity/2024-01-02T00:30Z/2024-01-02T02:00Z"
SLOTS = tuple(at(f"2024-01-02T{text}") for text in ("00:00", "00:30", "01:00", "01:30"))


class Time:
    """Seconds that pass only in waits, and the waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
async def api() -> AsyncIterator[Simulator]:
    """The simulated API; its clock stands at 2024-01-05T00:00Z."""
    async with Simulator(now=NOW) as running:
        yield running


@pytest.fixture
def own_time() -> Time:
    return Time()


@pytest.fixture
def client_for(api: Simulator, own_time: Time) -> Callable[..., Client]:
    """A client of the simulator whose waits cost no time; further API settings by name."""

    def made(**settings: Any) -> Client:
        chosen = ApiSettings(**{"url": api.url, "requests_per_second": 0, "max_body_mib": 1, **settings})
        return Client(chosen, lambda: datetime.now(UTC), sleep=own_time.sleep, timer=lambda: own_time.now)

    return made


@pytest.fixture
async def web(api: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that knows nothing of the API."""
    async with aiohttp.ClientSession(api.url, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def get(web: aiohttp.ClientSession, path: str = PATH) -> tuple[int, bytes]:
    async with web.get(path, allow_redirects=False) as response:
        return response.status, await response.read()


async def periods(web: aiohttp.ClientSession, path: str = PATH) -> list[Any]:
    _, body = await get(web, path)
    found: list[Any] = json.loads(body)["data"]
    return found


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (what it looks at says nothing when it changes)
            await asyncio.sleep(0.005)


async def collected(client: Client, windows: list[Window]) -> list[Response | Failure]:
    """What comes of all windows, in the order in which it came."""
    results: list[Response | Failure] = []

    async def take(result: Response | Failure) -> None:
        results.append(result)

    await fetch_all(client, windows, take)
    return results


def order(api: Simulator, *rules: dict[str, Any]) -> None:
    """Faults for the next answers."""
    api.script.add(*parse_script(list(rules)))
