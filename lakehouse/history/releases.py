"""Releases: real copies of the tables at a lake version, with a checksum of each, that no vacuum can reach.

A release stands under ``releases/NAME`` and is laid out as a lake: with ``LAKEHOUSE_ROOT`` on it every command that
only looks works there. ``release.json``, written last, says what it holds (``manifests``).
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame

from lakehouse import provenance
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import citations, manifests, states
from lakehouse.history.states import LakeVersion
from lakehouse.lake import delta_log, integrity, losses
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.locking import Hold, locked
from lakehouse.lake.store import Store
from lakehouse.lake.table_checksum import TableChecksum, table_checksum
from lakehouse.lake.tables import BRONZE, GOLD, RUNS, TABLES, Table
from lakehouse.messages.progress import OnProgress, unheard, weighed
from lakehouse.messages.wording import counted
from lakehouse.settings import Settings
from lakehouse.spark import session
from lakehouse.transform.quality import RULES

AS_RELEASED, DIFFERENT = "as released", "DIFFERENT"
ROOM = 1.2
"""Free space asked for, as a multiple of what is copied: files are packed anew."""


@dataclass(frozen=True)
class Plan:
    """What a release would copy."""

    name: str
    state: LakeVersion
    files: int
    bytes: int

    def describe(self) -> str:
        """One line."""
        size = f"{self.bytes / 2**20:,.1f} MiB in {counted(self.files, 'file')}"
        return f"release {self.name}: copies {size} of {self.state.name}"


def planned(settings: Settings, name: str, at: int | None = None) -> Plan:
    """What a release of a lake version (default: the newest) would copy. Reads the logs alone.

    Raises:
        UsageError: the name cannot be one or is taken, or there is no such lake version.
        LakehouseError: there is no lake, a table has lost its version, or the disk has no room.
    """
    if manifests.exists(settings, manifests.checked_name(name)):
        raise UsageError(f"There is a release {name!r} already, and releases are never overwritten: take another name.")
    state = states.at_lake_version(settings, at)
    totals = [_source(settings, state, table).totals() for table in _released(state)]
    plan = Plan(name, state, sum(total["files"] for total in totals), sum(total["bytes"] for total in totals))
    if settings.is_local:
        free = shutil.disk_usage(settings.root).free
        if free < plan.bytes * ROOM:
            raise LakehouseError(
                f"A release of {state.name} needs about {plan.bytes * ROOM / 2**20:,.0f} MiB at {settings.root}, "
                f"but only {free / 2**20:,.0f} MiB are free; nothing was written."
            )
    return plan


def create(
    settings: Settings,
    name: str,
    now: datetime,
    *,
    note: str = "",
    at: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
    on_progress: OnProgress = unheard,
) -> dict[str, Any]:
    """Copy the tables of a lake version and prove the copies; gives the manifest.

    ``tell`` is told the size before anything is copied, ``on_progress`` how many bytes of it are. What a creation that
    died has left is removed.

    Raises:
        UsageError, LakehouseError: as :func:`planned`; besides, a copy that does not hold what its source holds.
    """
    session.check()
    plan = planned(settings, name, at)
    tell(plan.describe())
    with locked(settings) as hold:
        manifests.remove(settings, name)
        try:
            manifest = _copied(settings, plan, hold, now, note, on_progress)
            hold.check()
            manifests.write(settings, name, manifest)
        except BaseException:
            manifests.remove(settings, name)
            raise
    return manifest


def _copied(
    settings: Settings, plan: Plan, hold: Hold, now: datetime, note: str, on_progress: OnProgress
) -> dict[str, Any]:
    state, place = plan.state, manifests.place(settings, plan.name)
    spark = session.open_session()
    lake, copy = Store(spark, settings.root), Store(spark, place, hold=hold)
    released = _released(state)
    copy.prepare(*released)
    tables = {}
    sources = [(table, _source(settings, state, table)) for table in released]
    sized = ((source, source[1].totals()["bytes"]) for source in sources)
    for table, source in weighed(sized, plan.bytes, on_progress, f"release {plan.name}", "bytes"):
        rows = _rows(lake, state, table, source)
        before = table_checksum(rows, table.column_names)
        commit = Commit(
            "release",
            state.run["run_id"],
            provenance.code_version(),
            provenance.settings_hash(settings),
            {table.name: source.pin},
            schema=table.schema,
            generation=hold.generation,
        )
        copied = copy.append(rows, table, commit).version
        after = table_checksum(copy.read(table, copied), table.column_names)
        if before != after:
            raise LakehouseError(
                f"The copy of {table.name} is not what it was made of; the release was taken back, make it again."
            )
        target = _opened(copy.path(table), copied)
        tables[table.name] = {
            "source_version": source.version,
            "source_table_id": source.table_id,
            "copied_version": copied,
            "table_id": target.table_id,
            **target.totals(),
            "checksum": after.checksum,
        }
    return _manifest(settings, plan, now, note, tables)


def _released(state: LakeVersion) -> list[Table]:
    """What a release copies: all that the state holds, and the runs up to its lake version."""
    return [table for table in TABLES if table is RUNS or state.holds(table)]


def _rows(lake: Store, state: LakeVersion, table: Table, source: Snapshot) -> DataFrame:
    """The rows to copy."""
    rows = lake.read_with_schema(table, source.version)
    if table is BRONZE:
        return integrity.checked(rows)
    return rows.where(f"lake_version <= {state.lake_version}") if table is RUNS else rows


def _source(settings: Settings, state: LakeVersion, table: Table) -> Snapshot:
    """The table as the state has it; of the runs, which a state does not number, the newest."""
    found = _opened(settings.path(table.path)) if table is RUNS else state.snapshot(table)
    losses.check_files(found, table, "no release can be made of it; `lakehouse run` builds a derived table anew")
    return found


def _opened(path: str, version: int | None = None) -> Snapshot:
    found = delta_log.open_table(path, version)
    if found is None:
        raise LakehouseError(f"There is no table at {path}.")
    return found


def _manifest(
    settings: Settings, plan: Plan, now: datetime, note: str, tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    state = plan.state
    gold = _opened(f"{manifests.place(settings, plan.name)}/{GOLD.path}")
    bronze = _opened(f"{manifests.place(settings, plan.name)}/{BRONZE.path}")
    manifest: dict[str, Any] = {
        "release": plan.name,
        "title": citations.TITLE,
        "note": note,
        "created_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lake_version": state.lake_version,
        "run_id": state.run["run_id"],
        "run_finished_at": state.run["finished_at"].isoformat(),
        "made_by": state.run["code_version"],
        "released_by": provenance.code_version(),
        "settings_hash": state.run["settings_hash"],
        "source": bronze.highest("source"),
        "landing": bronze.highest("landing"),
        "attribution": citations.ATTRIBUTION,
        **citations.days(gold),
        "rules": [asdict(rule) for rule in RULES.all],
        "tables": tables,
        "checksum": overall({name: TableChecksum(about["rows"], about["checksum"]) for name, about in tables.items()}),
    }
    return {**manifest, "citation": citations.of_release(manifest)}


def overall(tables: Mapping[str, TableChecksum]) -> str:
    """One checksum of all tables: SHA-256 of a line ``name rows checksum`` for each, by name."""
    lines = (f"{name} {tables[name].rows} {tables[name].checksum}\n" for name in sorted(tables))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def listed(settings: Settings) -> list[dict[str, Any]]:
    """One row per release, oldest first. No JVM."""
    found = [manifests.read(settings, name) for name in manifests.names(settings)]
    rows = [
        {
            "release": manifest["release"],
            "lake_version": manifest["lake_version"],
            "created_at": manifest["created_at"],
            "first_day": manifest["first_day"],
            "last_day": manifest["last_day"],
            "rows": manifest["tables"][GOLD.name]["rows"],
            "bytes": sum(about["bytes"] for about in manifest["tables"].values()),
            "checksum": manifest["checksum"],
            "note": manifest["note"],
        }
        for manifest in found
    ]
    return sorted(rows, key=lambda row: row["created_at"])


@dataclass(frozen=True)
class Checked:
    """A table of a release: what the manifest says, and what was found now (None: it cannot be read)."""

    table: str
    stated: TableChecksum
    found: TableChecksum | None
    error: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it holds what it held."""
        return self.found == self.stated

    def as_row(self) -> dict[str, Any]:
        """For a table of text, and for ``--json``."""
        rows = self.found.rows if self.found else None
        result = AS_RELEASED if self.is_whole else self.error or DIFFERENT
        return {"table": self.table, "rows": rows, "rows_released": self.stated.rows, "result": result}


