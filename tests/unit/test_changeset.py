"""The comparison that decides what is written: null-safe, blind to what is no value, the same in Spark and here."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.lake.store import Store
from lakehouse.lake.tables import Column, Table
from lakehouse.transform.changeset import ChangeCounts, Comparison
from lakehouse.transform.comparing import Changes, LocalChanges, SparkChanges

MOMENT = datetime(2024, 1, 2, 12, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("value", pa.string()),
        ("share", pa.decimal128(5, 2)),
        ("seen", pa.string()),
    ]
)
TYPES = ("INT", "TIMESTAMP", "STRING", "DECIMAL(5,2)", "STRING")
TABLE = Table(
    name="test.table",
    comment="",
    key=("id", "timestamp"),
    columns=tuple(Column(name, type_, "") for name, type_ in zip(SCHEMA.names, TYPES, strict=True)),
    clustered_by="id",
)
Row = tuple[int, str | None, str | None, str]
Compared = Callable[..., Changes]


def table(*rows: Row) -> pa.Table:
    """Rows of (id, value, share, seen), all of one moment."""
    given = [(key, MOMENT, value, share and Decimal(share), seen) for key, value, share, seen in rows]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in given], SCHEMA)


@pytest.fixture(params=["in Spark", "here"])
def compared(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[Compared]:
    """Compare two tables by (id, timestamp), value and share."""
    with ExitStack() as held:

        def made(wanted: pa.Table, current: pa.Table, **how: Any) -> Changes:
            comparison = Comparison(TABLE.key, ["value", "share"], **how)
            if request.param == "here":
                changes: Changes = LocalChanges(Store(spark, ""), wanted, current, TABLE, comparison)
            else:
                in_spark = (spark.createDataFrame(rows) for rows in (wanted, current))
                changes = SparkChanges(*in_spark, TABLE, comparison)
            return held.enter_context(closing(changes))

        yield made


WANTED = table(
    *((1, "a", "1.00", "w"), (2, "b", None, "w"), (3, None, "1.00", "w"), (4, "d", "1.00", "w")),
    *((5, None, None, "w"), (7, "g", "1.10", "w"), (8, "h", None, "w")),
)
CURRENT = table(
    *((2, "b", None, "c"), (3, "c", "1.00", "c"), (4, None, "1.00", "c"), (5, None, None, "c")),
    *((6, "f", None, "c"), (7, "g", "1.1", "c"), (8, "h", "0", "c")),
)
CHANGES = [
    (1, MOMENT, "a", Decimal("1.00"), "w", "insert"),
    (3, MOMENT, None, Decimal("1.00"), "w", "update"),
    (4, MOMENT, "d", Decimal("1.00"), "w", "update"),
    (6, MOMENT, None, None, None, "delete"),
    (8, MOMENT, "h", None, "w", "update"),
]


EQUALS = (2, 5, 7)


def test_finds_inserts_updates_and_deletes_and_leaves_equals(compared: Compared) -> None:
    changes = compared(WANTED, CURRENT, deleting=True)
    found = changes.rows().toArrow().sort_by("id")
    assert [tuple(row.values()) for row in found.to_pylist()] == CHANGES
    assert [field.type for field in found.schema] == [*(field.type for field in SCHEMA), pa.string()]
    assert changes.counts() == ChangeCounts({"insert": 1, "update": 3, "delete": 1}, 1, 8)


def test_counts_equals_where_asked(compared: Compared) -> None:
    changes = compared(WANTED, CURRENT, deleting=False, with_equals=True)
    found = {row.id: row["_change"] for row in changes.rows().collect()}
    assert found == {row[0]: row[-1] for row in CHANGES if row[-1] != "delete"}
    assert changes.counts() == ChangeCounts({"insert": 1, "update": 3}, 1, 8, equal=len(EQUALS))


def test_deletes_nothing_unless_told_to(compared: Compared) -> None:
    nothing = table()
    assert compared(nothing, CURRENT, deleting=False).counts() == ChangeCounts()
    assert compared(nothing, CURRENT, deleting=True).counts() == ChangeCounts({"delete": 7}, 2, 8)


def test_takes_rows_while_they_come(spark: SparkSession) -> None:
    """Neither side needs memory for all its rows."""
    sides = (pa.RecordBatchReader.from_batches(SCHEMA, iter(side.to_batches(2))) for side in (WANTED, CURRENT))
    comparison = Comparison(TABLE.key, ["value", "share"], deleting=True)
    with closing(LocalChanges(Store(spark, ""), *sides, TABLE, comparison)) as changes:
        assert [tuple(row.values()) for row in changes.rows().toArrow().to_pylist()] == CHANGES  # in order


def test_leaves_no_file_behind(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    comparison = Comparison(TABLE.key, ["value"], deleting=True)
    with closing(LocalChanges(Store(spark, ""), WANTED, CURRENT, TABLE, comparison)) as changes:
        assert changes.rows().count()
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    with pytest.raises(duckdb.Error) as caught:
        LocalChanges(
            Store(spark, ""),
            WANTED.drop_columns("share"),
            CURRENT,
            TABLE,
            Comparison(TABLE.key, ["share"], deleting=True),
        )
    assert not list(tmp_path.iterdir())
    assert caught.tb is not None  # it holds what was begun, which is not cleared away by being forgotten
