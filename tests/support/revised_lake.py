"""A lake with a history for the tests of releases, explanations and restores: two runs, a revision, holes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.pipeline import Run
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from tests.support.lakes import Lake, period, periods, region, response
from tests.support.made_once import made_once

DERIVED = ("silver", "gold")


def derived(settings: Settings, command: str = "run", wanted: tuple[str, ...] = DERIVED) -> RunReport:
    """One run that derives, recorded as the product records it."""
    run = Run(settings, command)
    with run.recorded():
        run.transform(wanted)
    return run.report


@pytest.fixture(scope="session")
def revised_once(
    empty_lake: Lake,
    tmp_path_factory: pytest.TempPathFactory,
    settings_of: Callable[[str], Settings],
) -> Lake:
    """Two regions on 2024-01-01, of which the API lacks 02:00; one piece refused at 01:30; then 00:30 revised.

    Lake version 1: Silver, Gold and regions 1. Lake version 2: Silver and Gold 2, London's 00:30 at 150, its
    00:00 confirmed. Only copied.
    """

    def make(root: Path) -> None:
        made, settings = empty_lake.copy(root), settings_of(str(root))
        slots = periods("2024-01-01T00:00", [100, 101, 103])
        odd = period("2024-01-01T01:30", region(12), region(13, "n/a"))
        made.land(response([*slots, odd], "2024-01-01T03:00", window=("2024-01-01T00:30", "2024-01-01T02:30")))
        assert derived(settings).lake_version == 1
        made.land(response(periods("2024-01-01T00:00", [100, 150], [13]), "2024-01-02T00:00"))
        assert derived(settings).lake_version == 2

    return empty_lake.at(made_once(tmp_path_factory, "revised", make))
