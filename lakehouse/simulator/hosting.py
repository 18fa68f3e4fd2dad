"""Running a simulator for callers without an event loop: beside them in a thread, or as the whole process."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from lakehouse.simulator.script import Rule
from lakehouse.simulator.server import ReceivedRequest, Simulator

_PATIENCE_S = 30
"""Longest wait for the server's thread; a caller that waits longer has a bug."""


class ThreadedSimulator:
    """A simulator in a thread of its own, with the same verbs for synchronous callers; all thread-safe."""

    def __init__(self, server: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop

    @property
    def url(self) -> str:
        """Where the server answers, such as ``http://127.0.0.1:40123``."""
        return self.server.url

    @property
    def now(self) -> datetime | None:
        """The fixed time of the API's clock, which may be set; None while it follows the machine's."""
        return self.server.now

    @now.setter
    def now(self, now: datetime | None) -> None:
        self.server.now = now

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests received so far, oldest first."""
        return self.server.requests

    def add_rules(self, rules: Sequence[Rule]) -> None:
        """Put faults behind those that are in the script."""
        self._loop.call_soon_threadsafe(self.server.script.add, *rules)

    def clear_rules(self) -> None:
        """Forget all faults: from now on every answer is good."""
        self._loop.call_soon_threadsafe(self.server.script.clear)

    def until_held(self, count: int = 1, *, timeout_s: float = _PATIENCE_S) -> None:
        """Return as soon as ``count`` answers are stalled at once; raise TimeoutError after ``timeout_s``."""
        self._run(asyncio.wait_for(self.server.until_held(count), timeout_s))

    def release(self) -> None:
        """Let the answers that are stalled now go on."""
        self._loop.call_soon_threadsafe(self.server.release)

    def stop(self) -> None:
        """Close the port and every connection; :meth:`start` brings the server back on the same port."""
        self._run(self.server.stop())

    def start(self) -> None:
        """Listen again; raise UsageError if the port is not to be had."""
        self._run(self.server.start())

    def _run(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def run_in_thread(simulator: Simulator) -> Iterator[ThreadedSimulator]:
    """Run a simulator in a thread while the block lasts; it listens when the block begins."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    threaded = ThreadedSimulator(simulator, loop)
    try:
        threaded.start()
        yield threaded
    finally:
        threaded.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PATIENCE_S)
        loop.close()


def serve_forever(simulator: Simulator, *, on_ready: Callable[[str], None]) -> None:
    """Run a simulator until SIGINT or SIGTERM; ``on_ready`` gets its URL once it listens.

    Raises :class:`UsageError` if the port is not to be had. To be called in the main thread.
    """
    asyncio.run(_serve(simulator, on_ready))


async def _serve(simulator: Simulator, on_ready: Callable[[str], None]) -> None:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop.set)
    async with simulator:
        on_ready(simulator.url)
        await asked_to_stop.wait()
