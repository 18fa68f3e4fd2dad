"""The checked records of a batch in a database of this process: where Spark is local, and one machine does it all.

Bodies are read and judged part by part, so that memory is bounded; DuckDB keeps the records, compressed, and puts them
into files when they outgrow ``scratch.MEMORY``.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from lakehouse.lake import integrity
from lakehouse.lake.scratch import Scratch
from lakehouse.lake.store import Store
from lakehouse.lake.tables import SILVER
from lakehouse.messages.progress import OnProgress, unheard, weighed
from lakehouse.transform.batch import Batch, parts
from lakehouse.transform.quality import Rules
from lakehouse.transform.records import CHECKED
from lakehouse.transform.validation import NEEDED, RESPONSE, checked

BATCH = 100_000
"""Rows that are handed over at once."""
PIECE_ROWS = 5_000_000
"""Records among which the newest are looked for at once. ``scratch.MEMORY`` holds twice as many, not six times."""
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
        self._database = Scratch()
        try:
            self._database.execute("ATTACH ':memory:' AS batch (COMPRESS)")
            self._database.execute("USE batch")
            self._read(on_progress)
        except BaseException:
            self.close()
            raise

    def query(self, text: str) -> pa.Table:
        """The answer to a query over ``{records}``."""
        return self._database.execute(text.format(records="records")).to_arrow_table()

    def rows(self, text: str) -> pa.RecordBatchReader:
        """The same, batch by batch while they are consumed; until then no other query is answered."""
        return self._database.execute(text.format(records="records")).to_arrow_reader(BATCH)

    def rows_by_key(self, text: str) -> pa.RecordBatchReader:
        """As ``rows``, piece by piece of time."""
        readers = map(self.rows, self._pieces(text))
        first = next(readers)
        return pa.RecordBatchReader.from_batches(first.schema, chain(first, chain.from_iterable(readers)))

    @contextmanager
    def in_even_parts(self, text: str) -> Iterator[DataFrame]:
        """Silver's rows as a query gives them, in order of time, for Spark to write: pieces, a part for each core."""
        order = ", ".join(SILVER.order)
        queries = (
            f"SELECT * FROM ({piece}) ORDER BY {order}".format(records="records") for piece in self._pieces(text)
        )
        files = [self._database.write(query, f"rows-{number}") for number, query in enumerate(queries)]
        with self._store.in_even_parts():
            yield reduce(DataFrame.union, [self._store.of_file(file, SILVER) for file in files])

    def _pieces(self, text: str) -> list[str]:
        """A query of each piece of about ``PIECE_ROWS`` good records: the pieces part them by time, ascending."""
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
        pieces = (f"(SELECT * FROM {{records}} WHERE {low} AND {high})" for low, high in zip(lows, highs, strict=True))
        return [text.format(records=piece) for piece in pieces]

    def close(self) -> None:
        """Let go of what is held."""
        self._database.close()

    def _read(self, on_progress: OnProgress) -> None:
        """Read and judge all responses of the batch."""
        responses = self._batch.bronze.read_arrow([*OF_RESPONSE, "n_periods"], self._batch.condition)
        ids = responses["response_id"].combine_chunks()
        is_pending = pc.invert(pc.is_in(ids, pa.array(self._batch.overlapping, pa.string())))
        numbers = pa.array(range(len(ids)), pa.int32())
        known = responses.select(OF_RESPONSE).append_column("is_pending", is_pending).append_column("number", numbers)
        none = pa.schema([NUMBER, *CHECKED]).empty_table()
        self._database.execute("CREATE TABLE responses AS FROM given", given=known)
        self._database.execute("CREATE TABLE checked AS FROM given", given=none)
        read = ((part, _periods(part)) for part in _read_ahead(self._bodies, parts(responses)))
        for bodies in weighed(read, _periods(responses), on_progress, "silver: reads", "half-hour"):
            records = checked(bodies, self._rules)
            number = pc.index_in(bodies["response_id"], ids).take(records[RESPONSE.name])
            self._database.execute("INSERT INTO checked FROM given", given=records.set_column(0, NUMBER, number))
        self._database.execute("CHECKPOINT")  # which is when it compresses
        joined = "SELECT * EXCLUDE number FROM checked JOIN responses USING (number)"
        self._database.execute(f"CREATE VIEW records AS {joined}")

    def _bodies(self, part: tuple[int, int]) -> pa.Table:
        """The responses of some landings, first and last, each body proven to be what was received."""
        where = f"landing BETWEEN {part[0]} AND {part[1]} AND ({self._batch.condition})"
        columns = list(dict.fromkeys((*NEEDED, *integrity.NEEDED, "n_periods")))
        return integrity.checked_rows(self._batch.bronze.read_arrow(columns, where))


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
