"""What an export costs, beside PostgreSQL's own COPY of the same rows: three years, 18 regions, 19,710 rows.

Run it with `python -m bench.export`; it takes less than a minute and leaves nothing behind. The Spark session is
warm: the first export, which loads classes and compiles, is shown for itself.
"""

import io
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sqlalchemy import Connection

from lakehouse import settings
from lakehouse.lake.regions import REGIONS
from lakehouse.lake.store import Store
from lakehouse.lake.tables import DIM_REGION, FUELS, GOLD, LABELS
from lakehouse.postgres import connect
from lakehouse.provenance import code_version
from lakehouse.publishing import export
from lakehouse.publishing.database import database
from lakehouse.run_context import RunContext
from lakehouse.settings import Settings
from lakehouse.spark import session

FIRST, DAYS = date(2022, 1, 1), 1095
REPEATS = 5
EMPTY = "TRUNCATE carbon_data.dim_region, carbon_data.export_log CASCADE"
COPIED = "bench_copied"
TARGETS = {"into an empty table": 2.0, "unchanged": 1.0}
"""Seconds, warm."""


def days(spark: SparkSession) -> DataFrame:
    """Made-up days: every column varies, and nothing about them is random."""
    number = F.col("id").cast("int")
    mean = (number * 7919 % 40_000 / 100).cast("decimal(10,2)")
    shares = [
        (number * (31 + i) % 10_000 / 100).cast("decimal(10,2)").alias(f"fuel_{fuel}") for i, fuel in enumerate(FUELS)
    ]
    names = F.element_at(F.array(*(F.lit(region.shortname) for region in REGIONS)), number % 18 + 1)
    return spark.range(DAYS * len(REGIONS)).select(
        (number % 18 + 1).alias("regionid"),
        F.date_add(F.lit(FIRST), F.floor(number / 18).cast("int")).alias("date_recorded"),
        names.alias("shortname"),
        names.alias("dno"),
        mean.alias("intensity_avg"),
        F.element_at(F.array(*map(F.lit, LABELS)), number % 5 + 1).alias("index_mode"),
        *shares,
        F.lit(48).alias("n_periods"),
        F.lit(48).alias("n_expected"),
        F.lit(True).alias("is_complete"),
        F.floor(mean).cast("int").alias("intensity_min"),
        (F.floor(mean) + 1).cast("int").alias("intensity_max"),
    )


def filled(root: str) -> RunContext:
    """A lake with Gold and its regions."""
    spark = session.open_session()
    work = RunContext(Store(spark, root), "bench", code_version(), "bench")
    work.store.ensure(GOLD, DIM_REGION)
    days(spark).coalesce(1).write.format("delta").mode("append").save(work.store.path(GOLD))
    regions = [(region.regionid, region.shortname, region.dno, region.kind, region.parent) for region in REGIONS]
    frame = spark.createDataFrame(regions, DIM_REGION.ddl).coalesce(1)
    said = work.commit("dim_region", {GOLD.name: work.snapshot(GOLD)}).to_json()
    frame.write.format("delta").mode("append").option("userMetadata", said).save(work.store.path(DIM_REGION))
    return work


def timed(act: Callable[[], object], before: Callable[[], object] = lambda: None, repeats: int = REPEATS) -> float:
    """Seconds, the median of several."""
    seconds = []
    for _ in range(repeats):
        before()
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def copy(connection: Connection, rows: str) -> None:
    """PostgreSQL's own bulk load into a table with the same columns, key and index."""
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor:
        cursor.copy_expert(f"COPY {COPIED} FROM STDIN (FORMAT csv)", io.StringIO(rows))
    driver.commit()


def measure(work: RunContext, chosen: Settings) -> dict[str, float]:
    """Seconds of each thing."""
    path = work.store.path(GOLD)
    changed_day = F.col("date_recorded") == F.lit(date(2024, 6, 1))

    def correct() -> None:
        DeltaTable.forPath(work.store.spark, path).update(
            changed_day, {"fuel_wind": F.col("fuel_wind") + F.lit(1).cast("decimal(10,2)")}
        )

    def publish() -> object:
        return export.publish(work, chosen)

    with database(chosen) as where, connect(where.owner) as connection:

        def run(statement: str) -> None:
            with connection.begin():
                connection.exec_driver_sql(statement)

        found = {"first of a cold process": timed(publish, repeats=1)}
        found["into an empty table"] = timed(publish, lambda: run(EMPTY))
        found["unchanged"] = timed(publish)
        found["18 rows corrected"] = timed(publish, correct, repeats=3)
        driver = connection.connection.driver_connection
        assert driver is not None
        rows = io.StringIO()
        with driver.cursor() as cursor:
            cursor.copy_expert("COPY carbon_data.carbon_intensity_daily TO STDOUT (FORMAT csv)", rows)
        driver.commit()
        run(f"CREATE TABLE {COPIED} (LIKE carbon_data.carbon_intensity_daily INCLUDING ALL)")
        found["COPY"] = timed(lambda: copy(connection, rows.getvalue()), lambda: run(f"TRUNCATE {COPIED}"))
    return found


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings.load({"root": str(Path(folder) / "lake")})
        with database(chosen):  # keeps the embedded server running from one export to the next
            found = measure(filled(chosen.root), chosen)
    print(f"{DAYS * len(REGIONS):,} rows, medians of {REPEATS}")
    for name, seconds in found.items():
        target = (
            f"  target < {TARGETS[name]:.0f} s: {'met' if seconds < TARGETS[name] else 'MISSED'}"
            if name in TARGETS
            else ""
        )
        print(f"{name:<24}{seconds:8.3f} s{seconds / found['COPY']:8.1f} x COPY{target}")


if __name__ == "__main__":
    main()
