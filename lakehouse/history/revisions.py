"""What the API stated about a half-hour each time it was asked, and how much that moved. DataFrame in, DataFrame out.

A **statement** is a record that the rules of Silver have judged: what one response says about one region in one
half-hour. The statements of a key are in the order that decides which of them counts: by (ingestion_timestamp,
response_id, position).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.history import states
from lakehouse.history.ages import AGES
from lakehouse.history.states import LakeVersion
from lakehouse.lake import integrity
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, KNOWN_FUELS, SILVER
from lakehouse.settings import Settings
from lakehouse.spark import session
from lakehouse.transform.quality import RULES, Rules
from lakehouse.transform.spark_records import checked

VIEW = "revisions"
"""The name under which Spark SQL sees the statements of all of Bronze."""
FUELS = tuple(f"fuel_{fuel}" for fuel in KNOWN_FUELS)


def statements(bronze: DataFrame, *, rules: Rules = RULES) -> DataFrame:
    """One row per statement that names a region and a half-hour.

    ``received_at`` and ``age_hours`` (since the half-hour's start), the values, ``reasons`` (rules that refuse it),
    ``number`` (from 1, among the good ones of the key), ``change`` (of ``intensity_forecast`` against the good one
    before, gCO2/kWh) and ``counts``: whether it is the one that Silver holds.
    """
    records = bronze.transform(checked, rules=rules)
    is_good = F.col("reasons").isNull()
    key = Window.partitionBy(*SILVER.key, is_good)
    in_order = key.orderBy("ingestion_timestamp", "response_id", "position")
    number = F.row_number().over(in_order)
    before = F.lag("intensity_forecast").over(in_order)
    age = (F.unix_micros("ingestion_timestamp") - F.unix_micros("timestamp")) / F.lit(3_600_000_000)
    return records.where("regionid IS NOT NULL AND timestamp IS NOT NULL").select(
        *SILVER.key,
        F.col("ingestion_timestamp").alias("received_at"),
        F.round(age, 2).alias("age_hours"),
        "intensity_forecast",
        "intensity_index",
        *FUELS,
        F.when(is_good, number).alias("number"),
        F.when(is_good, F.col("intensity_forecast") - before).alias("change"),
        (is_good & (number == F.count(F.lit(1)).over(key))).alias("counts"),
        F.coalesce("reasons", F.array().cast("array<string>")).alias("reasons"),
        "response_id",
        "position",
    )


def by_age(judged: DataFrame) -> DataFrame:
    """How large revisions are, by how long after a half-hour's start they came: one row per group of ages.

    ``answers`` that had one before, ``revised`` of them, and of those the mean and the largest absolute change of
    ``intensity_forecast``, gCO2/kWh.
    """
    later = judged.where("change IS NOT NULL").withColumn("age_from", _group(F.col("age_hours")))
    size = F.when(F.col("change") != 0, F.abs("change"))
    return (
        later.groupBy("age_from")
        .agg(
            F.count(F.lit(1)).alias("answers"),
            F.count(size).alias("revised"),
            F.round(F.avg(size), 2).alias("mean_change"),
            F.max(size).alias("largest_change"),
        )
        .orderBy("age_from")
    )


@dataclass(frozen=True)
class Revisions:
    """The statements about a region in a range, and how large the revisions among them are by age."""

    state: LakeVersion
    statements: Sequence[Mapping[str, Any]]
    by_age: Sequence[Mapping[str, Any]]


def find(
    settings: Settings, region: int, start: datetime, end: datetime, at: int | None = None, *, revised_only: bool = True
) -> Revisions:
    """What the API stated about ``region`` in ``[start, end)``, as Bronze stood at a lake version (default: now).

    With ``revised_only`` the half-hours of which every good statement gives the same forecast are left out of the
    statements; the groups by age are always of all.
    """
    state = states.newest(settings) if at is None else states.at_lake_version(settings, at)
    spark = session.open_session()
    stated = statements(speaking_of(Store(spark, state.root), state, region, start, end))
    stated = stated.where(
        (F.col("regionid") == region) & (F.col("timestamp") >= F.lit(start)) & (F.col("timestamp") < F.lit(end))
    ).persist()
    try:
        shown = stated.orderBy("timestamp", "received_at", "response_id", "position")
        if revised_only:
            moved = stated.where("change <> 0").select("timestamp").distinct()
            shown = stated.join(moved, "timestamp", "left_semi").orderBy(
                "timestamp", "received_at", "response_id", "position"
            )
        rows = session.rows(shown)
        groups = session.rows(by_age(stated))
    finally:
        stated.unpersist()
    return Revisions(state, rows, groups)


def speaking_of(store: Store, state: LakeVersion, region: int, start: datetime, end: datetime) -> DataFrame:
    """The responses whose window may hold a half-hour of ``[start, end)`` for the region."""
    bronze = integrity.checked(store.read(BRONZE, state.version(BRONZE)))
    touches = (F.col("window_end") >= F.lit(start)) & (F.col("window_start") <= F.lit(end))
    return bronze.where(touches & (F.col("regionid").isNull() | F.col("regionid").isin(region, 0)))


def _group(age: Column) -> Column:
    found = F.when(age >= AGES[-1], F.lit(AGES[-1]))
    for low in reversed(AGES[:-1]):
        found = found.when(age >= low, F.lit(low))
    return found.otherwise(F.lit(-1))
