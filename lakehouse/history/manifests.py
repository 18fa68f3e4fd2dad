"""What a release says of itself: ``release.json`` in its folder, written last, so without it there is no release."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pyarrow import fs

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.files import opened
from lakehouse.settings import Settings

FOLDER = "releases"
FILE = "release.json"
_NAME = re.compile(r"(?!\d+$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def checked_name(name: str) -> str:
    """The name of a release.

    Raises:
        UsageError: it cannot be one; a number would be taken for a lake version.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a release: take up to 64 letters, digits, dots, hyphens and underscores, "
            "beginning with a letter or digit, and not digits alone."
        )
    return name


def place(settings: Settings, name: str) -> str:
    """The folder of a release."""
    return settings.path(FOLDER, checked_name(name))


def exists(settings: Settings, name: str) -> bool:
    """Whether there is a release of this name, whole."""
    return is_at(place(settings, name))


def is_at(folder: str) -> bool:
    """Whether a folder is a release, whole."""
    files, path = opened(folder)
    return bool(files.get_file_info(f"{path}/{FILE}").type == fs.FileType.File)


def names(settings: Settings) -> list[str]:
    """The names of all releases, ascending."""
    files, path = opened(settings.path(FOLDER))
    found = files.get_file_info(fs.FileSelector(path, allow_not_found=True))
    folders = (entry.base_name for entry in found if entry.type == fs.FileType.Directory)
    return sorted(name for name in folders if _NAME.fullmatch(name) and exists(settings, name))


def read(settings: Settings, name: str) -> dict[str, Any]:
    """The manifest of a release.

    Raises:
        UsageError: there is no such release.
        LakehouseError: its manifest cannot be read.
    """
    if not exists(settings, name):
        known = ", ".join(names(settings)) or "none yet"
        raise UsageError(f"There is no release {name!r} in {settings.root}; known: {known}.")
    return at(place(settings, name))


def at(folder: str) -> dict[str, Any]:
    """The manifest of the release that a folder is.

    Raises:
        LakehouseError: it cannot be read.
    """
    files, path = opened(folder)
    try:
        with files.open_input_stream(f"{path}/{FILE}") as stream:
            found: dict[str, Any] = json.loads(stream.read())
    except (OSError, ValueError) as error:
        raise LakehouseError(f"{folder}/{FILE} cannot be read: {error}; bring it back from a backup.") from error
    return found


def write(settings: Settings, name: str, manifest: Mapping[str, Any]) -> None:
    """Write the manifest; from then on the release is there."""
    files, path = opened(place(settings, name))
    with files.open_output_stream(f"{path}/.{FILE}.part") as stream:
        stream.write(json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
    files.move(f"{path}/.{FILE}.part", f"{path}/{FILE}")


def remove(settings: Settings, name: str) -> None:
    """Take a release away, its manifest first; also what a creation that died has left."""
    files, path = opened(place(settings, name))
    if files.get_file_info(f"{path}/{FILE}").type == fs.FileType.File:
        files.delete_file(f"{path}/{FILE}")
    if files.get_file_info(path).type == fs.FileType.Directory:
        files.delete_dir(path)
