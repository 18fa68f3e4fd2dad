"""The document of the benchmark: what a figure is held against."""

import pytest

from bench.daily import Days
from bench.document import PACE, Measured, written
from bench.tools import CASE_STUDY, OURS, Comparison, Timed


def of_new_day(row: list[str]) -> list[str]:
    (line,) = (line for line in row if line.startswith("| a new day"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize(
    ("years", "case_study", "cells"),
    [
        (3, PACE * 1.5, ["27.00", "27.00", "18.00", "<= 20: MISSED"]),
        (3, PACE / 1.5, ["27.00", "27.00", "40.50", "<= 20: MISSED"]),
        (1, PACE * 1.5, ["27.00", "27.00", "27.00", "<= 20: MISSED"]),  # what it takes for a year is no yardstick
    ],
)
def test_shows_the_pace_beside_and_judges_what_was_measured(years: int, case_study: float, cells: list[str]) -> None:
    times = {OURS: Timed([1.0], [1]), CASE_STUDY: Timed([case_study], [1])}
    compared = Comparison(1, 1.0, times, {"silver": 1, "gold": 1}, 0)
    looks = {"status": [0.1]}
    life = Days(new_day=[27.0], nothing_new=[1.0], looks=looks, libraries=[0.1])
    assert of_new_day(written([Measured(years, compared, life)], "")) == cells
