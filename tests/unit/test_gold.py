"""Gold's transformations on literal half-hours: exact means, modes, names, completeness."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from lakehouse.lake.tables import DIM_REGION, GOLD, SILVER
from lakehouse.transform import gold

DAY = datetime(2024, 1, 2, tzinfo=UTC)


def half_hours(spark: SparkSession, *rows: dict[str, Any]) -> DataFrame:
    """Half-hours of London, 00:00 on, each with the values that a test names."""
    made = []
    for number, row in enumerate(rows):
        fuels = dict.fromkeys((f"fuel_{fuel}" for fuel in ("biomass", "coal", "gas", "hydro", "imports")), Decimal(0))
        fuels |= dict.fromkeys((f"fuel_{fuel}" for fuel in ("nuclear", "other", "solar", "wind")), Decimal(0))
        made.append(
            {
                "regionid": 13,
                "timestamp": DAY + number * timedelta(minutes=30),
                "shortname": "London",
                "dno": "UKPN London",
                "intensity_forecast": 100,
                "intensity_index": "low",
                **fuels,
                "extra": None,
                "response_id": "r",
                "ingestion_timestamp": DAY,
                **row,
            }
        )
    schema = StructType.fromDDL(SILVER.ddl)
    table = pa.Table.from_pylist(made, to_arrow_schema(schema, timezone="UTC"))
    return spark.createDataFrame(table, schema).coalesce(1)


def test_averages_a_day_exactly(spark: SparkSession) -> None:
    source = half_hours(
        spark,
        {"intensity_forecast": 100, "fuel_gas": Decimal("33.3"), "intensity_index": "low"},
        {"intensity_forecast": 101, "fuel_gas": Decimal("33.4"), "intensity_index": "moderate"},
        {"intensity_forecast": 101, "fuel_gas": Decimal("0.0"), "intensity_index": "moderate"},
    )
    zero = Decimal("0.00")
    expected = spark.createDataFrame(
        [
            (
                *(13, date(2024, 1, 2), "London", "UKPN London", Decimal("100.67"), "moderate"),
                *(zero, zero, Decimal("22.23"), zero, zero, zero, zero, zero, zero),
                *(3, 48, False, 100, 101),
            )
        ],
        GOLD.ddl,
    )
    assert_df_equality(gold.daily(source), expected, ignore_nullable=True)


def test_rounds_a_mean_once_half_up(spark: SparkSession) -> None:
    cases = [
        (["0.01", "0.00"], "0.01"),  # 0.005 is rounded half up
        (["0.02", "0.01"], "0.02"),  # 0.015
        (["0.01", "0.01", "0.00"], "0.01"),  # 0.00666...
        (["99.99", "100.00"], "100.00"),  # 99.995
    ]
    rows = [
        {"regionid": number, "fuel_wind": Decimal(value)}
        for number, (values, _) in enumerate(cases, start=1)
        for value in values
    ]
    found = gold.daily(half_hours(spark, *rows)).orderBy("regionid").collect()
    assert [str(row.fuel_wind) for row in found] == [mean for _, mean in cases]


def test_rounds_a_negative_mean_away_from_zero(spark: SparkSession) -> None:
    source = half_hours(spark, *({"intensity_forecast": value} for value in [-1] + [0] * 7))
    assert gold.daily(source).first().intensity_avg == Decimal("-0.13")  # -0.125


def test_takes_the_more_severe_of_equally_frequent_labels(spark: SparkSession) -> None:
    cases = [
        (["low", "very low", "low"], "low"),
        (["low", "high"], "high"),
        (["very high", "low", "low", "very high", "moderate"], "very high"),
    ]
    rows = [
        {"regionid": number, "intensity_index": label}
        for number, (labels, _) in enumerate(cases, start=1)
        for label in labels
    ]
    found = gold.daily(half_hours(spark, *rows)).orderBy("regionid").collect()
    assert [row.index_mode for row in found] == [mode for _, mode in cases]


def test_names_a_day_as_its_last_half_hour(spark: SparkSession) -> None:
    source = half_hours(spark, {"shortname": "Old", "dno": "Old Co"}, {"shortname": "New", "dno": "New Co"})
    row = gold.daily(source.orderBy("timestamp", ascending=False)).first()
    assert (row.shortname, row.dno) == ("New", "New Co")


def test_calls_a_day_complete_only_with_48_half_hours(spark: SparkSession) -> None:
    whole, partial = half_hours(spark, *[{}] * 48), half_hours(spark, *[{}] * 47)
    assert [(row.n_periods, row.is_complete) for row in gold.daily(whole).collect()] == [(48, True)]
    assert [(row.n_periods, row.is_complete) for row in gold.daily(partial).collect()] == [(47, False)]


def test_cuts_days_at_midnight_utc(spark: SparkSession) -> None:
    source = half_hours(spark, {"timestamp": DAY - timedelta(minutes=30)}, {"timestamp": DAY})
    days = [row.date_recorded for row in gold.daily(source).orderBy("date_recorded").collect()]
    assert days == [date(2024, 1, 1), date(2024, 1, 2)]


def test_gives_the_same_bytes_for_any_partitioning(spark: SparkSession) -> None:
    rows = [{"fuel_gas": Decimal(number) / 10, "intensity_forecast": number} for number in range(48)]
    source = half_hours(spark, *rows)
    expected = gold.daily(source.coalesce(1)).collect()
    for partitions in (2, 5, 13):
        assert gold.daily(source.repartition(partitions, "intensity_forecast")).collect() == expected


def test_describes_regions_by_their_newest_day(spark: SparkSession) -> None:
    days = gold.daily(
        half_hours(
            spark,
            {"regionid": 6, "shortname": "North Wales and Merseyside", "dno": "SP Manweb", "timestamp": DAY},
            {
                "regionid": 6,
                "shortname": "North Wales & Merseyside",
                "dno": "SP Manweb",
                "timestamp": DAY + timedelta(days=1),
            },
            {"regionid": 18, "shortname": "GB", "dno": "GB"},
            {"regionid": 17, "shortname": "Wales", "dno": "Wales"},
        )
    )
    expected = spark.createDataFrame(
        [
            (6, "North Wales & Merseyside", "SP Manweb", "dno_region", 17),
            (17, "Wales", "Wales", "nation", 18),
            (18, "GB", "GB", "gb", None),
        ],
        DIM_REGION.ddl,
    )
    assert_df_equality(gold.regions(days), expected, ignore_nullable=True, ignore_row_order=True)
