"""Every figure of the report, read from the Delta tables of one state of the lake. No JVM.

Means are Gold's own, to the digit: they travel as whole hundredths (``13145`` is 131.45). A list by day has one place
for each UTC day of the report, null where Gold has no row.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history.states import LakeVersion
from lakehouse.lake import duck
from lakehouse.lake.tables import DIM_REGION, GOLD, GOLD_MONTHLY, INTENSITY_PROFILE, KNOWN_FUELS, LABELS, Table

DAYS_OF_DAILY_MIX = 1500
"""A longer report has its fuel mix by month: nine figures for each day and region would be most of the page."""
FUELS = tuple(f"fuel_{fuel}" for fuel in KNOWN_FUELS)


@dataclass(frozen=True)
class Selection:
    """What is shown of a state: ``regionids`` (none: all), UTC days from ``start`` to before ``end`` (None: all)."""

    regionids: tuple[int, ...] = ()
    start: date | None = None
    end: date | None = None

    def __post_init__(self) -> None:
        """Refuse a selection of no day.

        Raises:
            UsageError: the days end before they begin.
        """
        if self.start and self.end and self.start >= self.end:
            raise UsageError(f"--from {self.start} is not before --to {self.end}.")

    def where(self, column: str) -> str | None:
        """The condition that the rows of a table meet whose days, or months' first days, stand in ``column``."""
        parts = []
        if self.regionids:
            parts.append(f"regionid IN ({', '.join(map(str, self.regionids))})")
        if self.start:
            first = self.start.replace(day=1) if column == "month" else self.start
            parts.append(f"{column} >= DATE '{first}'")
        if self.end:
            parts.append(f"{column} < DATE '{self.end}'")
        return " AND ".join(parts) or None


def collect(state: LakeVersion, selection: Selection) -> dict[str, Any]:
    """The figures as the page's script reads them.

    ``days``: the first UTC day and how many. ``regions``: id, names, kind and parent. ``daily``, ``mix``, ``monthly``,
    ``profile``: one object for each region, by its id.

    Raises:
        LakehouseError: the state holds no day of the selection, or lacks a table.
    """
    with _database(state, selection) as database:
        first, last = database.execute("SELECT min(date_recorded), max(date_recorded) FROM daily").fetchone() or ()
        if first is None:
            raise LakehouseError(
                f"{state.name} has no day of Gold among those asked for; `lakehouse run` fetches and builds days."
            )
        count = (last - first).days + 1
        is_daily_mix = count <= DAYS_OF_DAILY_MIX
        return {
            "days": {"first": first.isoformat(), "count": count},
            "labels": list(LABELS),
            "regions": _regions(database),
            "daily": _daily(database, first, last),
            "monthly": _monthly(database),
            "profile": _profile(database),
            "mix": {"step": "day" if is_daily_mix else "month", "fuels": list(KNOWN_FUELS)}
            | {"of": _mix(database, first, last) if is_daily_mix else _monthly_mix(database)},
        }


@contextmanager
def _database(state: LakeVersion, selection: Selection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the selected rows of Gold as ``daily``, ``monthly``, ``profile`` and ``regions``."""
    database = duck.connect()
    try:
        for name, table, day in (
            ("daily", GOLD, "date_recorded"),
            ("monthly", GOLD_MONTHLY, "month"),
            ("profile", INTENSITY_PROFILE, "month"),
        ):
            database.register(name, _rows(state, table, selection.where(day)))
        database.register("regions", _rows(state, DIM_REGION, None))
        yield database
    finally:
        database.close()


def _rows(state: LakeVersion, table: Table, where: str | None) -> pa.Table:
    return state.snapshot(table).read_arrow(table.column_names, where)


def _regions(database: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Those that have a day, by id."""
    found = database.execute(
        "SELECT regionid AS id, shortname AS name, dno, kind, parent_regionid AS parent FROM regions "
        "WHERE regionid IN (SELECT regionid FROM daily) ORDER BY regionid"
    )
    rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return rows


def _by_region(database: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] = ()) -> dict[str, Any]:
    """The other columns of a query's rows, by their region."""
    rows = database.execute(query, parameters).to_arrow_table().to_pylist()
    return {str(row.pop("regionid")): row for row in rows}


