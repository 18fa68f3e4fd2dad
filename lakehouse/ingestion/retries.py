"""When a request is made again, and how long to wait before. No network here.

Worth another attempt: 429, 5xx, 408, broken connections, time-outs, and bodies that are not an answer (cut JSON, a web
page). Never another 4xx, a redirect, or a body that is too large. Not covered: an API that answers wrongly but
well-formed; that is what Silver's rules are for.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

WAITS = (2.0, 4.0, 6.0)
"""Seconds before the 2nd, 3rd, 4th attempt after a transient fault."""
WAITS_WHEN_TOO_MANY = (5.0, 10.0, 15.0)
"""Seconds after a 429 that does not say how long."""
LONGEST_WAIT = 120.0
"""Seconds; a Retry-After beyond it is cut to it: a run must end."""


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
    text = f"HTTP {status} {reason or ''}".strip()
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise TransientError(text, wait=retry_after(headers, now), slow=True)
    if 300 <= status < 400:
        raise RefusedError(f"{text}: it redirects to {headers.get('Location', 'nowhere')}", status=status)
    if 400 <= status < 500 and status != HTTPStatus.REQUEST_TIMEOUT:
        raise RefusedError(text, status=status)
    raise TransientError(text)


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
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
