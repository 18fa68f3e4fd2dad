"""Ages against targets, the newest half-hour that answers held, and how complete the last days are."""

from datetime import date, timedelta

import pytest

from lakehouse.ingestion.coverage import FetchLog, LoggedFetch
from lakehouse.monitoring import freshness
from lakehouse.monitoring.freshness import Day, State
from lakehouse.windows import Span
from tests.support.times import at

HOUR = timedelta(hours=1)
NOW = at("2024-01-10T12:10")


@pytest.mark.parametrize(
    ("until", "age", "state"),
    [
        ("2024-01-10T12:00", timedelta(minutes=10), State.OK),
        ("2024-01-10T12:30", timedelta(0), State.OK),
        ("2024-01-10T11:10", HOUR, State.OK),
        ("2024-01-10T11:09", timedelta(minutes=61), State.LATE),
        ("2024-01-10T09:10", 3 * HOUR, State.LATE),
        ("2024-01-10T09:09", timedelta(minutes=181), State.BROKEN),
    ],
)
def test_judges_an_age_by_its_target(until: str, age: timedelta, state: State) -> None:
    (layer,) = freshness.judged({"silver": at(until)}, NOW, {"silver": (HOUR, 3 * HOUR)})
    assert (layer.age, layer.state) == (age, state)


def test_calls_a_layer_that_holds_nothing_broken_and_leaves_out_one_that_nobody_asks_for() -> None:
    targets = {"bronze": (HOUR, 3 * HOUR), "export": (HOUR, 3 * HOUR)}
    (layer,) = freshness.judged({"bronze": None}, NOW, targets)
    assert (layer.layer, layer.age, layer.state) == ("bronze", None, State.BROKEN)
    assert layer.describe() == "bronze holds nothing yet"


def test_says_an_age_and_the_target_that_it_breaks() -> None:
    late, broken = freshness.judged(
        {"silver": at("2024-01-10T10:05"), "gold": at("2024-01-07T08:10")},
        NOW,
        {"silver": (HOUR, 3 * HOUR), "gold": (HOUR, 3 * HOUR)},
    )
    newest = "its newest half-hour ended"
    assert late.describe() == f"silver is 2 h 05 min old ({newest} 2024-01-10T10:05Z); 1 h is the target"
    assert broken.describe() == f"gold is 3 d 4 h old ({newest} 2024-01-07T08:10Z); 3 h is the target"


def test_finds_the_newest_half_hour_that_an_answer_held_whatever_came_last() -> None:
    fetches = FetchLog.of(
        [
            LoggedFetch(Span(at("2024-01-01"), at("2024-01-01T03:00")), at("2024-01-05"), frozenset()),
            LoggedFetch(
                Span(at("2024-01-02"), at("2024-01-02T02:00")),
                at("2024-01-03"),
                frozenset({at("2024-01-02T01:30"), at("2024-01-02T01:00")}),
            ),
        ]
    )
    assert freshness.newest_held(fetches) == at("2024-01-02T01:00")


def test_finds_no_half_hour_where_answers_held_none() -> None:
    empty = LoggedFetch(Span(at("2024-01-01"), at("2024-01-01T00:30")), at("2024-01-02"), frozenset({at("2024-01-01")}))
    assert freshness.newest_held(FetchLog.of([empty])) is None
    assert freshness.newest_held(FetchLog()) is None


def test_expects_of_a_day_the_half_hours_that_have_ended_since_the_lake_began() -> None:
    rows = {date(2024, 1, 8): 400, date(2024, 1, 9): 864}
    assert freshness.last_days(rows, NOW, at("2024-01-08T12:00")) == [
        Day(date(2024, 1, 8), 400, 24 * 18),
        Day(date(2024, 1, 9), 864, 48 * 18),
        Day(date(2024, 1, 10), 0, 24 * 18),
    ]
    assert len(freshness.last_days(rows, NOW, at("2020-01-01"))) == 7
    assert freshness.last_days(rows, NOW, None) == []
    assert freshness.last_days(rows, at("2024-01-10T00:29"), at("2024-01-09"))[-1].day == date(2024, 1, 9)
    assert Day(date(2024, 1, 8), 108, 432).share == 0.25


def test_takes_a_gold_day_to_end_where_its_half_hours_would_if_none_were_missing_between() -> None:
    assert freshness.of_day(date(2024, 1, 8), [5, 7]) == at("2024-01-08T03:30")
    assert freshness.of_day(date(2024, 1, 8), [48]) == at("2024-01-09")


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "0 min"), (59, "59 min"), (60, "1 h"), (90, "1 h 30 min"), (2880, "2 d"), (4560, "3 d 4 h")],
)
def test_says_lengths_as_people_do(minutes: int, said: str) -> None:
    assert freshness.hours(timedelta(minutes=minutes)) == said
