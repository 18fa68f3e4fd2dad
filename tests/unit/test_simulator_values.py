"""The simulated grid: deterministic, plausible, revised for three days and then settled for ever."""

import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from lakehouse.simulator.answers import CarbonIntensityApi, snapshot_of
from lakehouse.simulator.calendar import slot_at
from lakehouse.simulator.values import Grid, Reading

SETTLED = 144
MEMBERS = {15: [3, 4, 5, 8, 9, 10, 11, 12, 13, 14], 16: [1, 2], 17: [6, 7], 18: list(range(1, 15))}
BIOMASS, COAL, IMPORTS, GAS, SOLAR, WIND = 0, 1, 2, 3, 7, 8


def slot(text: str) -> int:
    return slot_at(datetime.fromisoformat(text).replace(tzinfo=UTC))


def every_13th_slot(first: str, count: int) -> list[list[Reading]]:
    grid = Grid(42)
    return [grid.readings(slot(first) + 13 * step, SETTLED) for step in range(count)]


def test_gives_the_same_values_to_a_new_grid_of_the_same_seed_in_any_order() -> None:
    one, other = Grid(42), Grid(42)
    slots = [slot("2024-01-05T00:00"), slot("2022-06-30T12:30"), slot("2024-01-05T00:30")]
    forwards = [one.readings(number, SETTLED) for number in slots]
    backwards = [other.readings(number, SETTLED) for number in reversed(slots)]
    assert forwards == backwards[::-1]


def test_keeps_seed_42s_values_over_releases_of_the_simulator() -> None:
    """Literal values: whoever changes them changes every lake filled from a simulator."""
    found = Grid(42).readings(slot("2024-01-05T12:00"), SETTLED)
    assert [(number, found[number - 1].forecast, list(found[number - 1].tenths)) for number in (1, 13, 18)] == [
        (1, 66, [0, 0, 0, 167, 0, 2, 237, 3, 592]),
        (13, 335, [8, 0, 316, 644, 12, 3, 0, 9, 8]),
        (18, 266, [36, 2, 67, 617, 102, 2, 13, 34, 128]),
    ]


def test_gives_other_values_to_another_seed() -> None:
    number = slot("2024-01-05T12:00")
    ours, others = Grid(42).readings(number, SETTLED), Grid(43).readings(number, SETTLED)
    assert sum(one != other for one, other in zip(ours, others, strict=True)) >= 17


def test_adds_up_to_exactly_100_before_2020_02() -> None:
    sums = {sum(one.tenths) for readings in every_13th_slot("2019-06-01T00:00", 800) for one in readings}
    assert sums == {1000}
    assert {sum(one.tenths) for one in Grid(42).readings(slot("2020-01-31T23:30"), SETTLED)} == {1000}


def test_adds_up_to_between_99_8_and_100_2_from_2020_02() -> None:
    sums = {sum(one.tenths) for readings in every_13th_slot("2020-02-01T00:00", 1500) for one in readings}
    assert sums == {998, 999, 1000, 1001, 1002}


def test_stays_within_the_recorded_ranges() -> None:
    readings = [one for found in every_13th_slot("2018-05-11T00:00", 4000) for one in found]
    assert min(one.forecast for one in readings) == 0
    assert 400 < max(one.forecast for one in readings) <= 780
    assert all(0 <= tenths <= 1000 for one in readings for tenths in one.tenths)


def test_gives_north_scotland_many_zeros_and_south_wales_none() -> None:
    found = every_13th_slot("2022-01-01T00:00", 1000)
    assert sum(readings[0].forecast == 0 for readings in found) > 300
    assert sum(readings[6].forecast == 0 for readings in found) == 0


def test_follows_the_fitted_formula_with_one_factor_of_imports_a_day() -> None:
    factors = set()
    for day in range(60):
        readings = Grid(42).readings(slot("2022-01-01T12:00") + 48 * day, SETTLED)
        estimates = []
        for one in readings:
            mix = one.tenths
            rest = one.forecast - 0.12 * mix[BIOMASS] - 0.937 * mix[COAL] - 0.394 * mix[GAS]
            if mix[IMPORTS] == 0:
                assert abs(rest) <= 0.5
            if mix[IMPORTS] > 200:
                estimates.append(rest / mix[IMPORTS] * 10)
        if estimates:
            assert max(estimates) - min(estimates) < 0.05
            assert 0.15 < min(estimates) < 4.75
            factors.add(round(min(estimates), 1))
    assert len(factors) > 15


def test_keeps_the_sun_down_at_night_and_up_at_noon() -> None:
    grid = Grid(42)
    for midnight in (slot("2024-06-21T00:00"), slot("2024-12-21T00:00"), slot("2022-03-20T00:00")):
        night = [grid.readings(midnight + half, SETTLED) for half in (0, 1, 2, 3, 4, 46, 47)]
        assert {one.tenths[SOLAR] for readings in night for one in readings} == {0}
        assert all(one.tenths[SOLAR] > 0 for one in grid.readings(midnight + 24, SETTLED)[2:15])


