"""A row as one text and as one number, rendered from its table's declared columns in the SQL of each database. Pure.

A row's text is its columns in table order, each as text, joined by ``|``: a date as ``2024-02-29``, a boolean as
``true``, a decimal with all its places, null as ``\\N``. In a string, ``\\`` and ``|`` have a ``\\`` before them, so
different rows have different texts. The row's number is the first 60 bits of the SHA-256 of that text in UTF-8.
"""

from dataclasses import dataclass

from lakehouse.lake.tables import Column, Table

HEX_DIGITS = 15
"""60 bits: they fit into a signed 64-bit number, and a sum of 10^20 of them into one of 128 bits."""
WHOLE = "''"
"""The part of every row of a table without a date, as SQL."""
_AS_IT_IS = frozenset({"INT", "SMALLINT", "BIGINT", "DECIMAL", "BOOLEAN"})
"""Types that both databases cast to the same text."""
_ESCAPED = "replace(replace({0}, chr(92), chr(92) || chr(92)), '|', chr(92) || '|')"
"""A backslash is chr(92), which is one whatever standard_conforming_strings says."""


@dataclass(frozen=True)
class Dialect:
    """What the databases spell differently; ``{0}`` is the column, or the text whose number is asked."""

    day: str
    month: str
    number: str


POSTGRESQL = Dialect(
    day="to_char({0}, 'YYYY-MM-DD')",
    month="to_char({0}, 'YYYY-MM')",
    number=f"('x' || substr(encode(sha256(convert_to({{0}}, 'UTF8')), 'hex'), 1, {HEX_DIGITS}))::bit(60)::bigint",
)
DUCKDB = Dialect(
    day="strftime({0}, '%Y-%m-%d')",
    month="strftime({0}, '%Y-%m')",
    number=f"('0x' || substr(sha256({{0}}), 1, {HEX_DIGITS}))::BIGINT",
)


def row_text(table: Table, dialect: Dialect) -> str:
    """The text of a row, as SQL. (concat_ws leaves nulls out, so there are none.)

    Raises:
        ValueError: a column has a type without a text.
    """
    texts = (f"coalesce({_column_text(column, dialect)}, chr(92) || 'N')" for column in table.columns)
    return f"concat_ws('|', {', '.join(texts)})"


def row_number(table: Table, dialect: Dialect) -> str:
    """The number of a row, as SQL."""
    return dialect.number.format(row_text(table, dialect))


def part(table: Table, dialect: Dialect) -> str:
    """The part of the table that a row belongs to, as SQL: the month of its date, or the whole table."""
    column = date_column(table)
    return WHOLE if column is None else dialect.month.format(column)


def date_column(table: Table) -> str | None:
    """The name of the table's first date; None if it has none."""
    return next((column.name for column in table.columns if column.type == "DATE"), None)


def _column_text(column: Column, dialect: Dialect) -> str:
    kind = column.type.partition("(")[0]
    if kind in _AS_IT_IS:
        return f"CAST({column.name} AS VARCHAR)"
    if kind == "STRING":
        return _ESCAPED.format(column.name)
    if kind == "DATE":
        return dialect.day.format(column.name)
    raise ValueError(f"{column.name} is {column.type}: a published table has no such columns")
