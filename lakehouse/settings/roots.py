"""Where a lake may stand: a folder of this machine, or an object store. Decided before anything is read or written.

One folder has one name: links are followed and ``..`` is resolved, so that whichever way a lake is named it has one
lock and one embedded database.
"""

import locale
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lakehouse.errors import UsageError

OBJECT_STORE = "s3a"
REFUSED = "#?%[]|^`\\"
"""Spark, or Delta without Spark, takes a path for an address or for SQL, in which these mean something else."""
LONGEST_NAME, LONGEST_PATH = 240, 3_500
"""Bytes: file systems take 255 for a name and 4,096 for a path; what stands beside and under the root needs some."""


def checked(stated: str, origin: str) -> str:
    """The root that is meant, absolute; ``origin`` is what states it.

    Raises:
        UsageError: no lake can stand there.
    """
    reason = _why_not(stated)
    if reason is None:
        scheme = _scheme(stated)
        if scheme == OBJECT_STORE:
            return stated
        try:
            path = url2pathname(urlsplit(stated).path) if scheme else str(Path(stated).expanduser())
        except RuntimeError as error:  # ~nobody
            raise UsageError(f"The root {stated!r} of {origin} names no home: {error}") from None
        root = os.path.realpath(path)
        reason = _why_not_here(root)
        if reason is None:
            return root
    raise UsageError(f"No lake can stand at {stated!r}, the root that {origin} states: {reason}.")


def _scheme(stated: str) -> str | None:
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file):", stated, re.IGNORECASE)
    return (found[1] or found[2]).lower() if found else None


def _why_not(stated: str) -> str | None:
    scheme = _scheme(stated)
    if not stated.strip():
        return "it is empty; write a folder, or leave it out"
    if unseen := [letter for letter in stated if not letter.isprintable()]:
        return f"it holds {unseen[0]!a}, which cannot be printed; choose another name"
    if scheme == OBJECT_STORE:
        return None if urlsplit(stated).netloc else "it names no bucket; write s3a://bucket/folder"
    if scheme == "file":
        return (
            None if urlsplit(stated).netloc in ("", "localhost") else "it is on another machine; write file:///folder"
        )
    if scheme is not None or re.match(r"[A-Za-z0-9+.-]+:/", stated):
        return "only folders and s3a:// are known" + ("; write s3a:// for s3://" if scheme in ("s3", "s3n") else "")
    return None


def _why_not_here(root: str) -> str | None:
    """Why a folder of this machine cannot be a root."""
    names = Path(root).parts[1:]
    if not names:
        return "it is the whole machine; write a folder of its own"
    if found := [letter for letter in root if letter in REFUSED or not letter.isprintable()]:
        return f"Delta cannot read a path with {found[0]!a} ({root!a}); choose another folder"
    if not root.isascii() and not _is_utf8():
        return f"names are not written in UTF-8 here ({locale.getencoding()}); set LC_ALL=C.UTF-8"
    if len(os.fsencode(root)) > LONGEST_PATH or any(len(os.fsencode(name)) > LONGEST_NAME for name in names):
        return "the name is too long for a file system; choose a shorter one"
    if os.path.lexists(root) and not os.path.isdir(root):
        return "it is a file, not a folder; choose another"
    return None


def _is_utf8() -> bool:
    """Whether this process, and the JVM that it starts or that started it, writes file names in UTF-8."""
    return sys.getfilesystemencoding().lower() == "utf-8"