def verify(settings: Settings, name: str, on_progress: OnProgress = unheard) -> list[Checked]:
    """Compute every checksum of a release anew.

    Raises:
        UsageError: there is no such release.
        LakehouseError: its manifest contradicts itself.
    """
    manifest = manifests.read(settings, name)
    stated = {table: TableChecksum(about["rows"], about["checksum"]) for table, about in manifest["tables"].items()}
    if overall(stated) != manifest["checksum"]:
        raise LakehouseError(
            f"The manifest of release {name} was changed: its checksum is not that of its tables; bring it back from a "
            "backup."
        )
    if unknown := sorted(set(stated) - {table.name for table in TABLES}):
        raise LakehouseError(
            f"Release {name} holds {' and '.join(unknown)}, which this release of the package does not know: update it."
        )
    store = Store(session.open_session(), manifests.place(settings, name))
    sized = [(table, manifest["tables"][table.name]["bytes"]) for table in TABLES if table.name in stated]
    total = sum(size for _, size in sized)
    return [
        _checked(store, table, stated[table.name])
        for table in weighed(sized, total, on_progress, f"release {name}", "bytes")
    ]


def _checked(store: Store, table: Table, stated: TableChecksum) -> Checked:
    try:
        snapshot = _opened(store.path(table))
        rows = store.read(table, snapshot.version)
        return Checked(
            table.name,
            stated,
            table_checksum(rows, [column for column in table.column_names if column in rows.columns]),
        )
    except LakehouseError as error:
        return Checked(table.name, stated, None, str(error))


def delete(settings: Settings, name: str) -> None:
    """Remove a release for good.

    Raises:
        UsageError: there is no such release.
    """
    manifests.read(settings, name)
    with locked(settings):
        manifests.remove(settings, name)


def of_table(settings: Settings, table_id: str) -> LakeVersion | None:
    """The release whose Gold has this id, None when no release has."""
    for name in manifests.names(settings):
        if manifests.read(settings, name)["tables"][GOLD.name]["table_id"] == table_id:
            return states.of_release(settings, name)
    return None
