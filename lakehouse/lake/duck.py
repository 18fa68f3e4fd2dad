"""DuckDB inside this process, as all of us open it: it fetches nothing, times are UTC, and stdout is not its own."""

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa

from lakehouse.errors import LakehouseError
from lakehouse.wording import in_one_line

MEMORY = "1GiB"
"""What a database may hold; beyond that it puts rows into files (30 years of records take a quarter of it)."""


def connect(**settings: str) -> duckdb.DuckDBPyConnection:
    """A database of this process alone, with further settings of DuckDB's by name; the caller closes it."""
    ours = {"autoinstall_known_extensions": "false", **settings}
    database = duckdb.connect(config=ours)  # type: ignore[arg-type]  # a dict of texts is what it takes
    database.execute("SET enable_progress_bar_print = false")  # on stdout, of what takes two seconds
    database.execute("SET TimeZone = 'UTC'")
    # What a join learns of its keys it would ask an Arrow table for, and for times that needs pytz.
    database.execute("SET disabled_optimizers = 'join_filter_pushdown'")
    return database


class Scratch:
    """A database for more rows than memory holds: beyond ``MEMORY`` it puts them into files of ``folder``.

    The folder is a temporary one, for files of the caller's, too; ``close`` removes both.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lakehouse-")
        self.folder = Path(self._folder.name)
        self._database = connect(temp_directory=str(self.folder / "spilled"), memory_limit=MEMORY)

    def execute(self, statement: str, **given: pa.Table | pa.RecordBatchReader) -> duckdb.DuckDBPyConnection:
        """Execute a statement over rows of this process, each under its name.

        Raises:
            LakehouseError: there is no room for the rows.
        """
        for name, rows in given.items():
            self._database.register(name, rows)
        try:
            return self._database.execute(statement)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise LakehouseError(
                f"The records of this run cannot be held in {self.folder}: {in_one_line(str(error))}; "
                "make room there, or name another place with TMPDIR."
            ) from error

    def write(self, query: str, name: str, row_group: int) -> Path:
        """The Parquet file of this name in the folder that holds the rows of a query, in their order."""
        file = self.folder / f"{name}.parquet"
        quoted = str(file).replace("'", "''")
        self.execute(f"COPY ({query}) TO '{quoted}' (FORMAT parquet, ROW_GROUP_SIZE {row_group})")
        return file

    def close(self) -> None:
        """Let go of what is held."""
        self._database.close()
        self._folder.cleanup()
