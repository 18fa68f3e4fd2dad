"""Which API a lake is filled from: part of its identity, never mixed with another."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from lakehouse.errors import SourceMismatchError, UsageError
from lakehouse.settings.sections import ApiSettings
from lakehouse.windows import EPOCH, LATEST

if TYPE_CHECKING:
    from yarl import URL

SIMULATED = "simulator:"
"""What the identity of a simulator begins with; its seed follows, not its port."""
LONGEST_HOST = 253
_HOST = re.compile(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
"""A name's labels have 1 to 63 characters (RFC 1035, 2.3.4); yarl lets others through, on which the look-up raises."""
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
        UsageError: what is asked for may hold a login, which the lake would keep for ever.
    """
    if set("@?#") & set(asked.partition("://")[2]):
        raise UsageError("The source holds a user, a query or a fragment: name the API by its plain address.")
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
    except (ValueError, OverflowError):  # the latter: beyond the first or the last year
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
        asked.request("HEAD", (url / "regional").raw_path, headers={"User-Agent": settings.user_agent.encode()})
        answer = asked.getresponse()
        return simulator(dict(answer.headers), clock) if answer.status == HTTPStatus.OK else None
    except (OSError, HTTPException):
        return None
    finally:
        asked.close()


def checked_url(text: str) -> "URL":
    """The API's address, without a trailing slash.

    Raises:
        UsageError: not a web address, or not https and not this machine, or with more in it than an address. Nothing
            of it is quoted, as any part may be a password.
    """
    from yarl import URL  # with what it needs 10 ms, which commands that ask nobody save

    try:
        url = URL(text.rstrip("/"))
        is_address = url.scheme in ("http", "https") and is_host(url)
    except ValueError:
        is_address = False
    if not is_address or not text.isprintable():
        raise UsageError(
            "LAKEHOUSE_API__URL is not an address of the web: write an https:// address, https://HOST:PORT."
        )
    if url.user or url.password or url.query or url.fragment:
        raise UsageError("LAKEHOUSE_API__URL holds a user, a query or a fragment: write the plain address.")
    if url.scheme != "https" and not is_loopback(url.host or ""):
        raise UsageError("LAKEHOUSE_API__URL has http://: only an address of this machine may go without https.")
    return url


def is_host(url: "URL") -> bool:
    """Whether an address names a host, by IP address or by a name that can be looked up, and a port that can be used.

    Raises:
        ValueError: the name, or the port, cannot even be read.
    """
    name, port = url.raw_host or "", url.port
    return port != 0 and (_is_ip(name.partition("%")[0]) or bool(_HOST.fullmatch(name) and len(name) <= LONGEST_HOST))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its literal address or its standard name."""
    return ipaddress.ip_address(host).is_loopback if _is_ip(host) else host == "localhost"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
