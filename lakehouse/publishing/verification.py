"""Where PostgreSQL's tables differ from Gold: found by checksum, told by key and column."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from lakehouse.errors import LakehouseError
from lakehouse.history import states
from lakehouse.lake import delta_log
from lakehouse.lake.store import Store
from lakehouse.lake.tables import GOLD, PUBLISHED, Table
from lakehouse.postgres import connect
from lakehouse.publishing import checksums, export_log, export_source, migrations, mirror
from lakehouse.publishing.checksums import Checksums, Part
from lakehouse.publishing.database import database
from lakehouse.publishing.export_log import ExportRecord
from lakehouse.publishing.export_source import ExportSource, PublishedTable
from lakehouse.publishing.row_text import date_column
from lakehouse.publishing.statements import of_table, transaction
from lakehouse.settings import Settings
from lakehouse.spark import session

MISSING, EXTRA, DIFFERENT = "missing", "extra", "different"
Rows = Mapping[tuple[Any, ...], tuple[Any, ...]]
"""By key; each row in the table's column order."""


@dataclass(frozen=True)
class Difference:
    """A row that PostgreSQL lacks (``missing``), has beyond Gold (``extra``) or has otherwise (``different``).

    ``columns`` are those that differ: Gold's value and PostgreSQL's.
    """

    table: str
    key: Mapping[str, Any]
    kind: str
    columns: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line, as ``carbon_intensity_daily 13 2024-02-29: intensity_avg is 100.00, in Gold 123.45``."""
        key = " ".join(map(str, self.key.values()))
        what = {MISSING: "is missing", EXTRA: "is not in Gold"}.get(self.kind) or ", ".join(
            f"{name} is {ours}, in Gold {gold}" for name, (gold, ours) in self.columns.items()
        )
        return f"{self.table} {key}: {what}"

    def as_row(self) -> dict[str, Any]:
        """For a table of text."""
        key = " ".join(map(str, self.key.values()))
        changed = [f"{name}: {ours} instead of {gold}" for name, (gold, ours) in self.columns.items()]
        return {"table": self.table, "key": key, "row": self.kind, "columns": changed}

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        columns = {name: {"gold": gold, "postgresql": ours} for name, (gold, ours) in self.columns.items()}
        return {"table": self.table, "key": dict(self.key), "row": self.kind, "columns": columns}


@dataclass(frozen=True)
class Verified:
    """What a comparison of PostgreSQL with Gold at ``gold_version`` found; of ``release``, None for the lake's own.

    ``tables``: the rows of each published table by its short name; ``months``: those that Gold has days of.
    """

    gold_version: int
    newest_gold_version: int
    title: str
    release: str | None
    tables: Mapping[str, int]
    months: int
    differences: Sequence[Difference]

    @property
    def rows(self) -> int:
        """Gold's days in PostgreSQL."""
        return self.tables[GOLD.short_name]

    def describe(self) -> str:
        """One sentence, without its full stop."""
        if self.differences:
            count = len(self.differences)
            return f"PostgreSQL differs from {self.title} in {count:,} {'row' if count == 1 else 'rows'}"
        is_newest = self.release is None and self.newest_gold_version == self.gold_version
        newer = f"; the lake's Gold is at version {self.newest_gold_version}, `lakehouse export` brings it"
        return (
            f"PostgreSQL equals {self.title}: {self.rows:,} rows of {GOLD.short_name} and {len(self.tables) - 1} more "
            f"tables, proven by a checksum for every month ({self.months}){'' if is_newest else newer}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "is_equal": not self.differences,
            "gold_version": self.gold_version,
            "newest_gold_version": self.newest_gold_version,
            "release": self.release,
            "rows": self.rows,
            "tables": dict(self.tables),
            "months": self.months,
            "differences": [difference.as_dict() for difference in self.differences],
        }


