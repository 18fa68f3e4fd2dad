"""The benchmark holds the tools' rows against each other: it counts them when they agree, and ends when they do not."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from bench.tools import CASE_STUDY, DUCKDB, OURS, POLARS, agreed
from lakehouse.lake.tables import FUELS, GOLD, SILVER

SHARES: dict[str, Any] = {f"fuel_{fuel}": Decimal("11.11") for fuel in FUELS}
NAMES = {"regionid": 13, "shortname": "London", "dno": "UKPN London"}
SHARED: dict[str, Any] = {**NAMES, **SHARES}


def half_hour(hour: int, **changed: Any) -> dict[str, Any]:
    start = datetime(2024, 1, 1, hour, tzinfo=UTC)
    return {**SHARED, "timestamp": start, "intensity_forecast": 100, "intensity_index": "low", **changed}


def day(number: int, mean: str = "100.00") -> dict[str, Any]:
    return {
        **SHARED,
        "date_recorded": date(2024, 1, number),
        "intensity_avg": Decimal(mean),
        "index_mode": "low",
        **{"n_periods": 2, "n_expected": 48, "is_complete": False, "intensity_min": 100, "intensity_max": 100},
    }


SILVER_ROWS, GOLD_ROWS = [half_hour(0), half_hour(1)], [day(1), day(2)]


def write(place: Path, tool: str, silver: list[dict[str, Any]], gold: list[dict[str, Any]]) -> None:
    """A tool's two tables, in the format that it writes."""
    for name, table, rows in (("silver", SILVER, silver), ("gold", GOLD, gold)):
        found = pa.Table.from_pylist(rows)
        if tool == OURS:
            write_deltalake(place / tool / table.path, found)
        elif tool == DUCKDB:
            (place / tool / name).mkdir(parents=True)
            pq.write_table(found, place / tool / name / "rows.parquet")
        else:
            write_deltalake(place / tool / name, found)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the lakehouse has written its rows."""
    write(tmp_path, OURS, SILVER_ROWS, GOLD_ROWS)
    return tmp_path


def test_counts_the_rows_that_all_tools_have_in_any_order(place: Path) -> None:
    write(place, DUCKDB, SILVER_ROWS[::-1], GOLD_ROWS)
    write(place, POLARS, SILVER_ROWS, GOLD_ROWS[::-1])
    assert agreed(place, [OURS, DUCKDB, POLARS]) == ({"silver": 2, "gold": 2}, 0)


@pytest.mark.parametrize(
    ("silver", "gold", "sentence"),
    [
        ([half_hour(0), half_hour(1, intensity_forecast=101)], GOLD_ROWS, "silver: 2 rows of lakehouse and"),
        ([half_hour(0), half_hour(1, intensity_index=None)], GOLD_ROWS, "silver: 2 rows of lakehouse and"),
        ([half_hour(0)], GOLD_ROWS, "silver: 1 rows of lakehouse and"),
        ([*SILVER_ROWS, half_hour(1)], GOLD_ROWS, "silver: 1 rows of lakehouse and"),  # a row twice
        (SILVER_ROWS, [day(1), day(2, "100.01")], "gold: 2 rows of lakehouse and"),
    ],
)
def test_ends_where_a_tool_has_other_rows(
    place: Path, silver: list[dict[str, Any]], gold: list[dict[str, Any]], sentence: str
) -> None:
    write(place, DUCKDB, silver, gold)
    with pytest.raises(SystemExit, match=f"{sentence} duckdb_parquet differ"):
        agreed(place, [OURS, DUCKDB])


def test_leaves_out_what_the_case_studys_method_has_twice_and_its_day(place: Path) -> None:
    write(place, CASE_STUDY, [*SILVER_ROWS, half_hour(1, intensity_index="moderate")], [day(1, "3.00"), day(2)])
    assert agreed(place, [OURS, CASE_STUDY]) == ({"silver": 2, "gold": 2}, 1)


def test_holds_the_case_studys_other_days_against_ours(place: Path) -> None:
    write(place, CASE_STUDY, [*SILVER_ROWS, half_hour(1, intensity_index="moderate")], [day(1), day(2, "3.00")])
    with pytest.raises(SystemExit, match="gold: 2 rows of lakehouse and case_study differ"):
        agreed(place, [OURS, CASE_STUDY])
