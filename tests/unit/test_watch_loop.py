"""The loop of `watch`, with a clock that moves only while it waits or runs, and runs that end as a test says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from lakehouse.errors import ExitCode, UsageError
from lakehouse.settings import Settings
from lakehouse.watching.condition import Condition
from lakehouse.watching.cycle import Cycle
from lakehouse.watching.loop import Watch
from tests.support.times import at

RUN_SECONDS = 4
OK = Cycle(ExitCode.OK, 1.0)


def failed(outcome: int, error: str = "it failed", *, has_lost_jvm: bool = False) -> Cycle:
    return Cycle(outcome, 1.0, error, has_lost_jvm=has_lost_jvm)


@dataclass
class World:
    """What a watch sees: the time, what its runs come to, and what it said."""

    ends: list[Cycle | type[BaseException]]
    now: datetime = field(default_factory=lambda: at("2024-01-05T12:00"))
    is_stopping: bool = False
    reload_at: datetime | None = None
    started: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.now += timedelta(seconds=seconds)

    def take_reload(self) -> bool:
        if self.reload_at is None or self.now < self.reload_at:
            return False
        self.reload_at = None
        return True

    def tell(self, *lines: str) -> None:
        self.told.extend(lines)

    def perform(self, settings: Settings, command: str, on_progress: Callable[[str], None]) -> Cycle:
        self.started.append((command, f"{self.now:%H:%M:%S}"))
        self.now += timedelta(seconds=RUN_SECONDS)
        if command == "maintain":
            return OK
        end = self.ends.pop(0)
        if isinstance(end, type):
            raise end
        if not self.ends:
            self.is_stopping = True
        return end


def watch(world: World, read: Callable[[], Settings] | None = None, **options: object) -> Watch:
    settings = Settings(watch={"jitter_seconds": 0, "maintain_hours": 0})
    condition = Condition(settings.watch, world.clock)
    return Watch(
        settings,
        condition,
        world,
        read or (lambda: settings),
        world.said.append,
        perform=world.perform,
        notifier=world,  # type: ignore[arg-type]  # all that is used of one
        clock=world.clock,
        chance=lambda: 0.0,
        **options,  # type: ignore[arg-type]  # by the tests below
    )


def test_runs_at_once_and_then_two_minutes_after_each_half_hour() -> None:
    world = World([OK] * 4)
    assert watch(world).run() == 0
    assert [time for _, time in world.started] == ["12:00:00", "12:02:00", "12:32:00", "13:02:00"]


def test_is_aligned_to_the_clock_of_the_api_not_to_its_own() -> None:
    ahead = at("2024-01-05T12:10:04")  # by ten minutes, as the first run finds when it ends
    world = World([Cycle(ExitCode.OK, 1.0, lake_clock=ahead), OK, OK])
    watch(world).run()
    assert [time for _, time in world.started] == ["12:00:00", "12:22:00", "12:52:00"]


def test_tries_an_api_that_is_down_more_and_more_rarely_and_is_in_step_again_afterwards() -> None:
    world = World([OK, OK, *[failed(ExitCode.UNAVAILABLE)] * 3, OK, OK])
    loop = watch(world)
    assert loop.run() == 0
    assert [time for _, time in world.started] == [
        *("12:00:00", "12:02:00", "12:32:00", "12:32:09", "12:32:23", "12:32:47"),
        "13:02:00",
    ]
    assert loop.condition.cycles == {ExitCode.OK: 4, ExitCode.UNAVAILABLE: 3}
    assert world.said == ["watch: ended with 4: it failed"] * 3


def test_waits_for_a_lock_and_counts_a_jvm_that_it_lost() -> None:
    world = World([failed(ExitCode.LOCKED), failed(ExitCode.FAILED, has_lost_jvm=True), OK])
    loop = watch(world)
    loop.run()
    assert [time for _, time in world.started] == ["12:00:00", "12:00:19", "12:00:33"]
    assert loop.condition.lost_jvms == 1


def test_goes_on_at_a_gate_but_ends_where_the_settings_are_wrong() -> None:
    world = World([OK, failed(ExitCode.QUALITY), failed(ExitCode.USAGE), OK])
    assert watch(world).run() == ExitCode.USAGE
    assert [time for _, time in world.started] == ["12:00:00", "12:02:00", "12:32:00"]


def test_ends_after_as_many_runs_as_were_asked_for_with_the_code_of_the_last() -> None:
    world = World([OK, failed(ExitCode.UNAVAILABLE), OK])
    assert watch(world).run(cycles=2) == ExitCode.UNAVAILABLE
    assert len(world.started) == 2


def test_ends_well_when_it_is_interrupted() -> None:
    world = World([OK, KeyboardInterrupt, OK])
    assert watch(world).run() == 0
    assert world.told[0] == "READY=1"
    assert world.told[-1] == "STOPPING=1"


def test_reads_settings_anew_and_runs_by_them_at_once() -> None:
    world = World([OK] * 4, reload_at=at("2024-01-05T12:10"))
    hourly = Settings(watch={"every_seconds": 3600, "delay_seconds": 0, "jitter_seconds": 0, "maintain_hours": 0})
    watch(world, lambda: hourly).run()
    assert [time for _, time in world.started] == ["12:00:00", "12:02:00", "12:10:04", "13:00:00"]


def test_keeps_the_settings_of_before_where_the_new_ones_are_wrong() -> None:
    def read() -> Settings:
        raise UsageError("The setting api.attempts is wrong.")

    world = World([OK] * 3, reload_at=at("2024-01-05T12:10"))
    watch(world, read).run()
    assert [time for _, time in world.started] == ["12:00:00", "12:02:00", "12:32:00"]
    assert world.said == ["watch: the settings of before stay: The setting api.attempts is wrong."]


@pytest.mark.parametrize(
    ("last", "is_due"), [(None, True), ("2024-01-04T12:00:04", True), ("2024-01-04T12:00:05", False)]
)
def test_maintains_the_lake_between_two_runs_when_a_day_has_passed(last: str | None, is_due: bool) -> None:
    world = World([OK, OK])
    loop = watch(world, maintained_at=lambda settings: at(last) if last else world.now)
    loop.settings = Settings(watch={"jitter_seconds": 0})
    if last is None:
        loop.maintained_at = lambda settings: None
    loop.run()
    assert ("maintain", "12:00:04") in world.started if is_due else "maintain" not in dict(world.started)


def test_feeds_the_watchdog_while_it_waits() -> None:
    world = World([OK, OK, OK])
    watch(world).run()
    assert world.told.count("WATCHDOG=1") >= 30 * 60 / 10


def test_is_healthy_while_something_is_done_and_ready_after_a_run_that_ended_well() -> None:
    world = World([])
    condition = Condition(Settings().watch, world.clock)
    assert (condition.stalled(), condition.unready()) == (None, "no run has ended well yet")
    condition.ended(ExitCode.OK, None)
    world.now += timedelta(seconds=3780)
    assert condition.stalled() == "no progress for 3780 s"
    assert condition.unready() is None
    condition.ended(ExitCode.UNAVAILABLE, "The API is down.")
    world.now += timedelta(seconds=1)
    assert condition.unready() == "no run has ended well for 3781 s: The API is down."
