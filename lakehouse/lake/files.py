"""Files beside the tables, on a local disk or in an object store alike."""

import os
import shutil
from pathlib import Path

from lakehouse.settings import object_store


def sizes(folder: str) -> dict[str, int] | None:
    """The size in bytes of every file that stands directly in a folder, by name; None: there is no such folder."""
    if object_store.is_in_one(folder):
        found, folders_there = object_store.directly_in(folder)
        return found if found or folders_there else None
    if not os.path.isdir(folder):
        return None
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def folders(folder: str) -> list[str]:
    """The names of the folders that stand directly in a folder; none where there is no such folder."""
    if object_store.is_in_one(folder):
        return object_store.directly_in(folder)[1]
    return sorted(entry.name for entry in Path(folder).iterdir() if entry.is_dir()) if os.path.isdir(folder) else []


def sizes_below(folder: str) -> dict[str, int]:
    """The size in bytes of every file in a folder and those in it, by its path from there; none where it is not."""
    if object_store.is_in_one(folder):
        return object_store.below(folder)
    root = Path(folder)
    return {str(file.relative_to(root)): file.stat().st_size for file in root.rglob("*") if file.is_file()}


def read(file: str) -> bytes | None:
    """A file's bytes; None: there is no such file."""
    if object_store.is_in_one(file):
        found = object_store.read(file)
        return found.body if found else None
    try:
        return Path(file).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def write(file: str, data: bytes) -> None:
    """Write a file, all of it or nothing, in the place of one that may be there."""
    if object_store.is_in_one(file):
        object_store.write(file, data)
        return
    path = Path(file)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def remove(file: str) -> None:
    """Remove a file if it is there, and on a local disk the check sum that Hadoop keeps beside it."""
    if object_store.is_in_one(file):
        folder, _, name = file.rpartition("/")
        object_store.remove(folder, [name])
        return
    path = Path(file)
    for each in (path, path.with_name(f".{path.name}.crc")):
        each.unlink(missing_ok=True)


def remove_folder(folder: str) -> None:
    """Remove a folder and all that is in it, if it is there."""
    if object_store.is_in_one(folder):
        object_store.remove(folder, object_store.below(folder))
    elif os.path.isdir(folder):
        shutil.rmtree(folder)
