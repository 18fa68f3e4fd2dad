"""What an export publishes: Gold at a version, the other published tables of that time, and what changed in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import releases
from lakehouse.history.states import LakeVersion
from lakehouse.lake import commits, delta_log, losses
from lakehouse.lake.commits import Entry, Pin
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Store
from lakehouse.lake.tables import GOLD, PUBLISHED, SILVER, Table
from lakehouse.publishing import checksums
from lakehouse.publishing.checksums import Checksum, Part
from lakehouse.publishing.export_log import PublishedState
from lakehouse.settings import Settings

CURE = "run `lakehouse gold`, which builds the newest version anew from Silver"


@dataclass(frozen=True, eq=False)
class PublishedTable:
    """A published table at one version. ``snapshot``: None where the lake does not hold it, which counts as no rows.

    ``commit_ids`` are by version, as far as the log was read.
    """

    table: Table
    snapshot: Snapshot | None
    commit_ids: Mapping[int, str]

    @property
    def pin(self) -> Pin | None:
        """This version, None where the lake does not hold the table."""
        if self.snapshot is None:
            return None
        return Pin(self.snapshot.table_id, self.snapshot.version, self.commit_ids.get(self.snapshot.version))

    @cached_property
    def rows(self) -> pa.Table:
        """All rows, in this process: a year of days is some 6,600.

        Raises:
            LakehouseError: the files cannot be read.
        """
        names = self.table.column_names
        return pa.table({name: [] for name in names}) if self.snapshot is None else self.snapshot.read_arrow(names)

    @cached_property
    def checksums(self) -> dict[Part, Checksum]:
        """The checksum of every part.

        Raises:
            LakehouseError: the files cannot be read.
        """
        return checksums.of_rows(self.table, self.rows)

    def changed_since(self, other: Pin) -> pa.Table:
        """The keys that changed between ``other`` and this version, either way round; both have to be the lake's.

        Raises:
            FeedError: the log or the files do not reach back so far.
        """
        if self.snapshot is None:
            raise ValueError(f"{self.table.name} has no versions")
        low, high = sorted((other.version, self.snapshot.version))
        newer = self.snapshot if high == self.snapshot.version else _opened(self.snapshot.path, self.table, high)
        return newer.changes(low, self.table.key)

    def knows(self, other: Pin) -> bool:
        """Whether ``other`` is a version of this very table, and not of a copy that went its own way."""
        same_table = self.snapshot is not None and other.table_id == self.snapshot.table_id
        return same_table and other.commit_id is not None and self.commit_ids.get(other.version) == other.commit_id

    def reaches(self, other: Pin) -> bool:
        """Whether the log holds every commit between ``other`` and this version."""
        if self.snapshot is None or not self.knows(other):
            return False
        low, high = sorted((other.version, self.snapshot.version))
        return all(version in self.commit_ids for version in range(low, high + 1))


@dataclass(frozen=True)
class ExportSource:
    """What PostgreSQL shall equal, the tables in the order of their foreign keys.

    ``lake_version``: that of the whole lake which it belongs to, where it is one's. ``release``: whose Gold it is, as
    ``release NAME``; None for the lake's own. ``may_delete``: the share of a table's rows in PostgreSQL that may go,
    so that it becomes this.
    """

    tables: Sequence[PublishedTable]
    lake_version: int | None = None
    release: str | None = None
    may_delete: float = 1.0

    @property
    def gold(self) -> PublishedTable:
        """The days, whose version all else belongs to."""
        return next(published for published in self.tables if published.table is GOLD)

    @property
    def gold_version(self) -> int:
        """Gold's version."""
        return self.state.gold.version

    @property
    def title(self) -> str:
        """What a person calls it: a release has a Gold of its own, whose versions begin anew."""
        return f"Gold version {self.gold_version}" if self.release is None else f"the Gold of {self.release}"

    @property
    def state(self) -> PublishedState:
        """How ``export_log`` names it."""
        pins = {published.table.short_name: published.pin for published in self.tables}
        return PublishedState({name: pin for name, pin in pins.items() if pin is not None}, self.lake_version)

    @property
    def missing(self) -> list[str]:
        """The names of the tables that the lake does not hold."""
        return [published.table.name for published in self.tables if published.snapshot is None]

    def checksums(self) -> dict[Part, Checksum]:
        """The checksum of every part of every table.

        Raises:
            LakehouseError: the files cannot be read.
        """
        return {part: checksum for published in self.tables for part, checksum in published.checksums.items()}

    def as_exported(self, state: PublishedState) -> "ExportSource | None":
        """These tables at the versions of an export; None where it was of others, or of copies that went their own way.

        Exports before migration 0005 knew of the regions' version alone: Gold's own commit vouches for its table.
        """
        if not self.gold.knows(state.gold):
            return None
        pairs = [(published, state.tables.get(published.table.short_name)) for published in self.tables]
        if not all(pin is None or not pin.table_id or published.knows(pin) for published, pin in pairs):
            return None
        return ExportSource([_at(published, pin) for published, pin in pairs], state.lake_version, self.release)


