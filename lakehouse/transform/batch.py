"""What a run of Silver looks at: which responses of Bronze, and which half-hours."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import pyarrow as pa

from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.run_context import RunContext
from lakehouse.windows import HALF_HOUR, HALF_HOUR_MICROS, Window, micros, slot

PART_PERIODS = 10_000
"""Half-hours (8 kB of a body each) that are read at once: 80 MB."""


@dataclass(frozen=True)
class Batch:
    """The part of Bronze that a run looks at, and the part of Silver that follows from it.

    ``pending``: the condition that the responses meet which Silver has yet to consume, None for all of Bronze.
    ``overlapping``: ids of others that speak of the same half-hours: the newer ones, or in a replay all of them.
    ``windows`` are those of the pending ones that hold half-hours. ``is_replay``: responses with records in quarantine
    are judged once more.
    """

    bronze: Snapshot
    windows: tuple[Window, ...]
    pending: str | None = None
    overlapping: tuple[str, ...] = ()
    is_replay: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is all of Bronze."""
        return self.pending is None

    @property
    def condition(self) -> str:
        """The condition that its responses meet, in SQL: those that hold periods, pending or overlapping."""
        wanted = self.pending or "true"
        if self.overlapping:
            wanted = f"{wanted} OR response_id IN ({_listed(self.overlapping)})"
        return f"n_periods > 0 AND ({wanted})"

    @property
    def half_hours(self) -> tuple[datetime, datetime] | None:
        """The first and the last half-hour that pending responses may speak of; None without one."""
        if not self.windows:
            return None
        return (
            min(window.start for window in self.windows) - HALF_HOUR,
            max(window.end for window in self.windows),
        )

    def slots(self) -> list[datetime]:
        """The starts of all half-hours whose ends lie in the windows of pending responses."""
        ends = (
            range(-(-micros(window.start) // HALF_HOUR_MICROS), micros(window.end) // HALF_HOUR_MICROS + 1)
            for window in self.windows
        )
        return [slot(number - 1) for number in sorted(set(chain.from_iterable(ends)))]


def plan_batch(context: RunContext, bronze: Snapshot, watermark: int | None, replayed: Sequence[str]) -> Batch:
    """What to read, decided by what Bronze says of its responses; ``replayed``: ids of those to judge once more."""
    pending = None if watermark is None else f"landing > {watermark}"
    if replayed and pending:
        pending = f"{pending} OR response_id IN ({_listed(replayed)})"
    # An empty answer says nothing of any half-hour: a hole of years ago, asked again, must not widen the batch to now.
    speaking = "n_periods > 0" if pending is None else f"n_periods > 0 AND ({pending})"
    late = bronze.rows(["window_start", "window_end"], speaking).to_pylist()
    is_replay = bool(replayed and pending)
    return Batch(
        bronze=bronze,
        windows=tuple(Window(row["window_start"], row["window_end"]) for row in late),
        pending=pending,
        overlapping=overlapping(bronze, pending, older_too=is_replay) if pending else (),
        is_replay=is_replay,
    )


def overlapping(bronze: Snapshot, pending: str, *, older_too: bool) -> tuple[str, ...]:
    """The ids of consumed responses that may hold a newer value of a half-hour that a pending one holds.

    With ``older_too`` of all that may hold any value of it.
    """
    touching = "late.window_start <= rows.window_end AND late.window_end >= rows.window_start"
    newer = "" if older_too else " AND rows.ingestion_timestamp >= late.ingestion_timestamp"
    query = f"""
        WITH late AS (SELECT window_start, window_end, ingestion_timestamp FROM rows WHERE {pending})
        SELECT DISTINCT rows.response_id FROM rows JOIN late ON {touching}{newer}
        WHERE NOT ({pending}) ORDER BY rows.response_id"""
    return tuple(delta_log.query_datafusion(query, rows=bronze)["response_id"].to_pylist())


def parts(landings: pa.Table) -> Iterator[tuple[int, int]]:
    """First and last landing of parts of about ``PART_PERIODS``: no more bodies are held at once."""
    sums = landings.group_by("landing").aggregate([("n_periods", "sum")]).sort_by("landing")
    low, last, held = None, 0, 0
    for landing, n_periods in zip(*(sums[name].to_pylist() for name in ("landing", "n_periods_sum")), strict=True):
        if low is not None and held + n_periods > PART_PERIODS:
            yield low, last
            low, held = None, 0
        low, held, last = landing if low is None else low, held + n_periods, landing
    if low is not None:
        yield low, last


def _listed(ids: Iterable[str]) -> str:
    """Texts as SQL lists them."""
    return ", ".join(repr(each) for each in ids)
