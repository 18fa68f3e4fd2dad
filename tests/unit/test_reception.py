"""When recorded files count as received: in path order, and never after the lake's clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lakehouse.errors import UsageError
from lakehouse.ingestion import file_source
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.ingestion.ingest import ReceivedAt
from lakehouse.ingestion.reception import received_at
from tests.support.times import at


def test_counts_files_as_received_in_path_order() -> None:
    moment, modified = at("2024-01-01"), at("2020-01-01")
    assert ReceivedAt(moment).of(0, modified) == moment
    assert ReceivedAt(moment).of(2, modified) == moment + timedelta(microseconds=2)
    assert ReceivedAt(None).of(2, modified) == modified + timedelta(microseconds=2)


def test_counts_no_file_as_received_after_the_lakes_clock() -> None:
    now = at("2024-01-05")
    by_file = ReceivedAt(None, now)
    assert by_file.of(1, at("2099-01-01")) == by_file.of(1, file_source.FOREVER) == now + timedelta(microseconds=1)
    assert (by_file.is_clamped(at("2099-01-01")), by_file.is_clamped(at("2020-01-01"))) == (True, False)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("2099-01-01", "2099-01-01T00:00:00Z is after the lake's clock, which says 2024-01-05T00:00:00Z"),
        ("2024-01-05T00:00:01", "is after the lake's clock"),
        ("9999-12-31", "is after the lake's clock"),
        ("1969-12-31", "1969-12-31T00:00:00Z is before 1970-01-01T00:00:00Z"),
        ("0001-01-01", "is before 1970-01-01T00:00:00Z"),
    ],
)
def test_refuses_a_time_of_reception_that_cannot_be(said: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"--received-at .*{why}"):
        received_at(at(said), FetchHistory(), at("2024-01-05"))


def test_goes_by_the_clock_of_a_simulated_lake() -> None:
    machine, clock, microsecond = at("2026-01-01"), at("2024-01-05"), timedelta(microseconds=1)
    lake = FetchHistory(source="simulator:seed=1", last_clock=clock, last_received=clock + 3 * microsecond)
    assert received_at(None, lake, machine) == ReceivedAt(clock + 4 * microsecond, clock)  # after the import before
    assert received_at(at("2024-01-04"), lake, machine).moment == at("2024-01-04")
    with pytest.raises(UsageError):
        received_at(at("2024-01-06"), lake, machine)
    assert received_at(None, replace(lake, last_received=machine), machine) == ReceivedAt(clock, clock)
    assert received_at(None, FetchHistory(), machine) == ReceivedAt(machine, machine)
    assert received_at(None, lake, machine, by_file=True) == ReceivedAt(None, clock)