def at(store: Store, version: int | None = None, *, since: PublishedState | None = None) -> ExportSource:
    """Gold at a version, by default its newest, and the other published tables as they were when it was.

    Of the newest, commits are known from ``since`` on, so that a long log need not be read.

    Raises:
        UsageError: there is no such version.
        LakehouseError: there is no Gold yet.
    """
    newest = ExportSource([_newest(store.path(table), table, since) for table in PUBLISHED])
    gold = newest.gold.pin
    if gold is None:
        raise LakehouseError(f"There is no {GOLD.name} at {store.path(GOLD)}; run `lakehouse gold` first.")
    if version is None or version == gold.version:
        return newest
    if not 0 <= version <= gold.version:
        raise UsageError(f"{GOLD.name} has the versions 0 to {gold.version}, not {version}.")
    return ExportSource(_tables_of(store, replace(gold, version=version)))


def of_state(store: Store, state: LakeVersion, *, since: PublishedState | None = None) -> ExportSource:
    """The published tables as a lake version or a release has them; those that it does not hold have no rows.

    Raises:
        LakehouseError: the state holds no Gold, or can no longer be read.
    """
    tables = [_of_state(state, table, since) for table in PUBLISHED]
    return ExportSource(tables, state.lake_version, state.name if state.root != store.root else None)


def exported(store: Store, settings: Settings, state: PublishedState) -> ExportSource:
    """What was exported last, of the lake or of a release; the lake's newest where it was another table's."""
    newest = at(store, since=state)
    if newest.gold.knows(state.gold):
        return newest.as_exported(state) or at(store, state.gold.version)
    release = releases.of_table(settings, state.gold.table_id)
    return of_state(store, release, since=state) if release is not None else newest


def _tables_of(store: Store, gold: Pin) -> list[PublishedTable]:
    """The published tables when Gold was at a version of its own."""
    logs = [(table, _log(store.path(table), table)) for table in PUBLISHED]
    own = next(log for table, log in logs if table is GOLD and log is not None)
    sources = {GOLD.name: gold, SILVER.name: _silver_of(gold, own.history)}
    found = []
    for table, log in logs:
        if log is None:
            found.append(PublishedTable(table, None, {}))
            continue
        version = gold.version if table is GOLD else _version_of(log.history, sources)
        found.append(PublishedTable(table, _opened(log.newest.path, table, version), log.commit_ids))
    return found


def _silver_of(gold: Pin, history: Sequence[Entry]) -> Pin | None:
    """The version of Silver that Gold was made of: what its own newest commit at that version has read."""
    made = (commits.parse(entry.get("userMetadata")) for entry in history if int(entry["version"]) <= gold.version)
    return next((commit.reads[SILVER.name] for commit in made if commit and SILVER.name in commit.reads), None)


def _version_of(history: Sequence[Entry], sources: Mapping[str, Pin | None]) -> int:
    """The newest version of a table that was made of these sources, or of older ones; if none was, its oldest.

    None is written while a table stays the same, so its version may be of an older source.
    """
    for entry in history:
        commit = commits.parse(entry.get("userMetadata"))
        read = {name: pin for name, pin in commit.reads.items() if name in sources} if commit else {}
        if read and all(_is_of(pin, sources[name]) for name, pin in read.items()):
            return int(entry["version"])
    return int(history[-1]["version"])


def _is_of(read: Pin, source: Pin | None) -> bool:
    """Whether what was read is this version of a source, or an older one."""
    return source is not None and read.table_id == source.table_id and read.version <= source.version


def _at(published: PublishedTable, pin: Pin | None) -> PublishedTable:
    """The table at another version; None: when the lake did not hold it."""
    if pin == published.pin:
        return published
    if pin is None or published.snapshot is None:
        return replace(published, snapshot=None)
    return replace(published, snapshot=_opened(published.snapshot.path, published.table, pin.version))


def _of_state(state: LakeVersion, table: Table, since: PublishedState | None) -> PublishedTable:
    if table is not GOLD and table.name not in state.versions:
        return PublishedTable(table, None, {})
    snapshot, recorded = state.snapshot(table), since.tables.get(table.short_name) if since else None
    is_same = recorded is not None and recorded.table_id == snapshot.table_id
    oldest = min(snapshot.version, recorded.version) if recorded and is_same else snapshot.version
    log = _log(state.path(table), table, oldest)
    return PublishedTable(table, snapshot, log.commit_ids if log else {})


def _newest(path: str, table: Table, since: PublishedState | None) -> PublishedTable:
    """The table's newest version, with its commits since what was exported; without rows where there is no table."""
    log = _log(path, table, since.version(table) if since else None)
    return PublishedTable(table, log.newest, log.commit_ids) if log else PublishedTable(table, None, {})


@dataclass(frozen=True)
class _Log:
    """A table's newest version and its commits, newest first."""

    newest: Snapshot
    history: Sequence[Entry]

    @property
    def commit_ids(self) -> dict[int, str]:
        return {int(entry["version"]): commits.commit_id(entry) for entry in self.history}


def _log(path: str, table: Table, oldest: int | None = 0) -> _Log | None:
    """The commits from version ``oldest`` on (None: the newest one only); None where there is no table.

    delta-rs numbers a history from the version that was opened, whatever has been committed since.
    """
    while (newest := delta_log.open_table(path)) is not None:
        history = newest.history(since=(newest.version if oldest is None else min(oldest, newest.version)) - 1)
        again = delta_log.open_table(path)
        if again is not None and again.version == newest.version:
            losses.check_files(newest, table, CURE)
            return _Log(newest, history)
    return None


def _opened(path: str, table: Table, version: int) -> Snapshot:
    found = delta_log.open_table(path, version)
    if found is None:
        raise LakehouseError(f"There is no {table.name} at {path}; run `lakehouse gold` first.")
    losses.check_files(found, table, CURE)
    return found
