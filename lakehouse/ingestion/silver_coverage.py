"""Which regions of which half-hours Silver holds, and which the quarantine: read column by column, without a JVM."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lakehouse.ingestion.bronze import start_of
from lakehouse.ingestion.coverage import FetchLog, coverage
from lakehouse.lake import delta_log, watermarks
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.pinned import Tables
from lakehouse.lake.regions import REGIONS
from lakehouse.lake.tables import BRONZE, QUARANTINE, SILVER
from lakehouse.windows import HALF_HOUR, Span, Window, number, slot

ALL = frozenset(region.regionid for region in REGIONS)
SLOT_SECONDS = int(HALF_HOUR.total_seconds())
RANGES = 10
"""Of times, in one query: DataFusion plans a thousand of them for a minute, and three thousand end the process."""


@dataclass(frozen=True)
class SilverCoverage:
    """Silver over a span. ``landing``: the last of Bronze that it contains, 0 when it cannot say.

    ``whole`` has a byte for each half-hour, 1 where Silver has all its regions; ``lacking`` an entry for every
    half-hour that Silver has in part: the regions that it lacks.
    """

    span: Span
    landing: int
    whole: bytes
    lacking: Mapping[datetime, frozenset[int]]

    def missing(self, among: Iterable[Span]) -> Iterator[tuple[datetime, frozenset[int]]]:
        """The half-hours of parts of the span of which Silver lacks regions, and these."""
        offset = number(self.span.start)
        for part in among:
            first, end = number(part.start) - offset, number(part.end) - offset
            place = self.whole.find(0, first, end)
            while place >= 0:
                missed = slot(offset + place)
                yield missed, self.lacking.get(missed, ALL)
                place = self.whole.find(0, place + 1, end)


def read(tables: Tables, span: Span) -> SilverCoverage:
    """Silver over a span; without a table, or where it has lost data files, it is said to hold nothing.

    Files say how many rows they have and from when to when. Silver has a key once, so where they have a row for each
    region of each half-hour between, nothing is missing; only the rows of the others are looked at.
    """
    silver = tables.open(SILVER)
    if silver is None or silver.lost_files or not len(span):
        return SilverCoverage(span, 0, bytes(len(span)), {})
    landing = _watermark(tables, silver)
    offset = number(span.start)
    whole = bytearray(len(span))
    unsure: list[tuple[int, int]] = []
    for stock in _stocks(silver, span):
        first, end = max(number(stock.first) - offset, 0), min(number(stock.last) - offset + 1, len(span))
        if first >= end:
            continue
        if stock.rows == len(ALL) * (number(stock.last) - number(stock.first) + 1):
            whole[first:end] = b"\1" * (end - first)
        else:
            unsure.append((offset + first, offset + end - 1))
    lacking: dict[datetime, frozenset[int]] = {}
    if unsure:
        counts, lacking = _counted(silver, _joined(unsure))
        for each, regions in counts:
            whole[each - offset] = regions == len(ALL)
    return SilverCoverage(span, landing, bytes(whole), lacking)


def _watermark(tables: Tables, silver: Snapshot) -> int:
    """The last landing that Silver would not look at again, 0 when it would look at all of them."""
    bronze, quarantine = tables.open(BRONZE), tables.open(QUARANTINE)
    if bronze is None or quarantine is None:
        return 0
    return watermarks.landing(tables, silver, bronze, quarantine, tables.runs) or 0


def half_hours_without_records(tables: Tables, span: Span, fetches: FetchLog) -> set[datetime]:
    """The half-hours of which imported answers are said to hold records, though Silver has found none to read.

    (What is imported today is looked at before it is received; older releases believed every ``from``.)
    """
    files = fetches.about(span).imported()
    if not len(files):
        return set()
    silver = read(tables, span)
    imported = coverage(span, files.up_to(silver.landing)).held()
    without = {slot for slot, missing in silver.missing(imported) if missing == ALL}
    if without:
        without -= {
            each.span.start for each in quarantined_records(tables) if each.is_placed and "readable" not in each.reasons
        }
    return without


def _counted(
    silver: Snapshot, ranges: Sequence[tuple[int, int]]
) -> tuple[Iterator[tuple[int, int]], dict[datetime, frozenset[int]]]:
    """Of the half-hours of some ranges how many regions each has, by its number; and what those in part lack."""
    within = " OR ".join(
        f"timestamp BETWEEN TIMESTAMP '{slot(first):%FT%TZ}' AND TIMESTAMP '{slot(last):%FT%TZ}'"
        for first, last in ranges
    )
    query = f"SELECT timestamp, count(*) AS n FROM rows WHERE {within} GROUP BY timestamp"  # noqa: S608 (our own names)
    numbered = f"SELECT CAST(to_unixtime(timestamp) AS BIGINT) / {SLOT_SECONDS} AS number, n FROM ({query})"  # noqa: S608 (our own names)
    found = delta_log.query_datafusion(numbered, rows=silver)
    counts = found["n"].to_pylist()
    lacking: dict[datetime, frozenset[int]] = {}
    if any(count < len(ALL) for count in counts):
        some = f"({within}) AND timestamp IN (SELECT timestamp FROM ({query}) WHERE n < {len(ALL)})"  # noqa: S608 (our own names)
        for row in silver.rows(SILVER.key, some).to_pylist():
            moment = row["timestamp"].astimezone(UTC)
            lacking[moment] = lacking.get(moment, ALL) - {row["regionid"]}
    return zip(found["number"].to_pylist(), counts, strict=True), lacking


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges as a few: the narrowest gaps between them are filled."""
    gaps = sorted(range(1, len(ranges)), key=lambda place: ranges[place - 1][1] - ranges[place][0])
    cuts = sorted(gaps[: RANGES - 1])
    return [(ranges[low][0], ranges[high - 1][1]) for low, high in zip([0, *cuts], [*cuts, len(ranges)], strict=True)]


