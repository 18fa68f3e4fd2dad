"""What a shell completes: regions, tables, releases and rules.

A shell that completes cannot be told anything: what cannot be found (no lake yet, a wrong setting) is not completed.
"""

from collections.abc import Iterator
from typing import Any

import typer

from lakehouse.errors import LakehouseError


def regions() -> list[tuple[str, str]]:
    """The ids of all regions with their names, and the names of one word with their ids.

    A name with spaces would have to be quoted, in each shell in another way; its id serves as well.
    """
    from lakehouse.lake.regions import REGIONS

    ids = [(str(region.regionid), region.shortname) for region in REGIONS]
    return ids + [(name, f"region {number}") for number, name in ids if " " not in name]


def tables() -> list[tuple[str, str]]:
    """The names of all tables, with what they hold."""
    from lakehouse.lake.tables import TABLES

    return [(table.name, table.comment) for table in TABLES]


def rules() -> list[str]:
    """The rules that refuse a record."""
    from lakehouse.transform.quality import RULES

    return [rule.name for rule in RULES.records]


def releases(context: typer.Context) -> Iterator[str]:
    """The names of the releases of the lake that the flags before the command and the settings name."""
    from lakehouse import settings
    from lakehouse.history import manifests

    given: dict[str, Any] = context.find_root().params
    flags = {name: given[name] for name in ("root", "env") if given.get(name) is not None}
    try:
        yield from manifests.names(settings.load(flags))
    except (LakehouseError, OSError):
        return
