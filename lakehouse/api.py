"""The client: polite, bounded, and honest about what it could not get.

Retried are 429, other transient statuses, broken connections, time-outs and bodies that are not an answer; never
another 4xx. Not covered: an API that answers wrongly but well-formed; that is what Silver's rules are for.
"""

import asyncio
import email.utils
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from aiolimiter import AsyncLimiter
from multidict import CIMultiDictProxy
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from yarl import URL

from lakehouse.bronze import PERIOD_FORM, NotAResponseError, Response, contents
from lakehouse.errors import ApiUnavailableError, LakehouseError, UsageError
from lakehouse.settings import PUBLIC_API, ApiSettings
from lakehouse.windows import Window

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TRANSIENT = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524})
WAITS = (2.0, 4.0, 6.0)
"""Seconds before the 2nd, 3rd, 4th attempt after a transient fault."""
WAITS_WHEN_TOO_MANY = (5.0, 10.0, 15.0)
"""Seconds after a 429 that does not say how long."""
LONGEST_WAIT = 120.0
"""Seconds; a Retry-After beyond it is cut to it: a run must end."""
SHORTEST_TO_HALVE = 49
"""Half-hours; a refused window of up to a day is refused for another reason than its length."""
CHUNK_BYTES = 65_536
SEED_HEADER, NOW_HEADER = "X-Simulator-Seed", "X-Simulator-Now"

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]
Jitter = Callable[[], float]


@dataclass(frozen=True)
class Source:
    """Which API a lake is filled from, and its clock at the moment it was asked."""

    identity: str
    now: datetime


@dataclass(frozen=True)
class Failure:
    """A window that was not received, and the last reason."""

    window: Window
    error: str
    asked: bool = True


class TransientError(Exception):
    """Worth another attempt; ``wait`` is what the server asked for, in seconds; ``slow`` when it said 429."""

    def __init__(self, message: str, *, wait: float | None = None, slow: bool = False) -> None:
        super().__init__(message)
        self.wait, self.slow = wait, slow


