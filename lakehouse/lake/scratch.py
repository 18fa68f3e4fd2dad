"""Rows of a run that memory may not hold: in a database of this process, in files of a temporary folder."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout

from lakehouse.errors import LakehouseError
from lakehouse.lake import duck
from lakehouse.messages.wording import in_one_line

MEMORY = "1GiB"
"""What a database may hold; beyond that it puts rows into files (30 years of records take a quarter of it)."""

ROW_GROUP = 2048 * 9
"""Rows of a group in a Parquet file: so many of DuckDB's own units that it ends with a half-hour of 18 regions."""


FOLDER = "lakehouse-scratch-"
"""How the names of folders of rows begin in ``TMPDIR``."""
LOCK = "held.lock"
"""The file of such a folder whose lock its process holds: it goes with the process, however that ends."""
NEW_SECONDS = 60.0
"""A folder that is younger may be one whose process does not hold it yet."""


class Scratch:
    """A database for more rows than memory holds: beyond ``MEMORY`` it puts them into files of ``folder``.

    The folder is a temporary one, for files of the caller's, too; ``close`` removes both. What processes left that were
    killed is removed here.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=FOLDER)
        self.folder = Path(self._folder.name)
        self._lock = FileLock(self.folder / LOCK)
        self._lock.acquire()
        self._database = duck.connect(temp_directory=str(self.folder / "spilled"), memory_limit=MEMORY)

    def execute(self, statement: str, **given: pa.Table | pa.RecordBatchReader) -> duckdb.DuckDBPyConnection:
        """Execute a statement over rows of this process, each under its name.

        Raises:
            LakehouseError: there is no room for the rows.
            BaseException: whatever was raised where the rows come from.
        """
        raised: list[BaseException] = []
        for name, rows in given.items():
            self._database.register(name, rows if isinstance(rows, pa.Table) else _noting(rows, raised))
        try:
            return self._database.execute(statement)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise LakehouseError(
                f"The records of this run cannot be held in {self.folder}: {in_one_line(str(error))}; "
                "make room there, or name another place with TMPDIR."
            ) from error
        except duckdb.Error:
            if raised:
                raise raised[0] from None
            raise

    def write(self, query: str, name: str) -> Path:
        """The Parquet file of this name in the folder that holds the rows of a query, in their order."""
        file = self.folder / f"{name}.parquet"
        quoted = str(file).replace("'", "''")
        self.execute(f"COPY ({query}) TO '{quoted}' (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})")
        return file

    def close(self) -> None:
        """Let go of what is held."""
        self._database.close()
        self._folder.cleanup()
        self._lock.release()


def _remove_abandoned() -> None:
    """Remove the folders of rows that nobody holds any more, as far as this user may."""
    for lock in Path(tempfile.gettempdir()).glob(f"{FOLDER}*/{LOCK}"):
        with suppress(OSError, Timeout):  # it is another's, or at work
            if time.time() - lock.stat().st_mtime > NEW_SECONDS:
                with FileLock(lock, timeout=0):
                    shutil.rmtree(lock.parent)


def _noting(rows: pa.RecordBatchReader, raised: list[BaseException]) -> pa.RecordBatchReader:
    """The same rows; what is raised while they come is kept, since DuckDB gives an error of its own in its place."""

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from rows
        except BaseException as error:
            raised.append(error)
            raise

    return pa.RecordBatchReader.from_batches(rows.schema, batches())
