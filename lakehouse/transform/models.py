"""Every Gold table as it is derived: what it is made of, how, and which of its rows a change of the source touches.

``MODELS`` is the list that runs, releases, restores and everything else go through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from lakehouse.lake.tables import DIM_REGION, GOLD, GOLD_MONTHLY, INTENSITY_PROFILE, KNOWN_FUELS, SILVER, Table
from lakehouse.transform.gold import carbon_intensity_daily, carbon_intensity_monthly, dim_region, intensity_profile

Group: TypeAlias = tuple[date, date]
"""UTC days: the first one, and the one after the last."""
EVERYTHING: Group = (date.min, date.max)
"""The group of a model whose rows may each rest on any row of the source."""
A_FILE = timedelta(days=31)
"""A file of Silver or Gold holds a month or more: a reader that leaves out fewer days opens no file less."""
A_YEAR = timedelta(days=366)
"""Groups that are built at a time in this process: 316,000 half-hours, 70 MB, at most."""


@dataclass(frozen=True)
class Model:
    """A table that is derived from another.

    ``reads``: the columns of ``source`` that it is made of. ``build``: all its rows from these columns of all rows; it
    ends in the select of the table's columns. ``stage``: its name in reports, commits and ``ops.runs``.

    ``groups``: rows of the table rest on source rows of the same group alone. A group is a span of days, in both
    tables by the column that they are clustered by. Given the values of that column in the source rows that were
    inserted, updated or deleted, it says which groups they belong to, in order.
    """

    table: Table
    source: Table
    reads: tuple[str, ...]
    build: Callable[[DataFrame], DataFrame]
    groups: Callable[[pa.ChunkedArray], Sequence[Group]]
    stage: str


def days(changed: pa.ChunkedArray) -> list[Group]:
    """Groups that are UTC days."""
    first = pc.unique(changed.cast(pa.date32())).to_pylist()
    return [(day, day + timedelta(days=1)) for day in sorted(first)]


def months(changed: pa.ChunkedArray) -> list[Group]:
    """Groups that are UTC months."""
    first = pc.unique(pc.floor_temporal(changed, unit="month").cast(pa.date32())).to_pylist()
    return [(month, (month + timedelta(days=31)).replace(day=1)) for month in sorted(first)]


def everything(changed: pa.ChunkedArray) -> list[Group]:
    """One group of all rows."""
    return [EVERYTHING] if len(changed) else []


def batches(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups in their order, as many in a batch as lie within a year."""
    found: list[list[Group]] = []
    for group in groups:
        if found and group[1] - found[-1][0][0] <= A_YEAR:
            found[-1].append(group)
        else:
            found.append([group])
    return found


def within(column: str, groups: Sequence[Group]) -> str:
    """A condition that the rows of these groups meet, in the SQL that Spark and DataFusion have in common.

    Those of groups between two that are less than a file apart meet it, too.
    """
    if EVERYTHING in groups:
        return "true"
    spans: list[Group] = []
    for first, after in groups:
        if spans and first - spans[-1][1] < A_FILE:
            spans[-1] = (spans[-1][0], after)
        else:
            spans.append((first, after))
    return " OR ".join(f"({column} >= DATE '{first}' AND {column} < DATE '{after}')" for first, after in spans)


_FIGURES = ("intensity_forecast", *(f"fuel_{fuel}" for fuel in KNOWN_FUELS))
MODELS = (
    Model(
        table=GOLD,
        source=SILVER,
        reads=("regionid", "timestamp", "shortname", "dno", "intensity_index", *_FIGURES),
        build=carbon_intensity_daily.build,
        groups=days,
        stage="gold",
    ),
    Model(
        table=DIM_REGION,
        source=GOLD,
        reads=("regionid", "date_recorded", "shortname", "dno"),
        build=dim_region.build,
        groups=everything,
        stage="dim_region",
    ),
    Model(
        table=INTENSITY_PROFILE,
        source=SILVER,
        reads=("regionid", "timestamp", "intensity_forecast"),
        build=intensity_profile.build,
        groups=months,
        stage="intensity_profile",
    ),
    Model(
        table=GOLD_MONTHLY,
        source=SILVER,
        reads=("regionid", "timestamp", *_FIGURES),
        build=carbon_intensity_monthly.build,
        groups=months,
        stage="carbon_intensity_monthly",
    ),
)
"""In the order in which they are built: a source comes before what is made of it."""
STAGE_OF = {SILVER.name: "silver", **{model.table.name: model.stage for model in MODELS}}
"""The stage that writes each table that is a source or is made of one."""
