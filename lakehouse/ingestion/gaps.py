"""Every missing half-hour of a range, as spans with their cause. Reads through delta-rs; no JVM, nothing asked."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from lakehouse.clock import machine_clock
from lakehouse.errors import UsageError
from lakehouse.ingestion import fetch_history, silver_coverage
from lakehouse.ingestion.bronze import AHEAD
from lakehouse.ingestion.coverage import Coverage, coverage
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.ingestion.planning import FIRST_LOAD, outside
from lakehouse.ingestion.silver_coverage import QuarantinedRecord, SilverCoverage
from lakehouse.lake import losses
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import SILVER
from lakehouse.settings import Settings
from lakehouse.windows import FIRST_SLOT, HALF_HOUR, Span, floor, joined, spans

log = logging.getLogger(__name__)

DATES_SHOWN = 3
"""Dates of answers named one by one; of more, the first and the last."""


class Cause(StrEnum):
    """Why a half-hour, or a region of it, is missing."""

    UPSTREAM_EMPTY = "upstream empty"
    FETCH_FAILED = "fetch failed"
    NOT_FETCHED = "not fetched yet"
    FUTURE = "in the future"
    REGION_MISSING = "region missing in the answer"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Gap:
    """Adjacent half-hours that are missing for one cause.

    ``regions`` are the missing ones, none where all are. ``detail`` is the last error or the rules broken;
    ``answered_at`` when the API answered without these half-hours, by the lake's clock.
    """

    span: Span
    cause: Cause
    regions: tuple[int, ...] = ()
    detail: str = ""
    answered_at: tuple[datetime, ...] = ()

    def row(self) -> dict[str, Any]:
        """The gap as ``gaps --json`` gives it; ``to`` is exclusive."""
        return {
            "from": self.span.start,
            "to": self.span.end,
            "half_hours": len(self.span),
            "cause": self.cause.value,
            "regions": list(self.regions),
            "detail": self.detail or _dates(self.answered_at),
            "answered_at": list(self.answered_at),
        }


@dataclass(frozen=True)
class GapReport:
    """The gaps of a range, ascending. ``unrefined``: responses in Bronze that Silver has not looked at yet."""

    span: Span
    gaps: tuple[Gap, ...]
    unrefined: int

    @property
    def half_hours(self) -> int:
        """Distinct half-hours that lack something."""
        return sum(map(len, joined(gap.span for gap in self.gaps)))


def find(settings: Settings, start: datetime | None, end: datetime | None) -> GapReport:
    """As :func:`of_tables`, of the lake as it is now."""
    return of_tables(Tables(settings.root).opened_once(), start, end, machine_clock())


def of_tables(
    tables: Tables,
    start: datetime | None,
    end: datetime | None,
    machine: datetime,
    known: FetchHistory | None = None,
) -> GapReport:
    """The gaps of ``[start, end)``; by default of the lake's range: from the oldest half-hour asked for to now.

    ``machine``: what the machine's clock says, or said when tables that are pinned were new; ``known``:
    what the tables say of their ingestion, where the caller has read it. A region of a half-hour
    can be told missing only where Silver has looked at the answer.

    Raises:
        UsageError: the range is empty.
        LossError: Silver has lost data files, so what is missing cannot be told.
    """
    if table := tables.open(SILVER):
        losses.check_files(table, SILVER, "run `lakehouse silver`, which builds the table anew from Bronze")
    known = known or fetch_history.of_tables(tables)
    now = known.now(machine)
    everything = _range(known, start, end, now)
    if note := outside(start, end, now):
        log.warning(note)
    # Half-hours after this are all alike, and there may be millions of them.
    span = everything.clip(everything.start, max(everything.start, floor(now) + AHEAD))
    silver = silver_coverage.read(tables, span)
    consumed = known.fetch_log.up_to(silver.landing)
    received = coverage(span, known.fetch_log)
    lacking = _lacking(received if consumed is known.fetch_log else coverage(span, consumed), silver)
    refused = list(silver_coverage.quarantined_records(tables)) if lacking else []
    gaps = [*_unanswered(received, known, silver, now), *_partial(lacking, refused)]
    gaps = sorted(_with_the_rest(gaps, Span(span.end, everything.end)), key=_order)
    return GapReport(everything, tuple(gaps), len(known.fetch_log.about(span)) - len(consumed.about(span)))


def _with_the_rest(gaps: list[Gap], later: Span) -> Iterator[Gap]:
    """The gaps, and one of the half-hours after them: a part of the last one where that is in the future, too."""
    for gap in gaps:
        if len(later) and (gap.span.end, gap.cause, gap.regions) == (later.start, Cause.FUTURE, ()):
            later = Span(gap.span.start, later.end)
        else:
            yield gap
    if len(later):
        yield Gap(later, Cause.FUTURE)


def _range(known: FetchHistory, start: datetime | None, end: datetime | None, now: datetime) -> Span:
    last = floor(now) if end is None else end
    if start is not None and start >= last:
        raise UsageError(
            f"The range begins at {start:%Y-%m-%dT%H:%MZ}, which is not before its end, {last:%Y-%m-%dT%H:%MZ}."
        )
    first = max(start or known.oldest(now) or floor(now).replace(hour=0, minute=0) - FIRST_LOAD, FIRST_SLOT)
    return Span(first, max(first, last))


def _unanswered(received: Coverage, known: FetchHistory, silver: SilverCoverage, now: datetime) -> Iterator[Gap]:
    """Half-hours that no answer on all regions held, unless Silver has their regions from answers on one each."""
    span = received.span
    errors = {slot: lost.error for lost in known.lost for slot in lost.span.clip(span.start, span.end).slots()}
    found: dict[tuple[Cause, tuple[int, ...], str], list[datetime]] = defaultdict(list)
    for is_answered, holes in ((True, received.lacked()), (False, received.never())):
        for slot, missing in silver.missing(holes):
            regions = _named(missing)
            if slot + HALF_HOUR > now:
                found[Cause.FUTURE, regions, ""].append(slot)
            elif is_answered:
                found[Cause.UPSTREAM_EMPTY, regions, ""].append(slot)
            elif slot in errors:
                found[Cause.FETCH_FAILED, regions, errors[slot]].append(slot)
            else:
                found[Cause.NOT_FETCHED, regions, ""].append(slot)
    for (cause, regions, detail), slots in found.items():
        for hole in spans(slots):
            answers = known.fetch_log.empty_fetches_of(hole) if cause is Cause.UPSTREAM_EMPTY else ()
            yield Gap(hole, cause, regions, detail, answers)


def _lacking(consumed: Coverage, silver: SilverCoverage) -> dict[datetime, frozenset[int]]:
    """The half-hours held by answers that Silver has looked at, with the regions that it lacks all the same."""
    return dict(silver.missing(consumed.held()))


def _partial(lacking: dict[datetime, frozenset[int]], refused: Sequence[QuarantinedRecord]) -> Iterator[Gap]:
    reasons: dict[tuple[datetime, int], set[str]] = defaultdict(set)
    for record in refused:
        for slot in record.span.slots():
            for regionid in lacking.get(slot, ()):
                if record.regionid in (None, regionid):
                    reasons[slot, regionid].update(record.reasons)
    found: dict[tuple[Cause, tuple[int, ...], str], list[datetime]] = defaultdict(list)
    for slot, missing in lacking.items():
        by_reason: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for regionid in missing:
            by_reason[tuple(sorted(reasons.get((slot, regionid), ())))].add(regionid)
        for why, regions in by_reason.items():
            cause = Cause.QUARANTINED if why else Cause.REGION_MISSING
            found[cause, _named(frozenset(regions)), ", ".join(why)].append(slot)
    for (cause, named, detail), slots in found.items():
        yield from (Gap(hole, cause, named, detail) for hole in spans(slots))


def _named(regions: frozenset[int]) -> tuple[int, ...]:
    return () if regions == silver_coverage.ALL else tuple(sorted(regions))


def _order(gap: Gap) -> tuple[Span, str, tuple[int, ...]]:
    return gap.span, gap.cause, gap.regions


def _dates(moments: Sequence[datetime]) -> str:
    """The days of answers, for a person."""
    days = sorted({f"{moment:%Y-%m-%d}" for moment in moments})
    if not days:
        return ""
    if len(days) <= DATES_SHOWN:
        return f"answered {', '.join(days)}"
    return f"answered on {len(days)} days, {days[0]} to {days[-1]}"
