"""What a merge compares and counts, on literal rows of this process."""

from typing import Any

import pyarrow as pa
import pytest

from lakehouse.lake.store import Store
from lakehouse.run_context import RunContext
from lakehouse.transform import merge
from lakehouse.transform.merge import ChangeCounts

ROWS = pa.table({"id": ["a", "b", "c"], "day": [1, 2, 3], "names": [["x"], [], None]})


@pytest.fixture
def context() -> RunContext:
    def spark() -> Any:
        raise AssertionError("Spark is not needed for this")

    return RunContext(Store(spark, "/nowhere"), "run", "1", "hash")


@pytest.mark.parametrize(
    ("rows", "keys", "found"),
    [
        (ROWS, ["b", "z", "a", "a"], ["a", "b"]),
        (ROWS, [], []),
        (ROWS.slice(0, 0), ["a"], []),
        (ROWS.slice(0, 0), [], []),
    ],
)
def test_finds_the_rows_of_keys(context: RunContext, rows: pa.Table, keys: list[str], found: list[str]) -> None:
    matching = merge.matching(context, rows, pa.table({"id": pa.array(keys, pa.string())}))
    assert isinstance(matching, pa.Table)
    assert matching.schema == ROWS.schema
    assert sorted(matching["id"].to_pylist()) == found


def test_counts_changes_by_kind_and_the_range_they_lie_in() -> None:
    changes = pa.table({"day": [5, 3, 9, 1, 4], "_change": ["insert", "insert", "delete", "equal", "update"]})
    assert merge.tally(changes, "day") == ChangeCounts({"insert": 2, "delete": 1, "update": 1}, 3, 9, 1)
    assert merge.tally(changes.slice(0, 0), "day") == ChangeCounts()
