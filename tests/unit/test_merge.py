"""What a merge compares and counts, on literal rows of this process."""

from typing import Any

import pyarrow as pa
import pytest

from lakehouse.lake.store import Store
from lakehouse.run_context import RunContext
from lakehouse.transform import merge

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
    assert isinstance(matching, pa.RecordBatchReader)
    assert matching.schema == ROWS.schema
    assert sorted(matching.read_all()["id"].to_pylist()) == found
