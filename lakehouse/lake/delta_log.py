"""Tables as delta-rs sees them: versions, histories, single columns. No JVM.

A path is a local directory or ``s3a://...``; how the latter's store is reached says ``object_store``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.errors import LakehouseError
from lakehouse.lake import damage, files
from lakehouse.lake.commits import Pin, commit_id
from lakehouse.messages.text import storable
from lakehouse.messages.wording import in_one_line
from lakehouse.settings import object_store


class FeedError(LakehouseError):
    """A table's changes cannot be read; it can still be computed anew."""


@dataclass(frozen=True)
class Snapshot:
    """One table at one version; ``is_pinned``: it was asked for by its number, and newer ones may be there."""

    path: str
    table: DeltaTable
    is_pinned: bool = False

    @property
    def pin(self) -> Pin:
        """The table's id, this version and its commit (None when the log no longer has it)."""
        newest = next(iter(self.history(self.version - 1)), None)
        known = newest is not None and int(newest["version"]) == self.version
        return Pin(self.table_id, self.version, commit_id(newest) if newest is not None and known else None)

    @property
    def table_id(self) -> str:
        """Delta's own id of the table."""
        return str(self.table.metadata().id)

    @property
    def properties(self) -> Mapping[str, str]:
        """The table's properties, as set at creation or since."""
        return dict(self.table.metadata().configuration)

    @property
    def version(self) -> int:
        """The version number."""
        return self.table.version()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Column names in table order."""
        return tuple(field.name for field in self.table.schema().fields)

    def arrow_types(self) -> dict[str, pa.DataType]:
        """The type of each column, in table order."""
        return {field.name: field.type for field in pa.schema(self.table.schema())}

    def read_arrow(self, columns: Sequence[str], where: str | None = None) -> pa.Table:
        """As :meth:`rows`, in the table's own types: for some thousand rows, each scan of Spark's takes longer."""
        return self.cast_to_schema(self.rows(columns, where))

    def stream_arrow(
        self, columns: Sequence[str], where: str | None = None, order: Sequence[str] = ()
    ) -> pa.RecordBatchReader:
        """As :meth:`read_arrow`, batch by batch while they are consumed, so that no memory has to hold them all.

        With ``order``, columns to sort by, it has to.
        """
        types = self.arrow_types()
        schema = pa.schema([(name, types[name]) for name in columns])

        def batches() -> Iterator[pa.RecordBatch]:
            with _reading(self):
                for batch in pa.RecordBatchReader.from_stream(
                    _executed(_select(columns, where, order), {"rows": self})
                ):
                    yield batch.cast(schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def stream_arrow_as(self, schema: pa.Schema) -> pa.RecordBatchReader:
        """All rows, as :meth:`stream_arrow`, with the columns and types of a schema; one that is not here is null."""
        stream = self.stream_arrow([name for name in schema.names if name in self.column_names])

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in stream:
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                given = (columns.get(field.name, pa.nulls(len(batch), field.type)) for field in schema)
                yield pa.RecordBatch.from_arrays(
                    [each.cast(field.type) for each, field in zip(given, schema, strict=True)], schema=schema
                )

        return pa.RecordBatchReader.from_batches(schema, batches())

    def no_rows(self, columns: Sequence[str]) -> pa.Table:
        """As :meth:`read_arrow` of a table without a row; no file is read."""
        types = self.arrow_types()
        return pa.schema([(name, types[name]) for name in columns]).empty_table()

    def cast_to_schema(self, rows: pa.Table) -> pa.Table:
        """Rows with columns of this table in the table's own types; an engine may have given wider ones."""
        types = self.arrow_types()
        return rows.cast(pa.schema([(name, types[name]) for name in rows.column_names]))

    def extents(self, column: str) -> list[tuple[Any, Any, int]] | None:
        """Of each file a column's lowest and highest value and how many rows it has, from the log's statistics.

        None if they cannot be told: a file without statistics, or a table that only newer readers understand.
        """
        actions = _table(self.table.get_add_actions(flatten=True))
        names = (f"min.{column}", f"max.{column}", "num_records")
        if self.table.protocol().min_reader_version > 1 or not set(names) <= set(actions.column_names):
            return None
        found = list(zip(*(actions.column(name).to_pylist() for name in names), strict=True))
        return found if all(value is not None for extent in found for value in extent) else None

    def version_at(self, moment: datetime) -> int | None:
        """The newest version committed at or before ``moment`` (aware); None: the table is younger."""
        limit = moment.timestamp() * 1000
        times = ((entry.get("inCommitTimestamp") or entry["timestamp"], entry["version"]) for entry in self.history())
        return next((int(version) for time, version in times if int(time) <= limit), None)

    def history(self, since: int = -1) -> list[dict[str, Any]]:
        """Commits newest first, from this version down to the one after ``since``, as far as the log reaches."""
        return self._commits(max(1, self.version - since))

    def newest_commits(self, count: int = 25) -> list[dict[str, Any]]:
        """The newest ``count`` commits up to this version, newest first."""
        return self._commits(count)

    def _commits(self, count: int) -> list[dict[str, Any]]:
        """Of a table opened at an older version delta-rs gives the newest commits and numbers them from there down:
        so the newest version is asked, and the commits after ours are left out.
        """
        log = _table_at(self.path) if self.is_pinned else self.table
        found = log.history(log.version() - self.version + count)
        return [entry for entry in found if 0 <= int(entry["version"]) <= self.version]

    def rows(self, columns: Sequence[str], where: str | None = None) -> pa.Table:
        """The named columns of every row, or of those that meet a condition in SQL.

        Through delta-rs' own engine: threads of pyarrow's reader that call back into Python abort the process now
        and then when it exits (apache/arrow#34314).
        """
        return self._asked(_select(columns, where))

    def changes(self, since: int, columns: Sequence[str]) -> pa.Table:
        """The named columns of every row that was inserted, updated or deleted after version ``since``, once.

        Raises:
            FeedError: the files or the log do not reach back so far.
        """
        try:
            feed = self.table.load_cdf(starting_version=since + 1, ending_version=self.version, columns=list(columns))
            rows = _table(feed).select(list(columns))
        except Exception as error:
            raise FeedError(
                f"The changes of {self.path} after version {since} cannot be read: {_reason(error)}"
            ) from error
        return self.cast_to_schema(rows).group_by(list(columns)).aggregate([])

    def updates(self, columns: Sequence[str]) -> pa.Table:
        """The named columns of every row before and after each update of this table, as far as its history goes.

        ``_change_type`` is ``update_preimage`` or ``update_postimage``, ``_commit_version`` the version that it made.

        Raises:
            FeedError: the files of an update are gone.
        """
        types = {**self.arrow_types(), "_change_type": pa.string(), "_commit_version": pa.int64()}
        names = [*columns, "_change_type", "_commit_version"]
        schema = pa.schema([(name, types[name]) for name in names])
        made = [entry for entry in self.history() if int(_metrics(entry).get("numTargetRowsUpdated", 0))]
        if not made:
            return schema.empty_table()
        first = int(made[-1]["version"])
        try:
            feed = self.table.load_cdf(starting_version=first, ending_version=self.version, columns=names)
            return _table(feed).select(names).cast(schema)
        except Exception as error:
            raise FeedError(
                f"The updates of {self.path} since version {first} cannot be read: {_reason(error)}"
            ) from error

    def highest(self, column: str, where: str | None = None) -> Any:
        """The highest value of a column, None if there is none."""
        return self._only(f'max("{column}")', where)

    def lowest(self, column: str, where: str | None = None) -> Any:
        """The lowest value of a column, None if there is none."""
        return self._only(f'min("{column}")', where)

    def _only(self, value: str, where: str | None) -> Any:
        query = f"SELECT {value} AS value FROM rows" + (f" WHERE {where}" if where else "")  # noqa: S608 (our own names)
        return self._asked(query).column("value").to_pylist()[0]

    def newest_rows(
        self, columns: Sequence[str], by: str, limit: int, where: str | None = None
    ) -> list[dict[str, Any]]:
        """The named columns of the ``limit`` rows with the highest ``by``, highest first."""
        query = f'{_select(columns, where)} ORDER BY "{by}" DESC LIMIT {int(limit)}'
        found: list[dict[str, Any]] = self._asked(query).to_pylist()
        return found

    def _asked(self, query: str) -> pa.Table:
        return query_datafusion(query, rows=self)

    @cached_property
    def lost_files(self) -> tuple[str, ...]:
        """The data files of this version that are gone, or not of the size that the log says."""
        actions = _table(self.table.get_add_actions(flatten=True))
        there = files.sizes(self.path) or {}
        stated = zip(actions.column("path").to_pylist(), actions.column("size_bytes").to_pylist(), strict=True)
        return tuple(sorted(name for name, size in stated if "/" not in name and there.get(name) != size))

    def unneeded(self, days: int) -> list[str]:
        """Files, by their paths under the table, that no version of the last ``days`` days needs."""
        found: list[str] = self.table.vacuum(days * 24, dry_run=True, enforce_retention_duration=False)
        return found

    def totals(self) -> Mapping[str, int]:
        """Files, rows and bytes, from the log's statistics alone."""
        actions = _table(self.table.get_add_actions(flatten=True))
        names = set(actions.column_names)

        records = actions.column("num_records").to_pylist() if "num_records" in names else []
        # Some writers keep no statistics; then the rows themselves are counted.
        rows = sum(records) if None not in records else self._asked("SELECT count(*) AS n FROM rows")["n"][0].as_py()
        size = sum(actions.column("size_bytes").to_pylist()) if "size_bytes" in names else 0
        return {"files": actions.num_rows, "rows": rows, "bytes": size}


