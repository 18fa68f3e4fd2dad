"""Two writers at once, found afterwards: what a lease on an object store cannot prevent leaves traces. No JVM.

A writer that is held up for longer than its lease's term may make a commit after another one has taken the lake over.
Then generations interleave, or one commit has taken the place of another.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lakehouse.lake import commits, watermarks
from lakehouse.lake.commits import Entry
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import BRONZE, RUNS, SILVER, TABLES
from lakehouse.settings import object_store
from lakehouse.transform.models import MODELS

LOOKED_BACK = 50
"""Newest commits of a table that are looked at; a trace is told for so long."""
WRITES = {
    **{"bronze": BRONZE.name, "import": BRONZE.name, "silver": SILVER.name},
    **{model.stage: model.table.name for model in MODELS},
}
"""The table that each stage writes."""


def crossed(tables: Tables) -> dict[str, str]:
    """A sentence, without its full stop, by the name of each table in which two writers have crossed.

    Of a lake on a disk, which one writer locks, nothing is read.
    """
    if not object_store.is_in_one(tables.root):
        return {}
    runs = tables.open(RUNS)
    rows = runs.newest_rows(["lake_version", "run_id", "stages"], "lake_version", watermarks.RUNS_ASKED) if runs else []
    claims = claimed(rows)
    found = {}
    for table in TABLES:
        snapshot = tables.open(table)
        history = snapshot.newest_commits(LOOKED_BACK) if snapshot else []
        for sentence in [*interleaved(history), *overwritten(history, claims.get(table.name, {}))][:1]:
            found[table.name] = f"{table.name}: {sentence}"
    if twice := _twice(int(row["lake_version"]) for row in rows):
        found.setdefault(RUNS.name, f"{RUNS.name}: two runs have the lake version {twice}")
    return found


def claimed(runs: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, str]]:
    """By table and version the run that says it wrote it; ``runs`` are rows of ``ops.runs``."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for run in runs:
        for stage in run["stages"]:
            if stage["stage"] in WRITES and stage["version"] is not None:
                found[WRITES[stage["stage"]]][int(stage["version"])] = str(run["run_id"])
    return found


def interleaved(history: Sequence[Entry]) -> Iterator[str]:
    """A sentence for each commit under a lease that another had replaced; ``history`` is newest first."""
    highest = 0
    for entry in reversed(history):
        commit = commits.parse(entry.get("userMetadata"))
        generation = commit.generation if commit else None
        if commit is not None and generation is not None and generation < highest:
            yield (
                f"version {entry['version']} was committed by run {commit.run_id} under lease {generation}, after a "
                f"commit under lease {highest}: two runs wrote at once"
            )
        highest = max(highest, generation or 0)


def overwritten(history: Sequence[Entry], claims: Mapping[int, str]) -> Iterator[str]:
    """A sentence for each version that one run says it wrote (``claims``) and that the log says is another's."""
    for entry in history:
        commit, stated = commits.parse(entry.get("userMetadata")), claims.get(int(entry["version"]))
        if commit is not None and stated is not None and commit.run_id != stated:
            yield (
                f"version {entry['version']}, which run {stated} wrote, is now that of run {commit.run_id}: "
                "a commit was lost"
            )


def _twice(numbers: Iterable[int]) -> int | None:
    """A number that is there more than once."""
    return next((number for number, times in Counter(numbers).items() if times > 1), None)
