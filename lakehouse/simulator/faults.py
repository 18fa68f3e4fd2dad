"""Faults on the wire, one function each: its name and its keywords are what a script says, and it sends the answer.

Some send something else in the good answer's place, the others send the good answer in a bad way. Faults of
content are in :mod:`~lakehouse.simulator.edits`.
"""

import asyncio
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field

JSON = "application/json"
_PAGE = "<!doctype html><html><body><h1>Service temporarily unavailable</h1></body></html>"
_SPACES = b" " * 1024 * 1024
_HEAD, _TAIL = b'{"data":[', b"]}"
"""An answer without periods, which spaces in its middle blow up."""

# Linger on, for 0 seconds: closing sends RST, so that the client sees a reset and not a quiet end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Hold:
    """Where stalled answers wait. Released, those that wait go on; later ones wait for the next release."""

    def __init__(self) -> None:
        self.waiting = 0
        self._gate = asyncio.Event()
        self._arrived = asyncio.Event()

    async def wait(self, seconds: float | None) -> None:
        """Wait for the next release, at most ``seconds``."""
        self.waiting += 1
        self._arrived.set()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gate.wait(), seconds)
        finally:
            self.waiting -= 1

    def release(self) -> None:
        """Let every answer that waits here go on."""
        self._gate.set()
        self._gate = asyncio.Event()

    async def until_waiting(self, count: int) -> None:
        """Return as soon as ``count`` answers wait here at once."""
        while self.waiting < count:
            self._arrived.clear()
            await self._arrived.wait()


@dataclass(frozen=True, slots=True)
class Good:
    """The good answer to a request, to be spoiled; ``refusal`` is the API's 400 body for the same route."""

    request: web.Request
    status: int
    body: Callable[[], Awaitable[bytes]]
    refusal: str
    hold: Hold


Sender = Callable[..., Awaitable[web.StreamResponse]]
WIRE: dict[str, Sender] = {}
"""The faults of this module by name."""


def _fault(sender: Sender) -> Sender:
    WIRE[sender.__name__] = sender
    return sender


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, content_type=JSON, headers=headers)


async def _stream(
    good: Good, pieces: AsyncIterator[bytes], length: int | None, status: int | None = None
) -> web.StreamResponse:
    """Send pieces as they come, with their length in a header if it is known."""
    response = web.StreamResponse(status=status or good.status)
    response.content_type = JSON
    response.content_length = length
    await response.prepare(good.request)
    async for piece in pieces:
        await response.write(piece)
    return response


def _cut_connection(request: web.Request) -> None:
    """Reset the client's connection at once."""
    if request.transport is not None:
        if (connection := request.transport.get_extra_info("socket")) is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()


# --- something else in the answer's place


@_fault
async def status(
    good: Good,
    *,
    status: Annotated[int, Field(ge=200, le=599)],
    body: str = "",
    content_type: str = JSON,
    headers: Mapping[str, str] | None = None,
    retry_after_s: int | None = None,
    retry_after_date: bool = False,
) -> web.StreamResponse:
    """Send a status (such as 429 or 503) with headers and a body of its own.

    ``retry_after_s`` writes the header Retry-After: as seconds, or with ``retry_after_date`` as the HTTP date
    that many seconds after the machine's clock. Without it there is no such header.
    """
    response = web.Response(status=status, body=body.encode(), content_type=content_type, headers=headers)
    if retry_after_s is not None:
        due = format_datetime(datetime.now(UTC) + timedelta(seconds=retry_after_s), usegmt=True)
        response.headers["Retry-After"] = due if retry_after_date else str(retry_after_s)
    return response


@_fault
async def redirect(good: Good, *, location: str, status: int = 302) -> web.StreamResponse:
    """Send a redirect to ``location``, usually on another host."""
    return web.Response(status=status, headers={"Location": location})


@_fault
async def window_too_long(good: Good) -> web.StreamResponse:
    """Send the API's 400, as for a window of more than 14 days."""
    return _json(good.refusal.encode(), 400)


@_fault
async def html(good: Good, *, body: str = _PAGE, content_type: str = "text/html") -> web.StreamResponse:
    """Send a web page with status 200, as proxies and captive portals do."""
    return web.Response(text=body, content_type=content_type)


