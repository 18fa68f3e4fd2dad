"""Pieces read, judged and chosen in this process, by Arrow and DuckDB: for what one machine holds.

Spark would describe, plan, compile and shuffle for it, which takes longer than the work. It gets the rows that are to
be in Silver, and it writes them. The rules are the same texts in both places, and tests hold them against each other.
Bodies that are not plain are read and judged by Spark, and their pieces join the others here.
"""

import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from lakehouse.errors import LakehouseError
from lakehouse.lake import duck, integrity
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import FEW_ROWS, Rows, Store
from lakehouse.lake.tables import SILVER
from lakehouse.spark import session
from lakehouse.transform import plain_bodies, silver
from lakehouse.transform.batch import Batch, listed, ranges
from lakehouse.transform.judgement import ValidationSummary, drifted
from lakehouse.transform.quality import Rules
from lakehouse.wording import in_one_line

MEMORY = "1GiB"
"""What DuckDB may hold (30 years take a quarter of it); beyond that it puts pieces into files."""
PROVENANCE = tuple(name for name in silver.PROVENANCE if name != "is_pending")
VALUES = tuple(name for name in SILVER.column_names if name not in SILVER.provenance)
"""Silver's columns that a piece has of its own; the others are its response's."""
TYPES = {"TIMESTAMP": "TIMESTAMPTZ"}
"""DuckDB's names of Spark's types, where they differ."""
MACROS = ("unix_micros(moment) AS epoch_us(moment)", "get(list, place) AS list[place + 1]")
"""Functions of Spark's that DuckDB calls otherwise."""
GROUP = 2048 * 9
"""Rows of a group in a file: so many of DuckDB's own units that it ends with a half-hour of 18 regions."""
Part = tuple[int, int]
"""First and last landing."""
ROWS = f"SELECT {', '.join(SILVER.column_names)} FROM wanted ORDER BY timestamp, regionid"


