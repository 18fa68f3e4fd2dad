"""From half-hours to days: DataFrame in, DataFrame out, exact to the last digit whatever the row order."""

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import DIM_REGION, FUELS, GOLD, KNOWN_FUELS, LABELS, LATER_FUELS, PERIODS_PER_DAY, REGIONS


def touched_days(changes: pa.Table) -> pa.Table:
    """The (regionid, date_recorded) groups in which some half-hour was inserted, updated or deleted."""
    days = changes["timestamp"].cast(pa.date32())
    return pa.table([changes["regionid"], days], list(GOLD.key)).group_by(list(GOLD.key)).aggregate([])


def daily(half_hours: DataFrame) -> DataFrame:
    """One row per region and UTC day that has at least one half-hour.

    Names are summed up first: a day has one, or two when a region is renamed. (Spark groups by hashing only where
    what it keeps of a group has a fixed size, as names have not; else it sorts every half-hour.)
    """
    n, last = F.sum("n"), F.col("last")
    figures = [
        F.max_by("shortname", last).alias("shortname"),
        F.max_by("dno", last).alias("dno"),
        _mean("intensity_forecast", n).alias("intensity_avg"),
        _mode().alias("index_mode"),
        *(_mean(f"fuel_{fuel}", n).alias(f"fuel_{fuel}") for fuel in FUELS),
        *(_mean_of_stated(f"fuel_{fuel}").alias(f"fuel_{fuel}") for fuel in LATER_FUELS),
        n.cast("int").alias("n_periods"),
        F.min("intensity_min").alias("intensity_min"),
        F.max("intensity_max").alias("intensity_max"),
    ]
    days = half_hours.transform(_by_name).groupBy(*GOLD.key).agg(*figures)
    return (
        days.withColumn("n_expected", F.lit(PERIODS_PER_DAY))
        .withColumn("is_complete", F.col("n_periods") == PERIODS_PER_DAY)
        .select(*GOLD.column_names)
    )


def _by_name(half_hours: DataFrame) -> DataFrame:
    """One row per region, UTC day and names: exact sums, counts, extremes, and the ``last`` half-hour."""
    summed = ("intensity_forecast", *(f"fuel_{fuel}" for fuel in KNOWN_FUELS))
    days = half_hours.withColumn("date_recorded", F.to_date("timestamp"))
    return days.groupBy(*GOLD.key, "shortname", "dno").agg(
        F.max("timestamp").alias("last"),
        F.count(F.lit(1)).alias("n"),
        *(F.sum(F.col(name).cast("decimal(7,2)")).alias(name) for name in summed),
        *(F.count(f"fuel_{fuel}").alias(f"n_{fuel}") for fuel in LATER_FUELS),
        *(F.count_if(F.col("intensity_index") == label).alias(f"n_{label}") for label in LABELS),
        F.min("intensity_forecast").alias("intensity_min"),
        F.max("intensity_forecast").alias("intensity_max"),
    )


def regions(days: DataFrame) -> DataFrame:
    """One row per region that has a day, named as in its newest one; kind and parent are declared, not derived."""
    newest = days.groupBy("regionid").agg(
        F.max_by("shortname", "date_recorded").alias("shortname"), F.max_by("dno", "date_recorded").alias("dno")
    )
    return (
        newest.withColumn("kind", _declared({r.regionid: r.kind for r in REGIONS}))
        .withColumn("parent_regionid", _declared({r.regionid: r.parent for r in REGIONS if r.parent}).cast("int"))
        .select(*DIM_REGION.column_names)
    )


def _mean(name: str, n: Column) -> Column:
    """The mean to two decimals, rounded once, half up.

    A sum of at most 48 values with two decimals over n <= 48 lies exactly on half a cent, or 1/9600 off it or
    more, so the 10 decimals that the division keeps cannot move it across.
    """
    return F.round((F.sum(name) / n.cast("decimal(10,0)")).cast("decimal(24,10)"), 2).cast("decimal(10,2)")


def _mean_of_stated(name: str) -> Column:
    """The mean over the half-hours that state the value; null if none does."""
    return _mean(name, F.nullif(F.sum(name.replace("fuel_", "n_")), F.lit(0)))


def _mode() -> Column:
    """The most frequent label; of equally frequent ones the most severe. Structs compare field by field."""
    ranked = [
        F.struct(F.sum(f"n_{label}").alias("n"), F.lit(rank).alias("rank"), F.lit(label).alias("label"))
        for rank, label in enumerate(LABELS)
    ]
    return F.greatest(*ranked)["label"]


def _declared(values: dict[int, str] | dict[int, int] | dict[int, int | None]) -> Column:
    return F.element_at(F.create_map(*(F.lit(x) for pair in values.items() for x in pair)), F.col("regionid"))
