"""The profile of a month from literal half-hours: which half-hour of the day, exact means, extremes."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from lakehouse.transform.gold import intensity_profile
from tests.support.half_hours import half_hours

COLUMNS = (
    "regionid INT, month DATE, half_hour SMALLINT, n_days INT NOT NULL, intensity_avg DECIMAL(10,2), "
    "intensity_min INT, intensity_max INT"
)


def at(moment: str, forecast: int, regionid: int = 13) -> dict[str, Any]:
    timestamp = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return {"timestamp": timestamp, "intensity_forecast": forecast, "regionid": regionid}


def profile(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    return spark.createDataFrame(list(rows), COLUMNS)


def test_gathers_a_half_hour_of_the_day_over_a_month(spark: SparkSession) -> None:
    source = half_hours(
        spark,
        at("2024-01-01T00:00", 100),
        at("2024-01-15T00:00", 101),
        at("2024-01-31T00:00", 101),
        at("2024-01-31T00:30", 90),
        at("2024-01-31T23:30", 80),
        at("2024-02-01T00:00", 70),  # the next month's
        at("2024-01-31T23:30", 60, regionid=18),
    )
    january, february = date(2024, 1, 1), date(2024, 2, 1)
    expected = profile(
        spark,
        (13, january, 0, 3, Decimal("100.67"), 100, 101),
        (13, january, 1, 1, Decimal("90.00"), 90, 90),
        (13, january, 47, 1, Decimal("80.00"), 80, 80),
        (13, february, 0, 1, Decimal("70.00"), 70, 70),
        (18, january, 47, 1, Decimal("60.00"), 60, 60),
    )
    assert_df_equality(intensity_profile.build(source), expected, ignore_row_order=True)


def test_rounds_a_mean_of_the_profile_once_half_up(spark: SparkSession) -> None:
    below = [at(f"2024-01-{day:02}T12:00", int(day == 1)) for day in range(1, 9)]  # 1/8 = 0.125
    negative = [at(f"2024-01-{day:02}T12:00", -int(day == 1), regionid=18) for day in range(1, 9)]
    expected = profile(
        spark,
        (13, date(2024, 1, 1), 24, 8, Decimal("0.13"), 0, 1),
        (18, date(2024, 1, 1), 24, 8, Decimal("-0.13"), -1, 0),
    )
    found = intensity_profile.build(half_hours(spark, *below, *negative))
    assert_df_equality(found, expected, ignore_row_order=True)


def test_gives_no_row_without_a_half_hour(spark: SparkSession) -> None:
    source = half_hours(spark, at("2024-01-01T00:00", 100)).where("false")
    assert_df_equality(intensity_profile.build(source), profile(spark))
