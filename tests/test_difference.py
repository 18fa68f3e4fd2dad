"""The comparison that decides what is written: null-safe, and blind to what is not a value."""

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from lakehouse.refinement.difference import difference

SCHEMA = "id INT, day INT, value STRING, seen STRING"


def test_finds_inserts_updates_and_deletes_and_leaves_equals(spark: SparkSession) -> None:
    wanted = [(1, 1, "a", "w"), (2, 1, "b", "w"), (3, 1, None, "w"), (4, 1, "d", "w"), (5, 1, None, "w")]
    current = [(2, 1, "b", "c"), (3, 1, "c", "c"), (4, 1, None, "c"), (5, 1, None, "c"), (6, 1, "f", "c")]
    found = difference(
        spark.createDataFrame(wanted, SCHEMA),
        spark.createDataFrame(current, SCHEMA),
        key=["id", "day"],
        values=["value"],
        deleting=True,
    )
    expected = spark.createDataFrame(
        [
            (1, 1, "a", "w", "insert"),
            (3, 1, None, "w", "update"),
            (4, 1, "d", "w", "update"),
            (6, 1, None, None, "delete"),
        ],
        f"{SCHEMA}, _change STRING",
    )
    assert_df_equality(found, expected, ignore_row_order=True, ignore_nullable=True)


def test_deletes_nothing_unless_told_to(spark: SparkSession) -> None:
    current = spark.createDataFrame([(6, 1, "f", "c")], SCHEMA)
    wanted = current.limit(0)
    found = difference(wanted, current, key=["id", "day"], values=["value"], deleting=False)
    assert found.count() == 0
