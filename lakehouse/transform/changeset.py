"""What has to be written so that a table equals what it should hold: the one comparison all layers use. Pure.

It is one text in the SQL that Spark and DuckDB have in common (``comparing``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakehouse.lake.changes import CHANGE, DELETE, EQUAL, INSERT, UPDATE
from lakehouse.lake.tables import Table


@dataclass(frozen=True)
class Comparison:
    """How the rows that a table should have are compared with those it has.

    ``values``: the columns that make a difference. All others but the key's are carried and never make one.
    ``deleting``: whether rows that are not wanted go. ``with_equals``: whether those that are as they should be are
    counted. The comparison is null-safe. Keys are never null.
    """

    key: Sequence[str]
    values: Sequence[str]
    deleting: bool
    with_equals: bool = False

    def query(self, names: Sequence[str]) -> str:
        """One row per key of ``{wanted}`` and ``{current}`` that differs, with wanted's columns and ``_change``."""
        columns = (f"coalesce(w.{name}, c.{name}) AS {name}" if name in self.key else f"w.{name}" for name in names)
        same_key = " AND ".join(f"w.{name} = c.{name}" for name in self.key)
        differ = " OR ".join(f"w.{name} IS DISTINCT FROM c.{name}" for name in self.values)
        return f"""
            SELECT * FROM (
                SELECT {", ".join(columns)}, CASE
                    WHEN c.{self.key[0]} IS NULL THEN '{INSERT}'
                    WHEN w.{self.key[0]} IS NULL THEN '{DELETE}'
                    WHEN {differ} THEN '{UPDATE}'
                    {f"ELSE '{EQUAL}'" if self.with_equals else ""}
                END AS {CHANGE}
                FROM {{wanted}} AS w {"FULL" if self.deleting else "LEFT"} JOIN {{current}} AS c ON {same_key}
            ) AS compared WHERE {CHANGE} IS NOT NULL"""


@dataclass(frozen=True)
class ChangeCounts:
    """How many rows have to be written, by kind, and the range of the clustering column they lie in.

    ``equal`` is how many of those looked at are as they should be.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    low: object | None = None
    high: object | None = None
    equal: int = 0

    @property
    def total(self) -> int:
        """All rows that have to be written."""
        return sum(self.rows.values())

    def counts(self) -> dict[str, int]:
        """The counts of a stage's report."""
        inserted, updated, deleted = (self.rows.get(kind, 0) for kind in (INSERT, UPDATE, DELETE))
        return {"inserted": inserted, "updated": updated, "deleted": deleted, "unchanged": self.equal}


def tally(table: Table) -> str:
    """How many rows of ``{compared}`` there are of each kind, and the range they lie in."""
    column = table.clustered_by
    return (
        f"SELECT {CHANGE} AS kind, count(*) AS n, min({column}) AS low, max({column}) AS high "
        f"FROM {{compared}} GROUP BY {CHANGE}"
    )


def counted(kinds: Sequence[Mapping[str, Any]]) -> ChangeCounts:
    """The answer to :func:`tally`."""
    differing = [row for row in kinds if row["kind"] != EQUAL]
    return ChangeCounts(
        {row["kind"]: int(row["n"]) for row in differing},
        min((row["low"] for row in differing), default=None),
        max((row["high"] for row in differing), default=None),
        sum(int(row["n"]) for row in kinds if row["kind"] == EQUAL),
    )
