"""What has to be written so that a table equals what it should hold: the one comparison all layers use.

It is one text in the SQL that Spark and DuckDB have in common: rows of Spark's are compared by Spark, rows of this
process by DuckDB, which puts them into files when they outgrow its memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
from pyspark.sql import DataFrame

from lakehouse.lake.changes import CHANGE, DELETE, EQUAL, INSERT, UPDATE
from lakehouse.lake.duck import Scratch
from lakehouse.lake.store import ROW_GROUP, Store
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


class Changes(Protocol):
    """The rows of a table that have to be written, in this process or on a cluster; held until ``close``."""

    is_in_file: bool
    """Whether the rows stand in a file, so that they come out the same whenever they are read."""

    def counts(self) -> ChangeCounts:
        """Count them."""

    def rows(self) -> DataFrame:
        """Those that have to be written, with ``_change``, for Spark."""

    def close(self) -> None:
        """Let go of what is held."""


class SparkChanges:
    """Compared by Spark, on the executors. See ``Changes``."""

    is_in_file = False

    def __init__(self, wanted: DataFrame, current: DataFrame, table: Table, comparison: Comparison) -> None:
        query = comparison.query(wanted.columns)
        self._rows = wanted.sparkSession.sql(query, wanted=wanted, current=current).persist()
        self._spark, self._table = wanted.sparkSession, table

    def counts(self) -> ChangeCounts:
        """Count them."""
        query = _tally(self._table).format(compared="{compared}")
        return _counted(self._spark.sql(query, compared=self._rows).toArrow().to_pylist())

    def rows(self) -> DataFrame:
        """Those that have to be written."""
        return self._rows.where(f"{CHANGE} <> '{EQUAL}'")

    def close(self) -> None:
        """Let go of what is held."""
        self._rows.unpersist()


class LocalChanges:
    """Compared in this process; given to Spark as a file, so that no memory has to hold them. See ``Changes``."""

    is_in_file = True

    def __init__(
        self,
        store: Store,
        wanted: pa.Table | pa.RecordBatchReader,
        current: pa.Table | pa.RecordBatchReader,
        table: Table,
        comparison: Comparison,
    ) -> None:
        self._store, self._table = store, table
        self._database = Scratch()
        try:
            query = comparison.query(wanted.schema.names).format(wanted="wanted", current="current")
            self._database.execute(f"CREATE TABLE compared AS {query}", wanted=wanted, current=current)
        except BaseException:
            self.close()
            raise

    def counts(self) -> ChangeCounts:
        """Count them."""
        found = self._database.execute(_tally(self._table).format(compared="compared"))
        return _counted(found.to_arrow_table().to_pylist())

    def rows(self) -> DataFrame:
        """Those that have to be written, in order of time."""
        query = f"SELECT * FROM compared WHERE {CHANGE} <> '{EQUAL}' ORDER BY {', '.join(self._table.order)}"
        return self._store.of_file(self._database.write(query, "changes", ROW_GROUP), self._table, f"{CHANGE} STRING")

    def close(self) -> None:
        """Let go of what is held."""
        self._database.close()


def _tally(table: Table) -> str:
    """How many rows of ``{compared}`` there are of each kind, and the range they lie in."""
    column = table.clustered_by
    return (
        f"SELECT {CHANGE} AS kind, count(*) AS n, min({column}) AS low, max({column}) AS high "
        f"FROM {{compared}} GROUP BY {CHANGE}"
    )


def _counted(kinds: Sequence[Mapping[str, Any]]) -> ChangeCounts:
    differing = [row for row in kinds if row["kind"] != EQUAL]
    return ChangeCounts(
        {row["kind"]: int(row["n"]) for row in differing},
        min((row["low"] for row in differing), default=None),
        max((row["high"] for row in differing), default=None),
        sum(int(row["n"]) for row in kinds if row["kind"] == EQUAL),
    )
