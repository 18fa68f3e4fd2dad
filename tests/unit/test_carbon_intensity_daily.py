"""Gold's days from literal half-hours: exact means, modes, names, completeness."""

from datetime import date, timedelta
from decimal import Decimal

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from lakehouse.transform.gold import carbon_intensity_daily
from tests.support.half_hours import DAY, half_hours


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
        "regionid INT, date_recorded DATE, shortname STRING, dno STRING, intensity_avg DECIMAL(10,2), "
        "index_mode STRING NOT NULL, fuel_biomass DECIMAL(10,2), fuel_coal DECIMAL(10,2), fuel_gas DECIMAL(10,2), "
        "fuel_hydro DECIMAL(10,2), fuel_imports DECIMAL(10,2), fuel_nuclear DECIMAL(10,2), fuel_other DECIMAL(10,2), "
        "fuel_solar DECIMAL(10,2), fuel_wind DECIMAL(10,2), n_periods INT, n_expected INT NOT NULL, "
        "is_complete BOOLEAN, intensity_min INT, intensity_max INT",
    )
    assert_df_equality(carbon_intensity_daily.build(source), expected)


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
    found = carbon_intensity_daily.build(half_hours(spark, *rows)).orderBy("regionid").collect()
    assert [str(row.fuel_wind) for row in found] == [mean for _, mean in cases]


def test_rounds_a_negative_mean_away_from_zero(spark: SparkSession) -> None:
    source = half_hours(spark, *({"intensity_forecast": value} for value in [-1] + [0] * 7))
    assert carbon_intensity_daily.build(source).first().intensity_avg == Decimal("-0.13")  # -0.125


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
    found = carbon_intensity_daily.build(half_hours(spark, *rows)).orderBy("regionid").collect()
    assert [row.index_mode for row in found] == [mode for _, mode in cases]


def test_names_a_day_as_its_last_half_hour(spark: SparkSession) -> None:
    source = half_hours(spark, {"shortname": "Old", "dno": "Old Co"}, {"shortname": "New", "dno": "New Co"})
    row = carbon_intensity_daily.build(source.orderBy("timestamp", ascending=False)).first()
    assert (row.shortname, row.dno) == ("New", "New Co")


def test_calls_a_day_complete_only_with_48_half_hours(spark: SparkSession) -> None:
    whole, partial = half_hours(spark, *[{}] * 48), half_hours(spark, *[{}] * 47)
    assert [(row.n_periods, row.is_complete) for row in carbon_intensity_daily.build(whole).collect()] == [(48, True)]
    assert [(row.n_periods, row.is_complete) for row in carbon_intensity_daily.build(partial).collect()] == [
        (47, False)
    ]


def test_cuts_days_at_midnight_utc(spark: SparkSession) -> None:
    source = half_hours(spark, {"timestamp": DAY - timedelta(minutes=30)}, {"timestamp": DAY})
    days = [row.date_recorded for row in carbon_intensity_daily.build(source).orderBy("date_recorded").collect()]
    assert days == [date(2024, 1, 1), date(2024, 1, 2)]


def test_gives_the_same_bytes_for_any_partitioning(spark: SparkSession) -> None:
    rows = [{"fuel_gas": Decimal(number) / 10, "intensity_forecast": number} for number in range(48)]
    source = half_hours(spark, *rows)
    expected = carbon_intensity_daily.build(source.coalesce(1)).collect()
    for partitions in (2, 5, 13):
        assert carbon_intensity_daily.build(source.repartition(partitions, "intensity_forecast")).collect() == expected
