"""A quarter through all four stages over real sockets, to the exact row, and once more with nothing to do.

It holds an outage, New Year and days that are whole; the real size is tests/system/test_case_study.py's.
"""

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
from tests.support.mirror_rows import query
from tests.support.reports import counts, versions
from tests.support.times import at

pytestmark = pytest.mark.slow

NEWEST_WRITE = "SELECT max(xmin::text::bigint) FROM carbon_data.carbon_intensity_daily"


def quarter(run: Run) -> None:
    run.fetch(at("2023-10-10"), at("2024-01-08"))
    run.transform(STAGES)


def test_loads_a_quarter_to_the_exact_row_and_nothing_twice(
    spark: SparkSession,
    lake_root: str,
    into: Callable[..., Settings],
    database: PostgresTarget,
    run_with: Callable[..., RunReport],
    simulator: ThreadedSimulator,
) -> None:
    simulator.now = datetime(2025, 2, 1, tzinfo=UTC)
    chosen = into(lake_root, simulator.url)
    first = run_with(chosen, quarter)
    assert counts(first, "bronze")["inserted"] == 7
    assert counts(first, "silver")["inserted"] == 76_284  # (90 x 48 - 82) x 18
    assert counts(first, "gold")["inserted"] == 1_602  # of 2023-10-21 there is nothing
    assert counts(first, "export")["inserted"] == 1_602

    Store(spark, lake_root).register()
    distinct = spark.sql(
        "SELECT count(*) AS n, count(DISTINCT regionid, timestamp) AS keys FROM silver.regional_half_hourly"
    ).first()
    assert distinct is not None
    assert (distinct.n, distinct.keys) == (76_284, 76_284)
    partial = spark.sql(
        "SELECT DISTINCT CAST(date_recorded AS STRING) AS day FROM gold.carbon_intensity_daily "
        "WHERE NOT is_complete ORDER BY 1"
    ).collect()
    assert [row.day for row in partial] == ["2023-10-20", "2023-10-22"]

    touched = query(database, NEWEST_WRITE)
    again = run_with(chosen, quarter)
    assert versions(again) == versions(first)
    export = counts(again, "export")
    assert {name: export[name] for name in ("inserted", "updated", "deleted", "unchanged")} == {
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "unchanged": 1_602,
    }
    assert query(database, NEWEST_WRITE) == touched
