"""Recorded responses in files: plain, packed with gzip, or in zip archives; found in order, read within bounds."""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lakehouse.errors import UsageError

ENDINGS = (".json", ".gz", ".zip")
"""What a folder is searched for; a file that is named itself may be called anything."""


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


def find(paths: Sequence[Path], largest: int) -> Iterator[Recording]:
    """Every recording under the paths, in their order, folders and archives sorted by name.

    Reading one that unpacks to more than ``largest`` bytes fails, and never holds more than that.

    Raises:
        UsageError: a path does not exist, or a folder holds no such file.
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.name.lower().endswith(ENDINGS) and not _is_hidden(file.relative_to(path).parts)
            )
            if not inside:
                raise UsageError(f"The folder {path} holds no file that ends in {', '.join(ENDINGS)}.")
            for file in inside:
                yield from _recordings(file, file.relative_to(path).as_posix(), largest)
        elif path.exists():
            yield from _recordings(path, path.name, largest)
        else:
            raise UsageError(f"{path} does not exist.")


def _is_hidden(parts: tuple[str, ...]) -> bool:
    """What file managers leave behind: ``.DS_Store``, ``__MACOSX/._x.json``."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _recordings(path: Path, name: str, largest: int) -> Iterator[Recording]:
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if not path.name.lower().endswith(".zip"):
        yield Recording(name, modified, lambda: _read(lambda: path.open("rb"), name, largest))
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        reason = str(error)

        def refuse() -> bytes:
            raise UnreadableError(f"it is not a readable zip archive ({reason})")

        yield Recording(name, modified, refuse)
        return
    with archive:
        for member in sorted(archive.namelist()):
            if not _is_hidden(tuple(member.split("/"))) and member.lower().endswith((".json", ".gz")):
                yield Recording(f"{name}/{member}", modified, _member_reader(archive, member, largest))


def _member_reader(archive: zipfile.ZipFile, member: str, largest: int) -> Callable[[], bytes]:
    return lambda: _read(lambda: archive.open(member), member, largest)


def _read(opened: Callable[[], IO[bytes]], name: str, largest: int) -> bytes:
    try:
        with opened() as file:
            if not name.lower().endswith(".gz"):
                data = file.read(largest + 1)
            else:
                with gzip.open(file) as unpacked:
                    data = unpacked.read(largest + 1)
    # zipfile says RuntimeError (NotImplementedError) of an encrypted (or strangely packed) member
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise UnreadableError(f"it cannot be read ({error})") from None
    if len(data) > largest:
        raise UnreadableError(f"it is larger than {largest / 2**20:g} MiB")
    return data
