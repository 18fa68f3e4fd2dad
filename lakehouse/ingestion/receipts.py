"""What the lake says of its own ingestion, read through delta-rs without the bodies: receipts and failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse.ingestion.bronze import Receipt
from lakehouse.ingestion.source import SIMULATED
from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import BRONZE, RUNS
from lakehouse.settings import Settings
from lakehouse.windows import Span, Window


@dataclass(frozen=True)
class Lost:
    """A window that a run did not get: its slots, and the run's last error about it."""

    span: Span
    error: str


@dataclass(frozen=True)
class Held:
    """What Bronze holds and what runs have failed to get. ``lost`` is in order of the runs."""

    source: str | None = None
    receipts: tuple[Receipt, ...] = ()
    lost: tuple[Lost, ...] = ()
    landing: int = 0
    last_clock: datetime | None = None
    """The API's clock as a run last saw it; None for files alone."""

    @property
    def oldest(self) -> datetime | None:
        """The first slot of the lake's range: asked for ever, with or without success; None in an empty lake."""
        spans = [receipt.span for receipt in self.receipts] + [lost.span for lost in self.lost]
        return min((span.start for span in spans), default=None)

    def now(self, machine: datetime) -> datetime:
        """The lake's clock without asking anybody: the machine's, or what a simulator was last seen to say."""
        if self.source is None or not self.source.startswith(SIMULATED):
            return machine
        seen = [self.last_clock] if self.last_clock else []
        return max((*seen, *(receipt.received_at for receipt in self.receipts)), default=machine)


def held(settings: Settings) -> Held:
    """Read it; a lake that does not exist holds nothing."""
    bronze = delta_log.open_table(settings.path(BRONZE.path))
    runs = delta_log.open_table(settings.path(RUNS.path))
    rows = _rows(bronze, "source", "window_start", "window_end", "ingestion_timestamp", "absent", "regionid", "landing")
    done = sorted(_rows(runs, "lake_version", "lake_clock", "failed_windows"), key=lambda row: row["lake_version"])
    return Held(
        source=rows[0]["source"] if rows else None,
        # One region's answer says nothing about the others: its half-hours still have to be asked for.
        receipts=tuple(_receipt(row) for row in rows if row["regionid"] is None),
        lost=tuple(
            Lost(Window(window["window_start"], window["window_end"]).span(), window["error"])
            for row in done
            for window in row["failed_windows"]
        ),
        landing=max((row["landing"] for row in rows), default=0),
        last_clock=max((row["lake_clock"] for row in done if row["lake_clock"]), default=None),
    )


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


def _receipt(row: Mapping[str, Any]) -> Receipt:
    span = Window(row["window_start"], row["window_end"]).span()
    return Receipt(span, row["ingestion_timestamp"], frozenset(row["absent"]), row["landing"])
