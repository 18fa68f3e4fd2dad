"""Waiting for PostgreSQL in Python, so that Ctrl-C and SIGTERM are heard while a statement runs.

By itself libpq waits in C, where Python hears no signal until the server answers: of a lock for half a minute.
"""

import select
import time

import psycopg2
from psycopg2 import extensions

_EVENTS = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}


def hear_signals() -> None:
    """Let every session of psycopg2's in this process wait here."""
    extensions.set_wait_callback(_wait)


def _wait(session: extensions.connection) -> None:
    """Until the session is open, or a statement done. An interruption cancels the statement, too.

    Raises:
        OperationalError: no session came about within its ``connect_timeout``, which libpq leaves to who waits.
    """
    is_opening = session.status == extensions.STATUS_SETUP
    limit = float(extensions.parse_dsn(session.dsn).get("connect_timeout", 0)) if is_opening else 0.0
    deadline = time.monotonic() + limit if limit else None
    try:
        while (state := session.poll()) != extensions.POLL_OK:
            waiting = select.poll()
            waiting.register(session.fileno(), _EVENTS[state])
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            if not waiting.poll(left) and deadline is not None:
                raise psycopg2.OperationalError("timeout expired")
    except BaseException as error:
        if is_opening:
            session.close()  # else the server waits a minute for the rest of a log-in that failed
        elif isinstance(error, KeyboardInterrupt):
            session.cancel()
        raise
