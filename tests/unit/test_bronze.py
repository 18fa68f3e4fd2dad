"""What a body holds, and what a Bronze row says."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.ingestion.bronze import (
    SOME_REGION,
    UNPLACED,
    NotAResponseError,
    PayloadSummary,
    Response,
    inspect_payload,
    window_of,
)
from lakehouse.windows import Span, Window
from tests.support.times import at

# --- what a body holds

NOON = b'{"data":[{"from":"%s","regions":[{"intensity":{}}]}]}'
AT_NOON = PayloadSummary((at("2024-01-02T12:00"),))
ONE_OF_13 = PayloadSummary((at("2024-01-02T12:00"),), 13)


@pytest.mark.parametrize(
    ("body", "held"),
    [
        (b"{}", PayloadSummary()),
        (b" {\r\n\t} \n", PayloadSummary()),
        (b'{"data":[]}', PayloadSummary()),
        (b"", PayloadSummary()),
        (b" \n", PayloadSummary()),
        (
            b'{"data":[{"from":"2024-01-02T12:00Z","to":"2024-01-02T12:30Z","regions":[]},{"from":"2024-01-02T12:30Z"}]}',
            PayloadSummary(
                (at("2024-01-02T12:00"), at("2024-01-02T12:30")),
                without_records=frozenset({at("2024-01-02T12:00"), at("2024-01-02T12:30")}),
            ),
        ),
        (
            b'{"data":[{"from":"2024-01-02T12:00Z","regions":[null,{"regionid":1},{"intensity":{}}]},'
            b'{"from":"2024-01-02T12:30Z","regions":[null,{"intensity":null}]},{"from":"2024-01-02T13:00Z"},7]}',
            PayloadSummary(
                (at("2024-01-02T12:00"), at("2024-01-02T12:30"), at("2024-01-02T13:00"), UNPLACED),
                without_records=frozenset({at("2024-01-02T12:30"), at("2024-01-02T13:00"), UNPLACED}),
            ),
        ),
        (
            b'{"data":{"regionid":13,"shortname":"London","data":[{"from":"2024-01-02T12:00Z","intensity":{}}]}}',
            PayloadSummary((at("2024-01-02T12:00"),), 13),
        ),
        (b'{"data":{"regionid":13.0,"data":[{"from":"2024-01-02T12:00Z","generationmix":[]}]}}', ONE_OF_13),
        (b'{"data":{"regionid":"13","data":[{"from":"2024-01-02T12:00Z","generationmix":[]}]}}', ONE_OF_13),
        (
            b'{"data":[{"regionid":3,"data":[{"from":"2024-01-02T12:00Z","intensity":{}}]}]}',
            PayloadSummary((at("2024-01-02T12:00"),), 3),
        ),
        (
            b'{"data":[{"regionid":3,"data":[{"from":"2024-01-02T12:00Z","intensity":{}}]},'
            b'{"regionid":4,"data":[{"from":"2024-01-02T12:00Z","intensity":{}}]}]}',
            PayloadSummary((at("2024-01-02T12:00"),) * 2, SOME_REGION),
        ),
        (
            b'{"data":[{"regionid":3,"data":[{"from":"2024-01-02T12:00Z","intensity":{}}]},{"regionid":true,"data":[]}]}',
            PayloadSummary((at("2024-01-02T12:00"), UNPLACED), 3, frozenset({UNPLACED})),
        ),
        (NOON % b"2024-01-02 12:00Z", PayloadSummary((UNPLACED,))),
        (NOON % b"2024-02-30T12:00Z", PayloadSummary((UNPLACED,))),
        (NOON % b"2024-01-02T12:00", PayloadSummary((UNPLACED,))),
        (NOON % b"2024-01-02T12:00+01:00", PayloadSummary((UNPLACED,))),
        (NOON % b"2024-01-02T12:00:01Z", PayloadSummary((UNPLACED,))),
        (NOON % b"2024-01-02T12:00:00Z", AT_NOON),
        (NOON % b"2024-01-02T12:00+00:00", AT_NOON),
        (NOON % b"2024-01-02T12:00:00.000+00:00", AT_NOON),
        (b"\xef\xbb\xbf" + NOON % b"2024-01-02T12:00Z", AT_NOON),
        (b' \n[{"from":"2024-01-02T12:00Z","regions":[{"intensity":{}}]}]', AT_NOON),
        (
            b'{"data":[{"from":"2024-01-02T12:00Z","regions":[{"intensity":{},"a":"\\ud83d\\ude00"}]}]}',
            AT_NOON,
        ),
    ],
)
def test_finds_the_half_hours_of_a_body(body: bytes, held: PayloadSummary) -> None:
    assert inspect_payload(body) == held


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "not valid JSON"),
        (b'{"data":[{"from":"2024-01-02T12:00Z"', "not valid JSON"),
        (b'{"data":[]} {}', "not valid JSON"),
        (b'{"data":[{"x":"\xff"}]}', "not valid JSON"),
        (b'{"data":[{"shortname":"London\\ud800"}]}', "not valid JSON"),  # lone surrogates, which no UTF-8 can hold
        (b'{"data":[{"shortname":"London\\udc00\\ud800"}]}', "not valid JSON"),
        (b'{"data":[{"regions":[{"intensity":{"index":"\\ud800A"}}]}]}', "not valid JSON"),
        (b'{"data":[{"\\udfff":1}]}', "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'"data"', "not a JSON object"),
        (b'{"error":{"code":"500 Internal Server Error"}}', "an error message of the API"),
        (b'{"dat":[]}', "it has no 'data'"),
        (b'{"data":null}', "neither a list nor an object"),
        (b'{"data":"abc"}', "neither a list nor an object"),
        (b'{"data":[7]}', "it is no answer about regions: it holds no list of 'regions'"),
        (b'{"data":[{"from":"2024-01-02T12:00Z","to":"2024-01-02T12:30Z","intensity":{}}]}', "no answer about regions"),
        (b'{"data":[{"from":"2024-01-02T12:00Z","regions":{"a":1}}]}', "no answer about regions"),
        (b'{"data":{"regionid":true,"data":[{"from":"2024-01-02T12:00Z"}]}}', "its 'regionid' is true, which is no"),
        (b'{"data":{"regionid":"x","data":[]}}', "its 'regionid' is \"x\", which is no region's id"),
        (b'{"data":{"regionid":13.5,"data":[]}}', "its 'regionid' is 13.5"),
        (b'{"data":{"regionid":99999999999,"data":[]}}', "its 'regionid' is 99999999999"),
        (b'{"data":{"regionid":1e400,"data":[]}}', "its 'regionid' is Infinity"),
        (b'{"data":{"regionid":' + b"9" * 5000 + b',"data":[]}}', "not valid JSON"),
        (b'{"data":{"data":[]}}', "its 'regionid' is null"),
        (b"[" * 5000, "not valid JSON"),
        ('[{"from":"2024-01-02T12:00Z","regions":[]}]'.encode("utf-16"), "it is UTF-16 and not UTF-8"),
    ],
)
def test_refuses_a_body_that_is_no_answer(body: bytes, why: str) -> None:
    with pytest.raises(NotAResponseError, match=why):
        inspect_payload(body)


def test_finds_every_half_hour_of_recorded_answers(recorded: Path) -> None:
    body = (recorded / "intensegrid_regional_2020-01-01T0000Z_2020-01-02T2359Z.json").read_bytes()
    held = inspect_payload(body)
    assert [f"{start:%Y-%m-%dT%H:%MZ}" for start in held.periods] == [p["from"] for p in json.loads(body)["data"]]
    assert (len(held.periods), held.regionid, held.periods[0]) == (96, None, at("2019-12-31T23:30"))
    current = inspect_payload((recorded / "intensegrid_regional_current_2021-04-30T2230Z.json").read_bytes())
    assert window_of(current.periods).span() == Span(at("2021-04-30T22:30"), at("2021-04-30T23:00"))


def test_gives_the_smallest_window_of_half_hours_in_any_order() -> None:
    starts = [at("2024-01-02T12:30"), UNPLACED, at("2024-01-02T11:00")]
    assert window_of(starts) == Window(at("2024-01-02T11:30"), at("2024-01-02T13:00"))


def test_refuses_to_place_a_body_without_half_hours() -> None:
    with pytest.raises(NotAResponseError, match="no half-hour whose 'from' can be read"):
        window_of([UNPLACED])


def test_is_not_stretched_by_half_hours_that_cannot_be() -> None:
    until = at("2024-01-10")
    noon, odd = at("2024-01-02T12:00"), [at(f"{year}-01-01T00:00") for year in (1001, 1677, 1970, 2018, 2262, 2999)]
    assert window_of([*odd, noon, until], until) == Window(at("2024-01-02T12:30"), at("2024-01-02T12:30"))
    with pytest.raises(NotAResponseError, match="between 2018-05-10T23:30Z, the API's first, and 2024-01-10T00:00Z"):
        window_of(odd, until)


# --- a Bronze row

ABC = b'{"data" : [ ],  "caf\\u00e9":"caf\xc3\xa9"}'


def response(**changes: Any) -> Response:
    given = {
        "body": ABC,
        "window": Window(at("2024-01-01T00:30"), at("2024-01-01T01:30")),
        "received_at": at("2024-01-05T12:00"),
        "contents": PayloadSummary((at("2024-01-01T00:00"),)),
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


def test_lacks_a_half_hour_of_which_no_record_can_be_read() -> None:
    held = b'{"from":"2024-01-01T00:30Z","regions":[{"intensity":{}}]}'
    body = b'{"data":[{"from":"2024-01-01T00:00Z","regions":[]},%s]}' % held
    row = response(body=body, contents=inspect_payload(body)).row(source="s", landing=1, run_id="r")
    assert row["absent"] == [at("2024-01-01T00:00"), at("2024-01-01T01:00")]


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
