"""The client: one request at a time of one caller, polite, bounded, and exact to the byte."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from aiolimiter import AsyncLimiter
from multidict import CIMultiDict
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from yarl import URL

from lakehouse.errors import ApiUnavailableError, LakehouseError
from lakehouse.ingestion.access import Access, Proxy
from lakehouse.ingestion.bronze import (
    NOT_UNDERSTOOD,
    PERIOD_FORM,
    NotAResponseError,
    PayloadSummary,
    Response,
    inspect_payload,
)
from lakehouse.ingestion.retries import RefusedError, TransientError, check_status, proxy_refusal, wait_after
from lakehouse.ingestion.source import Clock, Source, checked_url, clock_of, simulator
from lakehouse.ingestion.unpacking import Body
from lakehouse.messages.text import brief, decoded
from lakehouse.settings.sections import PUBLIC_API, ApiSettings
from lakehouse.windows import Window

CHUNK_BYTES = 65_536
LONGEST_HEADER_BYTES = 65_536
"""Of one header or status line; more than any proxy's is known to take, and nothing to a memory."""

Timer = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]
Jitter = Callable[[], float]


@dataclass(frozen=True)
class Failure:
    """A window that was not received, and the last reason.

    ``asked``: False when the client had given up before. ``lasting``: waiting does not cure it.
    """

    window: Window
    error: str
    asked: bool = True
    lasting: bool = False
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
    _proxied: dict[str, Any] = field(init=False, repr=False)
    _places: asyncio.Semaphore = field(init=False)
    _limiter: AsyncLimiter | None = field(default=None, init=False)
    _resume_at: float = field(default=0.0, init=False)

    async def __aenter__(self) -> Self:
        access = Access.of(self.settings)
        self._proxied = _through(access.proxy)
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
                max_line_size=LONGEST_HEADER_BYTES,
                max_field_size=LONGEST_HEADER_BYTES,
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
            LakehouseError: nor will it later, as long as nobody changes anything.
        """
        base = checked_url(self.settings.url)
        if str(base) == PUBLIC_API:
            return Source(PUBLIC_API, self.clock())
        try:
            answer = await self._attempted("/regional", base / "regional", lambda _: None)
        except (TransientError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.lasting:
                raise LakehouseError(f"The API at {base.origin()} cannot be asked: {error}.") from None
            raise ApiUnavailableError(
                f"The API at {base.origin()} cannot be asked ({error}); check LAKEHOUSE_API__URL or try again later."
            ) from None
        return simulator(answer.headers, self.clock) or Source(str(base), self.clock())

    async def fetch(self, window: Window) -> Response:
        """One window's response, after as many attempts as the settings allow.

        Raises:
            TransientError: the last attempt's, when none succeeded; UnusableError with an answer that is kept.
            RefusedError: the API will not answer this.
        """
        url = window_url(self.settings.url, window)
        found = PayloadSummary()

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
                found = inspect_payload(answer.body)
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
                async with self._session.get(url, allow_redirects=False, **self._proxied) as answer:
                    headers = CIMultiDict((name, decoded(value)) for name, value in answer.headers.items())
                    check_status(answer.status, answer.reason, headers, self.clock())
                    return Answer(answer.status, headers, await self._body(answer))
            except aiohttp.ConnectionTimeoutError:
                limit = f"{self.settings.connect_timeout_seconds:g} s"
                raise TransientError(f"no connection within {limit}") from None
            except aiohttp.SocketTimeoutError:
                limit = f"{self.settings.read_timeout_seconds:g} s"
                raise TransientError(f"nothing came for {limit}") from None
            except TimeoutError:
                limit = f"{self.settings.attempt_timeout_seconds:g} s"
                raise TransientError(f"no complete answer within {limit}") from None
            except (aiohttp.ClientError, OSError) as error:
                raise _meaning(error) from None

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        """The whole body, unpacked; never more of it in memory than is allowed, whatever it unpacks to."""
        limit = int(self.settings.max_body_mib * 2**20)
        body = Body(decoded(", ".join(answer.headers.getall("Content-Encoding", ()))), limit)
        body.expect(answer.content_length or 0)
        async for piece in answer.content.iter_chunked(CHUNK_BYTES):
            body.add(piece)
        return body.whole()


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
        raise _meaning(error) from None


def _through(proxy: Proxy | None) -> dict[str, Any]:
    """What a request needs to go through a proxy."""
    if proxy is None:
        return {}
    login = proxy.user is not None or proxy.password is not None
    headers = {"Proxy-Authorization": aiohttp.encode_basic_auth(proxy.user or "", proxy.password or "")}
    return {"proxy": proxy.address, "proxy_headers": headers if login else None}


def _meaning(error: Exception) -> TransientError | RefusedError:
    """What an error of the connection means, in our words: aiohttp's may hold a whole body, or a proxy's login."""
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            why = getattr(cause, "verify_message", "") or brief(str(cause))
            return RefusedError(
                f"the certificate that {error.host} shows is not trusted ({why}); correct the address or this "
                "machine's clock, or name your network's authorities in SSL_CERT_FILE",
                lasting=True,
            )
        case aiohttp.ClientHttpProxyError():
            return proxy_refusal(error.status, error.message)
        case aiohttp.ClientConnectorDNSError():
            return TransientError(f"the name {error.host} cannot be looked up ({brief(str(error.os_error))})")
        case aiohttp.ClientConnectorSSLError():
            return TransientError(f"no TLS with {error.host} ({brief(str(error.os_error))})")
        case aiohttp.ClientConnectorError():
            what = "the proxy " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
            return TransientError(f"no connection to {what}{error.host}:{error.port} ({brief(str(error.os_error))})")
        case aiohttp.ServerDisconnectedError():
            return TransientError("the connection ended before an answer came")
        case aiohttp.ClientPayloadError():
            return TransientError(f"the answer broke off ({_first_words(error.__cause__ or error)})")
        case aiohttp.ClientResponseError():
            return TransientError(f"the answer is not valid HTTP ({_first_words(error)})")
        case _:
            return TransientError(_first_words(error))


def _first_words(error: BaseException) -> str:
    """The first line of a message without the bytes that it quotes."""
    line = brief(str(getattr(error, "message", "") or error))
    return line.partition(": b'")[0].rstrip(":. ") or type(error).__name__
