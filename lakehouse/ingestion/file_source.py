"""Recorded responses in files: plain, packed with gzip, or in zip archives; found in order, read within bounds.

Nothing is left out unseen: what cannot be read, or is not looked into, is a recording whose ``read`` says why.
"""

import gzip
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

from lakehouse.errors import UsageError
from lakehouse.messages.progress import OnProgress, unheard, weighed
from lakehouse.windows import EPOCH

ENDINGS = (".json", ".gz", ".zip")
"""What a folder is searched for; a file that is named itself may be called anything."""
BROKEN: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, RuntimeError, OverflowError, MemoryError)
BROKEN += (struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What the readers of archives raise, whatever is in them: RuntimeError (NotImplementedError) of an encrypted (or
strangely packed) member, ValueError of a name that is no text."""
FOREVER = datetime.max.replace(tzinfo=UTC)


class UnreadableError(Exception):
    """A file whose bytes cannot be had; the message says why."""


@dataclass(frozen=True)
class Recording:
    """One file, or member of an archive, by the name that it keeps in Bronze. ``read`` gives its unpacked bytes.

    It is read while its turn lasts: the archive is closed when the next one is asked for.
    """

    name: str
    modified: datetime
    read: Callable[[], bytes]


@dataclass(frozen=True)
class _Found:
    """A file by the name that it keeps; with ``problem`` it is left out."""

    path: str
    name: str
    problem: str = ""


def discover(paths: Sequence[Path], largest: int, on_progress: OnProgress = unheard) -> Iterator[Recording]:
    """Every recording under the paths, in their order, folders and archives sorted by name.

    Reading one that unpacks to more than ``largest`` bytes fails, and never holds more than that. Only regular files
    are opened.

    Raises:
        UsageError: before the first one is given: a path does not exist, or a folder holds no such file.
    """
    found = [(each, _size(each.path)) for path in paths for each in _under(path)]
    total = sum(size for _, size in found)
    for each in weighed(found, total, on_progress, "import", "bytes"):
        yield from _recordings(each, largest)


def _under(path: Path) -> list[_Found]:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.lexists(path):
            raise UsageError(f"{path} does not exist.") from None
        return [_Found(str(path), path.name, "it is a link that points nowhere")]
    except OSError as error:
        return [_Found(str(path), path.name, _cannot_be_read(error))]
    if not stat.S_ISDIR(mode):
        return [_Found(str(path), path.name)]
    inside = sorted(_inside(str(path)))
    if not inside:
        raise UsageError(f"The folder {path} holds no file that ends in {', '.join(ENDINGS)}.")
    return [_Found(place, "/".join(parts) or path.name, problem) for parts, place, problem in inside]


def _inside(folder: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What a folder holds, and what is to be said of it: by its parts under the folder, and its path."""
    waiting: list[tuple[tuple[str, ...], str]] = [((), folder)]
    while waiting:
        parts, place = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except OSError as error:
            yield parts, place, f"the folder cannot be read ({error.strerror})"
            continue
        for entry in entries:
            name = (*parts, entry.name)
            if _is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append((name, entry.path))
            elif os.path.isdir(entry.path):
                yield name, entry.path, "it is a link to a folder, which is not followed; name that folder itself"
            elif entry.name.lower().endswith(ENDINGS):
                yield name, entry.path, ""


def _size(path: str) -> int:
    """The bytes of a file, for telling how far an import is; of one that is not there, none."""
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _is_hidden(name: str) -> bool:
    """What file managers leave behind: ``.DS_Store``, ``__MACOSX/._x.json``."""
    return name.startswith(".") or name == "__MACOSX"


def _recordings(found: _Found, largest: int) -> Iterator[Recording]:
    name, path = _as_text(found.name), found.path
    modified, problem = EPOCH, found.problem
    if not problem:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            problem = "it is a link that points nowhere" if os.path.islink(path) else "it is gone"
        except OSError as error:
            problem = _cannot_be_read(error)
        else:
            modified = _moment(status.st_mtime)
            problem = "" if stat.S_ISREG(status.st_mode) else "it is not a regular file, so it was not opened"
    if problem:
        yield _left_out(name, modified, problem)
    elif path.lower().endswith(".zip"):
        yield from _members(path, name, modified, largest)
    else:
        yield Recording(name, modified, partial(_read, partial(Path(path).open, "rb"), name, largest))


def _members(path: str, name: str, modified: datetime, largest: int) -> Iterator[Recording]:
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        yield _left_out(name, modified, f"it is not a readable zip archive ({error})")
        return
    with archive:
        members = [each for each in archive.infolist() if not any(map(_is_hidden, each.filename.split("/")))]
        last = {each.filename: each for each in members}
        for member in sorted(members, key=lambda each: each.filename):
            own, ending = _as_text(f"{name}/{member.filename}"), member.filename.lower()
            if not ending.endswith(ENDINGS):
                continue
            if ending.endswith(".zip"):
                yield _left_out(own, modified, "it is a zip archive inside a zip archive; unpack the outer one")
            elif member is not last[member.filename]:
                yield _left_out(own, modified, "the archive holds another member of the same name after it")
            else:
                yield Recording(own, modified, partial(_read, partial(archive.open, member), member.filename, largest))


def _left_out(name: str, modified: datetime, reason: str) -> Recording:
    def refuse() -> NoReturn:
        raise UnreadableError(reason)

    return Recording(name, modified, refuse)


def _as_text(name: str) -> str:
    """A file's name as text: bytes that are none are written as ``\\xe9``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _moment(seconds: float) -> datetime:
    """A modification time, or the nearest one that we can write: a file system may hold any number."""
    try:
        return max(datetime.fromtimestamp(seconds, UTC), EPOCH)
    except (OverflowError, ValueError, OSError):
        return EPOCH if seconds < 0 else FOREVER


def _cannot_be_read(error: Exception) -> str:
    return f"it cannot be read ({getattr(error, 'strerror', None) or error})"


def _read(opened: Callable[..., IO[Any]], name: str, largest: int) -> bytes:
    try:
        with opened() as file:
            if not name.lower().endswith(".gz"):
                data: bytes = file.read(largest + 1)
            else:
                with gzip.open(file) as unpacked:
                    data = unpacked.read(largest + 1)
    except BROKEN as error:
        raise UnreadableError(_cannot_be_read(error)) from None
    if len(data) > largest:
        raise UnreadableError(f"it is larger than {largest / 2**20:g} MiB")
    return data
