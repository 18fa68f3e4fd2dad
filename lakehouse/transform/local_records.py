"""The checked records of a batch in a database of this process: where Spark is local, and one machine does it all.

Bodies are read and judged part by part, so that memory is bounded; DuckDB keeps the records, compressed, and puts them
into files when they outgrow ``duck.MEMORY``.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from lakehouse.errors import LakehouseError
from lakehouse.lake import duck, integrity
from lakehouse.lake.store import Store
from lakehouse.lake.tables import SILVER
from lakehouse.progress import OnProgress, unheard, weighed
from lakehouse.transform.batch import Batch, parts
from lakehouse.transform.quality import Rules
from lakehouse.transform.records import CHECKED
from lakehouse.transform.validation import NEEDED, RESPONSE, checked
from lakehouse.wording import in_one_line

BATCH = 100_000
"""Rows that are handed over at once."""
GROUP = 2048 * 9
"""Rows of a group in a Parquet file: so many of DuckDB's own units that it ends with a half-hour of 18 regions."""
PIECE_ROWS = 5_000_000
"""Records among which the newest are looked for at once. ``duck.MEMORY`` does for twice as many, not for six times."""
SPAN_MICROS = 30 * 24 * 3600 * 10**6
"""Pieces are made of spans of thirty days."""
OF_RESPONSE = ("response_id", "landing", "ingestion_timestamp")
"""What a record says of its response, beside whether it is pending."""

NUMBER = pa.field("number", pa.int32())
"""The response's number in the batch."""
Part = tuple[int, int]
"""First and last landing."""


class LocalRecords:
    """The records of a batch. See ``silver_job.CheckedRecords``."""

    def __init__(self, store: Store, batch: Batch, rules: Rules, on_progress: OnProgress = unheard) -> None:
        self._store, self._batch, self._rules = store, batch, rules
        self._folder = tempfile.TemporaryDirectory(prefix="lakehouse-")
        self._database = duck.connect(temp_directory=f"{self._folder.name}/spilled", memory_limit=duck.MEMORY)
        try:
            self._execute("ATTACH ':memory:' AS batch (COMPRESS)")
            self._execute("USE batch")
            self._read(on_progress)
        except BaseException:
            self.close()
            raise

    def query(self, text: str) -> pa.Table:
        """The answer to a query over ``{records}``."""
        return self._execute(text.format(records="records")).to_arrow_table()

    def rows(self, text: str) -> pa.RecordBatchReader:
        """The same, batch by batch while they are consumed; until then no other query is answered."""
        return self._execute(text.format(records="records")).to_arrow_reader(BATCH)

    @contextmanager
    def in_even_parts(self, text: str) -> Iterator[DataFrame]:
        """Silver's rows as a query gives them, in order of time, for Spark to write: pieces, a part for each core."""
        files = [self._written(text, f"rows-{number}", piece) for number, piece in enumerate(self._pieces())]
        with self._store.in_even_parts():
            yield reduce(DataFrame.union, [self._store.of_file(file, SILVER) for file in files])

    def _written(self, text: str, name: str, condition: str) -> Path:
        """The file of what a query gives of the records that meet a condition."""
        file = Path(self._folder.name) / f"{name}.parquet"
        quoted = str(file).replace("'", "''")
        query = text.format(records=f"(SELECT * FROM records WHERE {condition})")
        ordered = f"SELECT * FROM ({query}) ORDER BY timestamp, regionid"
        self._execute(f"COPY ({ordered}) TO '{quoted}' (FORMAT parquet, ROW_GROUP_SIZE {GROUP})")
        return file

    def _pieces(self) -> list[str]:
        """Conditions that part the good records by time, ascending, into pieces of about ``PIECE_ROWS``."""
        counts = self.query(
            f"SELECT epoch_us(timestamp) // {SPAN_MICROS} AS span, count(*) AS n FROM {{records}} "
            "WHERE reasons IS NULL GROUP BY span ORDER BY span"
        ).to_pylist()
        starts: list[int] = []
        held = 0
        for row in counts:
            if starts and held + row["n"] <= PIECE_ROWS:
                held += row["n"]
            else:
                starts.append(row["span"])
                held = row["n"]
        edges = [span * SPAN_MICROS for span in starts[1:]]
        lows = ["true", *(f"epoch_us(timestamp) >= {edge}" for edge in edges)]
        highs = [*(f"epoch_us(timestamp) < {edge}" for edge in edges), "true"]
        return [f"{low} AND {high}" for low, high in zip(lows, highs, strict=True)]

    def close(self) -> None:
        """Let go of what is held."""
        self._database.close()
        self._folder.cleanup()

    def _read(self, on_progress: OnProgress) -> None:
        """Read and judge all responses of the batch."""
        responses = self._batch.bronze.read_arrow([*OF_RESPONSE, "n_periods"], self._batch.condition)
        ids = responses["response_id"].combine_chunks()
        is_pending = pc.invert(pc.is_in(ids, pa.array(self._batch.overlapping, pa.string())))
        numbers = pa.array(range(len(ids)), pa.int32())
        known = responses.select(OF_RESPONSE).append_column("is_pending", is_pending).append_column("number", numbers)
        self._execute("CREATE TABLE responses AS FROM given", known)
        self._execute("CREATE TABLE checked AS FROM given", pa.schema([NUMBER, *CHECKED]).empty_table())
        read = ((part, _periods(part)) for part in _read_ahead(self._bodies, parts(responses)))
        for bodies in weighed(read, _periods(responses), on_progress, "silver: reads", "half-hour"):
            records = checked(bodies, self._rules)
            number = pc.index_in(bodies["response_id"], ids).take(records[RESPONSE.name])
            self._execute("INSERT INTO checked FROM given", records.set_column(0, NUMBER, number))
        self._execute("CHECKPOINT")  # which is when it compresses
        self._execute("CREATE VIEW records AS SELECT * EXCLUDE number FROM checked JOIN responses USING (number)")

    def _bodies(self, part: tuple[int, int]) -> pa.Table:
        """The responses of some landings, first and last, each body proven to be what was received."""
        where = f"landing BETWEEN {part[0]} AND {part[1]} AND ({self._batch.condition})"
        columns = list(dict.fromkeys((*NEEDED, *integrity.NEEDED, "n_periods")))
        return integrity.checked_rows(self._batch.bronze.read_arrow(columns, where))

    def _execute(self, statement: str, given: pa.Table | None = None) -> duckdb.DuckDBPyConnection:
        if given is not None:
            self._database.register("given", given)
        try:
            return self._database.execute(statement)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise LakehouseError(
                f"The records of this run cannot be held in {self._folder.name}: {in_one_line(str(error))}; "
                "make room there, or name another place with TMPDIR."
            ) from error


def _periods(responses: pa.Table) -> int:
    """How many half-hours the responses hold together."""
    return int(pc.sum(responses["n_periods"]).as_py() or 0)


def _read_ahead(read: Callable[[Part], pa.Table], parts: Iterable[Part]) -> Iterator[pa.Table]:
    """What is read of each part; the next is read while one is worked on."""
    with ThreadPoolExecutor(1) as reader:
        ahead: Future[pa.Table] | None = None
        for part in parts:
            found, ahead = ahead, reader.submit(read, part)
            if found is not None:
                yield found.result()
        if ahead is not None:
            yield ahead.result()
