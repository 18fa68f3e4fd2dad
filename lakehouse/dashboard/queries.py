"""What the dashboard asks PostgreSQL: plain SQL, each answer an Arrow table of fixed types or a value.

Days are UTC days, both ends of a range belong to it, intensities are gCO2/kWh and shares percent of generation.
Decimals stay decimals: a figure is the published one, digit for digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

FUELS = ("nuclear", "hydro", "wind", "solar", "biomass", "imports", "other", "gas", "coal")
"""In the order in which they are stacked: low carbon first."""

_MEAN = pa.decimal128(10, 2)
_FUELS = [(f"fuel_{fuel}", _MEAN) for fuel in FUELS]
_RANGE = [("intensity_avg", _MEAN), ("intensity_min", pa.int32()), ("intensity_max", pa.int32())]
_REGION = [("regionid", pa.int32()), ("region", pa.string())]
_FUEL_COLUMNS = ", ".join(f"fuel_{fuel}" for fuel in FUELS)


@dataclass(frozen=True)
class Region:
    """A region; ``kind`` is dno_region, nation or gb."""

    regionid: int
    shortname: str
    kind: str


@dataclass(frozen=True)
class Export:
    """The newest export: which state of the lake the tables equal."""

    exported_at: datetime
    lake_version: int | None
    run_id: str


def regions(connection: Connection) -> list[Region]:
    """Every region that has a day, by number."""
    rows = connection.execute(
        text(
            "SELECT regionid, shortname, kind FROM carbon_data.dim_region AS r WHERE EXISTS"
            " (SELECT FROM carbon_data.carbon_intensity_daily AS d WHERE d.regionid = r.regionid) ORDER BY regionid"
        )
    )
    return [Region(*row) for row in rows]


def span(connection: Connection) -> tuple[date, date] | None:
    """The first and the last day of any region; None where there is no day."""
    first, last = connection.execute(
        text("SELECT min(date_recorded), max(date_recorded) FROM carbon_data.carbon_intensity_daily")
    ).one()
    return (first, last) if first else None


def days(connection: Connection, regionids: Sequence[int], first: date, last: date) -> pa.Table:
    """One row per region and day of the calendar; of a day that is missing the figures are null and n_periods is 0."""
    return _table(
        connection,
        f"""
        SELECT r.regionid, r.shortname AS region, c.day AS date_recorded, d.intensity_avg, d.intensity_min,
            d.intensity_max, d.index_mode, {_FUEL_COLUMNS},
            coalesce(d.n_periods, 0) AS n_periods, coalesce(d.is_complete, FALSE) AS is_complete
        FROM carbon_data.dim_region AS r
        CROSS JOIN (SELECT generate_series(:first, :last, interval '1 day')::date AS day) AS c
        LEFT JOIN carbon_data.carbon_intensity_daily AS d ON d.regionid = r.regionid AND d.date_recorded = c.day
        WHERE r.regionid = ANY (:regionids)
        ORDER BY array_position(:regionids, r.regionid), c.day
        """,  # noqa: S608 (names of fuels)
        [*_REGION, ("date_recorded", pa.date32()), *_RANGE, ("index_mode", pa.string()), *_FUELS, *_COUNTED],
        regionids=list(regionids),
        first=first,
        last=last,
    )


_COUNTED = [("n_periods", pa.int32()), ("is_complete", pa.bool_())]


def months(connection: Connection, regionids: Sequence[int], first: date, last: date) -> pa.Table:
    """One row per region and month of the calendar that has one of the days; null figures where it is missing.

    A mean is of all half-hours of the month that are there, also of those outside the range of days.
    """
    return _table(
        connection,
        f"""
        SELECT r.regionid, r.shortname AS region, c.month, m.intensity_avg, m.intensity_min,
            m.intensity_max, {_FUEL_COLUMNS}, coalesce(m.n_periods, 0) AS n_periods,
            coalesce(m.n_complete_days = extract(DAY FROM c.month + interval '1 month' - interval '1 day'), FALSE)
                AS is_complete
        FROM carbon_data.dim_region AS r
        CROSS JOIN (
            SELECT generate_series(date_trunc('month', CAST(:first AS date)), :last, interval '1 month')::date AS month
        ) AS c
        LEFT JOIN carbon_data.carbon_intensity_monthly AS m ON m.regionid = r.regionid AND m.month = c.month
        WHERE r.regionid = ANY (:regionids)
        ORDER BY array_position(:regionids, r.regionid), c.month
        """,  # noqa: S608 (names of fuels)
        [*_REGION, ("month", pa.date32()), *_RANGE, *_FUELS, *_COUNTED],
        regionids=list(regionids),
        first=first,
        last=last,
    )


def profile(connection: Connection, regionids: Sequence[int], first: date, last: date) -> pa.Table:
    """One row per region, month that has one of the days, and half-hour of the UTC day; null where it is missing."""
    return _table(
        connection,
        """
        SELECT r.regionid, r.shortname AS region, c.month, h.half_hour,
            to_char(time '00:00' + h.half_hour * interval '30 minutes', 'HH24:MI') AS starts_at,
            p.intensity_avg, p.intensity_min, p.intensity_max, coalesce(p.n_days, 0) AS n_days
        FROM carbon_data.dim_region AS r
        CROSS JOIN (
            SELECT generate_series(date_trunc('month', CAST(:first AS date)), :last, interval '1 month')::date AS month
        ) AS c
        CROSS JOIN generate_series(0, 47) AS h (half_hour)
        LEFT JOIN carbon_data.intensity_profile AS p
            ON p.regionid = r.regionid AND p.month = c.month AND p.half_hour = h.half_hour
        WHERE r.regionid = ANY (:regionids)
        ORDER BY array_position(:regionids, r.regionid), c.month, h.half_hour
        """,
        [
            *_REGION,
            ("month", pa.date32()),
            ("half_hour", pa.int16()),
            ("starts_at", pa.string()),
            *_RANGE,
            ("n_days", pa.int32()),
        ],
        regionids=list(regionids),
        first=first,
        last=last,
    )


def summary(connection: Connection, regionids: Sequence[int], first: date, last: date) -> pa.Table:
    """One row per region: the mean of its complete days' means, the lowest and highest of these, and how many days.

    The mean is null where no day is complete.
    """
    return _table(
        connection,
        """
        SELECT r.regionid, r.shortname AS region,
            round(avg(d.intensity_avg) FILTER (WHERE d.is_complete), 2) AS intensity_avg,
            min(d.intensity_avg) FILTER (WHERE d.is_complete) AS lowest_day,
            max(d.intensity_avg) FILTER (WHERE d.is_complete) AS highest_day,
            count(*) FILTER (WHERE d.is_complete) AS n_complete,
            count(*) FILTER (WHERE NOT d.is_complete) AS n_partial,
            CAST(:last AS date) - CAST(:first AS date) + 1 - count(d.regionid) AS n_missing
        FROM carbon_data.dim_region AS r
        LEFT JOIN carbon_data.carbon_intensity_daily AS d
            ON d.regionid = r.regionid AND d.date_recorded BETWEEN :first AND :last
        WHERE r.regionid = ANY (:regionids)
        GROUP BY r.regionid, r.shortname
        ORDER BY array_position(:regionids, r.regionid)
        """,
        [
            *_REGION,
            *((name, _MEAN) for name in ("intensity_avg", "lowest_day", "highest_day")),
            *((name, pa.int32()) for name in ("n_complete", "n_partial", "n_missing")),
        ],
        regionids=list(regionids),
        first=first,
        last=last,
    )


def difference(
    connection: Connection, regionid: int, other: int, first: date, last: date
) -> tuple[Decimal | None, int]:
    """The mean by which the region's days are above the other's, over the days of which both are complete; how many."""
    above, count = connection.execute(
        text(
            """
            SELECT round(avg(a.intensity_avg - b.intensity_avg), 2), count(*)
            FROM carbon_data.carbon_intensity_daily AS a
            JOIN carbon_data.carbon_intensity_daily AS b USING (date_recorded)
            WHERE a.regionid = :regionid AND b.regionid = :other AND a.is_complete AND b.is_complete
                AND date_recorded BETWEEN :first AND :last
            """
        ),
        {"regionid": regionid, "other": other, "first": first, "last": last},
    ).one()
    return above, count


def years(connection: Connection, regionids: Sequence[int]) -> pa.Table:
    """One row per region and UTC year, whatever the range: the mean of its complete days' means; how many they are."""
    return _table(
        connection,
        """
        SELECT r.regionid, r.shortname AS region, extract(YEAR FROM d.date_recorded)::int AS year,
            round(avg(d.intensity_avg) FILTER (WHERE d.is_complete), 2) AS intensity_avg,
            count(*) FILTER (WHERE d.is_complete) AS n_complete
        FROM carbon_data.carbon_intensity_daily AS d
        JOIN carbon_data.dim_region AS r USING (regionid)
        WHERE r.regionid = ANY (:regionids)
        GROUP BY r.regionid, r.shortname, year
        ORDER BY array_position(:regionids, r.regionid), year
        """,
        [*_REGION, ("year", pa.int32()), ("intensity_avg", _MEAN), ("n_complete", pa.int32())],
        regionids=list(regionids),
    )


