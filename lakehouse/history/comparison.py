"""What differs between two states of a table: rows added, removed and changed by key, with their columns. No JVM."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import states
from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import Table
from lakehouse.messages.wording import counted
from lakehouse.settings import Settings

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
SAME = "same"
SHOWN = 1000


@dataclass(frozen=True)
class RowDifference:
    """A row that only one side has, or that both have with different ``columns`` (name to: before, after)."""

    key: Mapping[str, Any]
    kind: str
    columns: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        """For a table of text."""
        changes = [f"{name}: {before} -> {after}" for name, (before, after) in self.columns.items()]
        return {**self.key, "row": self.kind, "columns": changes}

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        columns = {name: {"before": before, "after": after} for name, (before, after) in self.columns.items()}
        return {"key": dict(self.key), "row": self.kind, "columns": columns}


@dataclass(frozen=True)
class Comparison:
    """Two states of a table beside each other. ``by_column``: in how many rows each column changed."""

    table: str
    before: str
    after: str
    rows_before: int
    rows_after: int
    counts: Mapping[str, int]
    by_column: Mapping[str, int]
    rows: tuple[RowDifference, ...]

    @property
    def differing(self) -> int:
        """Rows that are not on both sides alike."""
        return sum(self.counts.values())

    def describe(self) -> str:
        """One line."""
        if not self.differing:
            return f"{self.table}: {self.after} equals {self.before}, {counted(self.rows_after, 'row')}"
        counts = ", ".join(f"{self.counts[kind]:,} {kind}" for kind in (ADDED, REMOVED, CHANGED))
        columns = ", ".join(f"{name} in {count:,}" for name, count in self.by_column.items() if count)
        return f"{self.table}: from {self.before} to {self.after} {counts}{f' ({columns})' if columns else ''}"

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "table": self.table,
            "before": self.before,
            "after": self.after,
            "rows_before": self.rows_before,
            "rows_after": self.rows_after,
            **self.counts,
            "columns": {name: count for name, count in self.by_column.items() if count},
            "rows": [row.as_dict() for row in self.rows],
        }


def diff(settings: Settings, table: Table, before: str, after: str, limit: int = SHOWN) -> Comparison:
    """What leads from one state of a table to another; each a version of it, a release, or a time (ISO 8601).

    Raises:
        UsageError: there is no such version or release, or the table did not exist at that time.
    """
    (old, old_name), (new, new_name) = (_resolved(settings, table, text) for text in (before, after))
    return compare(table, old, new, old_name, new_name, limit)


def compare(
    table: Table, old: Snapshot, new: Snapshot, before: str, after: str, limit: int = SHOWN, *, exact: bool = True
) -> Comparison:
    """Compare two states; ``rows`` are the first ``limit`` differing ones by key.

    A column that only one state has counts as null in the other. Without ``exact`` columns that tell where a value
    came from are left out. Bodies and headers of responses never change and are not compared.
    """
    schemas = {name: snapshot.arrow_types() for name, snapshot in (("o", old), ("n", new))}
    compared = [
        column.name
        for column in table.columns
        if column.name not in table.key and (exact or column.name not in table.provenance)
        if all(_is_comparable(types[column.name]) for types in schemas.values() if column.name in types)
    ]
    joined = _joined(table, compared, schemas)
    counts, by_column = _counted(joined, compared, old, new)
    rows: tuple[RowDifference, ...] = ()
    if any(kind != SAME for kind in counts):
        order = ", ".join(f'"{name}"' for name in table.key)
        query = f"SELECT * FROM ({joined}) WHERE \"row\" <> '{SAME}' ORDER BY {order} LIMIT {int(limit)}"  # noqa: S608 (our own names)
        shown = delta_log.query_datafusion(query, o=old, n=new).to_pylist()
        rows = tuple(_difference(table, compared, each) for each in shown)
    same = counts.pop(SAME, 0)
    counts = {kind: counts.get(kind, 0) for kind in (ADDED, REMOVED, CHANGED)}
    return Comparison(
        table.name,
        before,
        after,
        same + counts[REMOVED] + counts[CHANGED],
        same + counts[ADDED] + counts[CHANGED],
        counts,
        by_column,
        rows,
    )


def _joined(table: Table, compared: Sequence[str], schemas: Mapping[str, Mapping[str, pa.DataType]]) -> str:
    """A query over the states ``o`` and ``n``: of each key its kind of ``row``, and both values of what is compared."""
    on = " AND ".join(f'o."{key}" = n."{key}"' for key in table.key)
    key = ", ".join(f'coalesce(n."{name}", o."{name}") AS "{name}"' for name in table.key)
    sides = {name: [_side(column, name, types) for column in compared] for name, types in schemas.items()}
    is_new, is_gone = (f'{side}."{table.key[0]}" IS NULL' for side in ("o", "n"))
    differ = [f"({a} IS DISTINCT FROM {b})" for a, b in zip(sides["o"], sides["n"], strict=True)]
    kind = (
        f"CASE WHEN {is_new} THEN '{ADDED}' WHEN {is_gone} THEN '{REMOVED}' "
        f"WHEN {' OR '.join(differ) or 'false'} THEN '{CHANGED}' ELSE '{SAME}' END"
    )
    values = "".join(
        f', {text} AS "{side}_{number}"' for side, texts in sides.items() for number, text in enumerate(texts)
    )
    return f'SELECT {key}, {kind} AS "row"{values} FROM o FULL OUTER JOIN n ON {on}'  # noqa: S608 (our own names)


def _counted(
    joined: str, compared: Sequence[str], old: Snapshot, new: Snapshot
) -> tuple[dict[str, int], dict[str, int]]:
    """The number of rows of each kind, and of changed rows by the column that changed."""
    changes = "".join(
        f', count(*) FILTER (WHERE "row" = \'{CHANGED}\' AND "o_{n}" IS DISTINCT FROM "n_{n}") AS "d_{n}"'
        for n in range(len(compared))
    )
    query = f'SELECT "row", count(*) AS n{changes} FROM ({joined}) GROUP BY "row"'  # noqa: S608 (our own names)
    counted = delta_log.query_datafusion(query, o=old, n=new).to_pylist()
    changed: Mapping[str, Any] = next((each for each in counted if each["row"] == CHANGED), {})
    by_column = {name: int(changed.get(f"d_{number}", 0)) for number, name in enumerate(compared)}
    return {each["row"]: int(each["n"]) for each in counted}, by_column


def _difference(table: Table, compared: list[str], row: Mapping[str, Any]) -> RowDifference:
    columns = {}
    if row["row"] == CHANGED:
        pairs = {name: (row[f"o_{number}"], row[f"n_{number}"]) for number, name in enumerate(compared)}
        columns = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return RowDifference({name: row[name] for name in table.key}, row["row"], columns)


def _is_comparable(type_: pa.DataType) -> bool:
    return not (pa.types.is_map(type_) or pa.types.is_binary(type_) or _is_list_of_structs(type_))


def _is_list_of_structs(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) and pa.types.is_nested(type_.value_type))


def _side(column: str, side: str, types: Mapping[str, pa.DataType]) -> str:
    if column not in types:
        return "NULL"
    text = f'{side}."{column}"'
    return f"array_to_string({text}, ', ')" if pa.types.is_list(types[column]) else text


def _resolved(settings: Settings, table: Table, text: str) -> tuple[Snapshot, str]:
    """A state of a table, and how to call it."""
    path = settings.path(table.path)
    newest = delta_log.open_table(path)
    if text.isascii() and text.isdigit():
        if newest is None:
            raise UsageError(f"{table.name} does not exist yet in {settings.root}; `lakehouse run` makes it.")
        if int(text) > newest.version:
            raise UsageError(f"{table.name} has the versions 0 to {newest.version}, not {text}.")
        return _opened(path, int(text)), f"version {text}"
    if (moment := _moment(text)) is not None:
        if newest is None:
            raise UsageError(f"{table.name} does not exist yet in {settings.root}; `lakehouse run` makes it.")
        version = newest.version_at(moment)
        if version is None:
            raise UsageError(
                f"{table.name} was not there at {text}; `lakehouse history {table.name}` shows since when."
            )
        return _opened(path, version), f"{text} (version {version})"
    state = states.of_release(settings, text)
    return state.snapshot(table), state.name


def _opened(path: str, version: int) -> Snapshot:
    found = delta_log.open_table(path, version)
    if found is None:
        raise LakehouseError(
            f"Version {version} of the table at {path} can no longer be read; a release of its time can."
        )
    return found


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
