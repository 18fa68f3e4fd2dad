"""What a run of Silver looks at: which responses of Bronze, and which half-hours."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake import delta_log, integrity, watermarks
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import BRONZE, QUARANTINE, SILVER
from lakehouse.run_context import RunContext
from lakehouse.windows import HALF_HOUR, Window

FEW_PERIODS = 1_000
"""Half-hours of responses (a body holds 8 kB of each) up to which rows are compared in one place."""
PART_PERIODS = 10_000
"""Half-hours whose bodies it holds at once (80 MB)."""
NEAR_PERIODS = 60_000
"""Half-hours (3.4 years, half a gigabyte) up to which this process reads bodies though there is a cluster."""
ODD_PERIODS = 5_000
"""Half-hours in bodies that are not plain (40 MB) up to which Spark gets them from here and gives their pieces back."""


@dataclass(frozen=True)
class Batch:
    """The part of Bronze that a run looks at, and the part of Silver that follows from it.

    ``where``: the condition that pending responses meet, None for all of Bronze. ``beside``: ids of others that speak
    of the same half-hours: the newer ones, or with ``again`` all of them. ``windows`` are those of the pending ones,
    ``low`` and ``high`` the first and last half-hour that they may speak of. ``n_periods``: what all of them hold.
    """

    bronze: Callable[[], DataFrame]
    windows: tuple[Window, ...]
    n_periods: int
    where: str | None = None
    beside: tuple[str, ...] = ()
    again: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is all of Bronze."""
        return self.where is None

    @property
    def are_few(self) -> bool:
        """Whether little has to be read: this process does it."""
        return not self.again and self.n_periods <= FEW_PERIODS

    def pending(self) -> DataFrame:
        """The responses that Silver has yet to consume."""
        everything = self.bronze()
        pending = everything if self.where is None else everything.where(self.where)
        return pending.withColumn("is_pending", F.lit(True))

    def responses(self) -> DataFrame:
        """All of the scope's responses; they say whether they are ``is_pending``."""
        if not self.beside:
            return self.pending()
        beside = self.bronze().where(F.col("response_id").isin(*self.beside))
        return self.pending().unionByName(beside.withColumn("is_pending", F.lit(False)))

    @property
    def low(self) -> datetime | None:
        """The first half-hour."""
        return min((window.start - HALF_HOUR for window in self.windows), default=None)

    @property
    def high(self) -> datetime | None:
        """The last half-hour."""
        return max((window.end for window in self.windows), default=None)


def plan_batch(context: RunContext, bronze: Snapshot, cursor: int | None, again: Sequence[str]) -> Batch:
    """What to read, decided by what Bronze says of its responses; ``again``: ids of those to judge once more."""
    where = None if cursor is None else f"landing > {cursor}"
    if again and where:
        where = f"{where} OR response_id IN ({listed(again)})"
    late = bronze.rows(["window_start", "window_end", "n_periods"], where).to_pylist()
    beside = responses_beside(bronze, where, older_too=bool(again)) if where else {}
    return Batch(
        bronze=lambda: integrity.checked(context.store.scan(BRONZE, bronze)),
        windows=tuple(Window(row["window_start"], row["window_end"]) for row in late),
        n_periods=sum(row["n_periods"] for row in late) + sum(beside.values()),
        where=where,
        beside=tuple(beside),
        again=bool(again and where),
    )


def responses_beside(bronze: Snapshot, where: str, *, older_too: bool) -> dict[str, int]:
    """The consumed responses that may hold a newer value of a half-hour that a pending one holds: n_periods by id.

    With ``older_too`` all that may hold any value of it. (``where`` tells the pending ones.)
    """
    touching = "late.window_start <= rows.window_end AND late.window_end >= rows.window_start"
    newer = "" if older_too else " AND rows.ingestion_timestamp >= late.ingestion_timestamp"
    query = f"""
        WITH late AS (SELECT window_start, window_end, ingestion_timestamp FROM rows WHERE {where})
        SELECT DISTINCT rows.response_id, rows.n_periods FROM rows JOIN late ON {touching}{newer}
        WHERE NOT ({where}) ORDER BY rows.response_id"""  # noqa: S608 (our own names)
    found = delta_log.query_datafusion(query, rows=bronze)
    return dict(zip(*(found.column(name).to_pylist() for name in ("response_id", "n_periods")), strict=True))


def pending_periods(context: RunContext, *, full: bool) -> int:
    """How many half-hours the responses hold that Silver has yet to consume, or with ``full`` all; without Spark."""
    bronze, table, refusals = (context.snapshot(each) for each in (BRONZE, SILVER, QUARANTINE))
    cursor = None if full else watermarks.landing(context.store, table, bronze, refusals)
    late = bronze.rows(["n_periods"], None if cursor is None else f"landing > {cursor}")
    return sum(late.column("n_periods").to_pylist())


def ranges(landings: pa.Table) -> Iterator[tuple[int, int]]:
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


def listed(ids: Iterable[str]) -> str:
    """Texts as SQL lists them."""
    return ", ".join(repr(each) for each in ids)
