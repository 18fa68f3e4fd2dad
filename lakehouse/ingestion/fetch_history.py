"""What the lake says of its own ingestion, read through delta-rs without the bodies: fetches and failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress
from typing import Any

import pyarrow as pa

from lakehouse.ingestion.bronze import SOME_REGION
from lakehouse.ingestion.coverage import CLOCK_TOLERANCE, FetchLog
from lakehouse.ingestion.source import SIMULATED
from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import BRONZE, RUNS
from lakehouse.settings import Settings
from lakehouse.windows import FIRST_SLOT, MICROSECOND, Span, Window, floor, moment, number, numbers, slot

ANSWERS = """
    SELECT source, regionid, landing, absent, cardinality(absent) AS lacked, source_file IS NOT NULL AS is_file,
        CAST(window_start AS BIGINT) AS start, CAST(window_end AS BIGINT) AS "end",
        CAST(ingestion_timestamp AS BIGINT) AS received
    FROM rows ORDER BY ingestion_timestamp"""
"""Of each answer all but its body; moments in microseconds since 1970."""


@dataclass(frozen=True)
class FailedWindow:
    """A window that a run did not get: its slots, and the run's last error about it."""

    span: Span
    error: str


@dataclass(frozen=True)
class FetchHistory:
    """What Bronze holds and what runs have failed to get. ``lost`` is in order of the runs."""

    source: str | None = None
    fetch_log: FetchLog = field(default_factory=FetchLog)
    lost: tuple[FailedWindow, ...] = ()
    landing: int = 0
    last_clock: datetime | None = None
    """The API's clock as a run or an answer last said it; None for files alone."""

    last_received: datetime | None = None
    """Of any response, files too, by whatever clock."""

    def oldest(self, now: datetime) -> datetime | None:
        """The first slot of the lake's range: asked for ever, with or without success; None in an empty lake.

        What lies before the API's first half-hour, or after the clock, no request can have been about.
        """
        last = floor(now)
        received = min((first for first in self.fetch_log.first if first <= number(last)), default=None)
        lost = (lost.span.start for lost in self.lost if FIRST_SLOT <= lost.span.start <= last)
        return min((*([] if received is None else [slot(received)]), *lost), default=None)

    def now(self, machine: datetime) -> datetime:
        """The lake's clock without asking anybody: the machine's, or what a simulator was last seen to say."""
        if self.source is None or not self.source.startswith(SIMULATED):
            return machine
        return self.last_clock or machine

    def next_reception(self, machine: datetime) -> datetime:
        """A time by the lake's clock that is after all that was received by it."""
        now = self.now(machine)
        if self.last_received is None or not now <= self.last_received <= now + CLOCK_TOLERANCE * MICROSECOND:
            return now
        return self.last_received + MICROSECOND


def read(settings: Settings) -> FetchHistory:
    """Read it; a lake that does not exist holds nothing."""
    return of_tables(Tables(settings.root))


def of_tables(tables: Tables) -> FetchHistory:
    """As :func:`read`, of tables that may be pinned."""
    bronze, runs = tables.open(BRONZE), tables.open(RUNS)
    done = runs.rows(["lake_version", "lake_clock", "failed_windows"], tables.runs).to_pylist() if runs else []
    done.sort(key=lambda row: row["lake_version"])
    known = FetchHistory(
        lost=tuple(
            FailedWindow(Window(window["window_start"], window["window_end"]).span(), window["error"])
            for row in done
            for window in row["failed_windows"]
        ),
        last_clock=max((row["lake_clock"] for row in done if row["lake_clock"]), default=None),
    )
    if bronze is None:
        return known
    rows = delta_log.query_datafusion(ANSWERS, rows=bronze)
    if not rows.num_rows:
        return known
    of_api = [
        at for at, is_file in zip(rows["received"].to_pylist(), rows["is_file"].to_pylist(), strict=True) if not is_file
    ]
    clocks = [known.last_clock] if known.last_clock else []
    found = _fetch_log(rows)
    return replace(
        known,
        source=rows["source"][0].as_py(),
        fetch_log=found,
        landing=max(rows["landing"].to_pylist()),
        last_clock=max((*clocks, *(moment(at) for at in of_api[-1:])), default=None),
        last_received=moment(rows["received"][-1].as_py()),
    )


def _fetch_log(rows: pa.Table) -> FetchLog:
    """Of answers on all regions: one region's says nothing about the others, which are still to be asked for.

    A window from before the API's first half-hour is of a file that says so, and nothing that anybody has asked for.
    """
    starts, ends, regionids = (rows[name].to_pylist() for name in ("start", "end", "regionid"))
    windows = [numbers(start, end) for start, end in zip(starts, ends, strict=True)]
    counts = [
        regionid is None and first >= number(FIRST_SLOT)
        for regionid, (first, _) in zip(regionids, windows, strict=True)
    ]
    spans, places = list(compress(windows, counts)), list(compress(range(rows.num_rows), counts))
    received, landing, lacked, is_file = (
        list(compress(rows[name].to_pylist(), counts)) for name in ("received", "landing", "lacked", "is_file")
    )
    absent = {
        place: [number(each) for each in rows["absent"][row].as_py()]
        for place, (row, count) in enumerate(zip(places, lacked, strict=True))
        if count
    }
    of_files = frozenset(compress(range(len(spans)), is_file))
    return FetchLog([first for first, _ in spans], [end for _, end in spans], received, landing, absent, of_files)


@dataclass(frozen=True, order=True)
class Version:
    """One content of a file's name, in the order in which they count."""

    received_at: datetime
    response_id: str
    body_sha256: str


@dataclass(frozen=True)
class KnownResponses:
    """What is in Bronze: the identities of responses, the newest content of each file's name, and the answers that
    were not understood, as (window, SHA-256 of the body).
    """

    response_ids: frozenset[str] = frozenset()
    files: Mapping[str, Version] = field(default_factory=dict)
    not_understood: frozenset[tuple[Window, str]] = frozenset()


def known_responses(settings: Settings) -> KnownResponses:
    """Read it; needed only by what writes."""
    names = (
        "response_id",
        "source_file",
        "body_sha256",
        "ingestion_timestamp",
        "regionid",
        "window_start",
        "window_end",
    )
    rows = _rows(delta_log.open_table(settings.path(BRONZE.path)), *names)
    files: dict[str, Version] = {}
    for row in rows:
        if name := row["source_file"]:
            version = Version(row["ingestion_timestamp"], row["response_id"], row["body_sha256"])
            files[name] = max(version, files.get(name, version))
    return KnownResponses(
        frozenset(row["response_id"] for row in rows),
        files,
        frozenset(
            (Window(row["window_start"], row["window_end"]), row["body_sha256"])
            for row in rows
            if row["source_file"] is None and row["regionid"] == SOME_REGION
        ),
    )


def _rows(table: Snapshot | None, *columns: str) -> Sequence[Mapping[str, Any]]:
    return table.rows(columns).to_pylist() if table is not None else []
