"""Whatever the order and the batches in which answers come, Silver and Gold end the same: as a plain model says."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.ingestion.bronze import Response
from lakehouse.lake.tables import SILVER, Table
from lakehouse.transform.models import MODELS
from tests.support.lakes import HALF_HOUR, SOURCE, Lake, period, region, response, slot_text
from tests.support.times import at

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

FIRST = at("2024-01-01T22:30")
"""Half-hours on both sides of a midnight."""
RECEIVED = at("2024-01-03T00:00")
REGIONS = (12, 13)
FORECASTS = st.sampled_from([100, 101, 102, "n/a"])

half_hours = st.lists(st.tuples(st.integers(0, 5), FORECASTS, FORECASTS), min_size=1, max_size=4)
"""Periods of one answer, any of them twice: half-hour, a forecast for each region; "n/a" is refused."""
answers = st.tuples(half_hours, st.integers(0, 4), st.booleans())
"""Periods, minute of receipt, whether the window is wider than they are."""


@dataclass(frozen=True)
class Said:
    """One answer and what the model makes of it: (key, order, value) of every good piece."""

    response: Response
    good: tuple[tuple[tuple[int, int], tuple[Any, str, int], int], ...]


def said(answer: tuple[list[tuple[int, Any, Any]], int, bool], number: int) -> Said:
    rows, minute, is_wide = answer
    body = [
        period(
            FIRST + slot * HALF_HOUR, *(region(r, forecast) for r, forecast in zip(REGIONS, (one, two), strict=True))
        )
        for slot, one, two in rows
    ]
    ends = [FIRST + (slot + 1) * HALF_HOUR for slot, _, _ in rows]
    wide = (slot_text(min(ends) - HALF_HOUR)[:-1], slot_text(max(ends) + 2 * HALF_HOUR)[:-1])
    received = RECEIVED + timedelta(minutes=minute)
    # spaces keep the answers, and so their ids, apart
    made = response(body, received.isoformat()[:16], wide if is_wide else None, padding=number)
    good = []
    for place, (slot, *forecasts) in enumerate(rows):
        for nth, forecast in enumerate(forecasts):
            if forecast != "n/a":
                order = (received, made.response_id(SOURCE), place * 1000 + nth)
                good.append(((REGIONS[nth], slot), order, forecast))
    return Said(made, tuple(good))


def model(heard: Sequence[Said]) -> dict[tuple[int, int], int]:
    """A key's value is that of the newest good piece in all of Bronze."""
    newest: dict[tuple[int, int], tuple[Any, int]] = {}
    for each in heard:
        for key, order, value in each.good:
            if key not in newest or order > newest[key][0]:
                newest[key] = (order, value)
    return {key: value for key, (_, value) in newest.items()}


def values(lake: Lake, table: Table) -> list[tuple[Any, ...]]:
    return lake.rows(table, *(name for name in table.column_names if name not in table.provenance))


@given(
    answered=st.lists(answers, min_size=6, max_size=10),
    seed=st.integers(0, 2**16),
    batches=st.integers(2, 4),
)
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_ends_the_same_in_any_order_and_any_batches(
    empty_lake: Lake,
    tmp_path_factory: pytest.TempPathFactory,
    answered: list[tuple[list[tuple[int, Any, Any]], int, bool]],
    seed: int,
    batches: int,
) -> None:
    heard = [said(answer, number) for number, answer in enumerate(answered)]
    place: Path = tmp_path_factory.mktemp("order")
    shuffled = random.Random(seed)
    order = shuffled.sample(heard, len(heard))

    one = empty_lake.copy(place / "one")
    size = -(-len(order) // batches)
    for first in range(0, len(order), size):
        one.land(*(each.response for each in order[first : first + size]))
        one.silver()
        if shuffled.random() < 0.7:
            one.gold()
    one.derive()

    slots = {row[:2]: row[2] for row in one.rows(SILVER, "regionid", "timestamp", "intensity_forecast")}
    found = {(regionid, (moment - FIRST) // HALF_HOUR): value for (regionid, moment), value in slots.items()}
    assert found == model(heard)

    other = empty_lake.copy(place / "other")
    other.land(*(each.response for each in heard))
    other.derive()
    for table in (SILVER, *(model.table for model in MODELS)):
        assert values(one, table) == values(other, table)
    assert [report.version for report in one.derive(full=True)] == [None] * (1 + len(MODELS))
