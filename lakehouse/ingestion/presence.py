"""Which regions of which half-hours Silver holds, and which the quarantine: read column by column, without a JVM."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.lake import commits, delta_log
from lakehouse.lake.tables import BRONZE, QUARANTINE, REGIONS, SILVER
from lakehouse.settings import Settings
from lakehouse.windows import HALF_HOUR, Span, Window

ALL = frozenset(region.regionid for region in REGIONS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = HALF_HOUR.resolution
_SLOT_MICROSECONDS = HALF_HOUR // _MICROSECOND


@dataclass(frozen=True)
class Refined:
    """Silver over a span. ``landing``: the last of Bronze that it contains, 0 when it cannot say.

    ``whole`` has a byte for each half-hour, 1 where Silver has all its regions; ``lacking`` an entry for every
    half-hour that Silver has in part: the regions that it lacks.
    """

    span: Span
    landing: int
    whole: bytes
    lacking: Mapping[datetime, frozenset[int]]

    def missing(self, span: Span) -> Iterator[tuple[datetime, frozenset[int]]]:
        """The half-hours of a part of the span of which Silver lacks regions, and these."""
        first, end = ((moment - self.span.start) // HALF_HOUR for moment in (span.start, span.end))
        place = self.whole.find(0, first, end)
        while place >= 0:
            slot = self.span.start + place * HALF_HOUR
            yield slot, self.lacking.get(slot, ALL)
            place = self.whole.find(0, place + 1, end)


def refined(settings: Settings, span: Span) -> Refined:
    """Read Silver's keys over a span; without a table it holds nothing."""
    silver = delta_log.open_table(settings.path(SILVER.path))
    if silver is None or not len(span):
        return Refined(span, 0, bytes(len(span)), {})
    said = commits.newest_data_commit(silver.newest_commits(), "silver")
    within = f"timestamp >= TIMESTAMP '{span.start:%FT%TZ}' AND timestamp < TIMESTAMP '{span.end:%FT%TZ}'"
    query = f"SELECT timestamp, count(*) AS n FROM rows WHERE {within} GROUP BY timestamp"  # noqa: S608 (our own names)
    counted = delta_log.asked(query, rows=silver)
    is_whole = pc.equal(counted["n"], len(ALL))
    moments = counted["timestamp"].filter(is_whole).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    first, last = (int((moment - _EPOCH) / _MICROSECOND) for moment in (span.start, span.end))
    slots = pa.array(range(first, last, _SLOT_MICROSECONDS), pa.int64())
    whole = pc.is_in(slots, value_set=moments.combine_chunks()).cast(pa.uint8())
    lacking: dict[datetime, frozenset[int]] = {}
    if pc.any(pc.invert(is_whole)).as_py():
        some = f"{within} AND timestamp IN (SELECT timestamp FROM ({query}) WHERE n < {len(ALL)})"  # noqa: S608 (our own names)
        keys = silver.rows(SILVER.key, some)
        for row in keys.to_pylist():
            slot = row["timestamp"].astimezone(UTC)
            lacking[slot] = lacking.get(slot, ALL) - {row["regionid"]}
    landing = said.landing if said is not None and said.landing is not None else 0
    return Refined(span, landing, bytes(whole.to_pylist()), lacking)


@dataclass(frozen=True)
class Refused:
    """A piece in quarantine: where it stands as far as it can be told (None: in all), and the rules it broke."""

    span: Span
    regionid: int | None
    reasons: tuple[str, ...]


def refused(settings: Settings) -> Iterator[Refused]:
    """The pieces in quarantine; one without a readable half-hour stands in all of its response's window."""
    quarantine = delta_log.open_table(settings.path(QUARANTINE.path))
    rows = quarantine.rows(["response_id", "regionid", "period_from", "reasons"]).to_pylist() if quarantine else []
    windows = _windows(settings) if any(_slot(row["period_from"]) is None for row in rows) else {}
    for row in rows:
        slot = _slot(row["period_from"])
        span = windows.get(row["response_id"]) if slot is None else Span(slot, slot + HALF_HOUR)
        text = row["regionid"] or ""
        regionid = int(text) if text.isascii() and text.isdigit() else None
        if span is not None:
            yield Refused(span, regionid, tuple(row["reasons"]))


def _windows(settings: Settings) -> dict[str, Span]:
    bronze = delta_log.open_table(settings.path(BRONZE.path))
    rows = bronze.rows(["response_id", "window_start", "window_end"]).to_pylist() if bronze else []
    return {row["response_id"]: Window(row["window_start"], row["window_end"]).span() for row in rows}


def _slot(text: str | None) -> datetime | None:
    """A half-hour's start from the API's text, None if it is none."""
    try:
        slot = datetime.strptime(text or "", "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return slot if slot.minute % 30 == 0 else None
