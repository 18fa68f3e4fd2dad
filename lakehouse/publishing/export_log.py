"""``export_log``: which versions of Gold's tables PostgreSQL's equal, and how that was proven."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from lakehouse.lake.commits import Pin
from lakehouse.lake.tables import DIM_REGION, GOLD, PUBLISHED, Table
from lakehouse.publishing import checksums, statements
from lakehouse.publishing.checksums import Checksum, Checksums

PREFIXES = {GOLD.short_name: "", DIM_REGION.short_name: "regions_"}
"""What ``export_log`` and reports put before the name of a table's count; before others, the table's own name."""


def prefix_of(name: str) -> str:
    """What a report puts before the counts of the published table with this short name."""
    return PREFIXES.get(name, f"{name}_")


@dataclass(frozen=True)
class ExportCounts:
    """What an export did to the rows of one table."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    @property
    def rows_total(self) -> int:
        """Rows of the table afterwards."""
        return self.inserted + self.updated + self.unchanged

    def untouched(self) -> "ExportCounts":
        """What the next export counts if it finds nothing to do."""
        return ExportCounts(unchanged=self.rows_total)

    def as_dict(self) -> dict[str, int]:
        """By name, as the log's columns are called."""
        return {name: getattr(self, name) for name in ("inserted", "updated", "deleted", "unchanged")}


Exported = Mapping[str, ExportCounts]
"""What an export did to every published table, by its short name."""


@dataclass(frozen=True)
class PublishedState:
    """What is exported: the version of every table that the lake holds, by its short name.

    A commit's id tells a version from the same one of a copy of the table that went its own way. ``lake_version``:
    that of the whole lake, where the export belongs to one.
    """

    tables: Mapping[str, Pin]
    lake_version: int | None = None

    @property
    def gold(self) -> Pin:
        """The version of the days, which all else belongs to."""
        return self.tables[GOLD.short_name]

    def version(self, table: Table) -> int | None:
        """The version of a table, None if the lake does not hold it."""
        pin = self.tables.get(table.short_name)
        return pin.version if pin else None


@dataclass(frozen=True)
class ExportRecord:
    """An export as the log has it; ``checksums`` are of whole tables, by short name."""

    export_id: int
    run_id: str
    state: PublishedState
    counts: Exported
    checksums: Mapping[str, int]
    exported_at: datetime = field(compare=False)

    @property
    def is_proven(self) -> bool:
        """Whether it was proven by checksums (not so before migration 0004)."""
        return {*self.checksums} == {*self.counts}

    def is_whole(self, table: Table, found: Checksums) -> bool:
        """Whether a table, of these checksums, still is as this export left it."""
        name = table.short_name
        recorded = (
            Checksum(self.counts[name].rows_total, self.checksums[name]) if name in self.counts else Checksum(0, 0)
        )
        return recorded == checksums.total(found, table)

    def is_of(self, state: PublishedState) -> bool:
        """Whether it published these very versions.

        Exports before migration 0005 knew of the regions' version alone: Gold's own commit vouches for its table.
        """
        if {*self.state.tables} != {*state.tables}:
            return False
        pairs = ((self.state.tables[name], pin) for name, pin in state.tables.items())
        return all(old == pin or (not old.table_id and old.version == pin.version) for old, pin in pairs)


def last_export(connection: Connection) -> ExportRecord | None:
    """The newest export, None before the first."""
    with statements.transaction(connection):
        row = connection.execute(statements.load("log_last")).mappings().first()
        if row is None:
            return None
        tables = (
            connection.execute(statements.load("log_last_tables"), {"export_id": row["export_id"]}).mappings().all()
        )
    return ExportRecord(
        export_id=row["export_id"],
        run_id=row["run_id"],
        state=PublishedState(
            {each["table_name"]: _pin(each) for each in tables if each["version"] is not None}, row["lake_version"]
        ),
        counts={each["table_name"]: _counts(each) for each in tables},
        checksums={each["table_name"]: int(each["checksum"]) for each in tables if each["checksum"] is not None},
        exported_at=row["exported_at"],
    )


def record(
    connection: Connection, run_id: str, state: PublishedState, counts: Exported, proof: Checksums | None
) -> None:
    """Write an export's rows; in the transaction of the rows that they speak of."""
    totals = {
        table.short_name: checksums.total(proof, table).total if proof is not None else None for table in PUBLISHED
    }
    values: dict[str, Any] = {
        "run_id": run_id,
        "gold_version": state.gold.version,
        "gold_table_id": state.gold.table_id,
        "gold_commit_id": state.gold.commit_id,
        "dim_version": state.version(DIM_REGION),
        "lake_version": state.lake_version,
        "rows_total": counts[GOLD.short_name].rows_total,
    }
    for name, prefix in PREFIXES.items():
        values[f"{prefix}checksum"] = totals[name]
        values |= {f"{prefix}{what}": number for what, number in counts[name].as_dict().items()}
    export_id = connection.execute(statements.load("log_insert"), values).scalar_one()
    for name, done in counts.items():
        pin = state.tables.get(name)
        connection.execute(
            statements.load("log_table_insert"),
            {
                "export_id": export_id,
                "table_name": name,
                "version": pin.version if pin else None,
                "table_id": pin.table_id if pin else None,
                "commit_id": pin.commit_id if pin else None,
                **done.as_dict(),
                "rows_total": done.rows_total,
                "checksum": totals[name],
            },
        )


def _pin(row: RowMapping) -> Pin:
    return Pin(row["table_id"] or "", row["version"], row["commit_id"])


def _counts(row: RowMapping) -> ExportCounts:
    return ExportCounts(*(int(row[name]) for name in ("inserted", "updated", "deleted", "unchanged")))
