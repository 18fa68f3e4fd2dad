"""The comparison that decides what is written: null-safe, blind to what is no value, the same in Spark and here."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.transform.changeset import changeset, changeset_of_arrow

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
Row = tuple[int, str | None, str | None, str]


def table(*rows: Row) -> pa.Table:
    """Rows of (id, value, share, seen), all of one moment."""
    given = [(key, MOMENT, value, share and Decimal(share), seen) for key, value, share, seen in rows]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in given], SCHEMA)


@pytest.fixture(params=["in Spark", "here"])
def compared(request: pytest.FixtureRequest) -> Callable[..., pa.Table]:
    """Compare two tables by (id, timestamp), value and share, in order of the id."""
    in_spark = request.param == "in Spark"
    spark = request.getfixturevalue("spark") if in_spark else None

    def made(wanted: pa.Table, current: pa.Table, **how: Any) -> pa.Table:
        how |= {"key": ["id", "timestamp"], "values": ["value", "share"]}
        if spark is None:
            return changeset_of_arrow(wanted, current, **how)
        found: pa.Table = changeset(spark.createDataFrame(wanted), spark.createDataFrame(current), **how).toArrow()
        return found.sort_by("id")

    return made


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


def test_finds_inserts_updates_and_deletes_and_leaves_equals(compared: Callable[..., pa.Table]) -> None:
    found = compared(WANTED, CURRENT, deleting=True)
    assert [tuple(row.values()) for row in found.to_pylist()] == CHANGES
    assert [field.type for field in found.schema] == [*(field.type for field in SCHEMA), pa.string()]


def test_names_equals_where_asked(compared: Callable[..., pa.Table]) -> None:
    found = compared(WANTED, CURRENT, deleting=False, with_equals=True).select(["id", "_change"]).to_pylist()
    changed = {row[0]: row[-1] for row in CHANGES if row[-1] != "delete"}
    assert [tuple(row.values()) for row in found] == [(key, changed.get(key, "equal")) for key in (1, 2, 3, 4, 5, 7, 8)]


def test_deletes_nothing_unless_told_to(compared: Callable[..., pa.Table]) -> None:
    nothing = table()
    assert compared(nothing, CURRENT, deleting=False).num_rows == 0
    assert compared(nothing, CURRENT, deleting=True)["_change"].unique().to_pylist() == ["delete"]
