"""Gold at a version, as an export needs it: its days, the regions of that time, and what changed since another one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import releases
from lakehouse.history.states import LakeVersion
from lakehouse.lake import commits, delta_log, losses
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Store
from lakehouse.lake.tables import DIM_REGION, GOLD, Table
from lakehouse.publishing import checksums
from lakehouse.publishing.export_log import Checksum, GoldVersion
from lakehouse.settings import Settings


@dataclass(frozen=True)
class ExportSource:
    """What PostgreSQL shall equal. ``lake_version``: that of the whole lake which it belongs to, where it is one's.

    ``release``: whose Gold it is, as ``release NAME``; None for the lake's own. ``may_delete``: the share of
    PostgreSQL's days that may go, so that it becomes this.
    """

    store: Store
    days: Snapshot
    regions: Snapshot
    commit_ids: Mapping[int, str]
    lake_version: int | None = None
    release: str | None = None
    may_delete: float = 1.0

    @property
    def title(self) -> str:
        """What a person calls it: a release has a Gold of its own, whose versions begin anew."""
        return f"Gold version {self.days.version}" if self.release is None else f"the Gold of {self.release}"

    @property
    def gold(self) -> GoldVersion:
        """How ``export_log`` names it."""
        version = self.days.version
        return GoldVersion(self.days.table_id, version, self.commit_ids.get(version), self.regions.version)

    def rows(self, table: Table) -> pa.Table:
        """All rows of Gold's days or of the regions, in this process: a year of days is some 6,600.

        Raises:
            LakehouseError: the files cannot be read.
        """
        return self._regions if table is DIM_REGION else self._days

    @cached_property
    def _days(self) -> pa.Table:
        return self.days.cast_to_schema(self.days.rows(self.days.column_names))

    @cached_property
    def _regions(self) -> pa.Table:
        return self.regions.cast_to_schema(self.regions.rows(self.regions.column_names))

    def checksums(self) -> dict[str, Checksum]:
        """The checksum of every month and of the regions.

        Raises:
            LakehouseError: the files cannot be read.
        """
        return checksums.of_parts(self.rows(GOLD), self.rows(DIM_REGION))

    def changed_since(self, other: GoldVersion) -> pa.Table:
        """The keys of Gold's days that changed between ``other`` and this version, either way round.

        Raises:
            FeedError: the log or the files do not reach back so far.
        """
        low, high = sorted((other.version, self.days.version))
        newer = self.days if high == self.days.version else _opened(self.store, GOLD, high)
        return newer.changes(low, GOLD.key)

    def reaches(self, other: GoldVersion) -> bool:
        """Whether the log holds every commit between ``other`` and this version."""
        low, high = sorted((other.version, self.days.version))
        return self.knows(other) and all(version in self.commit_ids for version in range(low, high + 1))

    def knows(self, other: GoldVersion) -> bool:
        """Whether ``other`` is a version of this very table, and not of a copy that went its own way."""
        same_table = other.table_id == self.days.table_id and other.commit_id is not None
        return same_table and self.commit_ids.get(other.version) == other.commit_id


def at(store: Store, version: int | None = None, *, since: GoldVersion | None = None) -> ExportSource:
    """Gold at a version, by default its newest, and the regions as they were when it was.

    Commits are known from the older of it and ``since`` on, so that a long log need not be read.

    Raises:
        UsageError: there is no such version.
        LakehouseError: there is no Gold yet.
    """
    reached = [number for number in (version, since.version if since else None) if number is not None]
    newest, history = _with_history(store, GOLD, min(reached, default=None))
    ids = {int(entry["version"]): commits.commit_id(entry) for entry in history}
    if version is None or version == newest.version:
        return ExportSource(store, newest, _opened(store, DIM_REGION), ids)
    if not 0 <= version <= newest.version:
        raise UsageError(f"{GOLD.name} has the versions 0 to {newest.version}, not {version}.")
    days = _opened(store, GOLD, version)
    _, regions_history = _with_history(store, DIM_REGION)
    return ExportSource(store, days, _opened(store, DIM_REGION, _regions_of(days, regions_history)), ids)


def of_state(store: Store, state: LakeVersion, *, since: GoldVersion | None = None) -> ExportSource:
    """Gold and the regions as a lake version or a release has them.

    Raises:
        LakehouseError: the state can no longer be read.
    """
    place = store.at(state.root)
    version = state.version(GOLD)
    known = since is not None and since.table_id == state.snapshot(GOLD).table_id
    _, history = _with_history(place, GOLD, min(version, since.version) if since is not None and known else version)
    ids = {int(entry["version"]): commits.commit_id(entry) for entry in history}
    release = state.name if state.root != store.root else None
    return ExportSource(place, state.snapshot(GOLD), state.snapshot(DIM_REGION), ids, release=release)


def exported(store: Store, settings: Settings, gold: GoldVersion) -> ExportSource:
    """Gold as it was exported last, of the lake or of a release; the lake's newest where it was another table's."""
    newest = at(store, since=gold)
    if newest.knows(gold):
        return at(store, gold.version)
    release = releases.of_table(settings, gold.table_id)
    return of_state(store, release, since=gold) if release is not None else newest


def _regions_of(days: Snapshot, history: list[dict[str, Any]]) -> int:
    """The version of the regions when Gold was at ``days``: none is written while they stay the same."""
    for entry in history:
        commit = commits.parse(entry.get("userMetadata"))
        read = commit.reads.get(GOLD.name) if commit else None
        if read is not None and read.table_id == days.table_id and read.version <= days.version:
            return int(entry["version"])
    return int(history[-1]["version"])


def _with_history(store: Store, table: Table, oldest: int | None = 0) -> tuple[Snapshot, list[dict[str, Any]]]:
    """The newest version, and the commits from ``oldest`` (None: the newest one only), newest first.

    delta-rs numbers a history from the version that was opened, whatever has been committed since.
    """
    while True:
        newest = _opened(store, table)
        history = newest.history(since=(newest.version if oldest is None else min(oldest, newest.version)) - 1)
        if _opened(store, table).version == newest.version:
            return newest, history


def _opened(store: Store, table: Table, version: int | None = None) -> Snapshot:
    found = delta_log.open_table(store.path(table), version)
    if found is None:
        raise LakehouseError(f"There is no {table.name} at {store.path(table)}; run `lakehouse gold` first.")
    losses.check_files(found, table, "run `lakehouse gold`, which builds the newest version anew from Silver")
    return found
