"""What a table holds, as a checksum: whatever the order of rows, the files or the version number.

A row's text is its columns in table order, each as text, joined by ``|``; in a text ``\\`` and ``|`` have a ``\\``
before them, null is ``\\N``, a time is its microseconds since 1970, bytes are their SHA-256, a map its entries by key
and an array its elements, both as JSON. The SHA-256 of that text is cut into four numbers of 60 bits. The checksum is
the SHA-256 of the number of rows and the four sums of those numbers over all rows: the same rows in any order give the
same one, and a row that is there twice another.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from lakehouse.errors import LakehouseError
from lakehouse.spark import failures

HEX_DIGITS = 15
"""60 bits: they fit into a signed 64-bit number, and a sum of 10^11 of them into DECIMAL(38,0)."""
PARTS = 4


@dataclass(frozen=True)
class TableChecksum:
    """How many rows, and their checksum (64 hexadecimal digits)."""

    rows: int
    checksum: str


def table_checksum(frame: DataFrame, columns: Sequence[str]) -> TableChecksum:
    """The contents of the named columns, in this order.

    Raises:
        LakehouseError: the files behind the frame cannot be read.
    """
    types = {field.name: field.dataType for field in frame.schema.fields}
    digest = F.sha2(F.concat_ws("|", *(_text(name, types[name]) for name in columns)), 256)
    sums = [
        F.sum(F.conv(F.substring(F.col("digest"), 1 + HEX_DIGITS * part, HEX_DIGITS), 16, 10).cast("decimal(20,0)"))
        for part in range(PARTS)
    ]
    try:
        row = frame.select(digest.alias("digest")).agg(F.count(F.lit(1)), *sums).first()
    except (Py4JJavaError, PySparkException) as error:
        stopped = failures.stopped_by_us(error)
        raise stopped or LakehouseError(f"A table's rows could not be read: {failures.reason(error)}") from error
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    count, *totals = (int(value or 0) for value in row)
    sums_text = ":".join(map(str, (count, *totals)))
    return TableChecksum(count, hashlib.sha256(sums_text.encode()).hexdigest())


def _text(name: str, type_: T.DataType) -> Column:
    column = F.col(name)
    if isinstance(type_, T.StringType):
        text = reduce(lambda text, sign: F.replace(text, F.lit(sign), F.lit("\\" + sign)), ("\\", "|"), column)
    elif isinstance(type_, T.BinaryType):
        text = F.sha2(column, 256)
    elif isinstance(type_, T.TimestampType):
        text = F.unix_micros(column).cast("string")
    elif isinstance(type_, T.MapType):
        text = F.to_json(F.struct(F.array_sort(F.map_entries(column)).alias("entries")))
    elif isinstance(type_, T.ArrayType | T.StructType):
        text = F.to_json(F.struct(column.alias("elements")))
    else:
        text = column.cast("string")
    return F.coalesce(F.when(column.isNotNull(), text), F.lit("\\N"))
