"""``gold.carbon_intensity_monthly``: one row per region and UTC month, exact from its half-hours."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import GOLD_MONTHLY, PERIODS_PER_DAY
from lakehouse.transform.gold import exact


def build(half_hours: DataFrame) -> DataFrame:
    """One row per region and UTC month that has at least one half-hour.

    Days are summed up first, to count them; nothing is rounded before the month's means are.
    """
    figures = [
        "int(count(*)) AS n_days",
        f"int(count_if(n = {PERIODS_PER_DAY})) AS n_complete_days",
        "int(sum(n)) AS n_periods",
        *exact.means(),
        "min(intensity_min) AS intensity_min",
        "max(intensity_max) AS intensity_max",
    ]
    days = half_hours.transform(_by_day).withColumn("month", F.trunc("day", "month"))
    return days.groupBy(*GOLD_MONTHLY.key).agg(*map(F.expr, figures)).select(*GOLD_MONTHLY.column_names)


def _by_day(half_hours: DataFrame) -> DataFrame:
    """One row per region and UTC day: exact sums, counts, extremes."""
    days = half_hours.withColumn("day", F.to_date("timestamp"))
    return days.groupBy("regionid", "day").agg(*map(F.expr, exact.sums()))
