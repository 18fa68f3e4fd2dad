"""The client: one request at a time of one caller, polite, bounded, and exact to the byte."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from yarl import URL

from lakehouse.errors import ApiUnavailableError
from lakehouse.ingestion.bronze import NOT_UNDERSTOOD, PERIOD_FORM, Contents, NotAResponseError, Response, contents
from lakehouse.ingestion.retries import RefusedError, TransientError, check_status, wait_after
from lakehouse.ingestion.source import Clock, Source, checked_url, clock_of, is_loopback, simulator
from lakehouse.settings import PUBLIC_API, ApiSettings
from lakehouse.windows import Window

CHUNK_BYTES = 65_536
GZIP = ("gzip", "x-gzip")
ANY_WINDOW = 32 + zlib.MAX_WBITS
"""For zlib: gzip or zlib, by what the data begins with."""

Timer = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]
Jitter = Callable[[], float]


@dataclass(frozen=True)
class Failure:
    """A window that was not received, and the last reason. ``asked``: False when the client had given up before."""

    window: Window
    error: str
    asked: bool = True
    response: Response | None = None
    """The last answer, where there is one that is no answer to this: it is kept, and the window is asked again."""


class UnusableError(TransientError):
    """An answer came that is no answer to what was asked; ``response`` is what the API said."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(f"the answer is not usable: {message}")
        self.response = response


class Observer(Protocol):
    """Told what the client does, for progress and counts."""

    def received(self, response: Response) -> None:
        """A response came."""

    def failed(self, failure: Failure) -> None:
        """A window was given up."""

    def retried(self, what: str, error: str, wait: float) -> None:
        """An attempt at ``what`` failed; the next follows after ``wait`` seconds."""

    def split(self, window: Window) -> None:
        """A window was refused as too long and is asked in two halves."""


