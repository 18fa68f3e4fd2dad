"""``export_log``: which Gold version PostgreSQL's tables equal, and how that was proven."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping

from lakehouse.publishing import statements

REGIONS = "dim_region"
"""The part of the checksums that is no month."""


@dataclass(frozen=True)
class Checksum:
    """How many rows there are, and the sum of their numbers."""

    rows: int
    total: int


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


@dataclass(frozen=True)
class Exported:
    """What an export did to ``carbon_intensity_daily`` and to ``dim_region``."""

    days: ExportCounts = field(default_factory=ExportCounts)
    regions: ExportCounts = field(default_factory=ExportCounts)

    def untouched(self) -> "Exported":
        """What the next export counts if it finds nothing to do."""
        return Exported(*(ExportCounts(unchanged=table.rows_total) for table in (self.days, self.regions)))


@dataclass(frozen=True)
class GoldVersion:
    """What is exported. The commit's id tells it from the same version of a copy of the table that went its own way."""

    table_id: str
    version: int
    commit_id: str | None = None
    dim_version: int | None = None
    lake_version: int | None = None


@dataclass(frozen=True)
class ExportRecord:
    """A row of ``export_log``."""

    export_id: int
    run_id: str
    gold: GoldVersion
    counts: Exported
    checksum: int | None
    regions_checksum: int | None
    exported_at: datetime

    @property
    def is_proven(self) -> bool:
        """Whether it was proven by checksums (not so before migration 0004)."""
        return self.checksum is not None and self.regions_checksum is not None

    def is_whole(self, found: Mapping[str, Checksum]) -> bool:
        """Whether the tables, of these checksums, still are as this export left them."""
        days, regions = totals(found)
        stated = (self.counts.days.rows_total, self.checksum, self.regions_checksum)
        return stated == (days.rows, days.total, regions.total)


def totals(parts: Mapping[str, Checksum]) -> tuple[Checksum, Checksum]:
    """The checksum of all months, and that of the regions."""
    months = [part for name, part in parts.items() if name != REGIONS]
    days = Checksum(sum(part.rows for part in months), sum(part.total for part in months))
    return days, parts.get(REGIONS, Checksum(0, 0))


def last_export(connection: Connection) -> ExportRecord | None:
    """The newest export, None before the first."""
    with statements.transaction(connection):
        row = connection.execute(statements.load("log_last")).mappings().first()
    if row is None:
        return None
    return ExportRecord(
        export_id=row["export_id"],
        run_id=row["run_id"],
        gold=GoldVersion(
            row["gold_table_id"],
            row["gold_version"],
            row["gold_commit_id"],
            row["dim_version"],
            row["lake_version"],
        ),
        counts=Exported(_counts(row, ""), _counts(row, "regions_")),
        checksum=_whole(row["checksum"]),
        regions_checksum=_whole(row["regions_checksum"]),
        exported_at=row["exported_at"],
    )


def record(
    connection: Connection, run_id: str, gold: GoldVersion, counts: Exported, proof: Mapping[str, Checksum] | None
) -> None:
    """Write an export's row; in the transaction of the rows that it speaks of."""
    days, regions = totals(proof) if proof is not None else (None, None)
    values: dict[str, Any] = {
        "run_id": run_id,
        "gold_version": gold.version,
        "gold_table_id": gold.table_id,
        "gold_commit_id": gold.commit_id,
        "dim_version": gold.dim_version,
        "lake_version": gold.lake_version,
        "rows_total": counts.days.rows_total,
        "checksum": days.total if days else None,
        "regions_checksum": regions.total if regions else None,
    }
    for prefix, table in (("", counts.days), ("regions_", counts.regions)):
        for name in ("inserted", "updated", "deleted", "unchanged"):
            values[prefix + name] = getattr(table, name)
    connection.execute(statements.load("log_insert"), values)


def _counts(row: RowMapping, prefix: str) -> ExportCounts:
    return ExportCounts(*(int(row[prefix + name]) for name in ("inserted", "updated", "deleted", "unchanged")))


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else int(number)