class RefusedError(Exception):
    """Not worth another attempt; ``status`` is the HTTP status, if that was it."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Observer(Protocol):
    """Told what the client does, for progress and counts."""

    def received(self, response: Response) -> None:
        """A response came."""

    def failed(self, failure: Failure) -> None:
        """A window was given up."""

    def retried(self, window: Window, error: str, wait: float) -> None:
        """An attempt failed; the next follows after ``wait`` seconds."""

    def split(self, window: Window) -> None:
        """A window was refused as too long and is asked in two halves."""


@dataclass
class Client:
    """An async context manager around one session. ``clock``, ``sleep`` and ``jitter`` are given, never global."""

    settings: ApiSettings
    clock: Clock
    observer: Observer | None = None
    sleep: Sleep = asyncio.sleep
    jitter: Jitter = lambda: 0.0
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)
    _session: aiohttp.ClientSession = field(init=False)
    _limiter: AsyncLimiter | None = field(default=None, init=False)
    _resume_at: float = field(default=0.0, init=False)
    _in_a_row: int = field(default=0, init=False)

    async def __aenter__(self) -> Self:
        base = checked_url(self.settings.url)
        timeout = aiohttp.ClientTimeout(
            total=self.settings.attempt_timeout_seconds,
            sock_connect=self.settings.connect_timeout_seconds,
            sock_read=self.settings.attempt_timeout_seconds,
        )
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.settings.concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self.settings.user_agent, "Accept": "application/json"},
                timeout=timeout,
                trust_env=base.host not in LOOPBACK,
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
            _, headers, _ = await self._get(base / "regional")
        except (TransientError, RefusedError) as error:
            raise ApiUnavailableError(
                f"The API at {base} cannot be asked ({error}); check LAKEHOUSE_API__URL or try again later."
            ) from None
        if SEED_HEADER in headers:
            return Source(f"simulator:seed={headers[SEED_HEADER]}", self._received_at(headers))
        return Source(str(base), self.clock())

    async def fetch_all(self, windows: Sequence[Window], queue_size: int = 10) -> AsyncIterator[Response | Failure]:
        """Every window's response or failure, as they come; at most ``queue_size`` wait for the caller.

        After several failures in a row the windows left are not asked any more and come as failures too.
        """
        waiting = list(reversed(windows))
        done: asyncio.Queue[Response | Failure | None] = asyncio.Queue(maxsize=queue_size)
        workers = [asyncio.create_task(self._work(waiting, done)) for _ in range(self.settings.concurrency)]
        try:
            running = len(workers)
            while running:
                result = await done.get()
                if result is None:
                    running -= 1
                    continue
                yield result
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, waiting: list[Window], done: "asyncio.Queue[Response | Failure | None]") -> None:
        try:
            while waiting:
                window = waiting.pop()
                if self._in_a_row >= self.settings.give_up_after:
                    reason = f"not asked: {self._in_a_row} windows in a row had failed"
                    await done.put(Failure(window, reason, asked=False))
                    continue
                result = await self._fetch_or_split(window, waiting)
                if result is not None:
                    await done.put(result)
        finally:
            await done.put(None)

    async def _fetch_or_split(self, window: Window, waiting: list[Window]) -> Response | Failure | None:
        try:
            response = await self.fetch(window)
        except RefusedError as error:
            if error.status == HTTPStatus.BAD_REQUEST and len(window.span()) > SHORTEST_TO_HALVE:
                first, second = window.halves()
                waiting += [second, first]
                if self.observer:
                    self.observer.split(window)
                return None
            return self._failure(window, error)
        except TransientError as error:
            return self._failure(window, error)
        self._in_a_row = 0
        if self.observer:
            self.observer.received(response)
        return response

    def _failure(self, window: Window, error: Exception) -> Failure:
        self._in_a_row += 1
        failure = Failure(window, str(error))
        if self.observer:
            self.observer.failed(failure)
        return failure

    async def fetch(self, window: Window) -> Response:
        """One window's response, after as many attempts as the settings allow.

        Raises:
            TransientError: the last attempt's, when none succeeded.
            RefusedError: the API will not answer this.
        """
        url = window_url(self.settings.url, window)
        attempts = 0

        def before_sleep(state: RetryCallState) -> None:
            if self.observer and state.outcome and state.next_action:
                self.observer.retried(window, str(state.outcome.exception()), state.next_action.sleep)

        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            retry=retry_if_exception_type(TransientError),
            wait=self._wait,
            sleep=self.sleep,
            before_sleep=before_sleep,
            reraise=True,
        ):
            with attempt:
                attempts += 1
                status, headers, body = await self._get(url)
                try:
                    found = contents(body)
                except NotAResponseError as error:
                    raise TransientError(f"the answer is not usable: {error}") from None
        return Response(
            body=body,
            window=window,
            received_at=self._received_at(headers),
            contents=found,
            attempts=attempts,
            url=str(url),
            status=status,
            headers={name.lower(): value for name, value in headers.items()},
        )

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, TransientError)  # noqa: S101 (only these are retried)
        steps = WAITS_WHEN_TOO_MANY if error.slow else WAITS
        wait = error.wait if error.wait is not None else steps[min(state.attempt_number, len(steps)) - 1]
        wait = min(wait, LONGEST_WAIT) + self.jitter()
        if error.slow:  # everybody waits, not this task alone
            self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + wait)
        return wait

    async def _get(self, url: URL) -> tuple[int, CIMultiDictProxy[str], bytes]:
        """One attempt: status, headers, and the decompressed body, bounded."""
        pause = self._resume_at - asyncio.get_running_loop().time()
        if pause > 0:
            await self.sleep(pause)
        async with AsyncExitStack() as stack:
            if self._limiter:
                await stack.enter_async_context(self._limiter)
            try:
                answer = await stack.enter_async_context(self._session.get(url, allow_redirects=False))
                _check_status(answer, self.clock())
                return answer.status, answer.headers, await self._bounded(answer)
            except TimeoutError:
                limit = self.settings.attempt_timeout_seconds
                raise TransientError(f"no complete answer within {limit:g} s") from None
            except aiohttp.ClientPayloadError as error:
                raise TransientError(f"the answer broke off or is not decodable ({error})") from None
            except (aiohttp.ClientError, OSError) as error:
                raise TransientError(str(error) or type(error).__name__) from None

    async def _bounded(self, answer: aiohttp.ClientResponse) -> bytes:
        limit = int(self.settings.max_body_mib * 2**20)
        body = bytearray()
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            body += chunk
            if len(body) > limit:
                raise RefusedError(f"the answer is larger than {self.settings.max_body_mib:g} MiB")
        return bytes(body)

    def _received_at(self, headers: CIMultiDictProxy[str]) -> datetime:
        stated = headers.get(NOW_HEADER)
        return datetime.fromisoformat(stated).astimezone(UTC) if stated else self.clock()


def checked_url(text: str) -> URL:
    """The API's address, without a trailing slash.

    Raises:
        UsageError: not a web address, or not https and not this machine.
    """
    try:
        url = URL(text.rstrip("/"))
    except ValueError as error:
        raise UsageError(f"LAKEHOUSE_API__URL is not an address: {error}.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"LAKEHOUSE_API__URL is {text!r}: write an https:// address.")
    if url.scheme != "https" and url.host not in LOOPBACK:
        raise UsageError(f"LAKEHOUSE_API__URL is {text!r}: only an address of this machine may go without https.")
    return url


def window_url(base: str, window: Window) -> URL:
    """The address of a window's request."""
    start, end = (edge.strftime(PERIOD_FORM) for edge in (window.start, window.end))
    return URL(f"{checked_url(base)}/regional/intensity/{start}/{end}", encoded=True)


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, given as seconds or as a date; None when it says nothing usable."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None


def _check_status(answer: aiohttp.ClientResponse, now: datetime) -> None:
    if answer.status == HTTPStatus.OK:
        return
    text = f"HTTP {answer.status} {answer.reason or ''}".strip()
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        date = email.utils.parsedate_to_datetime(answer.headers["Date"]) if "Date" in answer.headers else None
        wait = retry_after(answer.headers.get("Retry-After"), date or now)
        raise TransientError(text, wait=wait, slow=True)
    if answer.status in TRANSIENT:
        raise TransientError(text)
    if 300 <= answer.status < 400:
        raise RefusedError(f"{text}: it redirects to {answer.headers.get('Location', 'nowhere')}", status=answer.status)
    raise RefusedError(text, status=answer.status)


def unreachable(failures: Sequence[Failure]) -> LakehouseError:
    """The error of a run whose windows were not all received."""
    asked = [failure for failure in failures if failure.asked]
    last = (asked or list(failures))[-1]
    return ApiUnavailableError(
        f"{len(failures)} window(s) could not be fetched, the last asked because of: {last.error}; "
        "what came is kept, run again later for the rest."
    )
