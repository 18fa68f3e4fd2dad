"""Which API a lake is filled from: part of its identity, never mixed with another."""

import ipaddress
from dataclasses import dataclass
from datetime import datetime

from yarl import URL

from lakehouse.errors import SourceMismatchError, UsageError

SIMULATED = "simulator:"
"""What the identity of a simulator begins with; its seed follows, not its port."""


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


def checked_url(text: str) -> URL:
    """The API's address, without a trailing slash.

    Raises:
        UsageError: not a web address, or not https and not this machine, or with more in it than an address.
    """
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
