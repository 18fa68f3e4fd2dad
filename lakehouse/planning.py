"""What a run would fetch, told without fetching or a JVM."""

import asyncio
from datetime import datetime
from typing import Any

from lakehouse import delta_log, ingest
from lakehouse.api import Client, Source
from lakehouse.bronze import Reason
from lakehouse.pipeline import machine_clock, reasons_to_fetch, wanted_span
from lakehouse.settings import Settings
from lakehouse.tables import BRONZE
from lakehouse.windows import Span, Window, plan

BYTES_PER_HALF_HOUR = 7_000
"""A period of 18 regions, as JSON: 669,490 bytes hold 96."""
SECONDS_PER_HALF_HOUR = 0.0005
"""What the API is expected to take for each half-hour of an answer, beside the rate limit."""


def requests(
    settings: Settings, start: datetime | None, end: datetime | None, *, force: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per request that a run would make, with its reasons, and the totals.

    Asks the API for its clock if it is a simulator; asks nothing else and writes nothing.
    """
    known = ingest.held(delta_log.open_table(settings.path(BRONZE.path)))
    source = asyncio.run(_identify(settings))
    ingest.check_source(known, source.identity, settings.root)
    wanted = wanted_span(known, start, end, source.now, settings)
    reasons = reasons_to_fetch(wanted, known, source, settings, force=force)
    spans = [span for several in reasons.values() for span in several]
    rows = [_row(window, reasons) for window in plan(spans, settings.api.window_half_hours)]
    half_hours = sum(row["half_hours"] for row in rows)
    rate = settings.api.requests_per_second
    seconds = len(rows) / rate if rate else 0.0
    return rows, {
        "requests_count": len(rows),
        "half_hours": half_hours,
        "bytes": half_hours * BYTES_PER_HALF_HOUR,
        "seconds": round(seconds + half_hours * SECONDS_PER_HALF_HOUR, 1),
    }


def _row(window: Window, reasons: dict[Reason, list[Span]]) -> dict[str, Any]:
    span = window.span()
    why = [
        reason
        for reason, spans in reasons.items()
        if any(each.start < span.end and span.start < each.end for each in spans)
    ]
    return {
        "window_start": window.start,
        "window_end": window.end,
        "half_hours": len(span),
        "why": ", ".join(why),
    }


async def _identify(settings: Settings) -> Source:
    async with Client(settings.api, machine_clock) as client:
        return await client.identify()
