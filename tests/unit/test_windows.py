"""Windows against the API's range rule, stated here a second time, in the API's own words and minutes."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakehouse.errors import UsageError
from lakehouse.windows import Span, Window, joined, parse_day, plan, spans
from tests.support.times import at

MINUTES_30 = timedelta(minutes=30)


def answered(window: Window) -> Iterator[datetime]:
    """Starts of the periods that the API returns: ``start <= to <= end``, and ``to`` in the year of ``start``."""
    moment = window.start.replace(minute=0)
    while moment <= window.end:
        if window.start <= moment <= window.end and moment.year == window.start.year:
            yield moment - MINUTES_30
        moment += MINUTES_30


half_hours = st.integers(min_value=0, max_value=48 * 366 * 12).map(lambda n: at("2018-05-10T23:30") + n * MINUTES_30)
lengths = st.integers(min_value=1, max_value=48 * 40)
longest_windows = st.sampled_from([1, 2, 3, 47, 48, 49, 336, 672, 673])


@given(half_hours, lengths, longest_windows)
@example(at("2024-12-31T23:30"), 1, 673)  # the half-hour that only a window of the new year returns
@example(at("2024-12-31T23:00"), 2, 673)
@example(at("2024-12-31T23:00"), 1, 673)
@example(at("2025-01-01T00:00"), 1, 673)
@example(at("2023-12-20T00:00"), 48 * 30, 673)
@example(at("2024-03-31T00:00"), 48, 48)  # clocks go forward: a UTC day has 48 half-hours all the same
@example(at("2024-10-27T00:00"), 48, 48)  # and back
@example(at("2018-05-10T23:30"), 1, 1)
def test_returns_exactly_the_wanted_slots_for_any_range(first: datetime, count: int, longest: int) -> None:
    windows = plan([Span(first, first + count * MINUTES_30)], longest)
    returned = [slot for window in windows for slot in answered(window)]
    assert returned == [first + number * MINUTES_30 for number in range(count)]  # ascending, each once
    assert all(window.start < window.end <= window.start + timedelta(days=14) for window in windows)


@given(half_hours, lengths, longest_windows)
def test_knows_what_each_window_returns(first: datetime, count: int, longest: int) -> None:
    for window in plan([Span(first, first + count * MINUTES_30)], longest):
        assert list(window.span().slots()) == list(answered(window))


@given(half_hours, st.integers(min_value=0, max_value=48 * 40 * 60 - 1))
def test_knows_what_any_window_returns_on_and_off_the_half_hour(first: datetime, minutes: int) -> None:
    window = Window(first + timedelta(minutes=minutes % 30), first + timedelta(minutes=minutes % 30 + minutes))
    assert list(window.span().slots()) == list(answered(window))


@given(half_hours, st.integers(min_value=2, max_value=673))
def test_halves_a_window_without_losing_a_slot(first: datetime, count: int) -> None:
    for window in plan([Span(first, first + count * MINUTES_30)]):
        if len(window.span()) < 2:
            continue
        one, two = window.halves()
        assert list(answered(one)) + list(answered(two)) == list(answered(window))
        assert abs(len(one.span()) - len(two.span())) <= 1


@given(st.lists(st.tuples(half_hours, st.integers(0, 100)), max_size=5))
def test_asks_no_slot_twice_when_spans_overlap(pairs: list[tuple[datetime, int]]) -> None:
    asked = [Span(first, first + count * MINUTES_30) for first, count in pairs]
    wanted = {first + number * MINUTES_30 for first, count in pairs for number in range(count)}
    assert [slot for window in plan(asked) for slot in answered(window)] == sorted(wanted)


def test_asks_for_three_years_in_82_requests() -> None:
    windows = plan([Span(at("2022-01-01T00:00"), at("2025-01-01T00:00"))])
    assert len(windows) == 82
    assert windows[0] == Window(at("2022-01-01T00:30"), at("2022-01-15T00:30"))
    assert windows[-1] == Window(at("2025-01-01T00:00"), at("2025-01-01T00:29"))


def test_asks_for_three_years_by_the_day_in_1097_requests() -> None:
    assert len(plan([Span(at("2022-01-01T00:00"), at("2025-01-01T00:00"))], 48)) == 1097


def test_cuts_at_new_year() -> None:
    assert plan([Span(at("2024-12-31T22:30"), at("2025-01-01T01:00"))]) == [
        Window(at("2024-12-31T23:00"), at("2024-12-31T23:30")),
        Window(at("2025-01-01T00:00"), at("2025-01-01T01:00")),
    ]


def test_joins_spans_that_touch() -> None:
    touching = [
        Span(at("2024-01-02T00:00"), at("2024-01-02T01:00")),
        Span(at("2024-01-01T23:00"), at("2024-01-02T00:00")),
    ]
    assert joined(touching) == [Span(at("2024-01-01T23:00"), at("2024-01-02T01:00"))]
    assert plan(touching) == [Window(at("2024-01-01T23:30"), at("2024-01-02T01:00"))]


def test_gives_slots_as_the_fewest_spans() -> None:
    slots = [at("2024-01-01T01:00"), at("2024-01-01T00:00"), at("2024-01-01T00:30"), at("2024-01-01T02:00")]
    assert spans([*slots, slots[0]]) == [
        Span(at("2024-01-01T00:00"), at("2024-01-01T01:30")),
        Span(at("2024-01-01T02:00"), at("2024-01-01T02:30")),
    ]


@pytest.mark.parametrize("longest", [0, 674])
def test_refuses_a_length_that_the_api_does_not_answer(longest: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 673 half-hours, not {longest}"):
        plan([Span(at("2024-01-01T00:00"), at("2024-01-02T00:00"))], longest)


def test_refuses_a_span_off_the_grid() -> None:
    with pytest.raises(UsageError, match="2024-01-01T00:10:00Z is not on the half-hour grid"):
        Span(at("2024-01-01T00:10"), at("2024-01-02T00:00"))


@pytest.mark.parametrize(
    ("text", "moment"), [("2024-02-29", at("2024-02-29T00:00")), ("2024-02-29T12:30Z", at("2024-02-29T12:30"))]
)
def test_reads_days_and_half_hours(text: str, moment: datetime) -> None:
    assert parse_day(text, "--from") == moment


@pytest.mark.parametrize("text", ["2023-02-29", "29.2.2024", "2024-02-29T12:10Z", "2024-02-29T12:30+01:00", ""])
def test_refuses_other_texts_as_days(text: str) -> None:
    with pytest.raises(UsageError, match="--to is"):
        parse_day(text, "--to")
