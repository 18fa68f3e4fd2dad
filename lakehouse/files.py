"""Files beside the tables, on a local disk or in an object store alike."""

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
