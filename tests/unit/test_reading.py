"""Records of literal bodies: every shape of the API, nothing lost, nothing rounded. No Spark."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.transform.quality import RULES
from lakehouse.transform.validation import checked

MIX = [
    {"fuel": "biomass", "perc": 1.2},
    {"fuel": "coal", "perc": 0},
    {"fuel": "imports", "perc": 10},
    {"fuel": "gas", "perc": 40.3},
    {"fuel": "nuclear", "perc": 20},
    {"fuel": "other", "perc": 0},
    {"fuel": "hydro", "perc": 0.5},
    {"fuel": "solar", "perc": 8},
    {"fuel": "wind", "perc": 20},
]
LONDON = {
    "regionid": 13,
    "dnoregion": "UKPN London",
    "shortname": "London",
    "intensity": {"forecast": 181, "index": "moderate"},
    "generationmix": MIX,
}
SOUTH = {**LONDON, "regionid": 12, "dnoregion": "SSE South", "shortname": "South England"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(start: str, end: str, *regions: Any) -> dict[str, Any]:
    return {"from": start, "to": end, "regions": list(regions)}


NOON = ("2024-01-02T12:00Z", "2024-01-02T12:30Z")
HALF_PAST = ("2024-01-02T12:30Z", "2024-01-02T13:00Z")


def records(*bodies: Any) -> list[dict[str, Any]]:
    """The checked records of bodies, one response each, in order of the bodies and of the places in them."""
    return checked(responses(*bodies), RULES).to_pylist()


def responses(*bodies: Any) -> pa.Table:
    encoded = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    window = {"window_start": at("2024-01-02T00:30"), "window_end": at("2024-01-03T00:00")}
    return pa.Table.from_pylist([{"body": body, **window} for body in encoded])


def reasons(found: list[dict[str, Any]]) -> list[list[str]]:
    """Of every refused record the rules that refuse it."""
    return [row["reasons"] for row in found if row["reasons"] is not None]


def good(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in found if row["reasons"] is None]


def test_reads_the_same_in_other_forms() -> None:
    """Nothing is guessed: what is added says nothing, and all else is refused."""
    plain = json.dumps({"data": [period(*NOON, LONDON)]})
    assert '"regionid": 13,' in plain
    in_other_forms = records(
        b"\xef\xbb\xbf" + plain.encode(),
        b"\xef\xbb\xbf\n " + json.dumps([period(*NOON, LONDON)]).encode(),
        [period(*NOON, LONDON)],
        plain.replace(":00Z", ":00:00Z").encode(),
        plain.replace(":00Z", ":00+00:00").replace(":30Z", ":30:00.000+00:00").encode(),
        plain.replace('"regionid": 13,', '"regionid": 13.0,').encode(),
    )
    assert reasons(in_other_forms) == []
    read = [(row["regionid"], row["timestamp"].strftime("%H:%M"), row["extra"]) for row in in_other_forms]
    assert read == [(13, "12:00", None)] * 6
    refused = records(
        plain.replace(":00Z", ":00:01Z").encode(),
        plain.replace(":00Z", ":00+01:00").encode(),
        plain.replace(":00Z", ":00").encode(),
        plain.replace('"regionid": 13,', '"regionid": 13.5,').encode(),
    )
    assert [each[0] for each in reasons(refused)] == ["key_present"] * 4


def test_reads_a_region_that_holds_periods() -> None:
    value = {"intensity": LONDON["intensity"], "generationmix": MIX}
    held = [{"from": NOON[0], "to": NOON[1], **value}, {"from": HALF_PAST[0], "to": HALF_PAST[1], **value}]
    region = {"regionid": 13, "dnoregion": "UKPN London", "shortname": "London", "data": held}
    found = good(records({"data": region}, {"data": [region]}))
    assert [(row["response"], row["regionid"], row["timestamp"].strftime("%dT%H:%M")) for row in found] == [
        (0, 13, "02T12:00"),
        (0, 13, "02T12:30"),
        (1, 13, "02T12:00"),
        (1, 13, "02T12:30"),
    ]


def test_names_the_operator_where_a_postcode_answer_lacks_it() -> None:
    held = {"from": NOON[0], "to": NOON[1], "intensity": LONDON["intensity"], "generationmix": MIX}
    answer = {"data": {"regionid": 13, "shortname": "London", "postcode": "EC1", "data": [held]}}
    assert [row["dno"] for row in good(records(answer))] == ["UKPN London"]


def test_refuses_a_broken_region_and_keeps_the_rest() -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"intensity": {"forecast": 1.5, "index": "low"}}, ["forecast_is_integer"]),
        ({"intensity": {"forecast": "abc", "index": "low"}}, ["forecast_is_integer", "forecast_plausible"]),
        ({"intensity": {"forecast": None, "index": "low"}}, ["forecast_is_integer", "forecast_plausible"]),
        ({"intensity": {"forecast": 3000000000, "index": "low"}}, ["forecast_is_integer", "forecast_plausible"]),
        ({"intensity": {"forecast": -51, "index": "very low"}}, ["forecast_plausible"]),
        ({"intensity": {"forecast": 100, "index": "extreme"}}, ["label_known"]),
        ({"intensity": "soon"}, ["forecast_is_integer", "forecast_plausible", "label_known"]),
        ({"regionid": 19}, ["region_known"]),
        ({"regionid": "x"}, ["key_present", "region_known"]),
        ({"shortname": None}, ["names_present"]),
        ({"generationmix": MIX[:8]}, ["fuels_complete", "shares_in_range", "mix_is_whole"]),
        ({"generationmix": [*MIX, MIX[1]]}, ["fuels_once"]),
        ({"generationmix": [{"fuel": "biomass", "perc": 1.234}, *MIX[1:]]}, ["shares_exact"]),
        ({"generationmix": [{"fuel": "biomass", "perc": -1.2}, *MIX[1:]]}, ["shares_in_range", "mix_is_whole"]),
        ({"generationmix": [{"fuel": "biomass", "perc": 1.8}, *MIX[1:]]}, ["mix_is_whole"]),
    ]
    other = {**LONDON, "regionid": 12, "shortname": "South England", "dnoregion": "SSE South"}
    found = records(*({"data": [period(*NOON, {**LONDON, **changed}, other)]} for changed, _ in cases))
    assert reasons(found) == [why for _, why in cases]
    assert [row["regionid"] for row in good(found)] == [12] * len(cases)


def test_refuses_a_period_out_of_place() -> None:
    cases = [
        ("2024-01-02T12:10Z", "2024-01-02T12:40Z", ["on_half_hour_grid"]),
        ("2024-01-02T12:00Z", "2024-01-02T13:00Z", ["lasts_half_an_hour"]),
        ("2024-01-05T12:00Z", "2024-01-05T12:30Z", ["inside_window"]),
        ("yesterday", "2024-01-02T12:30Z", ["key_present", "on_half_hour_grid", "lasts_half_an_hour"]),
    ]
    found = records(*({"data": [period(start, end, LONDON)]} for start, end, _ in cases))
    assert reasons(found) == [why for _, _, why in cases]


def test_accepts_values_that_occurred() -> None:
    said = [-20, 0, 780, 181.0]
    bodies = [{"data": [period(*NOON, {**LONDON, "intensity": {"forecast": x, "index": "low"}})]} for x in said]
    assert [row["intensity_forecast"] for row in good(records(*bodies))] == [-20, 0, 780, 181]


def test_keeps_good_periods_beside_an_unreadable_one() -> None:
    unreadable: list[Any] = [
        {"from": HALF_PAST[0], "to": HALF_PAST[1], "regions": 7},
        {"from": HALF_PAST[0], "to": HALF_PAST[1]},
        5,
        None,
    ]
    found = records(*({"data": [period(*NOON, LONDON), broken]} for broken in unreadable))
    assert [row["response"] for row in good(found)] == [0, 1, 2, 3]
    assert [why[0] for why in reasons(found)] == ["readable"] * 4


def test_keeps_good_regions_beside_an_unreadable_one() -> None:
    found = records({"data": [period(*NOON, 1, LONDON, {**SOUTH, "generationmix": [3]})]})
    assert [row["regionid"] for row in good(found)] == [13]
    assert [why[0] for why in reasons(found)] == ["readable", "fuels_complete"]


def test_quarantines_a_whole_body_that_is_no_list() -> None:
    found = records({"data": "soon"})
    assert [why[0] for why in reasons(found)] == ["readable"]


def test_lets_a_tenth_fuel_pass_and_counts_it() -> None:
    mix = [{"fuel": "biomass", "perc": 0.2}, *MIX[1:], {"fuel": "storage", "perc": 1}]
    found = records({"data": [period(*NOON, {**LONDON, "generationmix": mix})]})
    assert [row["regionid"] for row in good(found)] == [13]
    assert [RULES.names(row["broken"]) for row in found] == [["fuels_known"]]


def test_notes_a_label_that_fits_no_plausible_year() -> None:
    cases = [
        (2024, 270, "very high", False),  # recorded: the top of "high" is very high already
        (2024, 269, "high", False),
        (2021, 160, "low", True),  # above the top of low in 2019, 159
        (2021, 159, "low", False),  # in April 2021 the bands of 2019 were in use
        (2024, 34, "very low", False),
        (2024, 60, "very low", True),
        (2024, 20, "very high", True),
    ]
    bodies = []
    for year, forecast, label, _ in cases:
        body = {"data": [period(*NOON, {**LONDON, "intensity": {"forecast": forecast, "index": label}})]}
        bodies.append(json.dumps(body).replace("2024-", f"{year}-").encode())
    found = records(*bodies)
    noted = ["label_fits_value" in RULES.names(row["broken"]) for row in found]
    assert noted == [is_noted for *_, is_noted in cases]


def test_gives_each_refused_record_its_own_text() -> None:
    odd = '{"regionid":12,"intensity":{"forecast":"\u00e9"},"extra":[1.50]}'
    text = f'{{"data": [{{"from": "{NOON[0]}", "to": "{NOON[1]}", "regions": [{odd}, 7]}}]}}'
    found = records(text.encode())
    assert [(row["position"], row["region"], row["period_from"], row["piece"]) for row in found] == [
        (0, "12", NOON[0], odd),
        (1, None, NOON[0], "7"),
    ]
    regular = {"data": [period(*NOON, SOUTH, {**LONDON, "intensity": {"forecast": 1001, "index": "low"}})]}
    assert [(row["is_regular"], row["region"], row["period_from"], row["piece"]) for row in records(regular)] == [
        (True, None, None, None),
        (True, "13", NOON[0], json.dumps(regular["data"][0]["regions"][1], separators=(",", ":"))),
    ]


def test_refuses_what_says_a_key_twice() -> None:
    plain = json.dumps({"data": [period(*NOON, SOUTH, LONDON)]})
    twice = [
        plain.replace('"forecast": 181', '"forecast": 181, "forecast": 182', 1),
        plain.replace('"regionid": 12', '"regionid": 11, "regionid": 12'),
        plain.replace('{"fuel": "coal", "perc": 0}', '{"fuel": "coal", "perc": 0, "perc": 0}', 1),
        plain.replace('"shortname": "London"', '"note": 1, "note": 2, "shortname": "London"', 1),
    ]
    assert all(each != plain for each in twice)
    found = records(*(each.encode() for each in twice))
    assert [row["reasons"] for row in found if row["reasons"]] == [["readable"]] * 4
    assert [row["response"] for row in good(found)] == [0, 1, 2, 3]
    assert '"forecast":181,"forecast":182' in found[0]["piece"]
    whole = records(plain.replace('"from"', '"from": "2024-01-02T13:00Z", "from"').encode())
    assert [row["reasons"] for row in whole] == [["readable"]] * 2


def test_keeps_the_digits_of_what_nobody_knew() -> None:
    """Rescued values are what was said: no double, no time, in whatever reader."""
    said = '{"b":1.50,"a":[100000000000000000000.25,null],"c":1e2,"at":"2024-01-02T12:00Z"}'
    plain = json.dumps({"data": [period(*NOON, SOUTH, LONDON)]})
    plain = plain.replace('"regionid": 13', f'"note":{said},"regionid": 13')
    rescued = '{"note":{"a":[100000000000000000000.25,null],"at":"2024-01-02T12:00Z","b":1.5,"c":100}}'
    for body in (plain, plain.replace('"regionid": 12', '"regionid": "12"')):
        found = records(body.encode())
        assert [row["extra"] for row in found] == [None, rescued]
        assert [row["unknown"] for row in found] == [None, ["note"]]
    assert [row["is_regular"] for row in records(plain.encode())] == [True, True]


@pytest.mark.parametrize(
    ("regionid", "names", "is_good"),
    [
        (12, ("SSE South", "South England"), True),
        (12, ("UKPN London", "London"), False),  # recorded by postcode in 2020 and 2021: the id is one too low
        (12, ("SSE South", "London"), False),
        (12, ("UKPN London", "South England"), False),
        (6, ("SP Manweb", "North Wales and Merseyside"), True),  # until April 2020
        (7, ("SP Manweb", "North Wales and Merseyside"), False),
        (13, ("Elsewhere Networks", "Greater London"), True),  # names nobody knows: a warning
    ],
)
def test_refuses_the_name_of_another_region(regionid: int, names: tuple[str, str], is_good: bool) -> None:
    dno, shortname = names
    found = records(
        {"data": [period(*NOON, {**LONDON, "regionid": regionid, "dnoregion": dno, "shortname": shortname})]}
    )
    assert [why[0] for why in reasons(found)] == ([] if is_good else ["names_of_this_region"])
