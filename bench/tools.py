"""The lakehouse beside the tools people would pick instead: the same responses in, the same rows out."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from statistics import median

import duckdb

from bench.case_study import SOURCE
from bench.processes import MIB, Watched, environment, lakehouse
from lakehouse.lake.tables import FUELS, GOLD, SILVER

OURS = "lakehouse"
CASE_STUDY, POLARS, DUCKDB = "case_study", "polars_delta", "duckdb_parquet"
PEERS = {CASE_STUDY: "the case study's method", POLARS: "Polars + delta-rs", DUCKDB: "DuckDB, to Parquet"}
SHARES = tuple(f"fuel_{fuel}" for fuel in FUELS)
COMPARED = {
    "silver": ("regionid", "epoch_us(timestamp)", "shortname", "dno", "intensity_forecast", "intensity_index", *SHARES),
    "gold": tuple(name for name in GOLD.column_names if not name.startswith("fuel_") or name in SHARES),
}
"""The columns whose values are compared; ours says where a row came from, too."""


@dataclass
class Timed:
    """What one tool took, a number for each repetition."""

    seconds: list[float] = field(default_factory=list)
    mebibytes: list[int] = field(default_factory=list)

    def add(self, done: Watched) -> None:
        self.seconds.append(done.seconds)
        self.mebibytes.append(done.peak // MIB)

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)


@dataclass
class Comparison:
    """All tools on one input.

    ``rows``: of Silver and Gold, the same for all of them. ``duplicates``: half-hours that the case study has twice.
    """

    responses: int
    bronze_seconds: float
    times: dict[str, Timed]
    rows: dict[str, int]
    duplicates: int

    def ratio(self, peer: str) -> float:
        """Our time over the peer's, both medians."""
        return self.times[OURS].median / self.times[peer].median


def compare(place: Path, responses: Path, tools: list[str], repeats: int) -> Comparison:
    """Each tool in turn, ``repeats`` times, then the results held against each other, row by row.

    Raises:
        SystemExit: a tool failed, or two do not agree.
    """
    lake = place / "bronze"
    here = environment(lake)
    loaded = lakehouse(here, "import", str(responses), "--source", SOURCE, "--received-at", "mtime", "--json")
    received = loaded.document["stages"][0]["counts"]["inserted"]
    times = {tool: Timed() for tool in tools}
    for number in range(repeats):
        for tool in tools:
            into = place / tool
            shutil.rmtree(into, ignore_errors=True)
            if tool == OURS:
                # Hard links: nothing that Delta has written is ever written again.
                shutil.copytree(lake, into, copy_function=lambda a, b: Path(b).hardlink_to(a))
                done = lakehouse(environment(into), "run", "--stages", "silver,gold", "--json")
            else:
                done = Watched([sys.executable, "-m", f"bench.peers.{tool}", str(responses), str(into)])
            times[tool].add(done)
            print(f"  {number + 1}/{repeats} {tool:<16}{done.seconds:8.1f} s{done.peak // MIB:8,} MiB", flush=True)
    return Comparison(received, loaded.seconds, times, *agreed(place, tools))


def agreed(place: Path, tools: list[str]) -> tuple[dict[str, int], int]:
    """How many rows each table has, the same ones from every tool; and the case study's own duplicates.

    Where its method gives one half-hour twice (the API labels it by the year of the request, so that two responses
    may disagree), that half-hour and its day are left out of the comparison with it.

    Raises:
        SystemExit: two tools do not agree; how many rows differ is said.
    """
    counts, duplicates = {}, 0
    with reader() as database:
        for table, columns in COMPARED.items():
            wanted = {tool: f"SELECT {', '.join(columns)} FROM {_read(place, tool, table)}" for tool in tools}
            counts[table] = _number(database, f"SELECT count(*) FROM ({wanted[OURS]})")
            for tool in tools:
                but = ""
                if tool == CASE_STUDY:
                    key = {"silver": "regionid, timestamp", "gold": "regionid, date_recorded"}[table]
                    twice = _twice(place)
                    duplicates = _number(database, f"SELECT count(*) FROM ({twice})")
                    but = f" WHERE ({key}) NOT IN (SELECT ({key}) FROM ({twice}))"
                a, b = wanted[OURS] + but, wanted[tool] + but
                differing = f"(({a}) EXCEPT ALL ({b})) UNION ALL (({b}) EXCEPT ALL ({a}))"
                if number := _number(database, f"SELECT count(*) FROM ({differing})"):
                    raise SystemExit(f"{table}: {number:,} rows of {OURS} and {tool} differ")
    return counts, duplicates


def _twice(place: Path) -> str:
    return (
        f"SELECT regionid, timestamp, timestamp::DATE AS date_recorded FROM {_read(place, CASE_STUDY, 'silver')} "
        "GROUP BY ALL HAVING count(*) > 1"
    )


@contextmanager
def reader() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with its extension for Delta, which is installed from a package: nothing is fetched."""
    extension = files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as database:
        database.execute(f"LOAD '{extension}'")
        database.execute("SET TimeZone = 'UTC'")
        yield database


def _read(place: Path, tool: str, table: str) -> str:
    if tool == OURS:
        return f"delta_scan('{place / tool / {'silver': SILVER, 'gold': GOLD}[table].path}')"
    path = place / tool / table
    return f"delta_scan('{path}')" if (path / "_delta_log").is_dir() else f"read_parquet('{path}/*.parquet')"


def _number(database: duckdb.DuckDBPyConnection, query: str) -> int:
    row = database.execute(query).fetchone()
    assert row is not None
    return int(row[0])