def ranking(connection: Connection, kind: str, first: date, last: date) -> pa.Table:
    """The regions of one kind, cleanest first, over the days on which every one of them is complete.

    ``newest`` is the last of these days, with its mean and its own label. No row where there is no such day.
    """
    return _table(
        connection,
        """
        WITH compared AS (
            SELECT d.date_recorded
            FROM carbon_data.carbon_intensity_daily AS d
            JOIN carbon_data.dim_region AS r USING (regionid)
            WHERE r.kind = :kind AND d.is_complete AND d.date_recorded BETWEEN :first AND :last
            GROUP BY d.date_recorded
            HAVING count(*) = (SELECT count(*) FROM carbon_data.dim_region WHERE kind = :kind)
        ),
        newest AS (SELECT max(date_recorded) AS day FROM compared)
        SELECT rank() OVER (ORDER BY avg(d.intensity_avg)) AS rank, r.regionid, r.shortname AS region,
            round(avg(d.intensity_avg), 2) AS intensity_avg, count(*) AS n_days, n.day AS newest,
            max(d.intensity_avg) FILTER (WHERE d.date_recorded = n.day) AS newest_avg,
            max(d.index_mode) FILTER (WHERE d.date_recorded = n.day) AS newest_label
        FROM carbon_data.carbon_intensity_daily AS d
        JOIN compared USING (date_recorded)
        JOIN carbon_data.dim_region AS r ON r.regionid = d.regionid AND r.kind = :kind
        CROSS JOIN newest AS n
        GROUP BY r.regionid, r.shortname, n.day
        ORDER BY rank, r.regionid
        """,
        [
            ("rank", pa.int32()),
            *_REGION,
            ("intensity_avg", _MEAN),
            ("n_days", pa.int32()),
            ("newest", pa.date32()),
            ("newest_avg", _MEAN),
            ("newest_label", pa.string()),
        ],
        kind=kind,
        first=first,
        last=last,
    )


