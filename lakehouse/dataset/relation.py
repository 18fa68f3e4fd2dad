"""A table of a pinned lake, lazily: which rows and columns are wanted is said first, then in which shape."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.dataset import display, moments
from lakehouse.dataset.moments import Moment, literal
from lakehouse.dataset.regions import Region
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import citations
from lakehouse.history.states import LakeVersion
from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import BRONZE, RUNS, Table

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    from pyspark.sql import DataFrame, SparkSession

PART_ROWS = 250_000
"""Rows that are read and sorted at once: some 100 MB of half-hours, and as much again while they are sorted."""


@dataclass(frozen=True)
class Source:
    """A table as a state of the lake has it; opened when it is first read, once for all relations of it."""

    state: LakeVersion
    table: Table

    @cached_property
    def snapshot(self) -> Snapshot:
        """The table at its version.

        Raises:
            LakehouseError: its version can no longer be read.
        """
        return self.state.snapshot(self.table)

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that rows are sorted by: time first, then the key; responses as they landed."""
        if self.table is BRONZE:
            return ("landing", *self.table.key)
        return tuple(dict.fromkeys(name for name in (self.table.time, *self.table.key) if name))


@dataclass(frozen=True, repr=False)
class Relation:
    """Rows and columns of one table at one version; nothing is read until they are asked for in a shape.

    Rows come in order of time, then of the key (responses as they landed), the same each time. Values are exact in
    every shape: decimals stay decimals. The columns' meanings and units stand in the metadata of the Arrow fields
    (``meaning``, ``unit``). It can be given to whatever takes a stream of Arrow (``__arrow_c_stream__``), such as
    ``pa.table``, ``pl.DataFrame`` and a DuckDB connection's ``from_arrow``.
    """

    _source: Source
    _region_of: Callable[[Region], int]
    _names: tuple[str, ...] = ()
    _conditions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The table's full name."""
        return self._source.table.name

    @property
    def version(self) -> int:
        """The version of the Delta table."""
        return self._source.state.version(self._source.table)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that were selected; by default all."""
        return self._names or self._source.snapshot.column_names

    @property
    def schema(self) -> pa.Schema:
        """Arrow types of the columns, with ``meaning`` and ``unit``; of the table what it is, and of which version."""
        types = self._source.snapshot.arrow_types()
        declared = {column.name: column for column in self._source.table.columns}
        fields = []
        for name in self.columns:
            column = declared.get(name)
            said = {"meaning": column.comment, "unit": column.unit} if column else {}
            fields.append(pa.field(name, types[name], metadata={key: text for key, text in said.items() if text}))
        about = {
            "table": self.name,
            "meaning": self._source.table.comment,
            "version": str(self.version),
            "state": self._source.state.name,
            "attribution": citations.ATTRIBUTION,
        }
        return pa.schema(fields, metadata=about)

    def where(
        self,
        *,
        region: Region | Iterable[Region] | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> "Relation":
        """Fewer rows: of a region or some, from ``since`` on, before ``until``. What was asked before holds, too.

        A row counts by its own time: the start of the half-hour, the day, the first day of the month; a response or
        record in quarantine by when it was received, a run by when it ended.

        Raises:
            UsageError: no such region, no such time, an empty range, or the table has no region or no time.
        """
        table, conditions = self._source.table, list(self._conditions)
        if region is not None:
            if "regionid" not in table.key:
                raise UsageError(f"{table.name} is not kept by region: where() takes since and until of it.")
            asked = [region] if isinstance(region, int | str) else list(region)
            if not asked:
                raise UsageError("region is empty: give an id, a name, or some of them.")
            conditions.append(f"regionid IN ({', '.join(str(self._region_of(each)) for each in asked)})")
        if since is not None or until is not None:
            if not table.time:
                raise UsageError(f"{table.name} has no time: where() takes a region of it.")
            type_ = next(column.type for column in table.columns if column.name == table.time)
            conditions += moments.within(table.time, type_, *moments.span(since, until))
        return replace(self, _conditions=tuple(conditions))

    def select(self, *columns: str) -> "Relation":
        """These columns alone, in this order.

        Raises:
            UsageError: there is no such column, or one comes twice.
        """
        there = self._source.snapshot.column_names
        if unknown := [name for name in columns if name not in there]:
            raise UsageError(f"{self.name} has no column {unknown[0]!r}; it has {', '.join(there)}.")
        if not columns or len(set(columns)) < len(columns):
            raise UsageError("select() takes the names of columns, each once.")
        return replace(self, _names=columns)

    def count(self) -> int:
        """How many rows there are."""
        return int(self._query("count(*) AS n")["n"][0].as_py())

    def head(self, rows: int = 5) -> pa.Table:
        """The first rows."""
        found: list[pa.RecordBatch] = []
        left = rows
        for batch in self._batches():
            found.append(batch.slice(0, left))
            left -= found[-1].num_rows
            if not left:
                break
        return pa.Table.from_batches(found, self.schema)

    def batches(self) -> pa.RecordBatchReader:
        """All rows as a stream of record batches; memory holds some of them at a time."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def arrow(self) -> pa.Table:
        """All rows as a pyarrow Table."""
        return self.batches().read_all()

    def pandas(self) -> "pd.DataFrame":
        """All rows as a pandas DataFrame: decimals as ``ArrowDtype``, days as ``datetime64``, exact.

        Means that pandas makes of such decimals have their two decimals, too: ``astype(float)`` first, for more.
        ``attrs`` says of which table, version and state it is, and has each column's ``meaning`` and ``unit``.

        Raises:
            LakehouseError: pandas is not installed.
        """
        pandas = _optional("pandas")
        table = self.arrow()
        frame = table.to_pandas(
            types_mapper=lambda kind: pandas.ArrowDtype(kind) if pa.types.is_decimal(kind) else None,
            date_as_object=False,
        )
        frame.attrs = {**_texts(table.schema), "columns": {field.name: _texts(field) for field in table.schema}}
        return frame

    def polars(self) -> "pl.DataFrame":
        """All rows as a Polars DataFrame, exact.

        Raises:
            LakehouseError: Polars is not installed.
        """
        frame: pl.DataFrame = _optional("polars").DataFrame(self.arrow())
        return frame

    def duckdb(self) -> "duckdb.DuckDBPyRelation":
        """The rows as a DuckDB relation; they are read when it is, each time anew, and never held as a whole."""
        from lakehouse.lake import duck

        return duck.connect().from_arrow(self)

    def spark(self, session: "SparkSession | None" = None) -> "DataFrame":
        """The rows as a Spark DataFrame, in no order. The one shape that starts a JVM, unless a session is given.

        Raises:
            LakehouseError: Spark cannot be started, or Delta refuses the version as too old.
        """
        from lakehouse.lake.store import Store
        from lakehouse.spark.session import open_session

        rows = Store(session or open_session, self._source.state.root).read(self._source.table, self.version)
        if (condition := self._condition()) is not None:
            rows = rows.where(condition)
        return rows.select(*self.columns)

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.batches().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        kept = f" where {' and '.join(self._conditions)}" if self._conditions else ""
        return f"<{self.name}, version {self.version} of {self._source.state.name}{kept}>"

    def _repr_html_(self) -> str:
        return display.of_relation(repr(self)[1:-1], self._source.table.comment, self.count(), self.schema, self.head())

    def _condition(self, *more: str) -> str | None:
        """The condition that all rows meet, in any SQL; None where there is none."""
        of_state = (self._source.state.tables.runs,) if self._source.table is RUNS else ()
        return " AND ".join(each for each in (*of_state, *self._conditions, *more) if each) or None

    def _query(self, wanted: str, rest: str = "") -> pa.Table:
        condition = self._condition()
        query = f"SELECT {wanted} FROM rows{f' WHERE {condition}' if condition else ''} {rest}"  # noqa: S608 (our own names)
        return delta_log.query_datafusion(query, rows=self._source.snapshot)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        schema = self.schema
        for part in self._parts():
            for batch in self._source.snapshot.stream_arrow(self.columns, part, self._source.order):
                yield batch.cast(schema)

    def _parts(self) -> Iterator[str | None]:
        """Conditions of parts of the rows, in order: of ``PART_ROWS`` each, of bodies as many as Silver reads."""
        if self._source.table is BRONZE:
            from lakehouse.transform.batch import parts  # which loads pyspark

            for low, high in parts(self._query("landing, n_periods")):
                yield self._condition(f"landing BETWEEN {low} AND {high}")
            return
        if self._source.snapshot.totals()["rows"] <= PART_ROWS:
            yield self._condition()
            return
        column = self._source.order[0]
        sizes = self._query(f"{column} AS value, count(*) AS rows", f"GROUP BY {column} ORDER BY {column}")
        first, last, held = None, None, 0
        for value, rows in zip(sizes["value"].to_pylist(), sizes["rows"].to_pylist(), strict=True):
            if first is not None and held + rows > PART_ROWS:
                yield self._condition(f"{column} BETWEEN {literal(first)} AND {literal(last)}")
                first, held = None, 0
            first, last, held = value if first is None else first, value, held + rows
        if first is not None:
            yield self._condition(f"{column} BETWEEN {literal(first)} AND {literal(last)}")


def _texts(described: pa.Schema | pa.Field) -> dict[str, str]:
    return {key.decode(): text.decode() for key, text in (described.metadata or {}).items()}


def _optional(package: str) -> Any:
    """A package that only some need.

    Raises:
        LakehouseError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise LakehouseError(
            f"{package} is not installed here: install it (pip install {package}), or ask for .arrow() or .duckdb(), "
            "which need nothing more."
        ) from None
