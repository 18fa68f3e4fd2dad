"""A row has the same text and number in PostgreSQL and in this process, whatever its values."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from lakehouse.lake import duck
from lakehouse.lake.tables import Column, Table
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import checksums, row_text, statements
from lakehouse.publishing.row_text import DUCKDB, POSTGRESQL

EVERY_TYPE = Table(
    name="gold.every_type",
    comment="A column of each type that a published table may have",
    key=("small",),
    columns=tuple(
        Column(name, type_, "", nullable=True)
        for name, type_ in (
            ("small", "SMALLINT"),
            ("whole", "INT"),
            ("big", "BIGINT"),
            ("day", "DATE"),
            ("price", "DECIMAL(10,2)"),
            ("label", "STRING"),
            ("is_final", "BOOLEAN"),
        )
    ),
)
ARROW = pa.schema(
    [
        ("small", pa.int16()),
        ("whole", pa.int32()),
        ("big", pa.int64()),
        ("day", pa.date32()),
        ("price", pa.decimal128(10, 2)),
        ("label", pa.string()),
        ("is_final", pa.bool_()),
    ]
)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
VALUES = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "day": st.dates(date(1000, 1, 1)),
    "price": st.decimals(Decimal("-99999999.99"), Decimal("99999999.99"), places=2),
    "label": WORDS | st.text("\\|N ", max_size=6),
    "is_final": st.booleans(),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | value for name, value in VALUES.items()}), min_size=1)
NOTHING = dict.fromkeys(VALUES)


@pytest.fixture
def typed(database: PostgresTarget) -> Iterator[Connection]:
    types = "small SMALLINT, whole INT, big BIGINT, day DATE, price DECIMAL(10, 2), label TEXT, is_final BOOLEAN"
    with connect(database) as connection:
        connection.exec_driver_sql(f"CREATE TABLE carbon_data.every_type ({types})")
        yield connection


@given(rows=ROWS)
@example(rows=[NOTHING])
@example(rows=[{**NOTHING, "label": "\\N"}, {**NOTHING, "label": "|"}, {**NOTHING, "label": ""}])
@example(rows=[{**NOTHING, "price": Decimal("-0.00"), "day": date(9999, 12, 31), "big": -(2**63)}])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_has_one_text_and_one_number_in_both_databases(typed: Connection, rows):
    typed.exec_driver_sql("DELETE FROM carbon_data.every_type")
    typed.execute(text(f"INSERT INTO carbon_data.every_type VALUES ({', '.join(f':{name}' for name in VALUES)})"), rows)
    own = typed.execute(text(f"SELECT {row_text.row_text(EVERY_TYPE, POSTGRESQL)} FROM carbon_data.every_type"))
    here = pa.Table.from_pylist(rows, ARROW)
    with duck.connect() as database:
        database.register("here", here)
        texts = database.execute(f"SELECT {row_text.row_text(EVERY_TYPE, DUCKDB)} FROM here").fetchall()
    assert sorted(own.scalars()) == sorted(text for (text,) in texts)
    found = checksums.parts(EVERY_TYPE, typed.execute(statements.of_table("checksum", EVERY_TYPE)))
    assert found == checksums.of_rows(EVERY_TYPE, here)
