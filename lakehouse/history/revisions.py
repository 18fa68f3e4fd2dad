"""What the API stated about a half-hour each time it was asked, and how much that moved. No JVM but for the view.

A **statement** is a record that the rules of Silver have judged: what one response says about one region in one
half-hour. The statements of a key are in the order that decides which of them counts: by (ingestion_timestamp,
response_id, position). One text in the SQL that DuckDB and Spark have in common makes them of records.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame

from lakehouse.errors import UsageError
from lakehouse.history import states
from lakehouse.history.ages import AGES
from lakehouse.history.states import LakeVersion
from lakehouse.lake.regions import REGIONS
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, KNOWN_FUELS, SILVER
from lakehouse.settings import Settings
from lakehouse.spark import session
from lakehouse.transform.batch import Batch
from lakehouse.transform.local_records import LocalRecords
from lakehouse.transform.quality import RULES, Rules
from lakehouse.transform.spark_records import checked

VIEW = "revisions"
"""The name under which Spark SQL sees the statements of all of Bronze."""
FUELS = tuple(f"fuel_{fuel}" for fuel in KNOWN_FUELS)
IN_ORDER = "timestamp, received_at, response_id, position"


@dataclass(frozen=True)
class _Dialect:
    """What DuckDB and Spark call by different names."""

    micros: str
    """Microseconds since 1970 of a time."""
    listed: str
    """A list of what is given."""


_DUCKDB, _SPARK = _Dialect("epoch_us", "list_value"), _Dialect("unix_micros", "array")


def _statements(dialect: _Dialect) -> str:
    """One row per statement among ``{records}`` that names a region and a half-hour.

    ``received_at`` and ``age_hours`` (since the half-hour's start), the values, ``reasons`` (rules that refuse it),
    ``number`` (from 1, among the good ones of the key), ``change`` (of ``intensity_forecast`` against the good one
    before, gCO2/kWh) and ``counts``: whether it is the one that Silver holds.
    """
    key = f"PARTITION BY {', '.join(SILVER.key)}, reasons IS NULL"
    in_order = f"({key} ORDER BY ingestion_timestamp, response_id, position)"
    age = f"({dialect.micros}(ingestion_timestamp) - {dialect.micros}(timestamp)) / 3600000000"
    return f"""
        SELECT {", ".join(SILVER.key)}, ingestion_timestamp AS received_at, round({age}, 2) AS age_hours,
            intensity_forecast, intensity_index, {", ".join(FUELS)},
            CASE WHEN reasons IS NULL THEN row_number() OVER {in_order} END AS number,
            CASE WHEN reasons IS NULL THEN intensity_forecast - lag(intensity_forecast) OVER {in_order} END AS change,
            reasons IS NULL AND row_number() OVER {in_order} = count(*) OVER ({key}) AS counts,
            coalesce(reasons, {dialect.listed}()) AS reasons, response_id, position
        FROM {{records}} WHERE regionid IS NOT NULL AND timestamp IS NOT NULL"""  # noqa: S608 (our own names)


def _by_age(statements: str) -> str:
    """How large revisions are, by how long after a half-hour's start they came: one row per group of ages.

    ``answers`` that had one before, ``revised`` of them, and of those the mean and the largest absolute change of
    ``intensity_forecast``, gCO2/kWh.
    """
    groups = " ".join(f"WHEN age_hours >= {low} THEN {low}" for low in reversed(AGES))
    return f"""
        SELECT age_from, count(*) AS answers, count(size) AS revised, round(avg(size), 2) AS mean_change,
            max(size) AS largest_change
        FROM (SELECT CASE {groups} ELSE -1 END AS age_from, CASE WHEN change <> 0 THEN abs(change) END AS size
              FROM ({statements}) WHERE change IS NOT NULL)
        GROUP BY age_from ORDER BY age_from"""  # noqa: S608 (our own names)


def of_spark(bronze: DataFrame, *, rules: Rules = RULES) -> DataFrame:
    """The statements of responses of Spark's."""
    records = bronze.transform(checked, rules=rules)
    return records.sparkSession.sql(_statements(_SPARK), records=records)


@dataclass(frozen=True)
class Revisions:
    """The statements about a region in a range, and how large the revisions among them are by age."""

    state: LakeVersion
    statements: Sequence[Mapping[str, Any]]
    by_age: Sequence[Mapping[str, Any]]


def find(
    settings: Settings, region: int, start: datetime, end: datetime, at: int | None = None, *, revised_only: bool = True
) -> Revisions:
    """As :func:`of_state`, as the lake was at a lake version (default: as it is now)."""
    state = states.newest(settings) if at is None else states.at_lake_version(settings, at)
    return of_state(state, region, start, end, revised_only=revised_only)


def of_state(
    state: LakeVersion, region: int, start: datetime, end: datetime, *, revised_only: bool = True
) -> Revisions:
    """What the API stated about ``region`` in ``[start, end)``, as Bronze stood in a state of the lake.

    With ``revised_only`` the half-hours of which every good statement gives the same forecast are left out of the
    statements; the groups by age are always of all.

    Raises:
        UsageError: no such region.
        QualityError: a body is not what was received.
    """
    within = f"regionid = {region} AND timestamp >= {_moment(start)} AND timestamp < {_moment(end)}"
    stated = f"SELECT * FROM ({_statements(_DUCKDB)}) WHERE {within}"  # noqa: S608 (our own names)
    moved = f"SELECT timestamp FROM ({stated}) WHERE change <> 0"  # noqa: S608 (our own names)
    shown = f"{stated} AND timestamp IN ({moved})" if revised_only else stated
    with closing(_records(state, region, start, end)) as records:
        rows = records.query(f"{shown} ORDER BY {IN_ORDER}").to_pylist()
        groups = records.query(_by_age(stated)).to_pylist()
    return Revisions(state, rows, groups)


def statements(state: LakeVersion, region: int, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """All that responses state about ``region`` in ``[start, end)``."""
    return [dict(each) for each in of_state(state, region, start, end, revised_only=False).statements]


def speaking_of(region: int, start: datetime, end: datetime) -> str:
    """The condition, in SQL, of the responses whose window may hold a half-hour of ``[start, end)`` for the region.

    Raises:
        UsageError: no such region.
    """
    if region not in {known.regionid for known in REGIONS}:
        raise UsageError(f"--region is {region}; regions have the ids 1 to {len(REGIONS)}.")
    touches = f"window_end >= {_moment(start)} AND window_start <= {_moment(end)}"
    return f"{touches} AND (regionid IS NULL OR regionid IN ({region}, 0))"


def _records(state: LakeVersion, region: int, start: datetime, end: datetime) -> LocalRecords:
    """The checked records of the responses that may speak of the region in the range; the caller closes them."""
    batch = Batch(state.snapshot(BRONZE), windows=(), pending=speaking_of(region, start, end))
    return LocalRecords(Store(session.open_session, state.root), batch, RULES)


def _moment(moment: datetime) -> str:
    return f"TIMESTAMP '{moment:%Y-%m-%dT%H:%M:%S.%fZ}'"