_EACH_DAY = """
    WITH days AS (SELECT unnest(generate_series($1::DATE, $2::DATE, INTERVAL 1 DAY))::DATE AS day),
    wanted AS (SELECT day, regionid FROM days, (SELECT DISTINCT regionid FROM daily))
    SELECT w.regionid, {lists}
    FROM wanted w LEFT JOIN daily d ON d.regionid = w.regionid AND d.date_recorded = w.day
    GROUP BY w.regionid ORDER BY w.regionid"""


def _hundredths(column: str) -> str:
    return f"CAST({column} * 100 AS INTEGER)"


def _each_day(**values: str) -> str:
    """A query that gives lists by day, of values in SQL by name."""
    lists = ", ".join(f"list({value} ORDER BY w.day) AS {name}" for name, value in values.items())
    return _EACH_DAY.format(lists=lists)


def _daily(database: duckdb.DuckDBPyConnection, first: date, last: date) -> dict[str, Any]:
    """By day: mean (hundredths), lowest and highest forecast (g), half-hours, and the label's place in ``labels``."""
    labels = ", ".join(f"'{label}'" for label in LABELS)
    query = _each_day(
        avg=_hundredths("intensity_avg"),
        min="intensity_min",
        max="intensity_max",
        n="n_periods",
        label=f"list_position([{labels}], index_mode) - 1",
    )
    return _by_region(database, query, [first, last])


def _mix(database: duckdb.DuckDBPyConnection, first: date, last: date) -> dict[str, Any]:
    """By day: the mean share of each fuel (hundredths of a percent)."""
    return _by_region(database, _each_day(**{fuel: _hundredths(fuel) for fuel in FUELS}), [first, last])


def _monthly(database: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """By month that has a half-hour: its first day, mean (hundredths), days, whole days, half-hours."""
    return _by_region(
        database,
        f"""SELECT regionid, list(strftime(month, '%Y-%m') ORDER BY month) AS month,
            list({_hundredths("intensity_avg")} ORDER BY month) AS avg, list(n_days ORDER BY month) AS days,
            list(n_complete_days ORDER BY month) AS complete, list(n_periods ORDER BY month) AS n
        FROM monthly GROUP BY regionid ORDER BY regionid""",
    )


def _monthly_mix(database: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """By month of ``monthly``: the mean share of each fuel (hundredths of a percent)."""
    lists = ", ".join(f"list({_hundredths(fuel)} ORDER BY month) AS {fuel}" for fuel in FUELS)
    return _by_region(database, f"SELECT regionid, {lists} FROM monthly GROUP BY regionid ORDER BY regionid")


def _profile(database: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """By month of ``monthly``: 48 means (hundredths, null where no day has the half-hour) and their numbers of days."""
    found: dict[str, Any] = _by_region(
        database,
        f"""WITH slots AS (SELECT unnest(range(48)) AS half_hour),
        wanted AS (SELECT regionid, month, half_hour FROM (SELECT DISTINCT regionid, month FROM monthly), slots),
        months AS (
            SELECT w.regionid, w.month, list({_hundredths("intensity_avg")} ORDER BY w.half_hour) AS avg,
                list(n_days ORDER BY w.half_hour) AS n
            FROM wanted w LEFT JOIN profile USING (regionid, month, half_hour) GROUP BY ALL)
        SELECT regionid, list(avg ORDER BY month) AS avg, list(n ORDER BY month) AS n
        FROM months GROUP BY regionid ORDER BY regionid""",
    )
    return {regionid: _with_brief_counts(months) for regionid, months in found.items()}


def _with_brief_counts(months: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of days of a month as one number, where all 48 half-hours have the same."""
    counts = [numbers[0] if len(set(numbers)) == 1 else numbers for numbers in months["n"]]
    return {"avg": months["avg"], "n": counts}
