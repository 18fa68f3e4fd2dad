"""What answers received say of each half-hour, and what to ask for therefore."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ingestion.coverage import FetchLog, LoggedFetch, Policy, Reason, coverage, to_fetch
from lakehouse.windows import Span
from tests.support.times import at

POLICY = Policy(refetch_horizon=timedelta(hours=48), empty_retry=timedelta(hours=24))
DAY = Span(at("2024-01-01T00:00"), at("2024-01-02T00:00"))


def due(wanted: Span, *receipts: LoggedFetch, now: str) -> dict[str, list[tuple[str, str]]]:
    found = to_fetch(wanted, FetchLog.of(receipts), now=at(now), policy=POLICY)
    return {
        reason.value: [(f"{span.start:%d %H:%M}", f"{span.end:%d %H:%M}") for span in spans]
        for reason, spans in found.items()
    }


def test_asks_for_what_was_never_received() -> None:
    half = LoggedFetch(Span(at("2024-01-01T00:00"), at("2024-01-01T12:00")), at("2024-01-05T00:00"))
    assert due(DAY, now="2024-01-06T00:00") == {"new": [("01 00:00", "02 00:00")]}
    assert due(DAY, half, now="2024-01-06T00:00") == {"new": [("01 12:00", "02 00:00")]}


def test_asks_for_nothing_that_has_not_ended() -> None:
    assert due(DAY, now="2024-01-01T01:29") == {"new": [("01 00:00", "01 01:00")]}
    assert due(DAY, now="2023-12-31T12:00") == {}


def test_asks_again_for_half_hours_received_young() -> None:
    received = LoggedFetch(
        DAY, at("2024-01-03T06:00")
    )  # those that ended after the 1st at 06:00 were younger than 48 h
    assert due(DAY, received, now="2024-01-09T00:00") == {"may have changed": [("01 06:00", "02 00:00")]}


def test_asks_for_nothing_again_at_the_same_moment() -> None:
    received = LoggedFetch(DAY, at("2024-01-02T00:00"))
    assert due(DAY, received, now="2024-01-02T00:00") == {}


def test_goes_by_the_newest_receipt() -> None:
    young, old = LoggedFetch(DAY, at("2024-01-02T00:00")), LoggedFetch(DAY, at("2024-01-08T00:00"))
    assert due(DAY, old, young, now="2024-01-09T00:00") == {}


HOLE = frozenset({at("2024-01-01T03:00"), at("2024-01-01T03:30")})


@pytest.mark.parametrize(
    ("received", "now", "asked"),
    [
        ("2024-01-02T00:00", "2024-01-02T00:30", True),  # younger than the horizon: every time
        ("2024-01-08T00:00", "2024-01-08T23:59", False),  # older: once a day at most
        ("2024-01-08T00:00", "2024-01-09T00:00", True),
    ],
)
def test_asks_again_after_an_empty_answer_by_policy(received: str, now: str, asked: bool) -> None:
    found = due(DAY, LoggedFetch(DAY, at(received), HOLE), now=now)
    assert found.get("asked again after empty") == ([("01 03:00", "01 04:00")] if asked else None)


def test_does_not_forget_what_an_older_answer_held() -> None:
    held, empty = LoggedFetch(DAY, at("2024-01-05T00:00")), LoggedFetch(DAY, at("2024-01-06T00:00"), HOLE)
    assert due(DAY, held, empty, now="2024-02-01T00:00") == {}


moments = st.integers(0, 24 * 30).map(lambda hours: at("2024-01-01T00:00") + timedelta(hours=hours))
slots = st.integers(0, 48 * 10).map(lambda number: at("2024-01-01T00:00") + number * timedelta(minutes=30))
receipts = st.builds(
    lambda start, count, received, absent: LoggedFetch(
        Span(start, start + count * timedelta(minutes=30)), received, frozenset(absent)
    ),
    slots,
    st.integers(0, 100),
    moments,
    st.sets(slots, max_size=20),
)


@given(st.lists(receipts, max_size=6), moments)
def test_decides_every_slot_as_it_would_alone(given: list[LoggedFetch], now: datetime) -> None:
    wanted = Span(at("2024-01-02T00:00"), at("2024-01-10T00:00"))
    expected: dict[Reason, set[datetime]] = {}
    slot = wanted.start
    while slot < wanted.end:
        end = slot + timedelta(minutes=30)
        about = [receipt for receipt in given if receipt.span.start <= slot < receipt.span.end]
        last = max((receipt.received_at for receipt in about), default=None)
        is_held = any(slot not in receipt.absent for receipt in about)
        if end <= now:
            if last is None:
                expected.setdefault(Reason.NEW, set()).add(slot)
            elif last < now and last - end < timedelta(hours=48):
                reason = Reason.MAY_HAVE_CHANGED if is_held else Reason.AGAIN_AFTER_EMPTY
                expected.setdefault(reason, set()).add(slot)
            elif last < now and not is_held and now - last >= timedelta(hours=24):
                expected.setdefault(Reason.AGAIN_AFTER_EMPTY, set()).add(slot)
        slot = end
    found = to_fetch(wanted, FetchLog.of(given), now=now, policy=POLICY)
    assert {reason: {slot for span in spans for slot in span.slots()} for reason, spans in found.items()} == expected


wide = Span(at("2024-01-02T00:00"), at("2024-01-10T00:00"))


@given(st.lists(receipts, max_size=6))
def test_tells_of_every_slot_whether_it_was_asked_for_and_held(given: list[LoggedFetch]) -> None:
    found = coverage(wide, FetchLog.of(given))
    told = {"never": found.never(), "lacked": found.lacked(), "held": found.held()}
    for slot in wide.slots():
        about = [receipt for receipt in given if receipt.span.start <= slot < receipt.span.end]
        is_held = any(slot not in receipt.absent for receipt in about)
        expected = "held" if is_held else "lacked" if about else "never"
        assert [name for name, spans in told.items() if any(s.start <= slot < s.end for s in spans)] == [expected]


landings = st.builds(replace, receipts, landing=st.integers(1, 3))


@given(st.lists(landings, max_size=6), st.integers(0, 4))
def test_leaves_later_landings_out(given: list[LoggedFetch], landing: int) -> None:
    found = FetchLog.of(given).up_to(landing)
    assert found == FetchLog.of(receipt for receipt in given if receipt.landing <= landing)


def test_names_the_answers_that_came_without_a_half_hour() -> None:
    answered = at("2024-01-05T00:00"), at("2024-01-06T00:00"), at("2024-01-07T00:00")
    given = FetchLog.of(
        [LoggedFetch(DAY, answered[1], HOLE), LoggedFetch(DAY, answered[2]), LoggedFetch(DAY, answered[0], HOLE)]
    )
    assert given.empty_fetches_of(Span(min(HOLE), max(HOLE))) == answered[:2]
    assert given.empty_fetches_of(Span(DAY.start, min(HOLE))) == ()
