"""What a body holds, what a Bronze row says, and which half-hours are asked for next."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ingestion.bronze import (
    UNPLACED,
    Contents,
    NotAResponseError,
    Policy,
    Reason,
    Receipt,
    Response,
    contents,
    to_fetch,
    window_of,
)
from lakehouse.windows import Span, Window


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- what a body holds


@pytest.mark.parametrize(
    ("body", "held"),
    [
        (b"{}", Contents()),
        (b" {\r\n\t} \n", Contents()),
        (b'{"data":[]}', Contents()),
        (b"", Contents()),
        (b" \n", Contents()),
        (
            b'{"data":[{"from":"2024-01-02T12:00Z","to":"2024-01-02T12:30Z","regions":[]},{"from":"2024-01-02T12:30Z"}]}',
            Contents((at("2024-01-02T12:00"), at("2024-01-02T12:30"))),
        ),
        (
            b'{"data":{"regionid":13,"shortname":"London","data":[{"from":"2024-01-02T12:00Z"}]}}',
            Contents((at("2024-01-02T12:00"),), 13),
        ),
        (b'{"data":{"regionid":"x","data":[{"from":"2024-01-02T12:00Z"}]}}', Contents((at("2024-01-02T12:00"),), 0)),
        (
            b'{"data":[{"regionid":3,"data":[{"from":"2024-01-02T12:00Z"}]}]}',
            Contents((at("2024-01-02T12:00"),), 3),
        ),
        (b'{"data":[{"from":"2024-01-02 12:00"},{"from":7},{},"x"]}', Contents((UNPLACED,) * 4)),
        (b'{"data":[{"from":"2024-02-30T12:00Z"}]}', Contents((UNPLACED,))),
        (
            b'{"data":[{"from":"2024-01-02T12:00Z","regions":{"a":"\\ud83d\\ude00"}}]}',
            Contents((at("2024-01-02T12:00"),)),
        ),
    ],
)
def test_finds_the_half_hours_of_a_body(body: bytes, held: Contents) -> None:
    assert contents(body) == held


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "not valid JSON"),
        (b'{"data":[{"from":"2024-01-02T12:00Z"', "not valid JSON"),
        (b'{"data":[]} {}', "not valid JSON"),
        (b'{"data":[{"x":"\xff"}]}', "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'"data"', "not a JSON object"),
        (b'{"error":{"code":"500 Internal Server Error"}}', "an error message of the API"),
        (b'{"dat":[]}', "it has no 'data'"),
        (b'{"data":null}', "neither a list nor an object"),
        (b'{"data":"abc"}', "neither a list nor an object"),
    ],
)
def test_refuses_a_body_that_is_no_answer(body: bytes, why: str) -> None:
    with pytest.raises(NotAResponseError, match=why):
        contents(body)


def test_finds_every_half_hour_of_recorded_answers(recorded: Path) -> None:
    body = (recorded / "intensegrid_regional_2020-01-01T0000Z_2020-01-02T2359Z.json").read_bytes()
    held = contents(body)
    assert [f"{start:%Y-%m-%dT%H:%MZ}" for start in held.periods] == [p["from"] for p in json.loads(body)["data"]]
    assert (len(held.periods), held.regionid, held.periods[0]) == (96, None, at("2019-12-31T23:30"))
    current = contents((recorded / "intensegrid_regional_current_2021-04-30T2230Z.json").read_bytes())
    assert window_of(current.periods).span() == Span(at("2021-04-30T22:30"), at("2021-04-30T23:00"))


def test_gives_the_smallest_window_of_half_hours_in_any_order() -> None:
    starts = [at("2024-01-02T12:30"), UNPLACED, at("2024-01-02T11:00")]
    assert window_of(starts) == Window(at("2024-01-02T11:30"), at("2024-01-02T13:00"))


def test_refuses_to_place_a_body_without_half_hours() -> None:
    with pytest.raises(NotAResponseError, match="no half-hour"):
        window_of([UNPLACED])


# --- a Bronze row

ABC = b'{"data" : [ ],  "caf\\u00e9":"caf\xc3\xa9"}'


def response(**changes: Any) -> Response:
    given = {
        "body": ABC,
        "window": Window(at("2024-01-01T00:30"), at("2024-01-01T01:30")),
        "received_at": at("2024-01-05T12:00"),
        "contents": Contents((at("2024-01-01T00:00"),)),
        "url": "https://api/x",
        "status": 200,
        "headers": {"date": "now"},
        "attempts": 2,
    }
    return Response(**{**given, **changes})


def test_makes_a_row_that_keeps_the_bytes() -> None:
    row = response().row(source="s", landing=3, run_id="r")
    assert row["body"] == ABC
    assert row["body_sha256"] == "00824fc018e6bdfc6f187cd38547364a9d372929aed681d44a68befbf79d0bd0"
    assert (row["landing"], row["run_id"], row["source"], row["attempts"]) == (3, "r", "s", 2)
    assert row["absent"] == [at("2024-01-01T00:30"), at("2024-01-01T01:00")]
    assert (row["n_periods"], row["ingest_date"].isoformat()) == (1, "2024-01-05")


def test_gives_every_answer_its_own_identity() -> None:
    identities = {
        response().response_id("s"),
        response().response_id("other source"),
        response(body=b"{}").response_id("s"),
        response(received_at=at("2024-01-05T12:01")).response_id("s"),
        response(window=Window(at("2024-01-01T00:30"), at("2024-01-01T01:00"))).response_id("s"),
        response(file="a.json").response_id("s"),
    }
    assert len(identities) == 6
    assert response().response_id("s") == response(attempts=1, headers={}).response_id("s")


# --- what to ask for

POLICY = Policy(refetch_horizon=timedelta(hours=48), empty_retry=timedelta(hours=24))
DAY = Span(at("2024-01-01T00:00"), at("2024-01-02T00:00"))


def due(wanted: Span, *receipts: Receipt, now: str) -> dict[str, list[tuple[str, str]]]:
    found = to_fetch(wanted, receipts, now=at(now), policy=POLICY)
    return {
        reason.value: [(f"{span.start:%d %H:%M}", f"{span.end:%d %H:%M}") for span in spans]
        for reason, spans in found.items()
    }


def test_asks_for_what_was_never_received() -> None:
    half = Receipt(Span(at("2024-01-01T00:00"), at("2024-01-01T12:00")), at("2024-01-05T00:00"))
    assert due(DAY, now="2024-01-06T00:00") == {"new": [("01 00:00", "02 00:00")]}
    assert due(DAY, half, now="2024-01-06T00:00") == {"new": [("01 12:00", "02 00:00")]}


def test_asks_for_nothing_that_has_not_ended() -> None:
    assert due(DAY, now="2024-01-01T01:29") == {"new": [("01 00:00", "01 01:00")]}
    assert due(DAY, now="2023-12-31T12:00") == {}


def test_asks_again_for_half_hours_received_young() -> None:
    received = Receipt(DAY, at("2024-01-03T06:00"))  # those that ended after the 1st at 06:00 were younger than 48 h
    assert due(DAY, received, now="2024-01-09T00:00") == {"may have changed": [("01 06:00", "02 00:00")]}


def test_asks_for_nothing_again_at_the_same_moment() -> None:
    received = Receipt(DAY, at("2024-01-02T00:00"))
    assert due(DAY, received, now="2024-01-02T00:00") == {}


def test_goes_by_the_newest_receipt() -> None:
    young, old = Receipt(DAY, at("2024-01-02T00:00")), Receipt(DAY, at("2024-01-08T00:00"))
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
    found = due(DAY, Receipt(DAY, at(received), HOLE), now=now)
    assert found.get("asked again after empty") == ([("01 03:00", "01 04:00")] if asked else None)


def test_does_not_forget_what_an_older_answer_held() -> None:
    held, empty = Receipt(DAY, at("2024-01-05T00:00")), Receipt(DAY, at("2024-01-06T00:00"), HOLE)
    assert due(DAY, held, empty, now="2024-02-01T00:00") == {}


moments = st.integers(0, 24 * 30).map(lambda hours: at("2024-01-01T00:00") + timedelta(hours=hours))
slots = st.integers(0, 48 * 10).map(lambda number: at("2024-01-01T00:00") + number * timedelta(minutes=30))
receipts = st.builds(
    lambda start, count, received, absent: Receipt(
        Span(start, start + count * timedelta(minutes=30)), received, frozenset(absent)
    ),
    slots,
    st.integers(0, 100),
    moments,
    st.sets(slots, max_size=20),
)


@given(st.lists(receipts, max_size=6), moments)
def test_decides_every_slot_as_it_would_alone(given: list[Receipt], now: datetime) -> None:
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
    found = to_fetch(wanted, given, now=now, policy=POLICY)
    assert {reason: {slot for span in spans for slot in span.slots()} for reason, spans in found.items()} == expected
