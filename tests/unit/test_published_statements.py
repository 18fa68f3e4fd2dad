"""The export's statements are rendered from a table's declared columns; here of one small table, word for word."""

import hashlib
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from lakehouse.lake.tables import PUBLISHED, Column, Table
from lakehouse.publishing import checksums, row_text, statements
from lakehouse.publishing.checksums import Checksum, Part
from lakehouse.publishing.row_text import DUCKDB, POSTGRESQL

PRICES = Table(
    name="gold.prices",
    comment="One row per region and day",
    key=("regionid", "day"),
    columns=(
        Column("regionid", "SMALLINT", "Region"),
        Column("day", "DATE", "UTC day"),
        Column("price", "DECIMAL(10,2)", "Pounds"),
        Column("label", "STRING", "Words", nullable=True),
        Column("is_final", "BOOLEAN", "Whether it stays", nullable=True),
    ),
)
NAMES = replace(PRICES, name="gold.names", key=("regionid",), columns=(PRICES.columns[0], PRICES.columns[3]))

STATEMENTS = {
    "conflicts": """
        SELECT regionid, day
        FROM carbon_data.staging_prices AS s
        WHERE run_id = :run_id
        GROUP BY regionid, day
        HAVING count(*) > 1 AND count(DISTINCT s) > 1
        ORDER BY regionid, day
        LIMIT 3;""",
    "staged": """
        SELECT count(*) FROM (
            SELECT DISTINCT regionid, day
            FROM carbon_data.staging_prices
            WHERE run_id = :run_id
        ) AS keys;""",
    "insert": """
        INSERT INTO carbon_data.prices (regionid, day, price, label, is_final)
        SELECT DISTINCT s.regionid, s.day, s.price, s.label, s.is_final
        FROM carbon_data.staging_prices AS s
        WHERE s.run_id = :run_id
            AND s.is_deleted IS NOT TRUE
            AND NOT EXISTS (
                SELECT FROM carbon_data.prices AS t
                WHERE t.regionid = s.regionid AND t.day = s.day
            )
        ON CONFLICT (regionid, day) DO NOTHING;""",
    "update": """
        UPDATE carbon_data.prices AS t
        SET (price, label, is_final) = ROW (s.price, s.label, s.is_final)
        FROM carbon_data.staging_prices AS s
        WHERE s.run_id = :run_id
            AND s.is_deleted IS NOT TRUE
            AND t.regionid = s.regionid AND t.day = s.day
            AND (t.price, t.label, t.is_final) IS DISTINCT FROM (s.price, s.label, s.is_final);""",
    "delete_marked": """
        DELETE FROM carbon_data.prices AS t
        USING carbon_data.staging_prices AS s
        WHERE s.run_id = :run_id
            AND s.is_deleted
            AND t.regionid = s.regionid AND t.day = s.day;""",
    "delete_absent": """
        DELETE FROM carbon_data.prices AS t
        WHERE NOT EXISTS (
            SELECT FROM carbon_data.staging_prices AS s
            WHERE s.run_id = :run_id
                AND s.is_deleted IS NOT TRUE
                AND t.regionid = s.regionid AND t.day = s.day
        );""",
    "rows": """
        SELECT regionid, day, price, label, is_final
        FROM carbon_data.prices
        WHERE to_char(day, 'YYYY-MM') = ANY (:parts);""",
    "clear": "TRUNCATE carbon_data.staging_prices;",
    "is_empty": "SELECT NOT EXISTS (SELECT FROM carbon_data.staging_prices);",
}
LABEL = "coalesce(replace(replace(label, chr(92), chr(92) || chr(92)), '|', chr(92) || '|'), chr(92) || 'N')"


def words(statement: str) -> list[str]:
    lines = (line for line in statement.splitlines() if not line.lstrip().startswith("--"))
    return " ".join(lines).split()


