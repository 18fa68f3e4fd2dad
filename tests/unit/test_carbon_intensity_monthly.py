"""Gold's months from literal half-hours: exact means, whole days, extremes."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.transform.gold import carbon_intensity_monthly, exact
from tests.support.half_hours import half_hours

JANUARY = date(2024, 1, 1)
COLUMNS = (
    "regionid INT, month DATE, n_days INT NOT NULL, n_complete_days INT NOT NULL, n_periods INT, "
    "intensity_avg DECIMAL(10,2), intensity_min INT, intensity_max INT, fuel_biomass DECIMAL(10,2), "
    "fuel_coal DECIMAL(10,2), fuel_gas DECIMAL(10,2), fuel_hydro DECIMAL(10,2), fuel_imports DECIMAL(10,2), "
    "fuel_nuclear DECIMAL(10,2), fuel_other DECIMAL(10,2), fuel_solar DECIMAL(10,2), fuel_wind DECIMAL(10,2)"
)


def from_first(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Half-hours one after another, from 2024-01-01T00:00Z on."""
    first = datetime(2024, 1, 1, tzinfo=UTC)
    return [{"timestamp": first + number * timedelta(minutes=30), **row} for number, row in enumerate(rows)]


def months(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    return spark.createDataFrame(list(rows), COLUMNS)


def test_counts_and_averages_a_month(spark: SparkSession) -> None:
    whole_day = from_first(*[{"intensity_forecast": 100, "fuel_gas": Decimal("33.3")}] * 48)
    part = [
        {"timestamp": datetime(2024, 1, 31, 23, 30, tzinfo=UTC), "intensity_forecast": 7, "fuel_gas": Decimal("1.1")},
        {"timestamp": datetime(2024, 2, 1, tzinfo=UTC), "intensity_forecast": 60, "fuel_wind": Decimal("99.9")},
    ]
    zero = Decimal("0.00")
    expected = months(
        spark,
        (
            *(13, JANUARY, 2, 1, 49, Decimal("98.10"), 7, 100),  # 4807 / 49 = 98.102
            *(zero, zero, Decimal("32.64"), zero, zero, zero, zero, zero, zero),  # 1599.5 / 49 = 32.6429
        ),
        (
            *(13, date(2024, 2, 1), 1, 0, 1, Decimal("60.00"), 60, 60),
            *(zero, zero, zero, zero, zero, zero, zero, zero, Decimal("99.90")),
        ),
    )
    found = carbon_intensity_monthly.build(half_hours(spark, *whole_day, *part))
    assert_df_equality(found, expected, ignore_row_order=True)


def test_rounds_a_month_once_and_not_by_day(spark: SparkSession) -> None:
    """Days of 0.005 and 0.00 would be 0.01 and 0.00, and their mean 0.01; of the four half-hours it is 0.0025."""
    second = datetime(2024, 1, 2, tzinfo=UTC)
    rows = [
        *from_first({"fuel_wind": Decimal("0.01")}, {}),
        {"timestamp": second},
        {"timestamp": second + timedelta(minutes=30)},
    ]
    found = carbon_intensity_monthly.build(half_hours(spark, *rows)).collect()
    assert [(row.n_days, row.n_periods, str(row.fuel_wind)) for row in found] == [(2, 4, "0.00")]


@pytest.mark.parametrize(
    ("total", "n", "mean"),
    [
        ("7.44", 1488, "0.01"),  # exactly half a cent
        ("7.43", 1488, "0.00"),  # the nearest below: 0.00499327...
        ("7.45", 1488, "0.01"),
        ("148800.00", 1488, "100.00"),
        ("7.43", 1487, "0.00"),  # 0.004996637..., half a cent but for 1/297,400
        ("7.44", 1487, "0.01"),  # 0.005003362...
        ("-7.44", 1488, "-0.01"),
    ],
)
def test_rounds_means_of_whole_months_as_exact_fractions(spark: SparkSession, total: str, n: int, mean: str) -> None:
    sums = spark.createDataFrame([(Decimal(total), n)], "total DECIMAL(17,2), n BIGINT")
    (found,) = sums.agg(F.expr(exact.mean("total", "sum(n)")).alias("mean")).collect()
    assert str(found["mean"]) == mean


def test_gives_the_same_month_for_any_order_and_partitioning(spark: SparkSession) -> None:
    rows = [{"fuel_gas": Decimal(n % 1000) / 10, "intensity_forecast": n % 337} for n in range(31 * 48)]
    source = half_hours(spark, *from_first(*rows))
    expected = carbon_intensity_monthly.build(source).collect()
    assert [(row.n_complete_days, row.n_periods, row.intensity_max) for row in expected] == [(31, 1488, 336)]
    for partitions in (2, 7):
        shuffled = source.orderBy(F.rand(seed=partitions)).repartition(partitions, "intensity_forecast")
        assert carbon_intensity_monthly.build(shuffled).collect() == expected