def test_gives_more_sun_in_june_than_in_december() -> None:
    grid = Grid(42)

    def hours_of_sun(midnight: int) -> float:
        return sum(grid.readings(midnight + half, SETTLED)[11].tenths[SOLAR] > 0 for half in range(48)) / 2

    assert 15 <= hours_of_sun(slot("2024-06-21T00:00")) <= 17
    assert 6.5 <= hours_of_sun(slot("2024-12-21T00:00")) <= 8.5


def test_lets_the_wind_change_smoothly() -> None:
    """Great Britain's share of wind moves little in half an hour, also over midnight."""
    grid = Grid(42)
    wind = [grid.readings(slot("2024-01-05T00:00") + half, SETTLED)[17].tenths[WIND] for half in range(48 * 10)]
    steps = [abs(after - before) for before, after in pairwise(wind)]
    assert max(steps) < 60
    assert max(wind) - min(wind) > 250


def test_makes_nations_means_of_their_members() -> None:
    for readings in every_13th_slot("2023-01-01T00:00", 300):
        for nation, members in (
            (15, (3, 4, 5, 8, 9, 10, 11, 12, 13, 14)),
            (16, (1, 2)),
            (17, (6, 7)),
            (18, range(1, 15)),
        ):
            for fuel in range(9):
                shares = [readings[member - 1].tenths[fuel] for member in members]
                assert min(shares) - 3 <= readings[nation - 1].tenths[fuel] <= max(shares) + 3


def test_weighs_scotland_by_the_demand_of_its_members() -> None:
    """North Scotland 30, South Scotland 55 thousandths of GB's demand."""
    readings = Grid(42).readings(slot("2024-01-05T12:00"), SETTLED)
    north, south, scotland = readings[0].tenths, readings[1].tenths, readings[15].tenths
    assert all(abs((30 * n + 55 * s) / 85 - part) <= 2.6 for n, s, part in zip(north, south, scotland, strict=True))


# --- revisions


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-01-03T11:59", 0),
        ("2024-01-03T12:00", 0),
        ("2024-01-03T12:30", 1),
        ("2024-01-05T12:00", 96),
        ("2024-01-06T11:59", 143),
        ("2024-01-06T12:00", 144),
        ("2030-01-01T00:00", 144),
    ],
)
def test_counts_snapshots_from_48_hours_before_to_24_hours_after(now: str, expected: int) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert snapshot_of(slot("2024-01-05T12:00"), now=moment) == expected


def test_revises_about_forty_percent_of_the_values_at_each_snapshot() -> None:
    grid = Grid(42)
    changed = total = 0
    for number in range(slot("2024-01-05T00:00"), slot("2024-01-07T00:00"), 3):
        for snapshot in range(0, SETTLED, 5):
            before, after = grid.readings(number, snapshot), grid.readings(number, snapshot + 1)
            changed += sum(old != new for old, new in zip(before, after, strict=True))
            total += 18
    assert 0.35 < changed / total < 0.45


def test_revises_while_the_clock_runs_and_settles_a_day_later() -> None:
    api = CarbonIntensityApi(42)
    path = "/regional/intensity/2024-01-05T12:30Z/2024-01-05T12:30Z"

    def at(now: str) -> str:
        moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
        return "".join(api.answer(path, now=moment).pieces)

    bodies = [at("2024-01-03T12:30"), at("2024-01-04T12:30"), at("2024-01-05T12:30"), at("2024-01-06T00:00")]
    assert len(set(bodies)) == 4
    assert at("2024-01-05T12:30") == at("2024-01-05T12:59")
    settled = at("2024-01-06T12:00")
    assert settled != bodies[-1]
    assert settled == at("2024-01-06T12:30") == at("2024-02-01T00:00") == at("2026-01-01T00:00")
    assert at("2024-01-04T12:30") == bodies[1]


def test_revises_by_little() -> None:
    grid = Grid(42)
    number = slot("2024-01-05T12:00")
    for before, after in ((0, 144), (96, 144), (10, 11)):
        pairs = zip(grid.readings(number, before), grid.readings(number, after), strict=True)
        assert all(abs(old.forecast - new.forecast) < 60 for old, new in pairs)


def test_makes_two_weeks_in_well_under_a_second() -> None:
    """Three years are 79 such windows and have to come in under a minute of one core: 0.76 s each."""
    api = CarbonIntensityApi(7)
    started = time.process_time()
    body = "".join(api.answer("/regional/intensity/2024-02-01/2024-02-15", now=datetime.now(UTC)).pieces)
    assert time.process_time() - started < 0.76
    assert len(body) > 4_500_000
