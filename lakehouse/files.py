"""Files beside the tables, on a local disk or in an object store alike."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow import fs


def opened(place: str) -> "tuple[fs.FileSystem, str]":
    """The file system of a place, and the place's path in it; credentials for ``s3a://`` come from AWS variables."""
    from pyarrow import fs  # brings the client of an object store with it, which few commands need

    if "://" not in place:
        return fs.LocalFileSystem(), place
    found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(place.replace("s3a://", "s3://", 1))
    return found


def sizes(folder: str) -> dict[str, int] | None:
    """The size in bytes of every file that stands directly in a folder, by name; None: there is no such folder."""
    if "://" not in folder:
        if not os.path.isdir(folder):
            return None
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    from pyarrow import fs

    system, place = opened(folder)
    found = system.get_file_info(fs.FileSelector(place, allow_not_found=True))
    return {info.base_name: info.size for info in found if info.is_file} if found else None


def read(file: str) -> bytes | None:
    """A file's bytes; None: there is no such file."""
    system, place = opened(file)
    if not system.get_file_info(place).is_file:
        return None
    with system.open_input_stream(place) as stream:
        return bytes(stream.read())


def remove(file: str) -> None:
    """Remove a file, and on a local disk the check sum that Hadoop keeps beside it."""
    system, place = opened(file)
    system.delete_file(place)
    if "://" not in file:
        path = Path(file)
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


def remove_folder(folder: str) -> None:
    """Remove a folder and all that is in it."""
    if "://" not in folder:
        shutil.rmtree(folder)
    else:
        system, place = opened(folder)
        system.delete_dir(place)