@dataclass
class _Stock:
    """Adjacent files: the first and the last half-hour that they know, and their rows."""

    first: datetime
    last: datetime
    rows: int


def _stocks(silver: Snapshot, span: Span) -> list[_Stock]:
    """Its files as far as they have no half-hour in common with others; one for all of it if they do not say."""
    extents = silver.extents("timestamp")
    if extents is None:
        return [_Stock(span.start, span.end - HALF_HOUR, 0)]
    found: list[_Stock] = []
    for first, last, rows in sorted(extents):
        if found and first <= found[-1].last:
            found[-1].last = max(found[-1].last, last)
            found[-1].rows += rows
        else:
            found.append(_Stock(first, last, rows))
    return found


@dataclass(frozen=True)
class QuarantinedRecord:
    """A record in quarantine: where it stands as far as it can be told (None: in all), and the rules it broke."""

    span: Span
    regionid: int | None
    reasons: tuple[str, ...]
    is_placed: bool


def quarantined_records(tables: Tables) -> Iterator[QuarantinedRecord]:
    """The records in quarantine; one without a readable half-hour stands in all of its response's window."""
    quarantine = tables.open(QUARANTINE)
    rows = quarantine.rows(["response_id", "regionid", "period_from", "reasons"]).to_pylist() if quarantine else []
    windows = _windows(tables) if any(_slot(row["period_from"]) is None for row in rows) else {}
    for row in rows:
        slot = _slot(row["period_from"])
        span = windows.get(row["response_id"]) if slot is None else Span(slot, slot + HALF_HOUR)
        text = row["regionid"] or ""
        regionid = int(text) if text.isascii() and text.isdigit() else None
        if span is not None:
            yield QuarantinedRecord(span, regionid, tuple(row["reasons"]), is_placed=slot is not None)


def _windows(tables: Tables) -> dict[str, Span]:
    bronze = tables.open(BRONZE)
    rows = bronze.rows(["response_id", "window_start", "window_end"]).to_pylist() if bronze else []
    return {row["response_id"]: Window(row["window_start"], row["window_end"]).span() for row in rows}


def _slot(text: str | None) -> datetime | None:
    """A half-hour's start from the API's text, None if it is none."""
    slot = start_of(text)
    return slot if slot is not None and slot.minute % 30 == 0 else None
