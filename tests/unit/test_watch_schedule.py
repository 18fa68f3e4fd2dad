"""When `watch` runs: aligned to the API's clock, once after a miss, sooner after a failure."""

from datetime import datetime, timedelta

import pytest

from lakehouse.errors import ExitCode
from lakehouse.settings.sections import WatchSettings
from lakehouse.watching.schedule import Schedule, wait_after
from tests.support.times import at

HALF_HOURLY = Schedule(timedelta(minutes=30), timedelta(minutes=2), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("last", "now", "chance", "due"),
    [
        ("2024-01-05T12:02", "2024-01-05T12:03", 0.0, "2024-01-05T12:32"),
        ("2024-01-05T12:02", "2024-01-05T12:03", 0.5, "2024-01-05T12:32:30"),
        ("2024-01-05T12:01", "2024-01-05T12:01:30", 0.0, "2024-01-05T12:02"),  # begun before 12:00 was published
        ("2024-01-05T12:02", "2024-01-05T12:32", 0.0, "2024-01-05T12:32"),
        ("2024-01-05T12:02", "2024-01-05T17:45", 0.9, "2024-01-05T17:45"),  # slots were missed: once, at once
        ("2024-01-05T17:45", "2024-01-05T17:46", 0.0, "2024-01-05T18:02"),  # and then in step again
        ("2023-12-31T23:59", "2024-01-01T00:00", 0.0, "2024-01-01T00:02"),
    ],
)
def test_is_due_after_the_next_half_hour_that_is_not_covered(last: str, now: str, chance: float, due: str) -> None:
    assert HALF_HOURLY.due(at(last), at(now), chance) == at(due)


def test_never_runs_twice_in_a_slot_however_chance_falls() -> None:
    now = at("2024-01-05T12:00")
    started: list[datetime] = []
    last = now
    for number in range(20):
        last = now = HALF_HOURLY.due(last, now, (0.99, 0.0, 0.5)[number % 3])
        started.append(now)
        now += timedelta(seconds=4)
    slots = [moment.replace(minute=moment.minute // 30 * 30, second=0, microsecond=0) for moment in started]
    assert slots == [at("2024-01-05T12:00") + number * timedelta(minutes=30) for number in range(20)]


def test_leaves_a_fifteenth_and_a_thirtieth_of_the_interval_unless_told() -> None:
    assert Schedule.of(WatchSettings()) == HALF_HOURLY
    ten_seconds = Schedule.of(WatchSettings(every_seconds=15, jitter_seconds=0))
    assert ten_seconds == Schedule(timedelta(seconds=15), timedelta(seconds=1), timedelta(0))


def test_refuses_a_delay_that_reaches_into_the_next_slot() -> None:
    with pytest.raises(ValueError, match=r"are 60 together, which is not less than watch\.every_seconds, 60"):
        WatchSettings(every_seconds=60, delay_seconds=50, jitter_seconds=10)


def test_tries_again_sooner_after_a_failure_and_less_and_less_often() -> None:
    waits = [wait_after(ExitCode.UNAVAILABLE, failures) for failures in range(1, 9)]
    assert [wait.total_seconds() for wait in waits if wait] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert wait_after(ExitCode.FAILED, 10_000) == timedelta(seconds=300)


def test_waits_a_while_for_a_lake_that_somebody_else_writes_and_for_a_gate_until_the_next_slot() -> None:
    assert [wait_after(ExitCode.LOCKED, failures) for failures in (1, 9)] == [timedelta(seconds=15)] * 2
    assert wait_after(ExitCode.QUALITY, 1) is None
    assert wait_after(ExitCode.OK, 0) is None
