"""Files beside the tables, on a local disk or in an object store alike."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse import object_store


def sizes(folder: str) -> dict[str, int] | None:
    """The size in bytes of every file that stands directly in a folder, by name; None: there is no such folder."""
    if object_store.is_in_one(folder):
        pages = list(_listed(folder, "/"))
        found = {Path(entry["Key"]).name: int(entry["Size"]) for page in pages for entry in page.get("Contents", ())}
        return found if found or any(page.get("CommonPrefixes") for page in pages) else None
    if not os.path.isdir(folder):
        return None
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def folders(folder: str) -> list[str]:
    """The names of the folders that stand directly in a folder; none where there is no such folder."""
    if object_store.is_in_one(folder):
        prefixes = (entry["Prefix"] for page in _listed(folder, "/") for entry in page.get("CommonPrefixes", ()))
        return sorted(Path(prefix).name for prefix in prefixes)
    return sorted(entry.name for entry in Path(folder).iterdir() if entry.is_dir()) if os.path.isdir(folder) else []


def sizes_below(folder: str) -> dict[str, int]:
    """The size in bytes of every file in a folder and those in it, by its path from there; none where it is not."""
    if object_store.is_in_one(folder):
        start = len(object_store.bucket_and_key(folder)[1]) + 1
        found = (entry for page in _listed(folder) for entry in page.get("Contents", ()))
        return {entry["Key"][start:]: int(entry["Size"]) for entry in found}
    root = Path(folder)
    return {str(file.relative_to(root)): file.stat().st_size for file in root.rglob("*") if file.is_file()}


def _listed(folder: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
    """What the store lists below a folder, page by page."""
    bucket, key = object_store.bucket_and_key(folder)
    asked = object_store.current().client.get_paginator("list_objects_v2")
    found: Iterator[dict[str, Any]] = iter(asked.paginate(Bucket=bucket, Prefix=f"{key}/", Delimiter=delimiter))
    return found


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
        bucket, key = object_store.bucket_and_key(file)
        object_store.current().client.delete_object(Bucket=bucket, Key=key)
        return
    path = Path(file)
    for each in (path, path.with_name(f".{path.name}.crc")):
        each.unlink(missing_ok=True)


def remove_folder(folder: str) -> None:
    """Remove a folder and all that is in it, if it is there."""
    if object_store.is_in_one(folder):
        bucket, key = object_store.bucket_and_key(folder)
        client = object_store.current().client
        names = [f"{key}/{name}" for name in sizes_below(folder)]
        for first in range(0, len(names), 1000):  # as many as one request takes
            some = [{"Key": name} for name in names[first : first + 1000]]
            client.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
    elif os.path.isdir(folder):
        shutil.rmtree(folder)
