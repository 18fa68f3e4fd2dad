"""What a commit says about itself, and what that proves about a table's progress.

Every commit of ours carries, in Delta's ``userMetadata`` and so atomically with its data, which stage and run made
it and which tables and versions it has consumed. That account is a hint: it counts only while the newest data
commit of the table is ours and the tables read have since been added to by us alone. Otherwise the stage recomputes
in full. Everything here is pure, over histories as delta-rs gives them (newest first).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

Entry = Mapping[str, Any]
"""One commit of a history, as delta-rs gives it."""
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
    """A table at a version.

    ``table_id`` is Delta's own id, which a table that is dropped and made anew does not keep; ``commit_id`` is the
    id of the version's own commit, which copies that went separate ways do not share.
    """

    table_id: str
    version: int
    commit_id: str | None = None


@dataclass(frozen=True)
class Commit:
    """What made a commit and what it has consumed: an account of a table's progress.

    It states that the table, as this commit leaves it, is what its stage makes of the tables ``reads``. ``landing``
    is the last Bronze landing among them; ``based_on`` the version of the table that the change was found against;
    ``schema`` the number of the table's declaration. ``at`` is where the statement holds, when it stands elsewhere
    than in the commit itself (a run that changed nothing says so in ``ops.runs``). ``generation`` is the number of the
    lease under which a lake in an object store was written.
    """

    stage: str
    run_id: str
    code_version: str
    settings_hash: str
    reads: Mapping[str, Pin] = field(default_factory=dict)
    landing: int | None = None
    based_on: int | None = None
    schema: int = 1
    at: Pin | None = None
    generation: int | None = None

    def to_json(self) -> str:
        """The text for Delta's ``userMetadata``."""
        return json.dumps({MARK: 1, **asdict(self)}, sort_keys=True, separators=(",", ":"))


_FIELDS = frozenset(entry.name for entry in fields(Commit))


def parse(text: str | None) -> Commit | None:
    """The commit that a ``userMetadata`` text describes; None when it is absent or not ours."""
    try:
        document = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get(MARK) != 1:
        return None
    known = {name: value for name, value in document.items() if name in _FIELDS}
    known["reads"] = {name: Pin(**pin) for name, pin in known.get("reads", {}).items()}
    known["at"] = Pin(**known["at"]) if known.get("at") else None
    try:
        return Commit(**known)
    except TypeError:  # of ours by its mark, but not by its content
        return None


def commit_id(entry: Entry) -> str:
    """The identity of a commit: Delta's id of the transaction; of writers that give none, the commit's time."""
    return str(entry.get("txnId") or entry.get("inCommitTimestamp") or entry.get("timestamp"))


def newest_data_commit(history: Sequence[Entry], stage: str) -> Commit | None:
    """The newest data commit's own account, if ``stage`` of ours made it and nobody came between.

    None means: the table cannot say how far it is.
    """
    for place, entry in enumerate(history):
        if entry.get("operation") in NOT_DATA:
            continue
        commit = parse(entry.get("userMetadata"))
        if commit is None or commit.stage != stage:
            return None
        based_on = commit.based_on if commit.based_on is not None else int(entry["version"]) - 1
        return commit if _in_line(history[place + 1 :], based_on, int(entry["version"]) - 1, frozenset()) else None
    return None


def newest_stage(history: Sequence[Entry]) -> str | None:
    """The stage that made the newest data commit, None when it was not ours."""
    entry = next((entry for entry in history if entry.get("operation") not in NOT_DATA), None)
    commit = parse(entry.get("userMetadata")) if entry else None
    return commit.stage if commit else None


def added_to_since(
    pin: Pin, table_id: str, history: Sequence[Entry], *, stages: frozenset[str], harmless: frozenset[str] = NOT_DATA
) -> bool:
    """Whether this is the pinned table, and all that came after the pin was made by ``stages`` or left rows alone.

    ``history`` is newest first and begins with the table's present version. A pin whose own commit is no longer in
    the log proves nothing.
    """
    if not history or pin.table_id != table_id or pin.version > int(history[0]["version"]):
        return False
    pinned = next((entry for entry in history if int(entry["version"]) == pin.version), None)
    if pinned is None or pin.commit_id is None or commit_id(pinned) != pin.commit_id:
        return False
    return _in_line(history, pin.version, int(history[0]["version"]), stages, harmless)


def _in_line(
    history: Sequence[Entry], since: int, until: int, stages: frozenset[str], harmless: frozenset[str] = NOT_DATA
) -> bool:
    """Whether every commit in ``(since, until]`` is there, and either harmless or made by ``stages``."""
    entries = {int(entry["version"]): entry for entry in history}
    for version in range(since + 1, until + 1):
        entry = entries.get(version)
        if entry is None:
            return False
        commit = parse(entry.get("userMetadata"))
        if entry.get("operation") not in harmless and (commit is None or commit.stage not in stages):
            return False
    return True