def verify(settings: Settings, version: int | None = None, state: str | None = None) -> Verified:
    """Compare PostgreSQL with Gold at ``version`` or in ``state``, by default what was exported last. Writes nothing.

    All of it is read in one snapshot of PostgreSQL, so an export at the same time does no harm.

    Raises:
        UsageError: Gold has no such version, or there is no embedded database yet.
        LakehouseError: there is no lake, or nothing has been exported yet.
    """
    if delta_log.open_table(settings.path(GOLD.path)) is None:
        raise LakehouseError(f"There is no lake at {settings.root} yet; `lakehouse run` makes one.")
    with database(settings, must_exist=True) as where:
        migrations.check(where.target)
        store = Store(session.open_session, settings.root)
        with connect(where.target) as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                last = export_log.last_export(connection)
                if last is None:
                    raise LakehouseError(
                        f"Nothing has been exported to {where.target.safe} yet; run `lakehouse export`."
                    )
                source = _source(store, settings, last, version, state)
                found = mirror.read_checksums(connection)
                differing = differences(connection, source, found)
    newest = delta_log.open_table(settings.path(GOLD.path))
    return Verified(
        source.gold_version,
        newest.version if newest else source.gold_version,
        source.title,
        source.release,
        {table.short_name: checksums.total(found, table).rows for table in PUBLISHED},
        len(checksums.of_table(found, GOLD)),
        differing,
    )


def _source(
    store: Store, settings: Settings, last: ExportRecord, version: int | None, state: str | None
) -> ExportSource:
    if state is not None:
        return export_source.of_state(store, states.resolve_version(settings, state))
    if version is not None:
        return export_source.at(store, version)
    return export_source.exported(store, settings, last.state)


def differences(connection: Connection, source: ExportSource, found: Checksums) -> list[Difference]:
    """The rows in which PostgreSQL differs from the source, by table and key.

    ``found`` are PostgreSQL's checksums; only parts whose checksums differ are read.
    """
    parts = checksums.differing(source.checksums(), found)
    differing = [
        difference
        for published in sorted(source.tables, key=lambda published: published.table.short_name)
        if (own := [part for part in parts if part.table == published.table.short_name])
        for difference in compared(
            published.table, _gold_rows(published, own), _own_rows(connection, published.table, own)
        )
    ]
    if parts and not differing:
        raise LakehouseError(
            f"The checksums of {', '.join(map(str, parts))} differ, but no row does; please report this."
        )
    return differing


def compared(table: Table, gold: Rows, own: Rows) -> list[Difference]:
    """What differs between Gold's rows and PostgreSQL's own, each by key and in the table's column order."""
    differing = []
    for key in sorted({*gold, *own}):
        named = dict(zip(table.key, key, strict=True))
        in_gold, in_postgres = gold.get(key), own.get(key)
        if in_gold is None or in_postgres is None:
            differing.append(Difference(table.short_name, named, EXTRA if in_gold is None else MISSING))
            continue
        values = zip(table.column_names, in_gold, in_postgres, strict=True)
        columns = {name: (theirs, ours) for name, theirs, ours in values if theirs != ours}
        if columns:
            differing.append(Difference(table.short_name, named, DIFFERENT, columns))
    return differing


def _gold_rows(published: PublishedTable, parts: Sequence[Part]) -> Rows:
    table, rows = published.table, published.rows
    date = date_column(table)
    if date is not None and len(rows):
        rows = rows.filter(pc.is_in(pc.strftime(rows[date], "%Y-%m"), pa.array([part.month for part in parts])))
    return _by_key(table, zip(*(rows[name].to_pylist() for name in table.column_names), strict=True))


def _own_rows(connection: Connection, table: Table, parts: Sequence[Part]) -> Rows:
    with transaction(connection):
        rows = connection.execute(of_table("rows", table), {"parts": [part.month for part in parts]}).all()
    return _by_key(table, (tuple(row) for row in rows))


def _by_key(table: Table, rows: Iterable[tuple[Any, ...]]) -> Rows:
    """By key, which is the first columns of every published table."""
    return {row[: len(table.key)]: row for row in rows}