@_fault
async def empty_object(good: Good) -> web.StreamResponse:
    """Send the body ``{}`` with status 200."""
    return _json(b"{}")


@_fault
async def empty_list(good: Good) -> web.StreamResponse:
    """Send the body ``{"data":[]}`` with status 200."""
    return _json(_HEAD + _TAIL)


@_fault
async def no_body(good: Good) -> web.StreamResponse:
    """Send status 200 and not one byte of body."""
    return _json(b"")


@_fault
async def oversize_body(good: Good, *, mebibytes: int = 64, declare_length: bool = True) -> web.StreamResponse:
    """Send valid JSON without periods, blown up with spaces to ``mebibytes``; its length in a header or not."""

    async def blown_up() -> AsyncIterator[bytes]:
        for piece in (_HEAD, *[_SPACES] * mebibytes, _TAIL):
            yield piece

    length = len(_HEAD + _TAIL) + mebibytes * len(_SPACES)
    return await _stream(good, blown_up(), length if declare_length else None, 200)


@_fault
async def gzip_bomb(good: Good, *, mebibytes: int = 256) -> web.StreamResponse:
    """Send valid JSON without periods that unpacks to ``mebibytes`` of spaces from about a thousandth of that."""
    packer = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    # After a full flush the compressor starts afresh, so that one packed mebibyte can be repeated.
    head, spaces = (packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in (_HEAD, _SPACES))
    tail = packer.compress(_TAIL) + packer.flush()
    checksum = size = 0
    for part in (_HEAD, *[_SPACES] * mebibytes, _TAIL):
        checksum, size = zlib.crc32(part, checksum), size + len(part)
    packed = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x02\xff" + head + spaces * mebibytes + tail
    return _json(packed + struct.pack("<II", checksum, size % 2**32), headers={"Content-Encoding": "gzip"})


# --- the good answer, badly sent


@_fault
async def stall_headers(good: Good, *, seconds: float | None = None) -> web.StreamResponse:
    """Send nothing at all until released (or ``seconds`` later); then the good answer."""
    body = await good.body()
    await good.hold.wait(seconds)
    return _json(body, good.status)


@_fault
async def stall_body(good: Good, *, after_bytes: int = 1000, seconds: float | None = None) -> web.StreamResponse:
    """Send headers and ``after_bytes`` of body, then nothing until released (or ``seconds`` later)."""
    body = await good.body()

    async def stalled() -> AsyncIterator[bytes]:
        yield body[:after_bytes]
        await good.hold.wait(seconds)
        yield body[after_bytes:]

    return await _stream(good, stalled(), len(body))


@_fault
async def reset(good: Good, *, after_bytes: int = 1000) -> web.StreamResponse:
    """Reset the connection (RST) after ``after_bytes`` of a body that promised more."""
    body = await good.body()

    async def cut_off() -> AsyncIterator[bytes]:
        yield body[:after_bytes]
        _cut_connection(good.request)

    return await _stream(good, cut_off(), len(body))


@_fault
async def disconnect(good: Good) -> web.StreamResponse:
    """Reset the connection before any header."""
    _cut_connection(good.request)
    return web.Response()


@_fault
async def slow_drip(
    good: Good, *, chunk_bytes: Annotated[int, Field(ge=1)] = 100, pause_s: float = 0.1
) -> web.StreamResponse:
    """Send the body in pieces of ``chunk_bytes`` with a pause of ``pause_s`` after each."""
    body = await good.body()

    async def dripping() -> AsyncIterator[bytes]:
        for first in range(0, len(body), chunk_bytes):
            yield body[first : first + chunk_bytes]
            await asyncio.sleep(pause_s)

    return await _stream(good, dripping(), len(body))


@_fault
async def truncated_gzip(good: Good, *, missing_bytes: int = 100) -> web.StreamResponse:
    """Pack the answer with gzip and never send its last ``missing_bytes``, the length adjusted to it."""
    packed = zlib.compress(await good.body(), wbits=zlib.MAX_WBITS + 16)
    return _json(packed[: -missing_bytes or None], good.status, {"Content-Encoding": "gzip"})


@_fault
async def cut_json(good: Good) -> web.StreamResponse:
    """Send the answer's first half only, the length adjusted to it: no JSON, but sound HTTP."""
    body = await good.body()
    return _json(body[: len(body) // 2], good.status)
