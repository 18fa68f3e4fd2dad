"""When a request is made again, and how long to wait before. No network here.

Worth another attempt: 429, 5xx, 408, broken connections, time-outs, and bodies that are not an answer (cut JSON, a web
page). Never another 4xx, a redirect, or a body that is too large. Not covered: an API that answers wrongly but
well-formed; that is what Silver's rules are for.

A refusal that waiting does not cure (a login that is wanted, a certificate that is not trusted, an API that has moved)
is told apart, so that nobody is told to try again later.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from lakehouse.messages.text import brief, decoded, without_logins

WAITS = (2.0, 4.0, 6.0)
"""Seconds before the 2nd, 3rd, 4th attempt after a transient fault."""
WAITS_WHEN_TOO_MANY = (5.0, 10.0, 15.0)
"""Seconds after a 429 that does not say how long."""
LONGEST_WAIT = 120.0
"""Seconds; a Retry-After beyond it is cut to it: a run must end."""

_LOGIN = "a proxy on the way wants a login; write it into HTTPS_PROXY, as http://USER:PASSWORD@HOST:PORT"
CURES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "something on the way wants a login, which the API itself does not",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: _LOGIN,
    HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED: "this network wants a login; log in with a browser",
}
"""Statuses that stay until somebody does something, and what."""
MOVED = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.PERMANENT_REDIRECT)


class TransientError(Exception):
    """Worth another attempt; ``wait`` is what the server asked for, in seconds; ``slow`` when it said 429."""

    def __init__(self, message: str, *, wait: float | None = None, slow: bool = False) -> None:
        super().__init__(message)
        self.wait, self.slow = wait, slow


class RefusedError(Exception):
    """Not worth another attempt; ``status`` is the HTTP status, if that was it.

    ``lasting``: nor is it later, as long as nobody changes anything.
    """

    def __init__(self, message: str, *, status: int | None = None, lasting: bool = False) -> None:
        super().__init__(message)
        self.status, self.lasting = status, lasting


def wait_after(error: TransientError, attempt: int) -> float:
    """Seconds between the ``attempt``-th attempt (from 1), which failed with ``error``, and the next; no jitter."""
    if error.wait is not None:
        return min(max(error.wait, 0.0), LONGEST_WAIT)
    steps = WAITS_WHEN_TOO_MANY if error.slow else WAITS
    return steps[min(attempt, len(steps)) - 1]


def check_status(status: int, reason: str | None, headers: Mapping[str, str], now: datetime) -> None:
    """Nothing, if the answer's status says that a body of data follows; ``now`` is the machine's clock.

    Raises:
        TransientError: it may go better the next time.
        RefusedError: it will not.
    """
    if status == HTTPStatus.OK:
        return
    text = status_text(status, reason)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise TransientError(text, wait=retry_after(headers, now), slow=True)
    if status in CURES:
        text = f"{text}: {CURES[status]}"
    if 300 <= status < 400:
        text = f"{text}: it redirects to {_plain_address(headers.get('Location', '')) or 'nowhere'}"
    if status in MOVED:
        text = f"{text}; write the API's new address into LAKEHOUSE_API__URL"
    if status in CURES or status in MOVED:
        raise RefusedError(text, status=status, lasting=True)
    if 300 <= status < 500 and status != HTTPStatus.REQUEST_TIMEOUT:
        raise RefusedError(text, status=status)
    raise TransientError(text)


def proxy_refusal(status: int, reason: str | None) -> TransientError | RefusedError:
    """What the answer of a proxy means that does not let us through to the API."""
    text = f"the proxy said {status_text(status, reason)}"
    if status in CURES:
        return RefusedError(f"{text}: {CURES[status]}", status=status, lasting=True)
    if status >= 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS):
        return TransientError(text)
    return RefusedError(f"{text}: it does not let this machine ask the API", status=status, lasting=True)


def status_text(status: int, reason: str | None) -> str:
    """A status line for a person, whatever bytes it held."""
    return f"HTTP {status} {brief(decoded(reason or ''))}".strip()


def _plain_address(location: str) -> str:
    """An address without login, query and fragment, where a token may stand."""
    return brief(without_logins(re.split(r"[?#]", decoded(location), maxsplit=1)[0]))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds by the header Retry-After, written as seconds or as a date; None where it says nothing usable.

    A date is held against the server's own, so that a clock that goes wrong on either side does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    due = _date(text)
    return None if due is None else (due - (_date(headers.get("Date", "")) or now)).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter: a number of many digits
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
