"""The real size: three years through all four stages, to the exact row, and once more with nothing to do."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession

from lakehouse.lake.store import Store
from lakehouse.pipeline import STAGES, Run
from lakehouse.postgres import PostgresTarget
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator import ThreadedSimulator
from tests.integration.test_pipeline import counts, into, published, versions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
__all__ = ["into"]


def three_years(run: Run) -> None:
    run.fetch(datetime(2022, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    run.transform(STAGES)


def test_loads_three_years_to_the_exact_row_and_nothing_twice(
    spark: SparkSession,
    lake_root: str,
    into: Callable[..., Settings],
    database: PostgresTarget,
    run_with: Callable[..., RunReport],
    simulator: ThreadedSimulator,
) -> None:
    simulator.now = datetime(2025, 2, 1, tzinfo=UTC)
    chosen = into(lake_root, simulator.url)
    first = run_with(chosen, three_years)
    assert counts(first, "bronze")["inserted"] == 82
    assert counts(first, "silver")["inserted"] == 945_072
    assert counts(first, "gold")["inserted"] == 19_710
    assert counts(first, "export")["inserted"] == 19_710

    Store(spark, lake_root).register()
    distinct = spark.sql(
        "SELECT count(*) AS n, count(DISTINCT regionid, timestamp) AS keys FROM silver.regional_half_hourly"
    ).first()
    assert distinct is not None
    assert (distinct.n, distinct.keys) == (945_072, 945_072)
    partial = spark.sql(
        "SELECT DISTINCT CAST(date_recorded AS STRING) AS day FROM gold.carbon_intensity_daily "
        "WHERE NOT is_complete ORDER BY 1"
    ).collect()
    assert [row.day for row in partial] == ["2023-10-20", "2023-10-22", "2024-06-11", "2024-06-12"]

    touched = published(database, "SELECT max(xmin::text::bigint) FROM carbon_data.carbon_intensity_daily")
    again = run_with(chosen, three_years)
    assert versions(again) == versions(first)
    export = counts(again, "export")
    assert {name: export[name] for name in ("inserted", "updated", "deleted", "unchanged")} == {
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "unchanged": 19_710,
    }
    assert published(database, "SELECT max(xmin::text::bigint) FROM carbon_data.carbon_intensity_daily") == touched
