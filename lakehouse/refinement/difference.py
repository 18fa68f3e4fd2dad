"""What has to be written so that a table equals what it should hold: the one comparison all layers use."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

CHANGE = "_change"
INSERT, UPDATE, DELETE = "insert", "update", "delete"
EQUAL = "equal"
"""Of a row that has not to be written; only where asked for."""


def difference(
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
    names = wanted.columns
    wanted, current = wanted.alias("w"), current.alias("c")
    same_key = _all([F.col(f"w.{name}") == F.col(f"c.{name}") for name in key])
    same_values = _all([F.col(f"w.{name}").eqNullSafe(F.col(f"c.{name}")) for name in values])
    is_new = F.col(f"c.{key[0]}").isNull()
    is_gone = F.col(f"w.{key[0]}").isNull()
    change = F.when(is_new, INSERT).when(is_gone, DELETE).when(~same_values, UPDATE)
    if with_equals:
        change = change.otherwise(EQUAL)
    joined = wanted.join(current, same_key, "full_outer" if deleting else "left")
    chosen = [F.coalesce(F.col(f"w.{name}"), F.col(f"c.{name}")).alias(name) for name in key]
    carried = [F.col(f"w.{name}").alias(name) for name in names if name not in key]
    columns = {
        name: column for name, column in zip([*key, *(n for n in names if n not in key)], chosen + carried, strict=True)
    }
    return joined.select(*(columns[name] for name in names), change.alias(CHANGE)).where(F.col(CHANGE).isNotNull())


def _all(conditions: Sequence[Column]) -> Column:
    every = conditions[0]
    for condition in conditions[1:]:
        every = every & condition
    return every
