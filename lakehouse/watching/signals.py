"""Signals while ``watch`` is on: SIGTERM and Ctrl-C end it, SIGHUP has it read its settings anew."""

import os
import select
import signal
from types import FrameType
from typing import Self

GRACE_SECONDS = 10
"""How long the run under way may take to end by itself; then it is broken off, which takes a few seconds more."""


class Signals:
    """A context manager: handlers are set while the block lasts. In the main thread alone.

    The first SIGTERM or Ctrl-C lets a run under way end within ``GRACE_SECONDS``, then interrupts it; the second one
    interrupts at once, as every other command.
    """

    def __init__(self) -> None:
        self.is_stopping = False
        self.is_reloading = False
        self._before: dict[int, signal.Handlers | int | None] = {}
        self._heard, self._bell = os.pipe()
        os.set_blocking(self._bell, False)

    def __enter__(self) -> Self:
        handlers = {
            signal.SIGINT: self._stop,
            signal.SIGTERM: self._stop,
            signal.SIGHUP: self._reload,
            signal.SIGALRM: self._interrupt,
        }
        for number, handler in handlers.items():
            self._before[number] = signal.signal(number, handler)  # type: ignore[assignment]  # or any callable
        return self

    def __exit__(self, *of_error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.close(self._heard)
        os.close(self._bell)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal comes."""
        select.select([self._heard], [], [], seconds)

    def take_reload(self) -> bool:
        """Whether settings are to be read anew; asked once for each SIGHUP."""
        wanted, self.is_reloading = self.is_reloading, False
        if wanted and not self.is_stopping:
            os.read(self._heard, 4096)
        return wanted

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.is_stopping:
            self._interrupt(number, frame)
        self.is_stopping = True
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
        self._ring()

    def _reload(self, number: int, frame: FrameType | None) -> None:
        self.is_reloading = True
        self._ring()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and handler != self._stop:  # a fetch commits what it has before it ends
            handler(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    def _ring(self) -> None:
        try:
            os.write(self._bell, b".")
        except BlockingIOError:  # rung thousands of times: it is heard anyway
            return
