"""A figure of Gold down to the bytes that it comes from, recomputed on the way."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from lakehouse.clock import machine_clock
from lakehouse.history import revisions, states
from lakehouse.history.states import LakeVersion
from lakehouse.ingestion import fetch_history
from lakehouse.ingestion.bronze import SOME_REGION
from lakehouse.ingestion.gaps import Cause
from lakehouse.lake import delta_log
from lakehouse.lake.tables import BRONZE, FUELS, GOLD, LABELS, LATER_FUELS, PERIODS_PER_DAY, RUNS, SILVER
from lakehouse.settings import Settings
from lakehouse.windows import HALF_HOUR, Window

DAY = timedelta(days=1)
CENT = Decimal("0.01")
VALUES = ("intensity_forecast", "intensity_index", *revisions.FUELS)
"""What a statement says that Gold rests on."""
_RESPONSE = (
    "response_id",
    "source_url",
    "source_file",
    "window_start",
    "window_end",
    "ingestion_timestamp",
    "attempts",
    "http_status",
    "body_sha256",
    "absent",
    "regionid",
    "landing",
)


@dataclass(frozen=True)
class Explanation:
    """A day of a region: Gold's row, the same computed recomputed from Silver, and each of its 48 half-hours.

    ``responses`` are by id, as (where from, when, which bytes). A half-hour has its Silver row (None: missing, with
    ``cause``), and ``statements``: all that any response statements of it, the one that counts first.
    """

    state: LakeVersion
    regionid: int
    day: date
    gold: Mapping[str, Any] | None
    recomputed: Mapping[str, Any] | None
    disagreements: Mapping[str, tuple[Any, Any]]
    half_hours: Sequence[Mapping[str, Any]]
    responses: Mapping[str, Mapping[str, Any]]

    @property
    def agrees(self) -> bool:
        """Whether Gold's row is what its half-hours give, and each of these what its response says."""
        return not self.disagreements

    def first_disagreement(self) -> str:
        """The first of them, in words."""
        name, (table, recomputed) = next(iter(self.disagreements.items()))
        return f"{name} is {table}, computed anew {recomputed}"

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "region": self.regionid,
            "date": self.day,
            "state": self.state.name,
            "versions": dict(self.state.versions),
            "gold": self.gold,
            "recomputed": self.recomputed,
            "agrees": self.agrees,
            "disagreements": {
                name: {"table": table, "recomputed": recomputed}
                for name, (table, recomputed) in self.disagreements.items()
            },
            "half_hours": list(self.half_hours),
            "responses": dict(self.responses),
        }


def explain(settings: Settings, region: int, day: date, at: str | None = None) -> Explanation:
    """Why Gold says what it says of a region's day, at a lake version or in a release (default: as it is now).

    Raises:
        UsageError: no such region, lake version or release.
        LakehouseError: there is no lake, or the state can no longer be read.
    """
    state = states.newest(settings) if at is None else states.resolve_version(settings, at)
    return of_state(state, region, day, fetch_history.read(settings).now(machine_clock()))


