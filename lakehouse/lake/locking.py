"""The lake for one writer at a time: by a lock of the operating system, or by a lease in an object store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from lakehouse.errors import LakehouseError, LakeLockedError, UsageError
from lakehouse.lake import files
from lakehouse.lake.lease import Lease
from lakehouse.settings import Settings

RELEASE = "release.json"
"""What the folder of a release holds: it looks like a lake, and is never written."""


class Hold(Protocol):
    """A lake that is held for writing."""

    @property
    def generation(self) -> int | None:
        """The number of the lease's taking, which commits carry; None where an operating system keeps the lock."""

    def check(self) -> None:
        """Before a commit.

        Raises:
            LakeLockedError: the lake is not surely held any more.
        """


class Unshared:
    """A lake that nobody else can write meanwhile: its lock goes with the process, or nobody knows its place."""

    generation: int | None = None

    def check(self) -> None:
        """It is held."""


@contextmanager
def locked(settings: Settings) -> Iterator[Hold]:
    """Hold the lake: its operating system's lock on the root goes with the process however it ends, a lease expires.

    Raises:
        LakeLockedError: another process writes.
        UsageError: the root is a release; the store of a lease does not keep to conditions.
        LakehouseError: the root cannot be made or written.
    """
    with _lock(Path(settings.root)) if settings.is_local else _lease(settings) as hold:
        yield hold


def _refuse_release(root: str) -> None:
    if files.read(f"{root}/{RELEASE}") is not None:
        raise UsageError(f"{root} is a release and stays as it is; set LAKEHOUSE_ROOT to the lake that it was made of.")


@contextmanager
def _lock(root: Path) -> Iterator[Hold]:
    try:
        _refuse_release(str(root))
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise LakeLockedError(f"Another run is writing to the lake at {root}; try again when it is done.") from None
    except OSError as error:
        raise LakehouseError(f"The lake's root {root} cannot be written: {error.strerror}.") from error
    try:
        yield Unshared()
    finally:
        lock.release()


@contextmanager
def _lease(settings: Settings) -> Iterator[Hold]:
    _refuse_release(settings.root.rstrip("/"))
    lease = Lease(settings.root, settings.s3.lease_seconds)
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()