class NearPieces:
    """The pieces of a scope, in a database of this process. See ``judgement.Judged``."""

    def __init__(self, store: Store, bronze: Snapshot, scope: Batch, rules: Rules) -> None:
        self._store, self._bronze, self._scope, self._rules = store, bronze, scope, rules
        self._folder = tempfile.TemporaryDirectory(prefix="lakehouse-")
        self._database = duck.connect(temp_directory=f"{self._folder.name}/spilled", memory_limit=MEMORY)
        self._do("ATTACH ':memory:' AS pieces_of_run (COMPRESS)")
        self._do("USE pieces_of_run")
        for macro in MACROS:
            self._do(f"CREATE MACRO {macro}")

    def read(self, most_odd: int) -> bool:
        """Read and judge all of them; False if more than ``most_odd`` half-hours stand in bodies that are not plain.

        Raises:
            LakehouseError: there is no room for them.
        """
        ids = self._responses()
        types = {column.name: TYPES.get(column.type, column.type) for column in SILVER.columns if column.name in VALUES}
        values = ", ".join(f"{name} {type_}" for name, type_ in types.items())
        self._do(
            f"CREATE TABLE pieces (number INT, position BIGINT, is_plain BOOLEAN, broken BIGINT, {values}, "
            "region VARCHAR, period_from VARCHAR, unknown VARCHAR[])"
        )
        odd: list[int] = []
        parts = ranges(self._rows(["landing", "n_periods"]))
        with ThreadPoolExecutor(1) as taker:
            taken: Future[None] | None = None
            for bodies in _read_ahead(lambda part: self._bodies(ids, *part), parts):
                part, left = plain_bodies.exploded(bodies)
                odd += left["number"].to_pylist()
                if taken is not None:
                    taken.result()
                taken = taker.submit(self._take_in, part)
            if taken is not None:
                taken.result()
        self._do("CHECKPOINT")  # which is when it compresses
        held = self._ask("SELECT coalesce(sum(n_periods), 0) FROM responses WHERE number IN (SELECT unnest(?))", odd)
        if int(held[0][0]) > most_odd:
            return False
        if odd:
            self._take_in_odd([ids[number - 1].as_py() for number in odd])
        self._choose()
        return True

    @cached_property
    def found(self) -> ValidationSummary:
        """See ``Judged``."""
        refuses = self._rules.refuses
        counted = {
            "received": "is_pending",
            "quarantined": f"is_pending AND {refuses}",
            "refused": refuses,
            **{name: f"is_pending AND {breaks}" for name, breaks in self._rules.breaks.items()},
        }
        columns = ", ".join(f"count(*) FILTER ({condition}) AS {name}" for name, condition in counted.items())
        (row,) = self._table(f"SELECT {columns} FROM pieces JOIN responses USING (number)").to_pylist()
        twice = f"""
            SELECT coalesce(sum(n - 1), 0) FROM (
                SELECT count(*) AS n FROM pieces JOIN responses USING (number)
                WHERE is_pending AND NOT is_plain AND NOT ({refuses})
                GROUP BY number, regionid, timestamp HAVING count(*) > 1)"""
        row[self._rules.repeated.name] = int(self._ask(twice)[0][0])
        unknown = """
            SELECT name, count(*) FROM (
                SELECT unnest(unknown) AS name FROM pieces JOIN responses USING (number)
                WHERE is_pending AND NOT is_plain)
            GROUP BY name ORDER BY name"""
        results = self._rules.results(row, row["received"])
        results += tuple(drifted(name, pieces, row["received"]) for name, pieces in self._ask(unknown))
        return ValidationSummary(row["received"], row["quarantined"], row["refused"], results)

    def refused(self, *, with_consumed: bool) -> DataFrame:
        """See ``Judged``."""
        among = "true" if with_consumed else "is_pending"
        names = ", ".join([*silver.PROVENANCE, "position", *SILVER.key, "region", "period_from", "broken"])
        query = f"SELECT {names} FROM pieces JOIN responses USING (number) WHERE {among} AND {self._rules.refuses}"
        return self._store.frame(self._table(query))

    def newest(self) -> Rows:
        """See ``Judged``."""
        ((rows,),) = self._ask("SELECT count(*) FROM wanted")
        if rows > FEW_ROWS and session.is_local():
            return self._store.of_file(self._file(), SILVER)
        return self._table(ROWS)

    @contextmanager
    def laid_out(self) -> Iterator[DataFrame]:
        """See ``Judged``."""
        if not session.is_local():
            yield self._store.frame(self._table(ROWS))
            return
        with self._store.in_even_parts():
            yield self._store.of_file(self._file(), SILVER)

    def pending_keys(self) -> int:
        """See ``Judged``."""
        return int(self._ask(f"SELECT count(*) FROM ({self._keys('is_pending')})")[0][0])

    def close(self) -> None:
        """See ``Judged``."""
        self._database.close()
        self._folder.cleanup()

    def _responses(self) -> pa.Array:
        """All responses that hold periods, numbered from 1 in the order in which they count; their ids in it."""
        ids = self._rows([*PROVENANCE, "n_periods"])
        is_pending = pc.invert(pc.is_in(ids["response_id"], pa.array(self._scope.beside, pa.string())))
        numbered = self._table(
            "SELECT row_number() OVER (ORDER BY ingestion_timestamp, response_id)::INT AS number, * FROM given",
            given=ids.append_column("is_pending", is_pending),
        )
        self._do("CREATE TABLE responses AS FROM given ORDER BY number", given=numbered)
        return numbered.sort_by("number")["response_id"].combine_chunks()

    def _bodies(self, ids: pa.Array, low: int, high: int) -> pa.Table:
        """The bodies of some landings, each with its response's number."""
        found = integrity.checked_rows(self._rows(list(integrity.NEEDED), f"landing BETWEEN {low} AND {high}"))
        return pa.table({"number": pc.add(pc.index_in(found["response_id"], ids), 1), "body": found["body"]})

    def _take_in(self, part: pa.Table) -> None:
        facts = ", ".join(f"{text} AS {name}" for name, text in plain_bodies.FACTS.items())
        broken = re.sub(r"\barray\(", "list_value(", self._rules.broken)
        self._do(
            f"""INSERT INTO pieces BY NAME
                SELECT number, position, true AS is_plain, {broken} AS broken, {", ".join(VALUES)}
                FROM (SELECT given.*, window_start, window_end, {facts} FROM given JOIN responses USING (number))""",
            given=part,
        )

    def _take_in_odd(self, ids: list[str]) -> None:
        columns = list(dict.fromkeys((*PROVENANCE, "n_periods", *integrity.NEEDED)))
        bodies = integrity.checked_rows(self._rows(columns, f"response_id IN ({listed(ids)})"))
        pieces = silver.odd_pieces(self._store.frame(bodies)).transform(silver.judged, rules=self._rules)
        names = ["response_id", "position", "is_plain", "broken", *VALUES, "region", "period_from", "unknown"]
        self._do(
            "INSERT INTO pieces BY NAME SELECT number, given.* EXCLUDE response_id "
            "FROM given JOIN (SELECT number, response_id FROM responses) USING (response_id)",
            given=pieces.select(*names).toArrow(),
        )

    def _choose(self) -> None:
        """The view of Silver's rows. Few keys come twice, so these are looked for first, and only they are ranked."""
        is_good = f"NOT ({self._rules.refuses})"
        self._do(
            f"""CREATE TABLE superseded AS SELECT piece FROM (
                SELECT rowid AS piece, row_number() OVER (
                    PARTITION BY regionid, timestamp ORDER BY number DESC, position DESC) AS place
                FROM pieces SEMI JOIN (
                    SELECT regionid, timestamp FROM pieces WHERE {is_good} GROUP BY ALL HAVING count(*) > 1
                ) USING (regionid, timestamp)
                WHERE {is_good}
            ) WHERE place > 1"""
        )
        of_pending = f"AND (regionid, timestamp) IN (SELECT (regionid, timestamp) FROM ({self._keys('is_pending')}))"
        self._do(
            f"""CREATE VIEW wanted AS SELECT * FROM pieces JOIN responses USING (number)
                WHERE {is_good} AND pieces.rowid NOT IN (FROM superseded)
                {of_pending if self._scope.beside else ""}"""
        )

    def _keys(self, among: str) -> str:
        """The keys of which good pieces speak, as a query."""
        return (
            "SELECT DISTINCT regionid, timestamp FROM pieces JOIN responses USING (number) "
            f"WHERE {among} AND NOT ({self._rules.refuses})"
        )

    def _file(self) -> Path:
        """A Parquet file with Silver's rows in order, in groups that Spark can share out."""
        file = Path(self._folder.name) / "wanted.parquet"
        quoted = str(file).replace("'", "''")
        self._do(f"COPY ({ROWS}) TO '{quoted}' (FORMAT parquet, ROW_GROUP_SIZE {GROUP})")
        return file

    def _rows(self, names: list[str], where: str = "true") -> pa.Table:
        """Columns of those responses in the scope that hold periods."""
        wanted = self._scope.where or "true"
        if self._scope.beside:
            wanted = f"{wanted} OR response_id IN ({listed(self._scope.beside)})"
        return self._bronze.read_arrow(names, f"n_periods > 0 AND ({wanted}) AND ({where})")

    def _do(self, statement: str, given: pa.Table | None = None) -> None:
        self._run(statement, given)

    def _ask(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self._run(query, None, *parameters).fetchall()

    def _table(self, query: str, given: pa.Table | None = None) -> pa.Table:
        return self._run(query, given).to_arrow_table()

    def _run(self, statement: str, given: pa.Table | None, *parameters: object) -> duckdb.DuckDBPyConnection:
        if given is not None:
            self._database.register("given", given)
        try:
            return self._database.execute(statement, parameters)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise LakehouseError(
                f"The pieces of this run cannot be held in {self._folder.name}: {in_one_line(str(error))}; "
                "make room there, or name another place with TMPDIR."
            ) from error


def _read_ahead(read: Callable[[Part], pa.Table], parts: Iterable[Part]) -> Iterator[pa.Table]:
    """What is read of each part; the next is read while one is worked on."""
    with ThreadPoolExecutor(1) as reader:
        reading: deque[Future[pa.Table]] = deque()
        for part in parts:
            reading.append(reader.submit(read, part))
            if len(reading) > 1:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()
