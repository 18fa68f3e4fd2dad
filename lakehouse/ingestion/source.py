"""Which API a lake is filled from: part of its identity, never mixed with another."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from lakehouse.errors import SourceMismatchError, UsageError
from lakehouse.settings import ApiSettings
from lakehouse.windows import EPOCH, LATEST

if TYPE_CHECKING:
    from yarl import URL

SIMULATED = "simulator:"
"""What the identity of a simulator begins with; its seed follows, not its port."""
SEED_HEADER, NOW_HEADER = "X-Simulator-Seed", "X-Simulator-Now"

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Source:
    """An API by its identity (its address, or ``simulator:seed=N``), and its clock at the moment it was asked."""

    identity: str
    now: datetime


def check_source(filled_from: str | None, asked: str, root: str) -> None:
    """Refuse to mix two APIs in one lake; an empty lake (None) takes any.

    Raises:
        SourceMismatchError: the lake was filled from another source.
    """
    if filled_from is not None and filled_from != asked:
        raise SourceMismatchError(
            f"The lake at {root} was filled from {filled_from}, not from {asked}: "
            "start a separate lake with LAKEHOUSE_ROOT=another/place."
        )


def simulator(headers: Mapping[str, str], clock: Clock) -> Source | None:
    """The simulator that an answer with these headers came from; None: it came from no simulator."""
    seed = headers.get(SEED_HEADER)
    return None if seed is None else Source(f"{SIMULATED}seed={seed}", clock_of(headers, clock))


def clock_of(headers: Mapping[str, str], clock: Clock) -> datetime:
    """The lake's clock when an answer came: a simulator states its own, otherwise it is ``clock``, the machine's.

    What no simulator says, and a time that none of our tables could hold, is not believed.
    """
    try:
        stated = datetime.fromisoformat(headers.get(NOW_HEADER, "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return clock()
    return stated if SEED_HEADER in headers and EPOCH <= stated < LATEST else clock()


def simulator_here(settings: ApiSettings, clock: Clock) -> Source | None:
    """A simulator on this machine that answers at once; None: ``Client.identify`` has to find out, with patience.

    By the standard library alone: the client takes 0.15 s to load, a fourth of what a command that looks may take.

    Raises:
        UsageError: the API's address is none.
    """
    from http.client import HTTPConnection, HTTPException

    url = checked_url(settings.url)
    if url.scheme != "http":
        return None
    asked = HTTPConnection(url.host or "", url.port, timeout=settings.connect_timeout_seconds)
    try:
        asked.request("HEAD", (url / "regional").raw_path, headers={"User-Agent": settings.user_agent})
        answer = asked.getresponse()
        return simulator(dict(answer.headers), clock) if answer.status == HTTPStatus.OK else None
    except (OSError, HTTPException):
        return None
    finally:
        asked.close()


def checked_url(text: str) -> "URL":
    """The API's address, without a trailing slash.

    Raises:
        UsageError: not a web address, or not https and not this machine, or with more in it than an address.
    """
    from yarl import URL  # with what it needs 10 ms, which commands that ask nobody save

    try:
        url = URL(text.rstrip("/"))
    except ValueError as error:
        raise UsageError(f"LAKEHOUSE_API__URL is not an address: {error}.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"LAKEHOUSE_API__URL is {text!r}: write an https:// address.")
    if url.user or url.password or url.query or url.fragment:
        raise UsageError("LAKEHOUSE_API__URL holds a user, a query or a fragment: write the plain address.")
    if url.scheme != "https" and not is_loopback(url.host):
        raise UsageError(f"LAKEHOUSE_API__URL is {text!r}: only an address of this machine may go without https.")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its literal address or its standard name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
