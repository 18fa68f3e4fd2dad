"""A state of the whole lake by its name: a lake version (the number of a run) or a release. Read without a JVM."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import manifests
from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import RUNS, TABLES, Table
from lakehouse.settings import Settings


@dataclass(frozen=True)
class LakeVersion:
    """Every table at one version. ``root`` is the lake, or the release's own folder; ``versions`` is by table name."""

    name: str
    lake_version: int
    root: str
    versions: Mapping[str, int]
    run: Mapping[str, Any]

    @property
    def tables(self) -> Tables:
        """The same tables for whoever looks for one that may be missing."""
        return Tables(self.root, self.versions, self.lake_version)

    @property
    def ended_at(self) -> datetime:
        """When its run ended, by the machine's clock."""
        stated = self.run.get("run_finished_at") or self.run["finished_at"]  # of a release as text
        return datetime.fromisoformat(stated) if isinstance(stated, str) else stated.astimezone(UTC)

    def path(self, table: Table) -> str:
        """Where a table of this state stands."""
        return self.tables.path(table)

    def holds(self, table: Table) -> bool:
        """Whether it has the table; one of an older release of this package lacks those declared since."""
        return table.name in self.versions

    def version(self, table: Table) -> int:
        """The version of a table.

        Raises:
            LakehouseError: the state holds no such table.
        """
        if not self.holds(table):
            raise LakehouseError(f"{self.name} holds no {table.name}: name a later lake version or release.")
        return self.versions[table.name]

    def snapshot(self, table: Table) -> Snapshot:
        """The table as it was.

        Raises:
            LakehouseError: it is gone, or its version can no longer be read.
        """
        found = delta_log.open_table(self.path(table), self.version(table))
        if found is None:
            version = self.version(table)
            raise LakehouseError(
                f"{self.name} needs version {version} of {table.name}, which can no longer be read: name a release of "
                "its time, or a later lake version."
            )
        return found


_RUN = ("lake_version", "run_id", "command", "status", "code_version", "settings_hash", "finished_at", "versions")


def at_lake_version(settings: Settings, number: int | None = None) -> LakeVersion:
    """The lake as the run of this number left it; by default the newest run.

    Raises:
        LakehouseError: there is no lake, or no run has ended yet.
        UsageError: there is no such lake version.
    """
    runs = delta_log.open_table(settings.path(RUNS.path))
    if runs is None:
        raise LakehouseError(f"There is no lake at {settings.root} yet; `lakehouse run` makes one.")
    wanted = None if number is None else f'"lake_version" = {int(number)}'
    newest = runs.highest("lake_version")
    rows = runs.rows(_RUN, wanted or f'"lake_version" = {int(newest or 0)}').to_pylist()
    if newest is None:
        raise LakehouseError(f"No run has ended in the lake at {settings.root} yet; `lakehouse run` makes the first.")
    if not rows:
        raise UsageError(f"The lake has the versions 1 to {newest}, not {number}; `lakehouse status` shows the newest.")
    run = {**rows[0], "versions": dict(rows[0]["versions"])}
    return LakeVersion(f"lake version {run['lake_version']}", run["lake_version"], settings.root, run["versions"], run)


def at_time(settings: Settings, moment: datetime) -> LakeVersion:
    """The newest lake version whose run had ended by a moment (aware).

    Raises:
        LakehouseError: there is no lake.
        UsageError: no run had ended by then.
    """
    runs = delta_log.open_table(settings.path(RUNS.path))
    by_then = f"finished_at <= TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
    number = runs.highest("lake_version", by_then) if runs else None
    if number is None:
        first = at_lake_version(settings, 1)
        raise UsageError(
            f"No run of the lake at {settings.root} had ended by {moment:%Y-%m-%dT%H:%M:%SZ}; the first ended at "
            f"{first.ended_at:%Y-%m-%dT%H:%M:%SZ}."
        )
    return at_lake_version(settings, number)


def newest(settings: Settings) -> LakeVersion:
    """The lake as it is: every table at its newest version, whoever made it, after the newest run.

    Raises:
        LakehouseError: there is no lake, or no run has ended yet.
    """
    state = at_lake_version(settings)
    now = {table.name: delta_log.open_table(settings.path(table.path)) for table in TABLES if table is not RUNS}
    versions = {name: snapshot.version for name, snapshot in now.items() if snapshot is not None}
    if versions == state.versions:
        return state
    return replace(state, name=f"the lake as it is, changed since {state.name}", versions=versions)


def of_release(settings: Settings, name: str) -> LakeVersion:
    """A release: its own copies, each at the version that holds what was released.

    Raises:
        UsageError: there is no such release.
    """
    return _released(manifests.place(settings, name), manifests.read(settings, name))


def of_release_folder(settings: Settings) -> LakeVersion | None:
    """The release that the root itself is; None where it is a lake."""
    return _released(settings.root, manifests.at(settings.root)) if manifests.is_at(settings.root) else None


def _released(folder: str, manifest: Mapping[str, Any]) -> LakeVersion:
    versions = {table: about["copied_version"] for table, about in manifest["tables"].items()}
    return LakeVersion(f"release {manifest['release']}", manifest["lake_version"], folder, versions, manifest)


def resolve_version(settings: Settings, name: str) -> LakeVersion:
    """A lake version where the name is a number, otherwise a release.

    Raises:
        UsageError: there is neither.
    """
    if name.isascii() and name.isdigit():
        return at_lake_version(settings, int(name))
    return of_release(settings, name)
