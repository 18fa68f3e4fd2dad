"""A lake as one state of it: every table at one version, whatever is written meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import settings
from lakehouse.dataset import display, moments, regions
from lakehouse.dataset.moments import Moment
from lakehouse.dataset.regions import Region
from lakehouse.dataset.relation import Relation, Source
from lakehouse.errors import UsageError
from lakehouse.history import citations, states
from lakehouse.history.states import LakeVersion
from lakehouse.lake import delta_log
from lakehouse.lake.tables import DIM_REGION, RUNS, TABLES, Table
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from lakehouse.history.explanation import Explanation
    from lakehouse.history.revisions import Revisions
    from lakehouse.ingestion.gaps import GapReport


class NoSuchTableError(UsageError, AttributeError):
    """There is no such table, or not in this state of the lake. An AttributeError, too, as Python expects it."""


class Layer:
    """The tables of one layer that the state holds, each under its name and, where it has one, its short name."""

    def __init__(self, name: str, relations: Sequence[tuple[Table, Relation]], state: str) -> None:
        self._name, self._state = name, state
        self._tables = tuple(table for table, _ in relations)
        for table, relation in relations:
            for attribute in filter(None, (table.short_name, table.alias)):
                setattr(self, attribute, relation)

    def __getattr__(self, name: str) -> Relation:
        """Only what is not there comes here."""
        if name.startswith("_"):
            raise AttributeError(name)
        declared = [table for table in TABLES if table.name.startswith(f"{self._name}.")]
        if any(name in (table.short_name, table.alias) for table in declared):
            raise NoSuchTableError(
                f"{self._state} holds no {self._name}.{name}: open a later lake version or release; if there is none, "
                "the next `lakehouse run` makes the table."
            )
        known = [attribute for table in declared for attribute in (table.alias, table.short_name) if attribute]
        near = get_close_matches(name, known, 1)
        named = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        raise NoSuchTableError(f"{self._name} has no table {name!r}; {named}")

    def __repr__(self) -> str:
        return f"<{self._name} of {self._state}: {', '.join(table.short_name for table in self._tables)}>"


class Lake:
    """One state of a lake. Nothing of it changes: the same question gets the same answer.

    ``bronze``, ``silver``, ``gold`` and ``ops`` hold the tables, as in ``lake.gold.daily``. Reading needs no JVM and
    no lock. Made by :func:`open_lake`.
    """

    def __init__(self, state: LakeVersion) -> None:
        self.state = state
        """The state itself, for other parts of the package."""
        self.bronze, self.silver, self.gold, self.ops = map(self._layer, ("bronze", "silver", "gold", "ops"))

    def _layer(self, name: str) -> Layer:
        held = [table for table in TABLES if table.name.startswith(f"{name}.") and self.state.holds(table)]
        relations = [(table, Relation(Source(self.state, table), self.region)) for table in held]
        return Layer(name, relations, self.state.name)

    @property
    def version(self) -> int:
        """The lake version: the number of the run."""
        return self.state.lake_version

    @property
    def release(self) -> str | None:
        """The name of the release; None where this is a lake version."""
        return self.state.run.get("release")

    @property
    def ended_at(self) -> "datetime":
        """When the run ended that left this state, UTC."""
        return self.state.ended_at

    @property
    def tables(self) -> Mapping[str, int]:
        """The version of each Delta table, by full name."""
        return {table.name: self.state.version(table) for table in TABLES if self.state.holds(table)}

    def __getitem__(self, name: str) -> Relation:
        """A table by its name with the layer's: ``lake["gold.daily"]``, ``lake["gold.carbon_intensity_daily"]``.

        Raises:
            NoSuchTableError: there is no such table in this state.
        """
        layer, _, table = name.partition(".")
        layers = {each._name: each for each in (self.bronze, self.silver, self.gold, self.ops)}
        if layer not in layers or not table or table.startswith("_"):
            raise NoSuchTableError(f"There is no table {name!r}; there are {', '.join(self.tables)}.")
        found: Relation = getattr(layers[layer], table)
        return found

    def region(self, region: Region) -> int:
        """The id of a region: by id, short name or operator's name, as this state's ``gold.dim_region`` has them.

        Raises:
            UsageError: there is none; it names the nearest three.
            LakehouseError: a name was given, and this state has no ``gold.dim_region``.
        """
        is_name = isinstance(region, str) and not region.strip().isdigit()
        return regions.find(region, self._regions if is_name else (), f"gold.dim_region of {self.state.name}")

    @cached_property
    def _regions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.state.snapshot(DIM_REGION).rows(DIM_REGION.column_names).to_pylist()
        return sorted(found, key=lambda row: int(row["regionid"]))

    def gaps(self, since: Moment | None = None, until: Moment | None = None) -> "GapReport":
        """Every missing half-hour with its cause, in ``[since, until)``; by default of the lake's range.

        That ends when the run ended (of a simulated lake: where its clock stood).

        Raises:
            UsageError: no such time, or an empty range.
            LossError: Silver has lost data files.
        """
        from lakehouse.ingestion import gaps

        return gaps.of_tables(self.state.tables, *moments.span(since, until), self.ended_at)

    def explain(self, region: Region, date: Moment) -> "Explanation":
        """Why the daily table says what it says of a region's UTC day: down to the API's bytes, computed anew.

        Raises:
            UsageError: no such region or day.
            LakehouseError: the state holds no Bronze, Silver or daily table, or can no longer be read.
        """
        from lakehouse.history import explanation
        from lakehouse.ingestion import fetch_history

        day = moments.parsed(date, "date").date()
        now = fetch_history.of_tables(self.state.tables).now(self.ended_at)
        return explanation.of_state(self.state, self.region(region), day, now)

    def revisions(self, region: Region, since: Moment, until: Moment, *, revised_only: bool = True) -> "Revisions":
        """What the API stated about a region's half-hours in ``[since, until)`` at each fetch, and how much it moved.

        With ``revised_only`` without the half-hours of which every good statement gives the same forecast.

        Raises:
            UsageError: no such region or time, or an empty range.
            LakehouseError: the state holds no Bronze, or can no longer be read.
        """
        from lakehouse.history import revisions

        start, end = moments.span(since, until)
        if start is None or end is None:
            raise UsageError("revisions() needs since and until.")
        return revisions.of_state(self.state, self.region(region), start, end, revised_only=revised_only)

    def cite(self) -> str:
        """How to cite what was read here: of a release its citation, else one that says it is none."""
        return citations.of_state(self.state)

    def __repr__(self) -> str:
        return f"<{self.state.name} at {self.state.root}>"

    def _repr_html_(self) -> str:
        rows = [
            (f"lake.{table.name.split('.')[0]}.{table.alias or table.short_name}", table.name, version, table.comment)
            for table in TABLES
            if (version := self.tables.get(table.name)) is not None
        ]
        return display.of_lake(self.state.name, self.state.root, self.ended_at, rows)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.tables)


def open_lake(
    root: str | Path | None = None,
    *,
    version: int | None = None,
    at: Moment | None = None,
    release: str | None = None,
) -> Lake:
    """A lake, pinned: one version of every table, so that two calls agree while somebody writes.

    Which state: ``version``, a lake version; ``at`` a time, the newest lake version whose run had ended by then;
    ``release`` by its name; none of them: the newest lake version. What a run has written that has not ended yet, or
    somebody by hand, is in none. ``root`` is a folder or ``s3a://...``, by default the settings' (``LAKEHOUSE_ROOT``);
    it may be the folder of a release, which is one state by itself.

    Raises:
        UsageError: two states are named, or there is none of that name.
        LakehouseError: there is no lake, or no run has ended in it yet.
    """
    named = {"version": version, "at": at, "release": release}
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} each name a state of the lake: give one of them.")
    chosen = settings.load({} if root is None else {"root": str(root)})
    if (released := states.of_release_folder(chosen)) is not None:
        if given:
            raise UsageError(f"{chosen.root} is {released.name}, which is one state: open it without {given[0]}.")
        return Lake(released)
    if release is not None:
        return Lake(states.of_release(chosen, release))
    return Lake(_with_runs(_lake_version(chosen, version, at)))


def _lake_version(chosen: Settings, version: int | None, at: Moment | None) -> LakeVersion:
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise UsageError(
            f"version is {version!r}: give the number of a lake version; `lakehouse status` shows the newest."
        )
    if at is not None:
        return states.at_time(chosen, moments.parsed(at, "at"))
    return states.at_lake_version(chosen, version)


def _with_runs(state: LakeVersion) -> LakeVersion:
    """The state with a version of ``ops.runs``, too, which a run cannot know of itself."""
    runs = delta_log.open_table(state.path(RUNS))
    return state if runs is None else replace(state, versions={**state.versions, RUNS.name: runs.version})
