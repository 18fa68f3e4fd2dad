"""The simulator as a server: real sockets, a clock that can be moved, a record of every request."""

import asyncio
import errno
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from lakehouse.errors import UsageError
from lakehouse.simulator.answers import Answer, CarbonIntensityApi, refusal_of_datetime
from lakehouse.simulator.edits import edited
from lakehouse.simulator.faults import JSON, WIRE, Good, Hold
from lakehouse.simulator.script import DueFault, Rule, RunningScript

SEED_HEADER = "X-Simulator-Seed"
NOW_HEADER = "X-Simulator-Now"

_KEPT_REQUESTS = 100_000
"""The newest requests that are remembered: about 100 MB after days of a soak, and no more."""

_SHUTDOWN_S = 0.1
"""How long a stop waits for answers under way: a server that is gone is gone at once."""

_SEED_LIMIT = 2**63

_NOW_KEY = web.RequestKey("now", datetime)


@dataclass(slots=True)
class ReceivedRequest:
    """One request as the server saw it; ``fault`` and ``status`` are None until they are known.

    ``status`` is that of the answer as it was made, also if it was cut off or never arrived.
    """

    number: int
    """From 1, in order of arrival, over all stops and starts."""
    method: str
    path: str
    """Path and query as sent."""
    headers: Mapping[str, str]
    received_at: datetime
    """By the machine's clock, UTC."""
    in_flight: int
    """Requests under way when it arrived, itself included."""
    fault: str | None = None
    status: int | None = None


class Simulator:
    """The Carbon Intensity API's regional part on a local port; ``async with`` starts and stops it.

    ``now`` is the API's clock (aware; None: the machine's) and may be set at any time. ``rules`` say what goes
    wrong. ``latency_ms`` passes before each answer. With ``port`` 0 the system picks one at the first start,
    which later starts use again. ``compress`` packs answers for clients that accept gzip.
    """

    def __init__(
        self,
        *,
        seed: int = 42,
        now: datetime | None = None,
        rules: Sequence[Rule] = (),
        latency_ms: float = 0,
        compress: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if not -_SEED_LIMIT <= seed < _SEED_LIMIT:
            raise UsageError("The simulator's seed is a whole number of at most 64 bits.")
        self.seed = seed
        self.now = now
        self.latency_ms = latency_ms
        self.host = host
        self.port = port
        self.script = RunningScript(rules)
        self.hold = Hold()
        self.in_flight = 0
        self.peak_in_flight = 0
        self.request_count = 0
        self._requests: deque[ReceivedRequest] = deque(maxlen=_KEPT_REQUESTS)
        self._api = CarbonIntensityApi(seed)
        self._compress = compress
        self._runner: web.AppRunner | None = None

    @property
    def now(self) -> datetime | None:
        """The fixed time of the API's clock; None while it follows the machine's."""
        return self._now

    @now.setter
    def now(self, now: datetime | None) -> None:
        if now is not None and now.tzinfo is None:
            raise UsageError("The simulator's clock needs a time with a time zone, such as 2024-01-05T00:00Z.")
        self._now = None if now is None else now.astimezone(UTC)

    @property
    def url(self) -> str:
        """Where the server answers, such as ``http://127.0.0.1:40123``; known from the first start on."""
        return f"http://{self.host}:{self.port}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests received so far, oldest first (the newest 100,000 of them)."""
        return list(self._requests)

    async def start(self) -> None:
        """Begin to listen; raise :class:`UsageError` if the port is not to be had."""
        if self._runner is not None:
            return
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.on_response_prepare.append(self._sign)
        # Cancelled handlers: a client that leaves a stalled answer must not count as in flight for ever.
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise UsageError(_why_not(self.host, self.port, error)) from error
        self.port = site.port
        self._runner = runner

    async def stop(self) -> None:
        """Close the port and every connection, also of answers under way; :meth:`start` brings it back."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def until_held(self, count: int = 1) -> None:
        """Return as soon as ``count`` answers are stalled at once."""
        await self.hold.until_waiting(count)

    def release(self) -> None:
        """Let the answers that are stalled now go on."""
        self.hold.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _sign(self, request: web.Request, response: web.StreamResponse) -> None:
        """Put the seed, and the clock by which the answer was made, into the headers."""
        now = request.get(_NOW_KEY) or self._clock()
        response.headers[SEED_HEADER] = str(self.seed)
        response.headers[NOW_HEADER] = now.isoformat().replace("+00:00", "Z")

    def _clock(self) -> datetime:
        return self._now or datetime.now(UTC)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        received = self._record(request)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            response = await self._respond(request, received)
            received.status = response.status
        finally:
            self.in_flight -= 1
        return response

    def _record(self, request: web.Request) -> ReceivedRequest:
        self.request_count += 1
        received = ReceivedRequest(
            number=self.request_count,
            method=request.method,
            path=request.path_qs,
            headers=request.headers,
            received_at=datetime.now(UTC),
            in_flight=self.in_flight + 1,
        )
        self._requests.append(received)
        return received

    async def _respond(self, request: web.Request, received: ReceivedRequest) -> web.StreamResponse:
        now = request[_NOW_KEY] = self._clock()
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        answer = self._api.answer(request.path, now=now, has_content_type="Content-Type" in request.headers)
        due = self.script.due(request.path, answer.window_start)
        if self.latency_ms:
            await asyncio.sleep(self.latency_ms / 1000)
        if due is not None:
            return await self._spoil(request, answer, due, received)
        return self._json(request, answer.status, await _body(answer))

    async def _spoil(
        self, request: web.Request, answer: Answer, due: DueFault, received: ReceivedRequest
    ) -> web.StreamResponse:
        """Send an answer with its fault; an edit that finds nothing to change leaves it as it is."""
        fault = due.rule.fault
        received.fault = fault.name
        if fault.name in WIRE:
            good = Good(request, answer.status, lambda: _body(answer), refusal_of_datetime(request.path), self.hold)
            return await WIRE[fault.name](good, **fault.settings)
        body = await _body(answer)
        changed = edited(body, fault.name, **fault.settings)
        if changed is None:
            due.spoiled -= 1
            received.fault = None
        return self._json(request, answer.status, changed or body)

    def _json(self, request: web.Request, status: int, body: bytes) -> web.Response:
        response = web.Response(status=status, body=body, content_type=JSON)
        if self._compress and "gzip" in request.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
        return response


async def _body(answer: Answer) -> bytes:
    """Put an answer's pieces together, with room for other requests between two days of it."""
    pieces = []
    for piece in answer.pieces:
        pieces.append(piece)
        await asyncio.sleep(0)
    return "".join(pieces).encode()


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program; choose another port."
    return f"The simulator cannot listen on {host}, port {port}: {error.strerror}."
