"""Tables as delta-rs sees them: versions, histories, single columns. No JVM.

A path is a local directory or ``s3a://...``; credentials for the latter come from the usual AWS variables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.errors import LakehouseError
from lakehouse.lake.commits import Pin, commit_id


@dataclass(frozen=True)
class Snapshot:
    """One table at one version."""

    path: str
    table: DeltaTable

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

    def version_at(self, moment: datetime) -> int | None:
        """The newest version committed at or before ``moment`` (aware); None: the table is younger."""
        limit = moment.timestamp() * 1000
        times = ((entry.get("inCommitTimestamp") or entry["timestamp"], entry["version"]) for entry in self.history())
        return next((int(version) for time, version in times if int(time) <= limit), None)

    def history(self, since: int = -1) -> list[dict[str, Any]]:
        """Commits newest first, from this version down to the one after ``since``, as far as the log reaches."""
        wanted = max(1, self.version - since)
        return [entry for entry in self.table.history(wanted) if int(entry["version"]) <= self.version]

    def newest_commits(self, count: int = 25) -> list[dict[str, Any]]:
        """The newest ``count`` commits, newest first."""
        return self.table.history(count)

    def rows(self, columns: Sequence[str], where: str | None = None) -> pa.Table:
        """The named columns of every row, or of those that meet a condition in SQL.

        Through delta-rs' own engine: threads of pyarrow's reader that call back into Python abort the process now
        and then when it exits (apache/arrow#34314).
        """
        names = ", ".join(f'"{name}"' for name in columns)
        return self._asked(f"SELECT {names} FROM rows" + (f" WHERE {where}" if where else ""))  # noqa: S608

    def highest(self, column: str, where: str | None = None) -> Any:
        """The highest value of a column, None if there is none."""
        return self._only(f'max("{column}")', where)

    def lowest(self, column: str, where: str | None = None) -> Any:
        """The lowest value of a column, None if there is none."""
        return self._only(f'min("{column}")', where)

    def _only(self, value: str, where: str | None) -> Any:
        query = f"SELECT {value} AS value FROM rows" + (f" WHERE {where}" if where else "")  # noqa: S608
        return self._asked(query).column("value").to_pylist()[0]

    def newest_rows(self, columns: Sequence[str], by: str, limit: int) -> list[dict[str, Any]]:
        """The named columns of the ``limit`` rows with the highest ``by``, highest first."""
        names = ", ".join(f'"{name}"' for name in columns)
        query = f'SELECT {names} FROM rows ORDER BY "{by}" DESC LIMIT {int(limit)}'  # noqa: S608
        found: list[dict[str, Any]] = self._asked(query).to_pylist()
        return found

    def _asked(self, query: str) -> pa.Table:
        return asked(query, rows=self)

    def totals(self) -> Mapping[str, int]:
        """Files, rows and bytes, from the log's statistics alone."""
        actions = pa.table(self.table.get_add_actions(flatten=True))
        names = set(actions.column_names)

        def total(column: str) -> int:
            return sum(actions.column(column).to_pylist()) if column in names else 0

        return {"files": actions.num_rows, "rows": total("num_records"), "bytes": total("size_bytes")}


def asked(query: str, **tables: Snapshot) -> pa.Table:
    """The answer to a query in DataFusion's SQL over tables by the given names."""
    engine = QueryBuilder()
    for name, snapshot in tables.items():
        engine = engine.register(name, snapshot.table)
    return pa.table(engine.execute(query).read_all())


def open_table(path: str, version: int | None = None) -> Snapshot | None:
    """The table at ``path``, at ``version`` or its newest; None when there is no table.

    Raises:
        LakehouseError: the log is there but cannot be read, or holds no such version.
    """
    try:
        return Snapshot(path, DeltaTable(path.replace("s3a://", "s3://", 1), version=version))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise LakehouseError(f"The Delta table at {path} cannot be read: {reason}") from error
