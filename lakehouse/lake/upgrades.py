"""How a lake that an older release of this package wrote becomes one of this release: declared, step by step.

Every table carries the number of its declaration (``tables.SCHEMA_PROPERTY``). Opening a lake for a run applies what
has been declared since; a table that nothing was declared for stays. An upgrade adds columns that may be null: no row
is rewritten, and older versions stay readable. What the new columns hold is then computed from Bronze: an account of
progress counts for its own declaration only, so the next run of each stage looks at everything and writes what differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse.errors import LakehouseError
from lakehouse.lake.tables import Column, Table


@dataclass(frozen=True)
class Upgrade:
    """One step of one table (``schema.table``) to the declaration ``schema``: columns it adds, by name, and why."""

    table: str
    schema: int
    adds: tuple[str, ...]
    why: str


UPGRADES: tuple[Upgrade, ...] = (
    Upgrade("ops.runs", 2, ("exit_code",), "what kind of failure it was is told to monitors"),
)
"""All steps, oldest first; the steps of a table lead from 1 to ``Table.schema`` without a gap."""


@dataclass(frozen=True)
class Addition:
    """A column to add, and the one that it stands after."""

    column: Column
    after: str


def additions(
    table: Table, found: int, there: Sequence[str], upgrades: Sequence[Upgrade] = UPGRADES
) -> tuple[Addition, ...]:
    """The columns that bring a table of declaration ``found`` with the columns ``there`` up to its declaration.

    Raises:
        LakehouseError: it was written by a newer release, or no upgrade leads from it to this one.
    """
    if found > table.schema:
        raise LakehouseError(
            f"{table.name} was written by a newer release of this package (its declaration has number {found}, "
            f"this release knows {table.schema}): update the package."
        )
    steps = {step.schema: step for step in upgrades if step.table == table.name}
    wanted = {name for number in range(found + 1, table.schema + 1) if number in steps for name in steps[number].adds}
    missing = [column for column in table.columns if column.name not in there]
    undeclared = [column.name for column in missing if column.name not in wanted or not column.nullable]
    gap = [number for number in range(found + 1, table.schema + 1) if number not in steps]
    if undeclared or gap:
        lacks = f"lacks {', '.join(undeclared)}" if undeclared else f"has declaration {found}"
        raise LakehouseError(
            f"{table.name} {lacks}, and no upgrade leads from it to this release: start a new root with "
            "LAKEHOUSE_ROOT, or use the release that wrote it."
        )
    names = table.column_names
    return tuple(Addition(column, names[names.index(column.name) - 1]) for column in missing)