@dataclass(frozen=True)
class Answer:
    """A good status with all of its body, as an attempt got it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 1


@dataclass
class Client:
    """An async context manager around one session.

    ``clock`` tells the time, ``timer`` counts seconds, ``sleep`` waits, ``jitter`` adds seconds to a wait so that
    several callers do not come back in step. All are given, so that tests own time.
    """

    settings: ApiSettings
    clock: Clock
    observer: Observer | None = None
    sleep: Sleep = asyncio.sleep
    timer: Timer = time.monotonic
    jitter: Jitter = lambda: 0.0
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)
    _session: aiohttp.ClientSession = field(init=False)
    _places: asyncio.Semaphore = field(init=False)
    _limiter: AsyncLimiter | None = field(default=None, init=False)
    _resume_at: float = field(default=0.0, init=False)

    async def __aenter__(self) -> Self:
        base = checked_url(self.settings.url)
        self._places = asyncio.Semaphore(self.settings.concurrency)
        timeout = aiohttp.ClientTimeout(
            total=self.settings.attempt_timeout_seconds,
            sock_connect=self.settings.connect_timeout_seconds,
            sock_read=self.settings.read_timeout_seconds,
        )
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.settings.concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "User-Agent": self.settings.user_agent,
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                },
                timeout=timeout,
                auto_decompress=False,
                middlewares=[_once],
                trust_env=not is_loopback(base.host or ""),
            )
        )
        if self.settings.requests_per_second:
            # One token a time: no burst of five after a pause.
            self._limiter = AsyncLimiter(1, 1 / self.settings.requests_per_second)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def identify(self) -> Source:
        """Which API this is: the public one by its address, a simulator by its seed, with its clock.

        Raises:
            ApiUnavailableError: it does not answer.
        """
        base = checked_url(self.settings.url)
        if str(base) == PUBLIC_API:
            return Source(PUBLIC_API, self.clock())
        try:
            answer = await self._attempted("/regional", base / "regional", lambda _: None)
        except (TransientError, RefusedError) as error:
            raise ApiUnavailableError(
                f"The API at {base} cannot be asked ({error}); check LAKEHOUSE_API__URL or try again later."
            ) from None
        return simulator(answer.headers, self.clock) or Source(str(base), self.clock())

    async def fetch(self, window: Window) -> Response:
        """One window's response, after as many attempts as the settings allow.

        Raises:
            TransientError: the last attempt's, when none succeeded; UnusableError with an answer that is kept.
            RefusedError: the API will not answer this.
        """
        url = window_url(self.settings.url, window)
        found = Contents()

        def response(answer: Answer) -> Response:
            return Response(
                body=answer.body,
                window=window,
                received_at=self.clock() if self.settings.is_public else clock_of(answer.headers, self.clock),
                contents=found,
                attempts=answer.attempts,
                url=str(url),
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
            )

        def check(answer: Answer) -> None:
            nonlocal found
            message = "it is about one region and not about all"
            try:
                found = contents(answer.body)
            except NotAResponseError as error:
                found, message = NOT_UNDERSTOOD, str(error)
            if found.regionid is not None:  # raised of the last attempt
                raise UnusableError(message, response(replace(answer, attempts=self.settings.attempts)))

        return response(await self._attempted(f"{window.start:{PERIOD_FORM}}", url, check))

    async def _attempted(self, what: str, url: URL, check: Callable[[Answer], None]) -> Answer:
        """The first answer whose body ``check`` lets pass; the last error when there is none."""

        def before_sleep(state: RetryCallState) -> None:
            if self.observer and state.outcome and state.next_action:
                self.observer.retried(what, str(state.outcome.exception()), state.next_action.sleep)

        async def attempt() -> Answer:
            answer = await self._get(url)
            check(answer)
            return answer

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            retry=retry_if_exception_type(TransientError),
            wait=self._wait,
            sleep=self.sleep,
            before_sleep=before_sleep,
            reraise=True,
        )
        answer: Answer = await retrying(attempt)
        return Answer(answer.status, answer.headers, answer.body, retrying.statistics["attempt_number"])

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, TransientError)  # noqa: S101 (only these are retried)
        wait = wait_after(error, state.attempt_number) + self.jitter()
        if error.slow:  # everybody waits, not this caller alone
            self._resume_at = max(self._resume_at, self.timer() + wait)
        return wait

    async def _get(self, url: URL) -> Answer:
        """One attempt, when it is this caller's turn."""
        async with self._places:
            if self._limiter:
                await self._limiter.acquire()
            while (pause := self._resume_at - self.timer()) > 0:
                await self.sleep(pause)
            try:
                async with self._session.get(url, allow_redirects=False) as answer:
                    check_status(answer.status, answer.reason, answer.headers, self.clock())
                    return Answer(answer.status, answer.headers, await self._body(answer))
            except aiohttp.ConnectionTimeoutError:
                limit = f"{self.settings.connect_timeout_seconds:g} s"
                raise TransientError(f"no connection within {limit}") from None
            except aiohttp.SocketTimeoutError:
                limit = f"{self.settings.read_timeout_seconds:g} s"
                raise TransientError(f"nothing came for {limit}") from None
            except TimeoutError:
                limit = f"{self.settings.attempt_timeout_seconds:g} s"
                raise TransientError(f"no complete answer within {limit}") from None
            except aiohttp.ClientPayloadError as error:
                raise TransientError(f"the answer broke off ({error})") from None
            except (aiohttp.ClientError, OSError) as error:
                raise TransientError(_said(error)) from None

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        """The whole body, unpacked; never more of it in memory than is allowed, whatever it unpacks to."""
        limit = int(self.settings.max_body_mib * 2**20)
        too_large = RefusedError(f"the answer is larger than {self.settings.max_body_mib:g} MiB")
        if (answer.content_length or 0) > limit:
            raise too_large
        unpacker = _unpacker(answer.headers.get("Content-Encoding", ""))
        body, is_empty = bytearray(), True
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            is_empty = False
            try:
                body += unpacker.decompress(chunk, limit + 1 - len(body)) if unpacker else chunk
            except zlib.error as error:
                raise TransientError(f"the answer cannot be unpacked ({error})") from None
            if len(body) > limit:
                raise too_large
        if unpacker and not is_empty and (not unpacker.eof or unpacker.unused_data):
            raise TransientError("the packed answer does not end where it should")
        return bytes(body)


def window_url(base: str, window: Window) -> URL:
    """The address of a window's request."""
    start, end = (edge.strftime(PERIOD_FORM) for edge in (window.start, window.end))
    return URL(f"{checked_url(base)}/regional/intensity/{start}/{end}", encoded=True)


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send once: aiohttp itself asks a GET again when its connection dies without an answer, unseen and uncounted.

    It does so for its own errors only, so a middleware that raises ours in their place leaves the decision to us.
    """
    try:
        return await send(request)
    except aiohttp.ConnectionTimeoutError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise TransientError(_said(error)) from None


def _unpacker(encoding: str) -> "zlib._Decompress | None":
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in GZIP:
        raise TransientError(f"the answer is packed as {encoding!r}, which was not asked for")
    return zlib.decompressobj(ANY_WINDOW)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
