"""What monitors ask a ``watch``: ``/healthz``, ``/readyz`` and ``/metrics``, each answered in a thread of its own."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from lakehouse.errors import UsageError
from lakehouse.messages.endings import sentence
from lakehouse.messages.text import without_logins
from lakehouse.monitoring.exposition import counter, families, gauge, registry
from lakehouse.monitoring.figures import OUTCOMES, Figures
from lakehouse.watching.condition import Condition

REQUEST_SECONDS = 10.0
"""A client that says nothing for so long is left."""
Answer = tuple[HTTPStatus, str, bytes]
TEXT = "text/plain; charset=utf-8"


class Health:
    """The answers, made of the loop's condition and the lake's figures (``read``)."""

    def __init__(self, condition: Condition, read: Callable[[], Figures]) -> None:
        self._condition, self._read = condition, read
        self._registry: CollectorRegistry = registry(lambda: families(read()), lambda: of_watch(condition))
        ProcessCollector(registry=self._registry)

    def answer(self, path: str, accept: str) -> Answer:
        """The answer to a GET of this path."""
        if path == "/healthz":
            return _judged(self._condition.stalled())
        if path == "/readyz":
            return _judged(self._unready())
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return HTTPStatus.OK, kind, encode(self._registry)
        return HTTPStatus.NOT_FOUND, TEXT, b"/healthz, /readyz and /metrics are here\n"

    def _unready(self) -> str | None:
        if reason := self._condition.stalled() or self._condition.unready():
            return reason
        behind = self._read().export_behind
        return f"PostgreSQL is {behind} versions behind" if behind else None


def of_watch(condition: Condition) -> list[Metric]:
    """What the process alone can tell: runs that found no lake to write have left no row in it."""
    cycles = {(name,): condition.cycles[code] for code, name in OUTCOMES.items()}
    known = {"last_progress": condition.progress_at, "next_run": condition.next_start}
    return [
        counter("lakehouse_watch_cycles", "Runs of this process, by how they ended.", ("outcome",), cycles),
        counter("lakehouse_watch_lost_jvms", "JVMs that ended and were replaced.", (), {(): condition.lost_jvms}),
        *(
            gauge(f"lakehouse_watch_{name}_timestamp_seconds", f"Time of the {name.replace('_', ' ')}.", (), {(): at})
            for name, at in ((name, moment.timestamp()) for name, moment in known.items() if moment is not None)
        ),
    ]


@contextmanager
def served(health: Health, address: str, port: int) -> Iterator[int]:
    """Answer while the block lasts; gives the port.

    Raises:
        UsageError: the address cannot be used, or the port is taken.
    """
    try:
        server = _Server((address, port), _handler(health))
    except OSError as error:
        raise UsageError(_why_not(address, port, error)) from error
    thread = Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            try:
                status, kind, body = health.answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
            except Exception as error:  # noqa: BLE001 (a monitor is told, the loop goes on)
                said = f"{without_logins(sentence(error))}\n"
                status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, said.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: monitors ask every few seconds."""

    return Handler


def _judged(reason: str | None) -> Answer:
    if reason is None:
        return HTTPStatus.OK, TEXT, b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, f"{reason}\n".encode()


def _why_not(address: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {address} is taken by another program; choose another with watch.port or --port."
    return f"watch cannot listen on {address}, port {port}: {error.strerror}; correct watch.address or watch.port."
