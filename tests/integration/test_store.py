"""The ways from a Delta table into Spark: whichever is taken, the rows are the same."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from chispa import assert_df_equality
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from lakehouse.lake import delta_log
from lakehouse.lake.commits import Commit
from lakehouse.lake.store import Store
from lakehouse.lake.tables import FUELS, SILVER

COMMIT = Commit("silver", "run", "0", "0", {})


def half_hour(number: int) -> tuple[object, ...]:
    moment = datetime(2024, 1, number, 12, tzinfo=UTC)
    shares = (Decimal("1.25"),) * len(FUELS)
    return (13, moment, "London", "UKPN London", -number, "low", *shares, None, "r", moment)


@pytest.mark.parametrize("place", ["lake", "a lake", "läke", "a lake [1]"])
def test_gives_the_same_rows_each_way(spark: SparkSession, tmp_path: Path, place: str) -> None:
    store = Store(spark, str(tmp_path / place))
    store.prepare(SILVER)
    for number in (1, 2, 3):
        store.append(spark.createDataFrame([half_hour(number)], SILVER.ddl), SILVER, COMMIT)
    second = delta_log.open_table(store.path(SILVER), 2)
    assert second is not None
    through_delta = store.read(SILVER, 2)
    assert through_delta.count() == 2
    rows = store.to_spark(second.read_arrow(SILVER.column_names))
    assert_df_equality(rows, through_delta, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True)
    early = second.read_arrow(["intensity_forecast"], "timestamp < TIMESTAMP '2024-01-02T00:00:00Z'")
    assert early["intensity_forecast"].to_pylist() == [-1]


def test_dropping_a_database_drops_names_alone(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(spark, str(tmp_path / "lake"))
    store.ensure(SILVER)
    store.append(spark.createDataFrame([half_hour(1)], SILVER.ddl), SILVER, COMMIT)
    assert spark.table(SILVER.name).count() == 1
    spark.sql("DROP DATABASE silver CASCADE")
    assert store.read(SILVER).count() == 1
    store.register()
    assert spark.table(SILVER.name).count() == 1


def test_streams_an_older_version_as_the_table_is_now(tmp_path: Path) -> None:
    """A column that came later is null, and one that became wider is so."""
    write_deltalake(str(tmp_path), pa.table({"key": pa.array([1, 2], pa.int32()), "gone": ["x", "y"]}))
    older = delta_log.open_table(str(tmp_path), 0)
    assert older is not None
    now = pa.schema([("later", pa.string()), ("key", pa.int64())])
    rows = older.stream_arrow_as(now).read_all()
    assert rows.schema == now
    assert sorted(rows["key"].to_pylist()) == [1, 2]
    assert rows["later"].to_pylist() == [None, None]
