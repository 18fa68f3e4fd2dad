"""The lake for one writer at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lakehouse.errors import LakehouseError, LakeLockedError, UsageError
from lakehouse.settings import Settings

RELEASE = "release.json"
"""What the folder of a release holds: it looks like a lake, and is never written."""


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the lake's lock: one of the operating system on the root, which goes with the process however it ends.

    An object store has none: there, keep to one writer or configure Delta's own log store for it.

    Raises:
        LakeLockedError: another process writes.
        UsageError: the root is a release.
        LakehouseError: the root cannot be made or written.
    """
    if not settings.is_local:
        yield
        return
    root = Path(settings.root)
    if (root / RELEASE).exists():
        raise UsageError(f"{root} is a release and stays as it is; set LAKEHOUSE_ROOT to the lake that it was made of.")
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise LakeLockedError(f"Another run is writing to the lake at {root}; try again when it is done.") from None
    except OSError as error:
        raise LakehouseError(f"The lake's root {root} cannot be written: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()
