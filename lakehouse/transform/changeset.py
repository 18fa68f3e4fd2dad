"""What has to be written so that a table equals what it should hold: the one comparison all layers use.

It is one text in the SQL that Spark and DuckDB have in common: rows of Spark's are compared by Spark, rows of this
process by DuckDB, which puts them into files when they outgrow ``MEMORY``.
"""

import tempfile
from collections.abc import Sequence
from contextlib import closing

import pyarrow as pa
from pyspark.sql import DataFrame

from lakehouse.lake import duck
from lakehouse.lake.changes import CHANGE, DELETE, EQUAL, INSERT, UPDATE


def changeset(
    wanted: DataFrame,
    current: DataFrame,
    *,
    key: Sequence[str],
    values: Sequence[str],
    deleting: bool,
    with_equals: bool = False,
) -> DataFrame:
    """The rows of ``wanted`` that are new or differ in a value, and, when ``deleting``, the current ones it lacks.

    One row per key that has to be written, with wanted's columns and ``_change``. Columns outside ``key`` and
    ``values`` are carried but never make a difference. The comparison is null-safe. Keys are never null. With
    ``with_equals`` the rows that are as they should be come, too.
    """
    query = _query(wanted.columns, key, values, deleting=deleting, with_equals=with_equals)
    return wanted.sparkSession.sql(query, wanted=wanted, current=current)


def changeset_of_arrow(
    wanted: pa.Table | pa.RecordBatchReader,
    current: pa.Table | pa.RecordBatchReader,
    *,
    key: Sequence[str],
    values: Sequence[str],
    deleting: bool,
    with_equals: bool = False,
) -> pa.Table:
    """As :func:`changeset`, of rows of this process; in order of the key."""
    query = _query(wanted.schema.names, key, values, deleting=deleting, with_equals=with_equals)
    with (
        tempfile.TemporaryDirectory(prefix="lakehouse-") as folder,
        closing(duck.connect(temp_directory=folder, memory_limit=duck.MEMORY)) as database,
    ):
        database.register("wanted", wanted)
        database.register("current", current)
        found = database.execute(query.format(wanted="wanted", current="current")).to_arrow_table()
    types = [(field.name, field.type) for field in wanted.schema]
    return found.cast(pa.schema([*types, (CHANGE, pa.string())])).sort_by([(name, "ascending") for name in key])


def _query(
    names: Sequence[str], key: Sequence[str], values: Sequence[str], *, deleting: bool, with_equals: bool
) -> str:
    """The comparison of ``{wanted}`` and ``{current}``."""
    columns = ", ".join(f"coalesce(w.{name}, c.{name}) AS {name}" if name in key else f"w.{name}" for name in names)
    same_key = " AND ".join(f"w.{name} = c.{name}" for name in key)
    differ = " OR ".join(f"w.{name} IS DISTINCT FROM c.{name}" for name in values)
    return f"""
        SELECT * FROM (
            SELECT {columns}, CASE
                WHEN c.{key[0]} IS NULL THEN '{INSERT}'
                WHEN w.{key[0]} IS NULL THEN '{DELETE}'
                WHEN {differ} THEN '{UPDATE}'
                {f"ELSE '{EQUAL}'" if with_equals else ""}
            END AS {CHANGE}
            FROM {{wanted}} AS w {"FULL" if deleting else "LEFT"} JOIN {{current}} AS c ON {same_key}
        ) AS compared WHERE {CHANGE} IS NOT NULL"""
