"""The comparison of rows where they are: of Spark's by Spark, of this process by DuckDB, and what has to be written."""

from typing import Protocol

import pyarrow as pa
from pyspark.sql import DataFrame

from lakehouse.lake.changes import CHANGE, EQUAL
from lakehouse.lake.scratch import Scratch
from lakehouse.lake.store import Store
from lakehouse.lake.tables import Table
from lakehouse.transform.changeset import ChangeCounts, Comparison, counted, tally


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
        return counted(self._spark.sql(tally(self._table), compared=self._rows).toArrow().to_pylist())

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
        found = self._database.execute(tally(self._table).format(compared="compared"))
        return counted(found.to_arrow_table().to_pylist())

    def rows(self) -> DataFrame:
        """Those that have to be written, in order of time."""
        query = f"SELECT * FROM compared WHERE {CHANGE} <> '{EQUAL}' ORDER BY {', '.join(self._table.order)}"
        return self._store.of_file(self._database.write(query, "changes"), self._table, f"{CHANGE} STRING")

    def close(self) -> None:
        """Let go of what is held."""
        self._database.close()
