"""A stage says how far it is, in what people count, and reaches the end."""

from dataclasses import replace

import pytest

from lakehouse.transform import silver_job
from tests.support.lakes import Lake, periods, response
from tests.support.reports import Heard


def test_silver_counts_the_half_hours_that_it_has_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.transform.batch.PART_PERIODS", 3)
    for day in (1, 2, 3):
        lake.land(response(periods(f"2024-01-0{day}T00:00", [90, 91, 92]), "2024-01-05T00:00"))
    heard = Heard()
    silver_job.build_silver(replace(lake.context, on_progress=heard.progress))
    assert heard.of("silver: reads") == [(done, 9, "half-hour") for done in (0, 3, 6, 9)]
    assert heard.names == ["silver: reads", "silver: counts", "silver: writes"]