def of_state(state: LakeVersion, region: int, day: date, now: datetime) -> Explanation:
    """As :func:`explain`, in a state of the lake; a half-hour that ends after ``now`` is in the future.

    Raises:
        UsageError: no such region.
        LakehouseError: the state can no longer be read.
        QualityError: a body is not what was received.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    speaking = revisions.speaking_of(region, start, start + DAY)
    gold, rows = _rows_of(state, region, start)
    responses = {row["response_id"]: row for row in state.snapshot(BRONZE).rows(_RESPONSE, speaking).to_pylist()}
    by_slot: dict[datetime, list[dict[str, Any]]] = defaultdict(list)
    for each in revisions.statements(state, region, start, start + DAY):
        by_slot[each["timestamp"]].append(each)

    errors = _errors(state)
    half_hours = []
    for number in range(PERIODS_PER_DAY):
        slot = start + number * HALF_HOUR
        half_hours.append(_half_hour(slot, rows.get(slot), by_slot[slot], responses, errors, now))
    recomputed = day_of([row for row in (rows.get(half["timestamp"]) for half in half_hours) if row])
    wrong = _disagreements(gold, recomputed) | _contradictions(half_hours)
    named = {each["response_id"] for half in half_hours for each in half["statements"]}
    shown = {
        key: _shown(responses[key]) for key in sorted(named, key=lambda key: responses[key]["ingestion_timestamp"])
    }
    return Explanation(state, region, day, gold, recomputed, wrong, half_hours, shown)


def _rows_of(
    state: LakeVersion, region: int, start: datetime
) -> tuple[dict[str, Any] | None, dict[datetime, dict[str, Any]]]:
    """Gold's row of the region's day that begins at ``start``, if any, and Silver's rows by their half-hours."""
    first, last = (f"TIMESTAMP '{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in (start, start + DAY))
    of_day = (
        (GOLD, f"regionid = {region} AND date_recorded = DATE '{start:%Y-%m-%d}'"),
        (SILVER, f"regionid = {region} AND timestamp >= {first} AND timestamp < {last}"),
    )
    gold, silver = (state.snapshot(table).rows(table.column_names, where).to_pylist() for table, where in of_day)
    return (gold[0] if gold else None), {row["timestamp"]: row for row in silver}


def day_of(half_hours: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Gold's figures from Silver's rows of one day, in plain exact arithmetic; None without a row.

    Written apart from ``transform.gold`` on purpose: it is what Gold is held against.
    """
    if not half_hours:
        return None
    last = max(half_hours, key=lambda row: row["timestamp"])
    forecasts = [int(row["intensity_forecast"]) for row in half_hours]
    labels = Counter(row["intensity_index"] for row in half_hours)

    def mean(name: str) -> Decimal | None:
        stated = [Decimal(row[name]) for row in half_hours if row.get(name) is not None]
        return (sum(stated, Decimal(0)) / len(stated)).quantize(CENT, ROUND_HALF_UP) if stated else None

    return {
        "shortname": last["shortname"],
        "dno": last["dno"],
        "intensity_avg": mean("intensity_forecast"),
        "index_mode": max(labels, key=lambda label: (labels[label], LABELS.index(label))),
        **{f"fuel_{fuel}": mean(f"fuel_{fuel}") for fuel in (*FUELS, *LATER_FUELS)},
        "n_periods": len(half_hours),
        "n_expected": PERIODS_PER_DAY,
        "is_complete": len(half_hours) == PERIODS_PER_DAY,
        "intensity_min": min(forecasts),
        "intensity_max": max(forecasts),
    }


def _half_hour(
    slot: datetime,
    row: Mapping[str, Any] | None,
    statements: Sequence[dict[str, Any]],
    responses: Mapping[str, Mapping[str, Any]],
    errors: Mapping[datetime, str],
    now: datetime,
) -> dict[str, Any]:
    """A half-hour: Silver's values, or why there are none; and all statements, the one that counts first."""
    ordered = sorted(
        statements,
        key=lambda each: (each["counts"], each["received_at"], each["response_id"], each["position"]),
        reverse=True,
    )
    listed = [
        {
            "response_id": each["response_id"],
            "position": each["position"],
            "received_at": each["received_at"],
            **{name: each[name] for name in VALUES},
            "outcome": _outcome(each, ordered[0]),
        }
        for each in ordered
    ]
    found: dict[str, Any] = {"timestamp": slot, "silver": None, "cause": None, "detail": "", "statements": listed}
    if row is not None:
        found["silver"] = {name: row[name] for name in (*VALUES, "response_id", "ingestion_timestamp")}
        return found
    cause, detail = _cause(slot, statements, responses, errors, now)
    return {**found, "cause": cause.value, "detail": detail}


def _outcome(statement: Mapping[str, Any], newest: Mapping[str, Any]) -> str:
    if statement["counts"]:
        return "counts"
    if statement["reasons"]:
        return f"refused: {', '.join(statement['reasons'])}"
    same = all(statement[name] == newest[name] for name in VALUES)
    return "confirmed by a newer answer" if same else "replaced by a newer answer"


def _cause(
    slot: datetime,
    statements: Sequence[Mapping[str, Any]],
    responses: Mapping[str, Mapping[str, Any]],
    errors: Mapping[datetime, str],
    now: datetime,
) -> tuple[Cause, str]:
    if reasons := sorted({reason for each in statements for reason in each["reasons"]}):
        return Cause.QUARANTINED, ", ".join(reasons)
    covering = [each for each in responses.values() if _covers(each, slot) and each["regionid"] != SOME_REGION]
    empty = [each for each in covering if any(gone == slot for gone in each["absent"])]
    if len(covering) == len(empty) and slot + HALF_HOUR > now:
        return Cause.FUTURE, ""
    if covering and len(covering) == len(empty):
        days = sorted({f"{each['ingestion_timestamp']:%Y-%m-%d}" for each in empty})
        return Cause.UPSTREAM_EMPTY, f"answered {', '.join(days)}"
    if covering:
        return Cause.REGION_MISSING, ""
    return (Cause.FETCH_FAILED, errors[slot]) if slot in errors else (Cause.NOT_FETCHED, "")


def _covers(response: Mapping[str, Any], slot: datetime) -> bool:
    span = Window(response["window_start"], response["window_end"]).span()
    return span.start <= slot < span.end


def _errors(state: LakeVersion) -> dict[datetime, str]:
    """The last error about each half-hour that runs up to this state failed to get."""
    runs = delta_log.open_table(f"{state.root}/{RUNS.path}")
    rows = (
        runs.rows(["lake_version", "failed_windows"], f"lake_version <= {state.lake_version}").to_pylist()
        if runs
        else []
    )
    return {
        slot: lost["error"]
        for row in sorted(rows, key=lambda row: row["lake_version"])
        for lost in row["failed_windows"]
        for slot in Window(lost["window_start"], lost["window_end"]).span().slots()
    }


def _disagreements(gold: Mapping[str, Any] | None, recomputed: Mapping[str, Any] | None) -> dict[str, tuple[Any, Any]]:
    if gold is None or recomputed is None:
        return {} if gold is recomputed else {"gold": (gold and "a row", recomputed and "a row")}
    return {f"gold.{name}": (gold[name], value) for name, value in recomputed.items() if gold[name] != value}


def _contradictions(half_hours: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, Any]]:
    """Where Silver is not what the statement says that counts by the rules of now."""
    wrong = {}
    for half in half_hours:
        counting = next((each for each in half["statements"] if each["outcome"] == "counts"), None)
        row = half["silver"]
        if row is None or counting is None:
            if row is not counting:
                statements = (row and row["intensity_forecast"], counting and counting["intensity_forecast"])
                wrong[f"silver {half['timestamp']:%H:%M}"] = statements
            continue
        for name in VALUES:
            if row[name] != counting[name]:
                wrong[f"silver {half['timestamp']:%H:%M} {name}"] = (row[name], counting[name])
    return wrong


def _shown(response: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "url": response["source_url"],
        "file": response["source_file"],
        "fetched_at": response["ingestion_timestamp"],
        "attempts": response["attempts"],
        "http_status": response["http_status"],
        "body_sha256": response["body_sha256"],
        "landing": response["landing"],
    }