def _metrics(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return entry.get("operationMetrics") or {}


def _table(stream: Any) -> pa.Table:
    """What delta-rs gives, read as a whole. (``pa.table`` would load pandas, where it is installed: half a second.)"""
    return pa.RecordBatchReader.from_stream(stream).read_all()


def _select(columns: Sequence[str], where: str | None, order: Sequence[str] = ()) -> str:
    names, sorted_by = (", ".join(f'"{name}"' for name in listed) for listed in (columns, order))
    query = f"SELECT {names} FROM rows" + (f" WHERE {where}" if where else "")  # noqa: S608 (our own names)
    return f"{query} ORDER BY {sorted_by}" if sorted_by else query


def query_datafusion(query: str, **tables: Snapshot) -> pa.Table:
    """The answer to a query in DataFusion's SQL over tables by the given names."""
    with _reading(*tables.values()):
        return _table(_executed(query, tables))


def _executed(query: str, tables: Mapping[str, Snapshot]) -> Any:
    """The answer to a query as a stream of batches."""
    engine = QueryBuilder()
    for name, snapshot in tables.items():
        engine = engine.register(name, snapshot.table)
    return engine.execute(query)


@contextmanager
def _reading(*snapshots: Snapshot) -> Iterator[None]:
    """Whatever goes wrong with the engine meanwhile becomes a sentence that names the tables."""
    try:
        yield
    except Exception as error:
        places = ", ".join(sorted({snapshot.path for snapshot in snapshots}))
        raise LakehouseError(f"The rows at {places} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The innermost cause, which is named last, without what it passed through."""
    sentence = in_one_line(str(error)) or type(error).__name__
    return re.sub(
        r"^((C Data interface|External|Parquet|Arrow) error: |Failed to fetch metadata for file \S+: )+", "", sentence
    )


def append(path: str, rows: Sequence[Mapping[str, Any]], user_metadata: str) -> int:
    """Append rows to a table in one commit, without a JVM; gives its version. A map's value is a mapping.

    Text may be any: what is no Unicode in it (a file name's bytes) is spelt out.

    Raises:
        LakehouseError: there is no such table, or it cannot be written.
    """
    snapshot = open_table(path)
    if snapshot is None:
        raise LakehouseError(f"There is no table at {path}.")
    schema = pa.schema(snapshot.table.schema())
    added = pa.Table.from_pylist([_as_arrow(dict(row), pa.struct(list(schema))) for row in rows], schema)
    try:
        write_deltalake(
            snapshot.table,
            added,
            mode="append",
            commit_properties=CommitProperties(custom_metadata={"userMetadata": user_metadata}),
        )
    except (DeltaError, OSError) as error:
        raise LakehouseError(f"The table at {path} cannot be written: {_reason(error)}") from error
    return int(snapshot.table.version())


def _as_arrow(value: Any, type_: pa.DataType) -> Any:
    """A value as pyarrow takes it: maps as lists of pairs, text without lone surrogates."""
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value)
    if pa.types.is_map(type_):
        return [(_as_arrow(key, type_.key_type), _as_arrow(item, type_.item_type)) for key, item in dict(value).items()]
    if pa.types.is_struct(type_):
        return {part.name: _as_arrow(value[part.name], part.type) for part in type_}
    if pa.types.is_list(type_):
        return [_as_arrow(item, type_.value_type) for item in value]
    return value


def _table_at(path: str, version: int | None = None) -> DeltaTable:
    """A table as delta-rs takes its path, with the options for the object store that it is in."""
    if not object_store.is_in_one(path):
        return DeltaTable(path, version=version)
    options = object_store.current().for_delta_rs
    return DeltaTable(path.replace(object_store.SCHEME, "s3://", 1), version=version, storage_options=options)


def open_table(path: str, version: int | None = None) -> Snapshot | None:
    """The table at ``path``, at ``version`` or its newest; None when there is no table.

    Raises:
        LakehouseError: the log is there but cannot be read, or holds no such version; it says what to do.
    """
    try:
        found = Snapshot(path, _table_at(path, version), version is not None)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        if damage.is_unborn(path):
            return None
        reason = _reason(error).rstrip(".")
        raise LakehouseError(f"The Delta table at {path} cannot be read: {reason}; {damage.remedy(path)}.") from error
    if version is None and damage.is_newest_commit_empty(path, found.version):  # engines take it for one of nothing
        raise LakehouseError(f"The Delta table at {path} cannot be read: {damage.remedy(path)}.")
    return found
