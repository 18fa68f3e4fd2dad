"""``gold.intensity_profile``: one row per region, UTC month and half-hour of the day."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import INTENSITY_PROFILE
from lakehouse.transform.gold import exact


def build(half_hours: DataFrame) -> DataFrame:
    """One row per region, UTC month and half-hour of the day that some day of the month has."""
    figures = [
        "int(count(*)) AS n_days",
        f"{exact.mean('CAST(intensity_forecast AS decimal(7,2))', 'count(*)')} AS intensity_avg",
        "min(intensity_forecast) AS intensity_min",
        "max(intensity_forecast) AS intensity_max",
    ]
    placed = half_hours.select(
        "regionid",
        F.trunc("timestamp", "month").alias("month"),
        F.expr("smallint(hour(timestamp) * 2 + minute(timestamp) div 30)").alias("half_hour"),
        "intensity_forecast",
    )
    profile = placed.groupBy(*INTENSITY_PROFILE.key).agg(*map(F.expr, figures))
    return profile.select(*INTENSITY_PROFILE.column_names)
