"""DuckDB on the files, in SQL, to Parquet."""

import sys
from pathlib import Path

import duckdb

FUELS = ["biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind"]
LABELS = ["very low", "low", "moderate", "high", "very high"]
MIX = "STRUCT(fuel VARCHAR, perc DECIMAL(5,2))[]"
REGION = (
    "STRUCT(regionid INT, dnoregion VARCHAR, shortname VARCHAR, intensity STRUCT(forecast INT, index VARCHAR), "
    f"generationmix {MIX})"
)
PERIODS = f'STRUCT("from" VARCHAR, "to" VARCHAR, regions {REGION}[])[]'


def main(responses: str, into: str) -> None:
    """Both tables."""
    Path(into).mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute("SET preserve_insertion_order = false")
        for name, query in (("silver", silver(responses)), ("gold", gold(f"{into}/silver/*.parquet"))):
            database.execute(f"COPY ({query}) TO '{into}/{name}' (FORMAT parquet, PER_THREAD_OUTPUT)")


def silver(responses: str) -> str:
    """One row per region and half-hour, from the newest file that has it."""
    shares = ", ".join(f"mix['{fuel}'] AS fuel_{fuel}" for fuel in FUELS)
    return f"""
        WITH periods AS (
            SELECT filename, unnest(data) AS period
            FROM read_json('{responses}/*.json', columns = {{data: '{PERIODS}'}}, filename = true)
        ), regions AS (
            SELECT filename, strptime(period."from", '%Y-%m-%dT%H:%MZ')::TIMESTAMP AT TIME ZONE 'UTC' AS timestamp,
                unnest(period.regions) AS region
            FROM periods
        ), newest AS (
            SELECT region.regionid AS regionid, timestamp, arg_max(region, filename) AS region
            FROM regions GROUP BY ALL
        ), mixed AS (
            SELECT *, map_from_entries(region.generationmix) AS mix FROM newest
        )
        SELECT regionid, timestamp, region.shortname AS shortname, region.dnoregion AS dno,
            region.intensity.forecast AS intensity_forecast, region.intensity.index AS intensity_index, {shares}
        FROM mixed"""


def gold(half_hours: str) -> str:
    """One row per region and day."""
    means = ", ".join(f"{mean(f'(fuel_{fuel} * 100)::BIGINT')} AS fuel_{fuel}" for fuel in FUELS)
    counts = ", ".join(
        f"count(*) FILTER (intensity_index = '{label}') * {len(LABELS)} + {rank}" for rank, label in enumerate(LABELS)
    )
    return f"""
        SELECT regionid, timestamp::DATE AS date_recorded,
            arg_max(shortname, timestamp) AS shortname, arg_max(dno, timestamp) AS dno,
            {mean("intensity_forecast::BIGINT * 100")} AS intensity_avg,
            {LABELS}[greatest({counts}) % {len(LABELS)} + 1] AS index_mode, {means},
            count(*)::INT AS n_periods, 48 AS n_expected, count(*) = 48 AS is_complete,
            min(intensity_forecast) AS intensity_min, max(intensity_forecast) AS intensity_max
        FROM read_parquet('{half_hours}')
        GROUP BY ALL"""


def mean(hundredths: str) -> str:
    """The mean to two decimals, rounded half up (away from zero), in whole numbers throughout."""
    total, n = f"sum({hundredths})", "count(*)"
    rounded = f"(2 * abs({total}) + {n}) // (2 * {n}) * sign({total})"
    return f"(({rounded})::DECIMAL(12,2) / 100)::DECIMAL(10,2)"


if __name__ == "__main__":
    main(*sys.argv[1:])
