"""What the lake says of its own ingestion, read through delta-rs without the bodies: receipts and failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress
from typing import Any

import pyarrow as pa

from lakehouse.ingestion.coverage import Receipts
from lakehouse.ingestion.source import SIMULATED
from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import BRONZE, RUNS
from lakehouse.settings import Settings
from lakehouse.windows import Span, Window, moment, number, numbers, slot

ANSWERS = """
    SELECT source, regionid, landing, absent, cardinality(absent) AS lacked,
        CAST(window_start AS BIGINT) AS start, CAST(window_end AS BIGINT) AS "end",
        CAST(ingestion_timestamp AS BIGINT) AS received
    FROM rows ORDER BY ingestion_timestamp"""
"""Of each answer all but its body; moments in microseconds since 1970."""


@dataclass(frozen=True)
class Lost:
    """A window that a run did not get: its slots, and the run's last error about it."""

    span: Span
    error: str


@dataclass(frozen=True)
class Held:
    """What Bronze holds and what runs have failed to get. ``lost`` is in order of the runs."""

    source: str | None = None
    receipts: Receipts = field(default_factory=Receipts)
    lost: tuple[Lost, ...] = ()
    landing: int = 0
    last_clock: datetime | None = None
    """The API's clock as a run last saw it; None for files alone."""

    @property
    def oldest(self) -> datetime | None:
        """The first slot of the lake's range: asked for ever, with or without success; None in an empty lake."""
        received = [slot(min(self.receipts.first))] if len(self.receipts) else []
        return min((*received, *(lost.span.start for lost in self.lost)), default=None)

    def now(self, machine: datetime) -> datetime:
        """The lake's clock without asking anybody: the machine's, or what a simulator was last seen to say."""
        if self.source is None or not self.source.startswith(SIMULATED):
            return machine
        seen = [self.last_clock] if self.last_clock else []
        received = [moment(self.receipts.received[-1])] if len(self.receipts) else []
        return max((*seen, *received), default=machine)


def held(settings: Settings) -> Held:
    """Read it; a lake that does not exist holds nothing."""
    bronze = delta_log.open_table(settings.path(BRONZE.path))
    runs = delta_log.open_table(settings.path(RUNS.path))
    done = sorted(_rows(runs, "lake_version", "lake_clock", "failed_windows"), key=lambda row: row["lake_version"])
    known = Held(
        lost=tuple(
            Lost(Window(window["window_start"], window["window_end"]).span(), window["error"])
            for row in done
            for window in row["failed_windows"]
        ),
        last_clock=max((row["lake_clock"] for row in done if row["lake_clock"]), default=None),
    )
    if bronze is None:
        return known
    rows = delta_log.asked(ANSWERS, rows=bronze)
    if not rows.num_rows:
        return known
    landing = max(rows["landing"].to_pylist())
    return replace(known, source=rows["source"][0].as_py(), receipts=_receipts(rows), landing=landing)


def _receipts(rows: pa.Table) -> Receipts:
    # One region's answer says nothing about the others: its half-hours still have to be asked for.
    on_all = [regionid is None for regionid in rows["regionid"].to_pylist()]
    starts, ends, received, landing, lacked, places = (
        list(compress(column, on_all))
        for column in (
            *(rows[name].to_pylist() for name in ("start", "end", "received", "landing", "lacked")),
            range(rows.num_rows),
        )
    )
    spans = [numbers(start, end) for start, end in zip(starts, ends, strict=True)]
    absent = {
        place: [number(each) for each in rows["absent"][row].as_py()]
        for place, (row, count) in enumerate(zip(places, lacked, strict=True))
        if count
    }
    return Receipts([first for first, _ in spans], [end for _, end in spans], received, landing, absent)


@dataclass(frozen=True)
class Landed:
    """The identities that are in Bronze: of responses, and of files as (name, SHA-256 of the content)."""

    response_ids: frozenset[str] = frozenset()
    files: frozenset[tuple[str, str]] = frozenset()


def landed(settings: Settings) -> Landed:
    """Read them; needed only by what writes."""
    rows = _rows(delta_log.open_table(settings.path(BRONZE.path)), "response_id", "source_file", "body_sha256")
    return Landed(
        frozenset(row["response_id"] for row in rows),
        frozenset((row["source_file"], row["body_sha256"]) for row in rows if row["source_file"]),
    )


def _rows(table: Snapshot | None, *columns: str) -> Sequence[Mapping[str, Any]]:
    return table.rows(columns).to_pylist() if table is not None else []
