"""Being told to end: Ctrl-C, SIGTERM and a terminal that closes are one thing, a ``KeyboardInterrupt``."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def treat_alike() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, whoever handles that by then; what is ignored stays so (nohup)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _like_ctrl_c)


@contextmanager
def deferred() -> Iterator[None]:
    """Hear the first signal only when the block has ended: a process that it starts must not be left to itself.

    The second one is heard at once. Outside the main thread, which alone hears signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in handlers.items():
            if handler is not None:  # of C's, which Python cannot put back
                signal.signal(number, handler)

    def wait(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        restore()

    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, wait)
    try:
        yield
    finally:
        restore()
        if heard:
            signal.raise_signal(heard[0])


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    raise KeyboardInterrupt
