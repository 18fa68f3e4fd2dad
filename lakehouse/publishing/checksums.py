"""What proves a table equal to its copy: a checksum of each part, whatever the order of rows. Pure.

A row's text is its columns in table order, each as text, joined by ``|``: a date as ``2024-02-29``, a boolean as
``true``, a decimal with all its places, null as ``\\N``. In a string, ``\\`` and ``|`` have a ``\\`` before them, so
different rows have different texts. The row's number is the first 60 bits of the SHA-256 of that text in UTF-8, and
the checksum is the sum of the rows' numbers. ``sql/export/checksums.sql`` computes the same in PostgreSQL.
"""

from functools import reduce

import pyarrow as pa

from lakehouse.lake import duck
from lakehouse.lake.tables import DIM_REGION, GOLD, Table
from lakehouse.publishing.export_log import REGIONS, Checksum

HEX_DIGITS = 15
"""60 bits: they fit into a signed 64-bit number, and a sum of 10^20 of them into one of 128 bits."""


def of_parts(days: pa.Table, regions: pa.Table) -> dict[str, Checksum]:
    """The checksum of every month (``2024-02``) of Gold's days, and of ``dim_region``.

    The rows are given in the tables' own types.
    """
    query = f"""
        SELECT part, count(*), sum(number) FROM (
            SELECT strftime(date_recorded, '%Y-%m') AS part, {_number(GOLD)} AS number FROM days
            UNION ALL SELECT '{REGIONS}', {_number(DIM_REGION)} FROM regions)
        GROUP BY part ORDER BY part"""  # noqa: S608 (our own names)
    with duck.connect() as database:
        database.register("days", days).register("regions", regions)
        return {part: Checksum(rows, int(total)) for part, rows, total in database.execute(query).fetchall()}


def _number(table: Table) -> str:
    """The number of a row of ``table``, as DuckDB's SQL."""
    texts = ", ".join(_text(column.name, column.type) for column in table.columns)
    return f"('0x' || substr(sha256(concat_ws('|', {texts})), 1, {HEX_DIGITS}))::BIGINT"


def _text(name: str, type_: str) -> str:
    text = f"{name}::VARCHAR"
    if type_ == "STRING":
        text = reduce(lambda inner, sign: f"replace({inner}, '{sign}', '\\{sign}')", ("\\", "|"), text)
    return f"coalesce({text}, '\\N')"
