"""The case study's own input gives the figures that follow from the API's range rule."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bench import case_study
from lakehouse import settings
from lakehouse.lake.store import ROWS_PER_FILE, Store
from lakehouse.lake.tables import GOLD, SILVER
from lakehouse.postgres import PostgresTarget
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.transform.models import MODELS
from tests.support.export_fixtures import url_of
from tests.support.lakes import MIX, Lake, period, response


def higher_by_one(row: dict[str, Any]) -> dict[str, Any]:
    """A region of an answer that says the same as a row of Silver, but for 1 gCO2/kWh more."""
    return {
        "regionid": row["regionid"],
        "dnoregion": row["dno"],
        "shortname": row["shortname"],
        "intensity": {"forecast": row["intensity_forecast"] + 1, "index": row["intensity_index"]},
        "generationmix": [{"fuel": fuel, "perc": float(row[f"fuel_{fuel}"])} for fuel in MIX],
    }


@pytest.mark.slow
def test_gives_the_case_studys_figures_and_revises_one_half_hour(
    spark: SparkSession,
    tmp_path: Path,
    settings_for: Callable[..., Settings],
    database: PostgresTarget,
    run_with: Callable[..., RunReport],
) -> None:
    chosen = settings_for(str(tmp_path / "lake"))
    assert case_study.write_responses(tmp_path / "responses") == 1096
    report = case_study.load(chosen, tmp_path / "responses")
    counts = {done.stage: done.counts for done in report.stages}
    assert counts["silver"]["received"] == 964_692  # 53,594 x 18
    assert counts["silver"]["duplicates"] == 19_602
    assert case_study.figures(chosen) == {
        "responses": 1_095,
        "half_hour_records": 53_594,
        "silver_rows": 945_090,
        "gold_rows": 19_728,
        "first_day": "2021-12-30",
        "first_day_periods": 1,
        "first_day_is_complete": False,
    }
    lake = Lake(Store(spark, chosen.root))
    before = lake.versions()
    assert [done.version for done in lake.derive()] == [None] * (1 + len(MODELS))
    assert lake.versions() == before

    into = settings.load({"root": chosen.root, "postgres": {"url": url_of(database)}})
    exports = [run_with(into, lambda run: run.publish(), "export").stages[0].counts for _ in range(2)]
    assert [{name: done[name] for name in ("inserted", "updated", "deleted", "unchanged")} for done in exports] == [
        {"inserted": 19_728, "updated": 0, "deleted": 0, "unchanged": 0},
        {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 19_728},
    ]

    noon = spark.read.format("delta").load(chosen.path(SILVER.path)).where("timestamp = '2023-05-05T12:00:00Z'")
    revised = [higher_by_one(row.asDict()) for row in noon.collect()]
    lake.land(response([period("2023-05-05T12:00", *revised)], "2025-03-01"))
    silver, gold, *_ = lake.derive()
    assert (silver.counts["updated"], gold.counts["updated"]) == (18, 18)
    metrics = lake.context.snapshot(SILVER).newest_commits(1)[0]["operationMetrics"]
    assert metrics["numTargetFilesRemoved"] == "1"
    assert metrics["numTargetRowsCopied"] == str(ROWS_PER_FILE - 18)
    assert metrics["numTargetRowsUpdated"] == "18"
    metrics = lake.context.snapshot(GOLD).newest_commits(1)[0]["operationMetrics"]
    assert metrics["numTargetRowsUpdated"] == "18"
