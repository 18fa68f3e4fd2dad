"""From the API's first half-hour on: what is missing afterwards is what does not exist, to the half-hour."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from lakehouse.ingestion import gaps
from lakehouse.ingestion.bronze import PayloadSummary, Response
from lakehouse.ingestion.ingest import ARROW
from lakehouse.lake.commits import Commit
from lakehouse.settings import Settings
from lakehouse.simulator.answers import slots_in
from lakehouse.windows import Span, plan
from tests.support.lake_rows import quick_append
from tests.support.times import at

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def test_misses_no_half_hour_of_eight_years(settings_for: Callable[..., Settings], lake_root: str) -> None:
    """The windows are asked of the API's range rule, bodies are not made."""
    lake = settings_for(lake_root)
    windows = list(plan([Span(at("2018-05-10T23:30"), at("2026-01-01"))]))
    assert len(windows) == 207
    rows = []
    for window in windows:
        held = [EPOCH + timedelta(minutes=30 * slot) for slot in slots_in(window.start, window.end, now=NOW)]
        response = Response(b"{}", window, NOW, PayloadSummary(tuple(held), None))
        rows.append(response.row(source="simulator:seed=42", landing=1, run_id="r"))
    assert sum(row["n_periods"] for row in rows) == 134_017 - 344
    quick_append(lake)(pa.Table.from_pylist(rows, ARROW), Commit("bronze", "r", "1", "h"))

    found = gaps.find(lake, at("2018-05-10"), at("2026-01-01"))
    assert found.span == Span(at("2018-05-10T23:30"), at("2026-01-01"))
    assert [(gap.span, gap.cause.value) for gap in found.gaps] == [
        (Span(at("2018-07-13T01:30"), at("2018-07-16T01:30")), "upstream empty"),
        (Span(at("2018-08-03T23:30"), at("2018-08-05T23:30")), "upstream empty"),
        (Span(at("2023-10-20T22:00"), at("2023-10-22T15:00")), "upstream empty"),
        (Span(at("2024-06-11T23:00"), at("2024-06-12T10:00")), "upstream empty"),
    ]
    assert found.half_hours == 144 + 96 + 82 + 22
