"""Polars on the files, delta-rs for the tables: lazy, streaming, exact by counting in tenths."""

import sys

import polars as pl

FUELS = ["biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind"]
LABELS = ["very low", "low", "moderate", "high", "very high"]
KEY = ["regionid", "timestamp"]
DAY = ["regionid", "date_recorded"]
SHARE = pl.Struct({"fuel": pl.String, "perc": pl.Float64})
INTENSITY = pl.Struct({"forecast": pl.Int32, "index": pl.String})
REGION = pl.Struct(
    {
        "regionid": pl.Int32,
        "dnoregion": pl.String,
        "shortname": pl.String,
        "intensity": INTENSITY,
        "generationmix": pl.List(SHARE),
    }
)
BODY = {"data": pl.List(pl.Struct({"from": pl.String, "to": pl.String, "regions": pl.List(REGION)}))}


def main(responses: str, into: str) -> None:
    """Both tables."""
    half_hours = silver(responses).collect(engine="streaming")
    half_hours.write_delta(f"{into}/silver", mode="append")
    gold(half_hours.lazy()).collect().write_delta(f"{into}/gold", mode="append")


def silver(responses: str) -> pl.LazyFrame:
    """One row per region and half-hour, from the newest file that has it."""
    region = pl.col("region").struct
    return (
        pl.scan_ndjson(f"{responses}/*.json", schema=BODY, include_file_paths="file")
        .explode("data", empty_as_null=False)
        .filter(pl.col("data").is_not_null())  # one day's answer is empty
        .select("file", pl.col("data").struct.field("from"), pl.col("data").struct.field("regions").alias("region"))
        .explode("region", empty_as_null=False)
        .select(
            "file",
            region.field("regionid"),
            pl.col("from").str.to_datetime("%Y-%m-%dT%H:%MZ", time_unit="us", time_zone="UTC").alias("timestamp"),
            region.field("shortname"),
            region.field("dnoregion").alias("dno"),
            region.field("intensity").struct.field("forecast").alias("intensity_forecast"),
            region.field("intensity").struct.field("index").alias("intensity_index"),
            *(share(region.field("generationmix"), fuel) for fuel in FUELS),
        )
        .sort("file")
        .unique(KEY, keep="last", maintain_order=True)
        .drop("file")
        .sort("timestamp", "regionid")
    )


def share(mix: pl.Expr, fuel: str) -> pl.Expr:
    """The percentage of one fuel, exact: two decimals."""
    entry = pl.element().struct
    percent = pl.when(entry.field("fuel") == fuel).then(entry.field("perc"))
    return mix.list.eval(percent).list.max().cast(pl.Decimal(5, 2)).alias(f"fuel_{fuel}")


def gold(half_hours: pl.LazyFrame) -> pl.LazyFrame:
    """One row per region and day."""
    last = pl.col("timestamp").arg_max()
    counts = [(pl.col("intensity_index") == label).sum() * len(LABELS) + rank for rank, label in enumerate(LABELS)]
    rank = pl.max_horizontal(counts) % len(LABELS)
    return (
        half_hours.with_columns(pl.col("timestamp").dt.date().alias("date_recorded"))
        .group_by(DAY)
        .agg(
            pl.col("shortname").get(last),
            pl.col("dno").get(last),
            mean(pl.col("intensity_forecast").cast(pl.Int64) * 100).alias("intensity_avg"),
            rank.replace_strict(dict(enumerate(LABELS)), return_dtype=pl.String).alias("index_mode"),
            *(mean((pl.col(f"fuel_{fuel}") * 100).cast(pl.Int64)).alias(f"fuel_{fuel}") for fuel in FUELS),
            pl.len().cast(pl.Int32).alias("n_periods"),
            pl.col("intensity_forecast").min().alias("intensity_min"),
            pl.col("intensity_forecast").max().alias("intensity_max"),
        )
        .with_columns(pl.lit(48).alias("n_expected"), (pl.col("n_periods") == 48).alias("is_complete"))
    )


def mean(hundredths: pl.Expr) -> pl.Expr:
    """The mean to two decimals, rounded half up (away from zero), in whole numbers throughout."""
    total, n = hundredths.sum(), pl.len().cast(pl.Int64)
    rounded = (2 * total.abs() + n) // (2 * n) * total.sign()
    return (rounded.cast(pl.Decimal(10, 2)) / 100).cast(pl.Decimal(10, 2))


if __name__ == "__main__":
    main(*sys.argv[1:])