def coverage(connection: Connection, unit: str, first: date, last: date) -> pa.Table:
    """One row per region and ``unit`` ("day" or "month"): the half-hours that are there, and those of its days."""
    return _table(
        connection,
        """
        SELECT r.regionid, r.shortname AS region, date_trunc(:unit, c.day)::date AS starts,
            sum(coalesce(d.n_periods, 0)) AS n_periods, 48 * count(*) AS n_expected
        FROM carbon_data.dim_region AS r
        CROSS JOIN (SELECT generate_series(:first, :last, interval '1 day')::date AS day) AS c
        LEFT JOIN carbon_data.carbon_intensity_daily AS d ON d.regionid = r.regionid AND d.date_recorded = c.day
        GROUP BY 1, 2, 3
        ORDER BY 1, 3
        """,
        [*_REGION, ("starts", pa.date32()), ("n_periods", pa.int32()), ("n_expected", pa.int32())],
        unit=unit,
        first=first,
        last=last,
    )


def holes(connection: Connection, regionids: Sequence[int], first: date, last: date) -> pa.Table:
    """One row per region and run of days that lack a half-hour."""
    return _table(
        connection,
        """
        WITH broken AS (
            SELECT r.regionid, r.shortname, c.day, 48 - coalesce(d.n_periods, 0) AS missing,
                c.day - row_number() OVER (PARTITION BY r.regionid ORDER BY c.day)::int AS island
            FROM carbon_data.dim_region AS r
            CROSS JOIN (SELECT generate_series(:first, :last, interval '1 day')::date AS day) AS c
            LEFT JOIN carbon_data.carbon_intensity_daily AS d ON d.regionid = r.regionid AND d.date_recorded = c.day
            WHERE r.regionid = ANY (:regionids) AND d.is_complete IS NOT TRUE
        )
        SELECT regionid, shortname AS region, min(day) AS first_day, max(day) AS last_day, count(*) AS n_days,
            sum(missing) AS half_hours_missing
        FROM broken
        GROUP BY regionid, shortname, island
        ORDER BY array_position(:regionids, regionid), first_day
        """,
        [
            *_REGION,
            ("first_day", pa.date32()),
            ("last_day", pa.date32()),
            ("n_days", pa.int32()),
            ("half_hours_missing", pa.int32()),
        ],
        regionids=list(regionids),
        first=first,
        last=last,
    )