def number(text: str) -> int:
    """The first 60 bits of the text's SHA-256."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)


@pytest.mark.parametrize("verb", STATEMENTS)
def test_renders_each_verb_from_the_declared_columns(verb: str):
    assert words(statements.rendered(verb, PRICES)) == words(STATEMENTS[verb])


def test_renders_the_checksum_of_a_table_without_a_date_as_one_part():
    text = f"concat_ws('|', coalesce(CAST(regionid AS VARCHAR), chr(92) || 'N'), {LABEL})"
    assert words(statements.rendered("checksum", NAMES)) == words(
        f"""
        SELECT part, count(*), sum(number)
        FROM (SELECT '' AS part,
            ('x' || substr(encode(sha256(convert_to({text}, 'UTF8')), 'hex'), 1, 15))::bit(60)::bigint AS number
            FROM carbon_data.names) AS numbered
        GROUP BY part
        ORDER BY part;"""
    )


@pytest.mark.parametrize(
    ("dialect", "day"), [(POSTGRESQL, "to_char(day, 'YYYY-MM-DD')"), (DUCKDB, "strftime(day, '%Y-%m-%d')")]
)
def test_renders_a_rows_text_by_the_types_of_its_columns(dialect: row_text.Dialect, day: str):
    assert row_text.row_text(PRICES, dialect) == (
        "concat_ws('|', coalesce(CAST(regionid AS VARCHAR), chr(92) || 'N'), "
        f"coalesce({day}, chr(92) || 'N'), "
        f"coalesce(CAST(price AS VARCHAR), chr(92) || 'N'), {LABEL}, "
        "coalesce(CAST(is_final AS VARCHAR), chr(92) || 'N'))"
    )


@pytest.mark.parametrize("type_", ["DOUBLE", "TIMESTAMP", "MAP<STRING,STRING>"])
def test_refuses_to_render_a_type_without_a_text(type_: str):
    table = replace(PRICES, columns=(*PRICES.columns, Column("odd", type_, "")))
    with pytest.raises(ValueError, match=f"odd is {type_}: a published table has no such columns"):
        row_text.row_text(table, POSTGRESQL)


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.short_name)
def test_renders_every_verb_of_every_published_table(table: Table):
    for verb in (*STATEMENTS, "checksum"):
        assert "{" not in statements.rendered(verb, table)


def test_sums_a_tables_rows_by_month_whatever_their_order():
    rows = pa.table(
        {
            "regionid": pa.array([1, 2, 3], pa.int16()),
            "day": [date(2024, 3, 1), date(2024, 2, 29), date(2024, 2, 1)],
            "price": pa.array([Decimal("-0.50"), Decimal("7.00"), Decimal("100.10")], pa.decimal128(10, 2)),
            "label": ["Grö|ß\\e", None, ""],
            "is_final": [True, None, False],
        }
    )
    expected = {
        Part("prices", "2024-03"): Checksum(1, number("1|2024-03-01|-0.50|Grö\\|ß\\\\e|true")),
        Part("prices", "2024-02"): Checksum(
            2, number("2|2024-02-29|7.00|\\N|\\N") + number("3|2024-02-01|100.10||false")
        ),
    }
    assert checksums.of_rows(PRICES, rows) == expected
    assert checksums.of_rows(PRICES, rows.take([2, 0, 1])) == expected


def test_adds_parts_up_and_names_those_that_differ():
    some = {
        Part("prices", "2024-02"): Checksum(2, 5),
        Part("prices", "2024-03"): Checksum(1, 7),
        Part("names"): Checksum(1, 1),
    }
    others = {Part("prices", "2024-02"): Checksum(2, 5), Part("names"): Checksum(1, 2)}
    assert checksums.total(some, PRICES) == Checksum(3, 12)
    assert checksums.total({}, PRICES) == Checksum(0, 0)
    assert list(map(str, checksums.differing(some, others))) == ["names", "prices 2024-03"]
