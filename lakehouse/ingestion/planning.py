"""What a run would fetch, decided from what Bronze holds; told without fetching and without a JVM."""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from lakehouse.clock import machine_clock
from lakehouse.errors import UsageError
from lakehouse.ingestion import fetch_history, silver_coverage
from lakehouse.ingestion.bronze import PERIOD_FORM
from lakehouse.ingestion.coverage import CLOCK_TOLERANCE, Policy, Reason, to_fetch
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.ingestion.source import Source, check_source, simulator_here
from lakehouse.lake.pinned import Tables
from lakehouse.settings import Settings
from lakehouse.settings.sections import PUBLIC_API
from lakehouse.windows import FIRST_SLOT, HALF_HOUR, MICROSECOND, Span, Window, floor, micros, plan

log = logging.getLogger(__name__)

FIRST_LOAD = timedelta(days=7)
"""What an empty lake fetches when no range is given."""
BYTES_PER_HALF_HOUR = 7_000
"""A period of 18 regions, as JSON: 669,490 bytes hold 96."""
SECONDS_PER_REQUEST = 0.2
"""What an answer is expected to take from its request to its first byte; five are under way at once."""
BYTES_PER_SECOND = 5_000_000
"""What a household's line carries."""


def requests(
    settings: Settings, start: datetime | None, end: datetime | None, *, force: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per request that a run would make, with its reasons, and the totals.

    Asks the API for its clock unless it is the public one; asks nothing else and writes nothing.
    """
    known = fetch_history.read(settings)
    source = Source(PUBLIC_API, machine_clock()) if settings.api.is_public else _asked(settings)
    check_source(known.source, source.identity, settings.root)
    reasons = reasons_to_fetch(known, start, end, source, settings, force=force)
    rows = [_row(window, reasons) for window in windows_for(reasons, settings)]
    half_hours = sum(row["half_hours"] for row in rows)
    size = half_hours * BYTES_PER_HALF_HOUR
    return rows, {
        "requests_count": len(rows),
        "half_hours": half_hours,
        "bytes": size,
        "seconds": round(seconds(len(rows), size, settings), 1),
    }


def reasons_to_fetch(
    known: FetchHistory,
    start: datetime | None,
    end: datetime | None,
    source: Source,
    settings: Settings,
    *,
    force: bool,
) -> dict[Reason, list[Span]]:
    """What of ``[start, end)`` to ask for, and why; with ``force`` all that have ended.

    Without a start: from the oldest half-hour of the lake's range that is missing or may have changed; an empty
    lake: seven days ago. Without an end: to now.

    Raises:
        UsageError: the range is empty.
    """
    last = floor(source.now) if end is None else end
    _warn_of_receptions_ahead(known, source.now)
    oldest = known.oldest(source.now)
    if start is None and oldest is not None:
        due = _due(Span(oldest, max(oldest, last)), known, source, settings)
        if not force:
            return due
        first = min((span.start for spans in due.values() for span in spans), default=last)
    else:
        first = start if start is not None else floor(source.now).replace(hour=0, minute=0) - FIRST_LOAD
        if first >= last:
            raise UsageError(f"--from {first:%Y-%m-%dT%H:%MZ} is not before --to {last:%Y-%m-%dT%H:%MZ}.")
        first = max(first, FIRST_SLOT)
    if note := outside(start, end, source.now):
        log.warning(note)
        return {}
    wanted = Span(first, max(first, last))
    if not force:
        return _due(wanted, known, source, settings)
    ended = wanted.clip(first, max(first, floor(source.now)))
    return {Reason.FORCED: [ended]} if len(ended) else {}


def _warn_of_receptions_ahead(known: FetchHistory, now: datetime) -> None:
    """Say that the lake holds responses from after its clock, where it does."""
    if known.last_received is not None and known.last_received > now + CLOCK_TOLERANCE * MICROSECOND:
        log.warning(
            f"The lake holds responses that were received at {known.last_received:{PERIOD_FORM}}, after its clock "
            f"({now:{PERIOD_FORM}}): until then they count as newer than what is fetched."
        )


def _due(wanted: Span, known: FetchHistory, source: Source, settings: Settings) -> dict[Reason, list[Span]]:
    without = silver_coverage.half_hours_without_records(Tables(settings.root), wanted, known.fetch_log)
    received = known.fetch_log.without(without)
    received = received.as_of(micros(source.now) + CLOCK_TOLERANCE)
    return to_fetch(wanted, received, now=source.now, policy=policy(settings))


def outside(start: datetime | None, end: datetime | None, now: datetime) -> str | None:
    """What is to be said of a range in which there is nothing to ask for: it is not yet, or was before the API."""
    if end is not None and end <= FIRST_SLOT:
        return (
            f"The range ends before the API's first half-hour, {FIRST_SLOT:{PERIOD_FORM}}: there is nothing to ask for."
        )
    if start is not None and start + HALF_HOUR > now:
        return f"The range is in the future of the lake's clock ({now:{PERIOD_FORM}}): there is nothing to ask for yet."
    return None


def windows_for(reasons: Mapping[Reason, list[Span]], settings: Settings) -> list[Window]:
    """The requests for these half-hours, ascending."""
    return plan([span for spans in reasons.values() for span in spans], settings.api.window_half_hours)


def policy(settings: Settings) -> Policy:
    """When a half-hour is asked for again."""
    return Policy(
        timedelta(hours=settings.fetch.refetch_horizon_hours), timedelta(hours=settings.fetch.empty_retry_hours)
    )


def _row(window: Window, reasons: Mapping[Reason, list[Span]]) -> dict[str, Any]:
    span = window.span()
    why = [reason for reason, spans in reasons.items() if _touches(span, spans)]
    return {
        "window_start": window.start,
        "window_end": window.end,
        "half_hours": len(span),
        "why": ", ".join(why),
    }


def _touches(span: Span, spans: Sequence[Span]) -> bool:
    """Whether one of the spans, which ascend and do not overlap, shares a half-hour with the span."""
    place = bisect_right(spans, span.start, key=attrgetter("end"))
    return place < len(spans) and spans[place].start < span.end


def summed_up(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per run of requests that are made for the same reason; of the half-hours ``[from, to)``."""
    alike = (list(each) for _, each in groupby(rows, key=lambda row: row["why"]))
    return [
        {
            "requests": len(each),
            "from": _span(each[0]).start,
            "to": _span(each[-1]).end,
            "half_hours": sum(row["half_hours"] for row in each),
            "why": each[0]["why"],
        }
        for each in alike
    ]


def _span(row: Mapping[str, Any]) -> Span:
    return Window(row["window_start"], row["window_end"]).span()


def seconds(requests: int, size: int, settings: Settings) -> float:
    """What the slowest of rate limit, latency and line takes."""
    rate = settings.api.requests_per_second
    limited = requests / rate if rate else 0.0
    return max(limited, requests * SECONDS_PER_REQUEST / settings.api.concurrency, size / BYTES_PER_SECOND)


def _asked(settings: Settings) -> Source:
    if found := simulator_here(settings.api, machine_clock):
        return found
    from lakehouse.ingestion.api import Client

    async def asked() -> Source:
        async with Client(settings.api, machine_clock) as client:
            return await client.identify()

    return asyncio.run(asked())
