"""What proves a table equal to its copy: a checksum of each part, whatever the order of rows. Pure.

A row's text is its columns in table order, each as text, joined by ``|``: a date as ``2024-02-29``, a boolean as
``true``, a decimal with all its places, null as ``\\N``. In a string, ``\\`` and ``|`` have a ``\\`` before them, so
different rows have different texts. The row's number is the first 60 bits of the SHA-256 of that text in UTF-8, and
the checksum is the sum of the rows' numbers. ``sql/export/checksums.sql`` computes the same in PostgreSQL.
"""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import DIM_REGION, GOLD, Table

HEX_DIGITS = 15
"""60 bits: they fit into a signed 64-bit number, and a sum of 10^11 of them into DECIMAL(38,0)."""


def of_parts(days: DataFrame, regions: DataFrame) -> DataFrame:
    """``part, rows, total``: one row per month (``2024-02``) of Gold's days, and one for ``dim_region``.

    One task does it: three years take it a tenth of a second, which is less than a shuffle costs.
    """
    month = F.date_format("date_recorded", "yyyy-MM")
    numbers = _numbered(days, GOLD, month).unionByName(_numbered(regions, DIM_REGION, F.lit("dim_region")))
    return numbers.coalesce(1).groupBy("part").agg(F.count(F.lit(1)).alias("rows"), F.sum("number").alias("total"))


def row_number(table: Table) -> Column:
    """The number of a row of ``table``, DECIMAL(20,0)."""
    texts = [_text(column.name, column.type) for column in table.columns]
    digest = F.substring(F.sha2(F.concat_ws("|", *texts), 256), 1, HEX_DIGITS)
    return F.conv(digest, 16, 10).cast("decimal(20,0)")


def _numbered(rows: DataFrame, table: Table, part: Column) -> DataFrame:
    return rows.select(part.alias("part"), row_number(table).alias("number"))


def _text(name: str, type_: str) -> Column:
    text = F.col(name).cast("string")
    if type_ == "STRING":
        escapes: Sequence[str] = ("\\", "|")
        text = reduce(lambda column, sign: F.replace(column, F.lit(sign), F.lit("\\" + sign)), escapes, text)
    return F.coalesce(text, F.lit("\\N"))
