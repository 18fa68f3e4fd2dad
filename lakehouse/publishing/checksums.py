"""What proves a table equal to its copy: a checksum of each part, whatever the order of rows. Pure.

A part is a month of the table's date, or all of a table that has none. Its checksum is how many rows it has, and the
sum of their numbers (``row_text``); PostgreSQL and this process compute it by the same statement.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from lakehouse.lake import duck
from lakehouse.lake.tables import Table
from lakehouse.publishing import statements


class Part(NamedTuple):
    """A month (``2024-02``) of a table by its short name; without a month the whole table."""

    table: str
    month: str = ""

    def __str__(self) -> str:
        """As ``carbon_intensity_daily 2024-02``."""
        return f"{self.table} {self.month}".rstrip()


@dataclass(frozen=True)
class Checksum:
    """How many rows there are, and the sum of their numbers."""

    rows: int
    total: int


Checksums = Mapping[Part, Checksum]


def of_rows(table: Table, rows: pa.Table) -> dict[Part, Checksum]:
    """The checksum of every part of a table; the rows are given in the table's own types."""
    if not len(rows):
        return {}
    with duck.connect() as database:
        database.register("published", rows)
        return parts(table, database.execute(statements.checksum_in_duckdb(table, "published")).fetchall())


def parts(table: Table, found: Iterable[Any]) -> dict[Part, Checksum]:
    """What the statement ``checksum`` found, by part."""
    return {Part(table.short_name, month): Checksum(int(rows), int(total)) for month, rows, total in found}


def of_table(checksums: Checksums, table: Table) -> dict[Part, Checksum]:
    """Those of one table."""
    return {part: checksum for part, checksum in checksums.items() if part.table == table.short_name}


def total(checksums: Checksums, table: Table) -> Checksum:
    """The checksum of a whole table."""
    found = of_table(checksums, table).values()
    return Checksum(sum(part.rows for part in found), sum(part.total for part in found))


def differing(some: Checksums, others: Checksums) -> list[Part]:
    """The parts that are not the same in both, in order."""
    return sorted(part for part in {*some, *others} if some.get(part) != others.get(part))
