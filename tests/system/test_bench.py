"""The benchmark on ten days: every tool gives the same rows, and a lake lives as it is measured. Never its times."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from bench import daily, document
from bench.case_study import write_responses
from bench.document import Measured
from bench.feed import feed
from bench.tools import CASE_STUDY, DUCKDB, OURS, PEERS, POLARS, agreed, compare
from lakehouse.lake import delta_log
from lakehouse.lake.tables import BRONZE, GOLD, SILVER

pytestmark = pytest.mark.slow

FIRST, LAST = date(2023, 12, 27), date(2024, 1, 5)
ROWS = {"silver": 10 * 48 * 18 + 18, "gold": 11 * 18}
"""The first request gives the half-hour before its day, too."""


def test_measures_tools_that_agree_and_a_lake_that_lives(tmp_path: Path) -> None:
    responses = tmp_path / "responses"
    assert write_responses(responses, FIRST, LAST) == 10
    found = compare(tmp_path, responses, [OURS, *PEERS], repeats=1)
    assert found.responses == 10
    assert found.rows == ROWS
    assert found.duplicates > 0  # of New Year, whose label follows the year of the request
    assert set(found.times) == {OURS, CASE_STUDY, POLARS, DUCKDB}
    feed(tmp_path / OURS, tmp_path / "fed", 5)
    fed_tables = [delta_log.open_table(str(tmp_path / "fed" / table.path)) for table in (BRONZE, SILVER, GOLD)]
    assert [table.version for table in fed_tables if table] == [5, 5, 5]
    life, fed = (daily.live(tmp_path / lake, LAST, repeats=1) for lake in (OURS, "fed"))
    assert len(life.new_day) == len(life.nothing_new) == 1
    lines = document.written([Measured(0, found, life, fed, 5)], "--days 10")
    assert "in 5 commits of each table" in "\n".join(lines)
    assert [line for line in lines if line.startswith("| Polars + delta-rs |")]
    assert f"{ROWS['silver']:,} half-hours" in "\n".join(lines)


def test_notices_a_tool_that_gives_another_number(tmp_path: Path) -> None:
    write_responses(tmp_path / "responses", FIRST, FIRST)
    compare(tmp_path, tmp_path / "responses", [OURS, DUCKDB], repeats=1)
    (tmp_path / "responses" / f"{FIRST}.json").unlink()
    write_responses(tmp_path / "responses", LAST, LAST)
    with pytest.raises(SystemExit, match=r"silver: [0-9,]+ rows of lakehouse and duckdb_parquet differ"):
        again(tmp_path)


def again(place: Path) -> None:
    """DuckDB once more, on what the folder holds now, against the lakehouse of before."""
    from bench.peers import duckdb_parquet

    shutil.rmtree(place / DUCKDB)
    duckdb_parquet.main(str(place / "responses"), str(place / DUCKDB))
    agreed(place, [OURS, DUCKDB])
