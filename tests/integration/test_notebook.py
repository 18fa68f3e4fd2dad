"""The lake in Python where Spark is there, too: beside a writer, as a Spark DataFrame; the notebook and its page."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from pyspark.sql import SparkSession

import lakehouse
from lakehouse.history import query
from lakehouse.settings import Settings
from notebooks.carbon import app
from tests.support.lakes import Lake, periods, response
from tests.support.revised_lake import derived

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


@pytest.fixture
def told(revised_once: Lake, tmp_path: Path) -> Lake:
    """Lake version 2 of two regions on 2024-01-01; see ``revised_once``."""
    return revised_once.copy(tmp_path / "lake")


def test_holds_its_versions_while_a_run_writes(told: Lake, settings_of: Callable[..., Settings]) -> None:
    lake = lakehouse.open_lake(told.store.root)
    half_hours = lake.silver.half_hours.where(region="London")
    before = {name: lake[name].arrow() for name in lake.tables}
    stream = half_hours.batches()
    told.land(response(periods("2024-01-01T00:00", [200, 200, 200], [13]), "2024-01-03T00:00"))
    derived(settings_of(told.store.root))
    assert [row["intensity_forecast"] for row in stream.read_all().to_pylist()] == [100, 150, 103]
    assert [row["intensity_forecast"] for row in half_hours.arrow().to_pylist()] == [100, 150, 103]
    assert {name: lake[name].arrow() for name in lake.tables} == before
    assert lake.explain("London", "2024-01-01").agrees
    assert len(lake.revisions("London", "2024-01-01", "2024-01-02", revised_only=False).statements) == 6
    moved = lakehouse.open_lake(told.store.root)
    assert (lake.version, moved.version) == (2, 3)
    assert moved.gold.daily.where(region="London").select("intensity_avg").polars().item() == Decimal("200.00")
    assert lakehouse.open_lake(told.store.root, version=2).gold.daily.arrow().equals(lake.gold.daily.arrow())


def test_spark_gives_the_same_rows(told: Lake, spark: SparkSession) -> None:
    lake = lakehouse.open_lake(told.store.root, version=1)
    for asked in (
        lake.gold.daily,
        lake.gold.daily.where(region="London", since="2024-01-01", until="2024-01-02").select("dno", "intensity_avg"),
        lake.silver.half_hours.where(region=[12, 13], since="2024-01-01T00:30Z"),
        lake.ops.runs.select("lake_version"),
    ):
        found = [row.asDict() for row in asked.spark(spark).collect()]
        wanted = [{**row} for row in asked.arrow().to_pylist()]
        assert len(found) == len(wanted) > 0
        assert sorted(map(_plain, found)) == sorted(map(_plain, wanted))
    columns = lake.gold.daily.spark().schema  # the session that is open
    assert columns["intensity_avg"].metadata["comment"] == "Mean forecast intensity, gCO2/kWh, rounded once, half up"


def _plain(row: dict[str, Any]) -> str:
    return str([f"{value:%F %T}" if hasattr(value, "hour") else value for value in row.values()])


def test_spark_and_this_process_tell_the_same_statements(told: Lake, settings_of: Callable[..., Settings]) -> None:
    lake = lakehouse.open_lake(told.store.root)
    here = lake.revisions("London", "2024-01-01", "2024-01-02", revised_only=False).statements
    asked = "SELECT * FROM revisions WHERE regionid = 13 ORDER BY timestamp, received_at, response_id, position"
    rows, _ = query.select(settings_of(told.store.root), asked, 100)
    assert len(rows) == 6
    assert rows == here


def test_the_notebook_runs_whole(told: Lake) -> None:
    outputs, defined = app.run(defs={"root": Path(told.store.root)})
    assert defined["region"].value == "London"
    assert defined["days"]["intensity_avg"].to_list() == [117.67]
    assert defined["cleanest"].rows() == [(date(2024, 1, 1), "00:00", Decimal("100.00"), 1)]
    assert "upstream empty" in defined["holes"]["cause"].to_list()
    assert (defined["why"].agrees, defined["why"].day) == (True, date(2024, 1, 1))
    assert [row["revised"] for row in defined["moved"].by_age] == [1, 0]
    texts = " ".join(getattr(output, "text", "") for output in outputs)
    assert "London had <strong>117.67 gCO2/kWh</strong> on 2024-01-01" in texts
    assert "Lake version 2 (no release" in texts
    charts = [output.to_dict() for output in outputs if isinstance(output, alt.TopLevelMixin)]
    drawn = [[row["intensity_avg"] for row in next(iter(chart["datasets"].values()))] for chart in charts]
    assert drawn == [[117.67], [100.0, 150.0, 103.0]]


def test_every_block_of_its_page_runs(told: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(told.store.root)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 8
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["means"].polars()["intensity_avg"].to_list() == [Decimal("117.67")]
    assert (names["lake"].version, names["before"].version) == (2, 1)
    assert names["why"].agrees
    assert len(names["moved"].statements) == 2
