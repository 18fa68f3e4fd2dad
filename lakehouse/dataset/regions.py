"""A region by its id or by what people call it."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, TypeAlias

from lakehouse.errors import UsageError
from lakehouse.lake.regions import REGIONS

Region: TypeAlias = int | str
"""An id (1 to 18), the short name (London) or the operator's (UKPN London); case does not matter."""
NEAREST = 3
"""Regions that are named where one is not known."""
NAMES = ("shortname", "dno")


def find(wanted: Region, known: Sequence[Mapping[str, Any]], where: str) -> int:
    """The id of a region among the rows of ``gold.dim_region``; ``where`` they are of.

    An id is known in every lake. Names are those of the rows.

    Raises:
        UsageError: there is none; it names the nearest.
    """
    if isinstance(wanted, str) and wanted.strip().isascii() and wanted.strip().isdigit():
        wanted = int(wanted)
    if isinstance(wanted, int):
        if wanted not in {region.regionid for region in REGIONS}:
            raise UsageError(f"There is no region {wanted!r}: ids are 1 to {len(REGIONS)}.")
        return wanted
    if not isinstance(wanted, str):
        raise UsageError(f"There is no region {wanted!r}: give an id, 1 to {len(REGIONS)}, or a name.")
    called = _plain(wanted)
    for row in known:
        if called in {_plain(row[name]) for name in NAMES}:
            return int(row["regionid"])
    nearest = sorted(known, key=lambda row: -max(_likeness(called, row[name]) for name in NAMES))[:NEAREST]
    if not nearest:
        raise UsageError(f"There is no region {wanted!r} in {where}, which holds no region yet: give an id, 1 to 18.")
    named = ", ".join(f"{row['shortname']} ({row['regionid']})" for row in nearest)
    raise UsageError(f"There is no region {wanted!r} in {where}; the nearest are {named}.")


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _likeness(called: str, name: str) -> float:
    return SequenceMatcher(None, called, _plain(name)).ratio()
