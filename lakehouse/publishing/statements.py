"""The export's SQL files under ``sql/export``: one for each verb, rendered from a table's declared columns."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from sqlalchemy import Connection, TextClause, text

from lakehouse import resources
from lakehouse.lake.tables import Table
from lakehouse.publishing import row_text
from lakehouse.publishing.row_text import DUCKDB, POSTGRESQL


def load(name: str) -> TextClause:
    """The statement ``sql/export/<name>.sql``; ``:name`` in it is a parameter."""
    return text(_template(name))


def of_table(verb: str, table: Table) -> TextClause:
    """What a verb (``insert``, ``update``, ...) is for a published table; ``:name`` in it is a parameter."""
    return text(rendered(verb, table))


def rendered(verb: str, table: Table) -> str:
    """The text of :func:`of_table`."""
    return _template(verb).format(
        table=table.short_name,
        key=", ".join(table.key),
        same_key=" AND ".join(f"t.{name} = s.{name}" for name in table.key),
        columns=", ".join(table.column_names),
        staged_columns=_of("s", table.column_names),
        values=", ".join(table.beside_key),
        staged_values=_of("s", table.beside_key),
        published_values=_of("t", table.beside_key),
        part=row_text.part(table, POSTGRESQL),
        number=row_text.row_number(table, POSTGRESQL),
        rows=f"carbon_data.{table.short_name}",
    )


def checksum_in_duckdb(table: Table, rows: str) -> str:
    """The verb ``checksum`` for DuckDB, of the table's rows in a relation of the name ``rows``."""
    part, number = row_text.part(table, DUCKDB), row_text.row_number(table, DUCKDB)
    return _template("checksum").format(part=part, number=number, rows=rows)


def transaction(connection: Connection) -> AbstractContextManager[Any]:
    """The caller's transaction, or one of our own, so that reading leaves none open."""
    return nullcontext() if connection.in_transaction() else connection.begin()


@cache
def _template(name: str) -> str:
    return (resources.path("sql") / "export" / f"{name}.sql").read_text(encoding="utf-8")


def _of(alias: str, names: Iterable[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)
