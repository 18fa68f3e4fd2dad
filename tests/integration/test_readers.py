"""Silver and Gold read the same through Spark, delta-rs and DuckDB, newest and older versions alike."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from bench.tools import reader
from lakehouse.lake import delta_log
from lakehouse.lake.tables import DIM_REGION, GOLD, QUARANTINE, SILVER, Table
from tests.support.lakes import Lake, period, periods, region, response

Rows = list[tuple[Any, ...]]


def in_order(found: pa.Table, table: Table) -> Rows:
    """The rows as Python values, sorted; times as microseconds, so that no time zone of a reader can hide."""
    assert found.column_names == list(table.column_names)
    columns = []
    for column in found.columns:
        is_time = pa.types.is_timestamp(column.type)
        columns.append(column.cast(pa.timestamp("us")).cast(pa.int64()) if is_time else column)
    return sorted(zip(*(column.to_pylist() for column in columns), strict=True), key=str)


def through_spark(spark: SparkSession, path: str, version: int, table: Table) -> Rows:
    return in_order(spark.read.format("delta").option("versionAsOf", version).load(path).toArrow(), table)


def through_delta_rs(_: SparkSession, path: str, version: int, table: Table) -> Rows:
    found = delta_log.open_table(path, version)
    assert found is not None
    return in_order(found.rows(table.column_names), table)


def through_duckdb(_: SparkSession, path: str, version: int, table: Table) -> Rows:
    with reader() as connection:
        found = connection.execute(f"SELECT * FROM delta_scan('{path}', version={version})")
        return in_order(found.to_arrow_table(), table)


READERS: list[Callable[[SparkSession, str, int, Table], Rows]] = [through_spark, through_delta_rs, through_duckdb]


def test_reads_the_same_whoever_reads(lake: Lake, spark: SparkSession) -> None:
    odd = region(13, -20, shortname="Lond\u00f6n | \\N", actual=95)
    lake.land(response([*periods("2024-01-01T23:00", [100, 101, 102]), period("2024-01-02T12:00", odd)], "2024-01-03"))
    lake.derive()
    lake.land(response(periods("2024-01-01T23:30", [90]), "2024-01-04"))
    lake.land(response([period("2024-01-02T13:00", region(12, "n/a"))], "2024-01-04T01:00"))
    lake.derive()
    sizes = [(SILVER, 1, 7), (SILVER, 2, 7), (GOLD, 1, 4), (GOLD, 2, 4), (DIM_REGION, 1, 2), (QUARANTINE, 1, 1)]
    for table, version, size in sizes:
        one, two, three = (reader(spark, lake.store.path(table), version, table) for reader in READERS)
        assert len(one) == size
        assert one == two == three
    silver = through_duckdb(spark, lake.store.path(SILVER), 2, SILVER)
    assert (13, 1_704_196_800_000_000, "Lond\u00f6n | \\N", "UKPN London", -20, "low") in [row[:6] for row in silver]
