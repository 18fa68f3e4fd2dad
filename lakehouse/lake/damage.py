"""What a crash, a full disk or a careless hand leaves of a table: found and named; cleared away where it holds nothing.

Knows the files of a Delta table and no engine. Whether a table can be read is for the engines to say (``delta_log``).
"""

import json
import os
import re

from lakehouse.errors import LakehouseError
from lakehouse.lake import files
from lakehouse.settings import object_store

LOG = "_delta_log"
HINT = "_last_checkpoint"
"""A file of the log that tells readers where to begin: of use, but nothing depends on it."""
_VERSION = re.compile(r"(\d{20})\.(json|checkpoint\b.*\.parquet)")


def is_unborn(path: str) -> bool:
    """Whether a log was begun and holds no commit: its table's creation was killed, or the disk was full."""
    log = files.sizes(f"{path}/{LOG}")
    return log is not None and not _commits(log)


def clear(path: str) -> None:
    """Before a table is created or written: take away a log without a commit, and a hint that leads nowhere.

    Raises:
        LakehouseError: there are data files, and no log that says what they are.
    """
    log, table = files.sizes(f"{path}/{LOG}"), files.sizes(path)
    if table is None:
        return
    if not log or not _commits(log):
        if any(name.endswith(".parquet") for name in table):
            raise LakehouseError(
                f"The folder {path} holds data files, but its Delta log has no commit: bring {path}/{LOG} back from a "
                "backup, or move the folder away, so that the table is made anew."
            )
        if log is not None:
            files.remove_folder(f"{path}/{LOG}")
    elif is_hint_broken(path):
        files.remove(f"{path}/{LOG}/{HINT}")


def is_hint_broken(path: str) -> bool:
    """Whether the log's hint cannot be read, or names a checkpoint that is not there."""
    log = files.sizes(f"{path}/{LOG}") or {}
    if HINT not in log:
        return False
    version = checkpoint_hinted_at(path)
    return version is None or not any(name.startswith(f"{version:020}.checkpoint") for name in log)


def checkpoint_hinted_at(path: str) -> int | None:
    """The version of the checkpoint that the log's hint names; None where there is no hint that can be read."""
    text = files.read(f"{path}/{LOG}/{HINT}")
    try:
        return int(json.loads(text or b"")["version"])
    except (ValueError, KeyError, TypeError):
        return None


def torn_commit(path: str) -> str | None:
    """The newest commit's file, where the machine died before its bytes were on the disk; None: it is whole."""
    log = files.sizes(f"{path}/{LOG}") or {}
    commits = [name for name in log if (found := _VERSION.fullmatch(name)) and found[2] == "json"]
    if not commits:
        return None
    newest = f"{path}/{LOG}/{max(commits)}"
    try:
        lines = (files.read(newest) or b"").splitlines()
        return None if lines and all(isinstance(json.loads(line), dict) for line in lines) else newest
    except ValueError:
        return newest


def is_newest_commit_empty(path: str, version: int) -> bool:
    """Whether the commit that made a version holds nothing; told on a local disk, where alone it can be."""
    commit = f"{path}/{LOG}/{version:020}.json"
    return not object_store.is_in_one(path) and os.path.isfile(commit) and os.path.getsize(commit) == 0


def remedy(path: str) -> str:
    """What to do about a log that cannot be read, as the end of a sentence."""
    if torn := torn_commit(path):
        number = torn.rpartition("/")[2].split(".")[0]
        return (
            f"its newest commit {torn} is torn, as after a power loss: remove the files of {path}/{LOG} with {number} "
            "in their names; the next run brings again what it held"
        )
    if is_hint_broken(path):
        return f"remove {path}/{LOG}/{HINT}, a hint to a checkpoint that is not there; the next run does so by itself"
    return (
        f"bring {path} back from a backup; a table that is derived can be moved away instead, and `lakehouse run` "
        "builds it anew from Bronze"
    )


def _commits(log: dict[str, int]) -> list[str]:
    """The files of the log that make versions; an empty first one never became one."""
    return [name for name, size in log.items() if (found := _VERSION.fullmatch(name)) and (size or int(found[1]))]
