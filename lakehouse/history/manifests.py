"""What a release says of itself: ``release.json`` in its folder, written last, so without it there is no release."""

import json
import re
from collections.abc import Mapping
from typing import Any

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.lake import files
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
    return files.read(f"{folder}/{FILE}") is not None


def names(settings: Settings) -> list[str]:
    """The names of all releases, ascending."""
    return [name for name in files.folders(settings.path(FOLDER)) if _NAME.fullmatch(name) and exists(settings, name)]


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
    try:
        found: dict[str, Any] = json.loads(files.read(f"{folder}/{FILE}") or b"")
    except (OSError, ValueError) as error:
        raise LakehouseError(f"{folder}/{FILE} cannot be read: {error}; bring it back from a backup.") from error
    return found


def write(settings: Settings, name: str, manifest: Mapping[str, Any]) -> None:
    """Write the manifest; from then on the release is there."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    files.write(f"{place(settings, name)}/{FILE}", text.encode())


def remove(settings: Settings, name: str) -> None:
    """Take a release away, its manifest first; also what a creation that died has left."""
    files.remove(f"{place(settings, name)}/{FILE}")
    files.remove_folder(place(settings, name))
