"""How work that takes its time says how far it is; who shows it, and how, is not its concern."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class OnProgress(Protocol):
    """Told how far work is. ``what`` names it, such as ``silver``; of ``total`` (None: not known) ``done`` is done.

    ``unit`` is what is counted, in the singular (``half-hour``), or ``bytes``. May be called from any thread.
    """

    def __call__(self, what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
        """Hear it."""


def unheard(what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
    """Where nobody wants to know."""


def each(items: Sequence[Item], on_progress: OnProgress, what: str, unit: str) -> Iterator[Item]:
    """The items, one by one; before each it is told how many are done."""
    yield from weighed(((item, 1) for item in items), len(items), on_progress, what, unit)


def weighed(
    items: Iterable[tuple[Item, int]], total: int, on_progress: OnProgress, what: str, unit: str
) -> Iterator[Item]:
    """As :func:`each`, of items that count for different parts of the ``total``."""
    done = 0
    on_progress(what, done, total, unit)
    for item, weight in items:
        yield item
        done += weight
        on_progress(what, done, total, unit)
