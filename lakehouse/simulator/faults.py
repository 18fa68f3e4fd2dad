"""Faults on the wire: how each reply and delivery of :mod:`~lakehouse.simulator.kinds` is sent."""

import asyncio
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import assert_never

from aiohttp import web

from lakehouse.simulator.answers import EmptyBody
from lakehouse.simulator.kinds import (
    CutJson,
    Delivery,
    Disconnect,
    EmptyList,
    EmptyObject,
    GzipBomb,
    Html,
    NoBody,
    OversizeBody,
    Redirect,
    Reply,
    Reset,
    SlowDrip,
    StallBody,
    StallHeaders,
    Status,
    TruncatedGzip,
    WindowTooLong,
)

JSON = "application/json"
_MEBIBYTE = 1024 * 1024
_NOTHING_INSIDE = (b'{"data":[', b"]}")

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
            async with asyncio.timeout(seconds):
                await self._gate.wait()
        except TimeoutError:
            pass
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


async def reply(request: web.Request, fault: Reply, refusal: str) -> web.StreamResponse:
    """Send what stands in the answer's place; ``refusal`` is the API's 400 body for this route."""
    match fault:
        case Status():
            return _status(fault)
        case Redirect(location, status):
            return web.Response(status=status, headers={"Location": location})
        case WindowTooLong():
            return web.Response(status=400, text=refusal, content_type=JSON)
        case Html(body, content_type):
            return web.Response(text=body, content_type=content_type)
        case EmptyObject():
            return web.Response(text=EmptyBody.OBJECT.value, content_type=JSON)
        case EmptyList():
            return web.Response(text=EmptyBody.LIST.value, content_type=JSON)
        case NoBody():
            return web.Response(body=b"", content_type=JSON)
        case OversizeBody(mebibytes, declare_length):
            length = mebibytes * _MEBIBYTE + sum(map(len, _NOTHING_INSIDE)) if declare_length else None
            return await _stream(request, _blown_up(mebibytes), length)
        case GzipBomb(mebibytes):
            packed = _gzip_of_spaces(mebibytes)
            headers = {"Content-Encoding": "gzip"}
            return web.Response(body=packed, content_type=JSON, headers=headers)
        case _:
            assert_never(fault)


async def deliver(request: web.Request, fault: Delivery, status: int, body: bytes, hold: Hold) -> web.StreamResponse:
    """Send an answer's status and body in a bad way."""
    match fault:
        case StallHeaders(seconds):
            await hold.wait(seconds)
            return web.Response(status=status, body=body, content_type=JSON)
        case StallBody(after_bytes, seconds):
            return await _stream(request, _stalled(body, after_bytes, hold, seconds), len(body), status)
        case Reset(after_bytes):
            return await _stream(request, _cut_off(request, body[:after_bytes]), len(body), status)
        case Disconnect():
            _reset(request)
            return web.Response()
        case SlowDrip(chunk_bytes, pause_s):
            return await _stream(request, _dripping(body, chunk_bytes, pause_s), len(body), status)
        case TruncatedGzip(missing_bytes):
            packed = zlib.compress(body, wbits=zlib.MAX_WBITS + 16)
            headers = {"Content-Encoding": "gzip"}
            return web.Response(
                status=status, body=packed[: -missing_bytes or None], content_type=JSON, headers=headers
            )
        case CutJson():
            return web.Response(status=status, body=body[: len(body) // 2], content_type=JSON)
        case _:
            assert_never(fault)


def _status(fault: Status) -> web.Response:
    headers = dict(fault.headers)
    if fault.retry_after_s is not None:
        due = datetime.now(UTC) + timedelta(seconds=fault.retry_after_s)
        date = format_datetime(due, usegmt=True)
        headers["Retry-After"] = date if fault.retry_after_date else str(fault.retry_after_s)
    response = web.Response(status=fault.status, body=fault.body.encode(), content_type=fault.content_type)
    response.headers.update(headers)
    return response


async def _stream(
    request: web.Request, pieces: AsyncIterator[bytes], length: int | None, status: int = 200
) -> web.StreamResponse:
    """Send pieces as they come, with their length in a header if it is known."""
    response = web.StreamResponse(status=status)
    response.content_type = JSON
    response.content_length = length
    await response.prepare(request)
    async for piece in pieces:
        await response.write(piece)
    return response


async def _blown_up(mebibytes: int) -> AsyncIterator[bytes]:
    head, tail = _NOTHING_INSIDE
    yield head
    for _ in range(mebibytes):
        yield b" " * _MEBIBYTE
    yield tail


async def _stalled(body: bytes, after_bytes: int, hold: Hold, seconds: float | None) -> AsyncIterator[bytes]:
    yield body[:after_bytes]
    await hold.wait(seconds)
    yield body[after_bytes:]


async def _cut_off(request: web.Request, start: bytes) -> AsyncIterator[bytes]:
    yield start
    _reset(request)


async def _dripping(body: bytes, chunk_bytes: int, pause_s: float) -> AsyncIterator[bytes]:
    for first in range(0, len(body), chunk_bytes):
        yield body[first : first + chunk_bytes]
        await asyncio.sleep(pause_s)


def _reset(request: web.Request) -> None:
    """Reset the client's connection at once."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _gzip_of_spaces(mebibytes: int) -> bytes:
    """Pack the empty answer, blown up with spaces, without compressing all of them.

    After a full flush the compressor starts afresh, so that one packed mebibyte can be repeated.
    """
    head, tail = _NOTHING_INSIDE
    spaces = b" " * _MEBIBYTE
    packer = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    packed_head = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    packed_spaces = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    packed_tail = packer.compress(tail) + packer.flush()
    checksum = zlib.crc32(head)
    for _ in range(mebibytes):
        checksum = zlib.crc32(spaces, checksum)
    checksum = zlib.crc32(tail, checksum)
    size = len(head) + mebibytes * _MEBIBYTE + len(tail)
    gzip_head = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x02\xff"
    trailer = struct.pack("<II", checksum, size % 2**32)
    return gzip_head + packed_head + packed_spaces * mebibytes + packed_tail + trailer