def newest_export(connection: Connection) -> Export | None:
    """The newest export; None before the first."""
    row = connection.execute(
        text("SELECT exported_at, lake_version, run_id FROM carbon_data.export_log ORDER BY export_id DESC LIMIT 1")
    ).one_or_none()
    return Export(*row) if row else None


def exported_tables(connection: Connection) -> pa.Table:
    """One row per published table: which version of Gold it equals, and the checksum that proved it."""
    return _table(
        connection,
        """
        SELECT table_name, version, rows_total, checksum::text AS checksum
        FROM carbon_data.export_log_table
        WHERE export_id = (SELECT max(export_id) FROM carbon_data.export_log)
        ORDER BY table_name
        """,
        [
            ("table_name", pa.string()),
            ("version", pa.int64()),
            ("rows_total", pa.int64()),
            ("checksum", pa.string()),
        ],
    )


def exports(connection: Connection, count: int = 20) -> pa.Table:
    """The newest exports, the newest first."""
    return _table(
        connection,
        """
        SELECT export_id, exported_at, lake_version, inserted, updated, deleted, unchanged, run_id
        FROM carbon_data.export_log
        ORDER BY export_id DESC
        LIMIT :count
        """,
        [
            ("export_id", pa.int64()),
            ("exported_at", pa.timestamp("s", "UTC")),
            *((name, pa.int64()) for name in ("lake_version", "inserted", "updated", "deleted", "unchanged")),
            ("run_id", pa.string()),
        ],
        count=count,
    )


def _table(connection: Connection, query: str, columns: Sequence[tuple[str, pa.DataType]], **values: Any) -> pa.Table:
    """The answer to a query, whose columns have these names and types."""
    answer = connection.execute(text(query), values)
    schema, names = pa.schema(columns), [*answer.keys()]
    by_column = list(zip(*answer.all(), strict=True)) or [()] * len(names)
    arrays = [pa.array(each, schema.field(name).type) for name, each in zip(names, by_column, strict=True)]
    return pa.table(arrays, names).select(schema.names)
