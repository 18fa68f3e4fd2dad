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

    ``lacking`` has an entry for every half-hour that Silver has in part: the regions that it lacks.
    """

    span: Span
    landing: int
    counts: bytes
    lacking: Mapping[datetime, frozenset[int]]

    def missing(self, slot: datetime) -> frozenset[int]:
        """The regions of a half-hour that Silver lacks."""
        if self.counts[(slot - self.span.start) // HALF_HOUR] == len(ALL):
            return frozenset()
        return self.lacking.get(slot, ALL)


def refined(settings: Settings, span: Span) -> Refined:
    """Read Silver's keys over a span; without a table it holds nothing."""
    counts = bytearray(len(span))
    lacking: dict[datetime, frozenset[int]] = {}
    silver = delta_log.open_table(settings.path(SILVER.path))
    if silver is None or not len(span):
        return Refined(span, 0, bytes(counts), {})
    said = commits.newest_data_commit(silver.newest_commits(), "silver")
    within = (pc.field("timestamp") >= span.start) & (pc.field("timestamp") < span.end)
    keys = silver.table.to_pyarrow_dataset().to_table(columns=["regionid", "timestamp"], filter=within)
    places = pc.divide(
        pc.subtract(keys.column("timestamp").cast(pa.int64()), (span.start - _EPOCH) // _MICROSECOND),
        _SLOT_MICROSECONDS,
    )
    keys = pa.table({"place": places, "regionid": keys.column("regionid")})
    counted = keys.group_by("place").aggregate([("regionid", "count")])
    for place, count in zip(*(column.to_pylist() for column in counted.columns), strict=True):
        counts[place] = count
    partial = counted.filter(pc.less(counted.column("regionid_count"), len(ALL))).column("place")
    some = keys.filter(pc.is_in(keys.column("place"), value_set=partial.combine_chunks()))
    for place, regionid in zip(*(column.to_pylist() for column in some.columns), strict=True):
        slot = span.start + place * HALF_HOUR
        lacking[slot] = lacking.get(slot, ALL) - {regionid}
    landing = said.landing if said is not None and said.landing is not None else 0
    return Refined(span, landing, bytes(counts), lacking)


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
