"""A body out of its packing, piece by piece as it comes, within bounds. Pure."""

import zlib

from lakehouse.ingestion.retries import RefusedError, TransientError
from lakehouse.messages.text import brief

PACKED = ("gzip", "x-gzip", "deflate")
PLAIN = ("", "identity", "none")
"""What says that nothing is packed; the last is no standard's, but servers write it and curl takes it."""
ANY_WINDOW = 32 + zlib.MAX_WBITS
"""For zlib: gzip or zlib, by what the data begins with."""
MIB = 2**20


class Body:
    """Collects the pieces of a body; never holds more than ``limit`` bytes, whatever they unpack to.

    Raises:
        TransientError: it is packed in a way that was not asked for, or cannot be unpacked.
        RefusedError: it is larger than ``limit``.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        codings = [coding for part in encoding.split(",") if (coding := part.strip().lower()) not in PLAIN]
        if len(codings) > 1 or not set(codings) <= set(PACKED):
            raise TransientError(f"the answer is packed as {brief(encoding, 40)!r}, which was not asked for")
        self._member = zlib.decompressobj(ANY_WINDOW) if codings else None
        self._limit, self._came, self._bytes = limit, 0, bytearray()

    def expect(self, length: int) -> None:
        """Refuse a body that is announced as too large."""
        if length > self._limit:
            raise RefusedError(f"the answer is larger than {self._limit / MIB:g} MiB")

    def add(self, piece: bytes) -> None:
        """Take what came next."""
        self._came += len(piece)
        self.expect(self._came)
        if self._member is None:
            self._bytes += piece
            return
        try:
            self._unpack(self._member, piece)
        except zlib.error as error:
            raise TransientError(f"the answer cannot be unpacked ({error})") from None

    def _unpack(self, member: "zlib._Decompress", piece: bytes) -> None:
        """gzip may be several members in a row (RFC 1952, 2.2), and zeros may fill up its end."""
        while piece:
            if member.eof:
                piece = piece.lstrip(b"\0")
                if not piece:
                    break
                self._member = member = zlib.decompressobj(ANY_WINDOW)
            self._bytes += member.decompress(piece, self._limit + 1 - len(self._bytes))
            self.expect(len(self._bytes))
            piece = member.unused_data  # nothing before this member's end

    def whole(self) -> bytes:
        """All of it, when no more pieces come."""
        if self._member is not None and self._came and not self._member.eof:
            raise TransientError("the packed answer does not end where it should")
        return bytes(self._bytes)
