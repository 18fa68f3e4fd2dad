"""The case study's method: Spark on multi-line JSON files, two explodes, ``groupBy`` and ``pivot``, Parquet.

It has no rule for two versions of one half-hour: equal ones fall together in the grouping, others stay two rows.
It is given the schema and the fuels, so that it needs to read the files once.
"""

import sys

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

FUELS = ["biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind"]
LABELS = ["very low", "low", "moderate", "high", "very high"]
BODY = (
    "data ARRAY<STRUCT<`from`: STRING, `to`: STRING, regions: ARRAY<STRUCT<regionid: INT, dnoregion: STRING, "
    "shortname: STRING, intensity: STRUCT<forecast: INT, index: STRING>, "
    "generationmix: ARRAY<STRUCT<fuel: STRING, perc: DECIMAL(5,2)>>>>>>"
)


def main(responses: str, into: str) -> None:
    """Both tables."""
    spark = SparkSession.builder.config("spark.driver.memory", "3g").config("spark.ui.enabled", "false")
    session = spark.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    silver(session.read.schema(BODY).json(responses, multiLine=True)).write.parquet(f"{into}/silver")
    gold(session.read.parquet(f"{into}/silver")).write.parquet(f"{into}/gold")
    session.stop()


def silver(bodies: DataFrame) -> DataFrame:
    """One row per region, half-hour and value."""
    periods = bodies.select(F.explode("data").alias("period"))
    regions = periods.select("period.from", F.explode("period.regions").alias("region"))
    shares = regions.select(
        F.col("region.regionid").alias("regionid"),
        F.to_timestamp("from", "yyyy-MM-dd'T'HH:mm'Z'").alias("timestamp"),
        F.col("region.shortname").alias("shortname"),
        F.col("region.dnoregion").alias("dno"),
        F.col("region.intensity.forecast").alias("intensity_forecast"),
        F.col("region.intensity.index").alias("intensity_index"),
        F.explode("region.generationmix").alias("share"),
    )
    keys = [name for name in shares.columns if name != "share"]
    wide = shares.groupBy(*keys).pivot("share.fuel", FUELS).agg(F.first("share.perc"))
    return wide.select(*keys, *(F.col(fuel).alias(f"fuel_{fuel}") for fuel in FUELS))


def gold(half_hours: DataFrame) -> DataFrame:
    """One row per region and day."""
    ranks = F.array_position(F.array(*map(F.lit, LABELS)), F.col("intensity_index"))
    labels = half_hours.groupBy("regionid", F.to_date("timestamp").alias("date_recorded"), ranks.alias("rank")).count()
    modes = labels.groupBy("regionid", "date_recorded").agg(
        F.max(F.struct("count", "rank"))["rank"].cast("int").alias("rank")
    )
    modes = modes.select(
        "regionid", "date_recorded", F.element_at(F.array(*map(F.lit, LABELS)), F.col("rank")).alias("index_mode")
    )
    days = half_hours.groupBy("regionid", F.to_date("timestamp").alias("date_recorded")).agg(
        F.max_by("shortname", "timestamp").alias("shortname"),
        F.max_by("dno", "timestamp").alias("dno"),
        F.round(F.avg(F.col("intensity_forecast").cast("decimal(10,2)")), 2).alias("intensity_avg"),
        *(F.round(F.avg(f"fuel_{fuel}"), 2).alias(f"fuel_{fuel}") for fuel in FUELS),
        F.count(F.lit(1)).alias("n_periods"),
        F.min("intensity_forecast").alias("intensity_min"),
        F.max("intensity_forecast").alias("intensity_max"),
    )
    return (
        days.join(modes, ["regionid", "date_recorded"])
        .withColumn("n_expected", F.lit(48))
        .withColumn("is_complete", F.col("n_periods") == 48)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
