"""What a run of Silver looks at, decided by what Bronze says of its responses. No Spark."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Store
from lakehouse.run_context import RunContext
from lakehouse.transform import batch, silver_job
from lakehouse.transform.batch import Batch
from lakehouse.windows import Window
from tests.support.lakes import at

NAMES = ("response_id", "window_start", "window_end", "ingestion_timestamp", "landing", "n_periods")


@pytest.fixture
def bronze(tmp_path: Path) -> Snapshot:
    responses = [
        ("newer", at("2024-01-02"), at("2024-01-03"), at("2024-02-03"), 1, 48),
        ("older", at("2024-01-02"), at("2024-01-03"), at("2024-02-01"), 1, 47),
        ("elsewhere", at("2024-01-05"), at("2024-01-06"), at("2024-02-03"), 1, 48),
        ("pending", at("2024-01-03"), at("2024-01-04"), at("2024-02-02"), 2, 48),
    ]
    write_deltalake(
        str(tmp_path / "bronze"), pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in responses])
    )
    found = delta_log.open_table(str(tmp_path / "bronze"))
    assert found is not None
    return found


def test_finds_the_responses_that_speak_of_the_same_half_hours(bronze: Snapshot) -> None:
    assert batch.overlapping(bronze, "landing > 1", older_too=False) == ("newer",)
    assert batch.overlapping(bronze, "landing > 1", older_too=True) == ("newer", "older")


def test_an_empty_answer_about_a_hole_of_long_ago_does_not_widen_the_batch(bronze: Snapshot) -> None:
    hole = ("hole", at("2019-01-01"), at("2019-01-02"), at("2024-02-02"), 2, 0)
    rows = pa.Table.from_pylist([dict(zip(NAMES, hole, strict=True))])
    write_deltalake(bronze.path, rows, mode="append")
    grown = delta_log.open_table(bronze.path)
    assert grown is not None
    context = RunContext(Store(not_needed, ""), "run", "0", "0")
    found = batch.plan_batch(context, grown, 1, [])
    assert found.half_hours == (at("2024-01-02T23:30"), at("2024-01-04"))
    alone = replace(batch.plan_batch(context, grown, 1, []), windows=())
    assert silver_job._part_of_silver(alone) == "false"
    assert silver_job._part_of_silver(Batch(grown, ())) is None


def not_needed() -> Any:
    raise AssertionError("Spark is not needed for this")


def test_reads_landings_in_parts_that_fit() -> None:
    landings = pa.table({"landing": [3, 1, 1, 2, 9, 4], "n_periods": [4000, 3000, 3000, 4000, 12_000, 1]})
    assert list(batch.parts(landings)) == [(1, 2), (3, 4), (9, 9)]
    assert list(batch.parts(landings.slice(0, 0))) == []


def test_knows_the_half_hours_whose_ends_lie_in_its_windows(bronze: Snapshot) -> None:
    windows = (
        Window(at("2024-01-01T00:30"), at("2024-01-01T01:10")),
        Window(at("2023-12-31T23:40"), at("2024-01-01T00:30")),  # over the end of a year, as a file's may be
    )
    found = Batch(bronze, windows, pending="landing > 1")
    assert found.slots() == [at("2023-12-31T23:30"), at("2024-01-01T00:00"), at("2024-01-01T00:30")]
    assert found.half_hours == (at("2023-12-31T23:10"), at("2024-01-01T01:10"))
    assert Batch(bronze, ()).half_hours is None
    assert Batch(bronze, ()).is_whole
    assert not found.is_whole
