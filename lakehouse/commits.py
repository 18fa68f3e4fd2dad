"""What a commit says about itself, and what that proves about a table's progress.

Every commit of ours carries, in Delta's ``userMetadata`` and so atomically with its data, which stage and run made
it and which table, version and landing it has consumed. That cursor is a hint: it counts only while the newest
data commit of the table is ours and the table read has since been added to by us alone. Otherwise the stage
recomputes in full. Everything here is pure, over histories as delta-rs gives them (newest first).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MARK = "lakehouse"
"""Tells our metadata from anybody else's JSON."""
NOT_DATA = frozenset(
    {
        "OPTIMIZE",
        "VACUUM START",
        "VACUUM END",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
        "ADD CONSTRAINT",
        "DROP CONSTRAINT",
        "ADD COLUMNS",
        "CHANGE COLUMN",
        "CHANGE COLUMNS",
        "CLUSTER BY",
        "COMPUTE STATS",
        "SET TABLE COMMENT",
        "UPGRADE PROTOCOL",
        "REORG",
    }
)
"""Delta operations that leave every row as it was."""


@dataclass(frozen=True)
class Pin:
    """A table at a version; ``table_id`` is Delta's own id, which a replaced table does not keep."""

    table_id: str
    version: int


@dataclass(frozen=True)
class Commit:
    """What made a commit and what it has consumed. ``landing`` is the last Bronze landing it contains."""

    stage: str
    run_id: str
    code_version: str
    settings_hash: str
    reads: Mapping[str, Pin] = field(default_factory=dict)
    landing: int | None = None

    def to_json(self) -> str:
        """The text for Delta's ``userMetadata``."""
        return json.dumps({MARK: 1, **asdict(self)}, sort_keys=True, separators=(",", ":"))


def parse(text: str | None) -> Commit | None:
    """The commit that a ``userMetadata`` text describes; None when it is absent or not ours."""
    try:
        said = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(said, dict) or said.pop(MARK, None) != 1:
        return None
    reads = {name: Pin(**pin) for name, pin in said.pop("reads", {}).items()}
    return Commit(reads=reads, **said)


def newest_data_commit(history: Sequence[Mapping[str, Any]], stage: str) -> Commit | None:
    """The newest data commit's own account, if ``stage`` of ours made it; None means: recompute in full."""
    for entry in history:
        if entry.get("operation") in NOT_DATA:
            continue
        commit = parse(entry.get("userMetadata"))
        return commit if commit is not None and commit.stage == stage else None
    return None


def only_added_to(history: Sequence[Mapping[str, Any]], since: int, now: int, stages: frozenset[str]) -> bool:
    """Whether every commit in ``(since, now]`` is there and either leaves rows alone or was made by ``stages``."""
    entries = {int(entry["version"]): entry for entry in history}
    for version in range(since + 1, now + 1):
        entry = entries.get(version)
        if entry is None:
            return False
        if entry.get("operation") in NOT_DATA:
            continue
        commit = parse(entry.get("userMetadata"))
        if commit is None or commit.stage not in stages:
            return False
    return True
