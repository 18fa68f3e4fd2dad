"""Names for the lake's tables: the statements that register them in a catalog, Spark's own or another program's.

A catalog holds names and places. Every table is external: who drops a name, or its database, drops no file of the lake.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.lake import delta_log
from lakehouse.lake.tables import TABLES, Table
from lakehouse.settings import Settings

PREFIX = re.compile(r"\w*", re.ASCII)
"""What may stand before the name of a database without quotes around it."""


def database_of(name: str) -> str:
    """Spark: the database of a table. It has no place in the lake: DROP DATABASE … CASCADE deletes one's folder."""
    return f"CREATE DATABASE IF NOT EXISTS {name.partition('.')[0]}"


def table_as(name: str, location: str) -> str:
    """Spark: the name of a Delta table that stands at ``location``; nothing where the name is there already."""
    return f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION '{escaped(location)}'"


def escaped(text: str) -> str:
    """A text inside quotes of Spark's SQL."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def script(settings: Settings, dialect: str, prefix: str = "") -> str:
    """SQL that gives each table of the lake its name in ``dialect``, one of ``DIALECTS``; to be run again at any time.

    The names are those of the declarations, with ``prefix`` before the database's.

    Raises:
        UsageError: there is no such dialect, or the prefix is no part of a name.
        LakehouseError: there is no lake yet.
    """
    if dialect not in DIALECTS:
        raise UsageError(f"There are no names for {dialect!r}; --for takes {' or '.join(DIALECTS)}.")
    if not PREFIX.fullmatch(prefix) or prefix[:1].isdigit():
        raise UsageError(f"--prefix takes letters, digits and _ (no digit first), not {prefix!r}.")
    found = [table for table in TABLES if delta_log.open_table(settings.path(table.path)) is not None]
    if not found:
        raise LakehouseError(f"There is no lake at {settings.root} yet; `lakehouse run` makes one.")
    names = {f"{prefix}{table.name}": table for table in found}
    return "".join(f"{statement};\n" for statement in DIALECTS[dialect](settings, names))


def _for_spark(settings: Settings, names: Mapping[str, Table]) -> Iterator[str]:
    yield from dict.fromkeys(map(database_of, names))
    scheme = "file://" if settings.is_local else ""  # the program's own file system may be another
    for name, table in names.items():
        yield table_as(name, f"{scheme}{settings.path(table.path)}")


def _for_duckdb(settings: Settings, names: Mapping[str, Table]) -> Iterator[str]:
    """Views, since DuckDB attaches one Delta table at a time, and each as a database."""
    yield from dict.fromkeys(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}" for name in names)
    for name, table in names.items():
        place = re.sub("^s3a://", "s3://", settings.path(table.path)).replace("'", "''")
        yield f"CREATE OR REPLACE VIEW {name} AS FROM delta_scan('{place}')"


DIALECTS: Mapping[str, Callable[[Settings, Mapping[str, Table]], Iterator[str]]] = {
    "spark": _for_spark,
    "duckdb": _for_duckdb,
}
"""Programs that names can be made for."""
