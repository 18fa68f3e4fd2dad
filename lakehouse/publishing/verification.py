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
from lakehouse.lake.tables import DIM_REGION, GOLD, Table
from lakehouse.postgres import connect
from lakehouse.publishing import export_log, gold_versions, migrations, mirror
from lakehouse.publishing.database import database
from lakehouse.publishing.export_log import REGIONS, Checksum, ExportRecord
from lakehouse.publishing.gold_versions import ExportSource
from lakehouse.publishing.statements import load, transaction
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
        names = {name: self.key.get(name) for name in GOLD.key}
        changed = (f"{name}: {ours} instead of {gold}" for name, (gold, ours) in self.columns.items())
        return {"table": self.table, **names, "row": self.kind, "columns": "; ".join(changed)}

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        columns = {name: {"gold": gold, "postgresql": ours} for name, (gold, ours) in self.columns.items()}
        return {"table": self.table, "key": dict(self.key), "row": self.kind, "columns": columns}


@dataclass(frozen=True)
class Verified:
    """What a comparison of PostgreSQL with Gold at ``gold_version`` found; of ``release``, None for the lake's own."""

    gold_version: int
    newest_gold_version: int
    title: str
    release: str | None
    rows: int
    months: int
    differences: Sequence[Difference]

    def describe(self) -> str:
        """One sentence, without its full stop."""
        if self.differences:
            count = len(self.differences)
            return f"PostgreSQL differs from {self.title} in {count:,} {'row' if count == 1 else 'rows'}"
        is_newest = self.release is None and self.newest_gold_version == self.gold_version
        newer = f"; the lake's Gold is at version {self.newest_gold_version}, `lakehouse export` brings it"
        return (
            f"PostgreSQL equals {self.title}: {self.rows:,} rows, "
            f"proven by a checksum for every month ({self.months}) and for the regions{'' if is_newest else newer}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "is_equal": not self.differences,
            "gold_version": self.gold_version,
            "newest_gold_version": self.newest_gold_version,
            "release": self.release,
            "rows": self.rows,
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
                wanted = _wanted(store, settings, last, version, state)
                proof, found = wanted.checksums(), mirror.checksums(connection)
                differing = differences(connection, wanted, proof, found)
    newest = delta_log.open_table(settings.path(GOLD.path))
    return Verified(
        wanted.days.version,
        newest.version if newest else wanted.days.version,
        wanted.title,
        wanted.release,
        export_log.totals(found)[0].rows,
        len([part for part in found if part != REGIONS]),
        differing,
    )


def _wanted(
    store: Store, settings: Settings, last: ExportRecord, version: int | None, state: str | None
) -> ExportSource:
    if state is not None:
        return gold_versions.of_state(store, states.resolve_version(settings, state))
    if version is not None:
        return gold_versions.at(store, version)
    return gold_versions.exported(store, settings, last.gold)


def differences(
    connection: Connection, wanted: ExportSource, proof: Mapping[str, Checksum], found: Mapping[str, Checksum]
) -> list[Difference]:
    """The rows that differ, by table and key; only parts whose checksums differ are read.

    ``proof`` are Gold's checksums, ``found`` PostgreSQL's.
    """
    parts = sorted(part for part in {*proof, *found} if proof.get(part) != found.get(part))
    differing: list[Difference] = []
    if months := [part for part in parts if part != REGIONS]:
        days = wanted.rows(GOLD)
        days = days.filter(pc.is_in(pc.strftime(days["date_recorded"], "%Y-%m"), pa.array(months)))
        differing += compared(GOLD, _in_gold(GOLD, days), _ours(connection, GOLD, {"months": months}))
    if REGIONS in parts:
        regions = _in_gold(DIM_REGION, wanted.rows(DIM_REGION))
        differing += compared(DIM_REGION, regions, _ours(connection, DIM_REGION, {}))
    if parts and not differing:
        raise LakehouseError(f"The checksums of {', '.join(parts)} differ, but no row does; please report this.")
    return differing


def compared(table: Table, gold: Rows, ours: Rows) -> list[Difference]:
    """What differs between rows by key, each in the table's column order."""
    differing = []
    for key in sorted({*gold, *ours}):
        named = dict(zip(table.key, key, strict=True))
        there, here = gold.get(key), ours.get(key)
        if here is None or there is None:
            differing.append(Difference(_short(table), named, MISSING if here is None else EXTRA))
            continue
        columns = {name: (a, b) for name, a, b in zip(table.column_names, there, here, strict=True) if a != b}
        if columns:
            differing.append(Difference(_short(table), named, DIFFERENT, columns))
    return differing


def _in_gold(table: Table, rows: pa.Table) -> Rows:
    return _by_key(table, zip(*(rows[name].to_pylist() for name in table.column_names), strict=True))


def _ours(connection: Connection, table: Table, parameters: Mapping[str, Any]) -> Rows:
    with transaction(connection):
        rows = connection.execute(load(f"{_short(table)}_rows"), parameters).all()
    return _by_key(table, (tuple(row) for row in rows))


def _by_key(table: Table, rows: Iterable[tuple[Any, ...]]) -> Rows:
    """Keys are the first columns of both tables."""
    return {row[: len(table.key)]: row for row in rows}


def _short(table: Table) -> str:
    return table.name.split(".")[1]
