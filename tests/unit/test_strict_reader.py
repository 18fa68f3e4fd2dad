"""The strict reader: what it takes it takes exactly, and anything else is left to the lenient one. No Spark."""

import copy
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.lake.tables import FUELS
from lakehouse.transform import strict_reader
from lakehouse.transform.strict_reader import IrregularError

SHARES = {"gas": 40.3, "wind": 20, "coal": 0, "biomass": 1.25, "hydro": 0.5, "imports": 9.95, "nuclear": 20}
SHARES |= {"other": 0, "solar": 8}


def region(number: int) -> dict[str, Any]:
    return {
        "regionid": number,
        "dnoregion": "UKPN London",
        "shortname": f"Region {number}",
        "intensity": {"forecast": -3 * number, "index": "very low"},
        "generationmix": [{"fuel": fuel, "perc": share} for fuel, share in SHARES.items()],
    }


def body() -> dict[str, Any]:
    hours = ["2024-02-28T23:30Z", "2024-02-29T00:00Z", "2024-02-29T00:30Z"]
    return {
        "data": [
            {"from": start, "to": end, "regions": [region(13), region(2)]} for start, end in itertools.pairwise(hours)
        ]
    }


def read(told: bytes) -> list[dict[str, Any]] | None:
    """The records of a regular body; None of another."""
    try:
        return strict_reader.read(told).to_pylist()
    except IrregularError:
        return None


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    told = copy.deepcopy(body())
    change(told)
    return json.dumps(told).encode()


def first(told: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = told["data"][0]["regions"][0]
    return entry


def test_reads_every_region_of_every_half_hour() -> None:
    records = read(json.dumps(body(), indent=1).encode())
    assert records is not None
    assert [(p["position"], p["regionid"], p["timestamp"].strftime("%dT%H:%M")) for p in records] == [
        (0, 13, "28T23:30"),
        (1, 2, "28T23:30"),
        (1000, 13, "29T00:00"),
        (1001, 2, "29T00:00"),
    ]
    last = records[-1]
    assert (last["stop"], last["shortname"], last["dno"]) == (
        datetime(2024, 2, 29, 0, 30, tzinfo=UTC),
        "Region 2",
        "UKPN London",
    )
    assert (last["intensity_forecast"], last["intensity_index"]) == (-6, "very low")
    assert {fuel: last[f"fuel_{fuel}"] for fuel in FUELS} == {fuel: Decimal(str(SHARES[fuel])) for fuel in FUELS}
    assert (last["share_sum"], last["lowest_share"], last["highest_share"]) == (
        Decimal(100),
        Decimal(0),
        Decimal("40.30"),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda told: first(told).update({"from": "2024-02-28T23:30Z"}),
        lambda told: first(told).pop("shortname"),
        lambda told: first(told).update(dnoregion=None),
        lambda told: first(told).update(regionid="13"),
        lambda told: first(told).update(regionid=2),
        lambda told: first(told)["intensity"].update(forecast=1.5),
        lambda told: first(told)["intensity"].update(forecast=1.0),
        lambda told: first(told)["intensity"].update(forecast="1"),
        lambda told: first(told)["intensity"].update(forecast=3_000_000_000),
        lambda told: first(told)["generationmix"][0].update(perc=1.234),
        lambda told: first(told)["generationmix"][0].update(perc=None),
        lambda told: first(told)["generationmix"][0].update(perc=1000),
        lambda told: first(told)["generationmix"][0].update(fuel="methane"),
        lambda told: first(told)["generationmix"].reverse(),
        lambda told: first(told)["generationmix"].pop(),
        lambda told: first(told)["generationmix"].append({"fuel": "storage", "perc": 0}),
        lambda told: [entry["generationmix"].pop() for part in told["data"] for entry in part["regions"]],
        lambda told: told["data"][0]["regions"].append(7),
        lambda told: told["data"][0]["regions"].clear(),
        lambda told: told["data"][0].update(regions=None),
        lambda told: told["data"][1].update({"from": "2024-02-28T23:30Z"}),
        lambda told: told["data"][1].update({"from": "2024-02-29T00:00:00Z"}),
        lambda told: told["data"][1].update({"from": "2024-02-30T00:00Z"}),
        lambda told: told["data"].append("x"),
        lambda told: told["data"].clear(),
        lambda told: told.update(data={"regionid": 13, "data": []}),
    ],
)
def test_leaves_what_is_not_regular(change: Callable[[dict[str, Any]], Any]) -> None:
    assert read(changed(change)) is None


@pytest.mark.parametrize(
    ("change", "unknown", "extra"),
    [
        (lambda told: told.update(meta=1.0), [["meta"]] * 4, [None] * 4),
        (
            lambda told: told["data"][1].update(season="winter"),
            [None, None, ["season"], ["season"]],
            [None, None, '{"season":"winter"}', '{"season":"winter"}'],
        ),
        (lambda told: first(told).update(note=None), [["note"], None, None, None], ['{"note":null}', None, None, None]),
        (
            lambda told: first(told)["intensity"].update(actual="2024-02-28T23:30Z"),
            [["intensity.actual"], None, None, None],
            ['{"intensity":{"actual":"2024-02-28T23:30Z"}}', None, None, None],
        ),
        (
            lambda told: first(told)["generationmix"][0].update(mw=12.50),
            [["generationmix[].mw"], None, None, None],
            ['{"generationmix":{"gas":{"mw":12.5}}}', None, None, None],
        ),
        (
            lambda told: [mix.append({"fuel": "storage", "perc": 0.5}) for mix in mixes(told)],
            [["generationmix.storage"]] * 4,
            ['{"generationmix":{"storage":{"perc":0.5}}}'] * 4,
        ),
        (lambda told: told["data"][0].update(postcode="EC1"), [None] * 4, [None] * 4),
    ],
)
def test_takes_what_nobody_knew_along(
    change: Callable[[dict[str, Any]], Any], unknown: list[list[str] | None], extra: list[str | None]
) -> None:
    records, plain = read(changed(change)), read(changed(lambda _: None))
    assert records is not None
    assert plain is not None
    assert [(record["unknown"], record["extra"]) for record in records] == list(zip(unknown, extra, strict=True))
    others = sum(name == "generationmix.storage" for name in unknown[0] or [])
    assert {record["fuels_other"] for record in records} == {others}
    assert [record["fuel_gas"] for record in records] == [record["fuel_gas"] for record in plain]


def mixes(told: dict[str, Any]) -> list[Any]:
    return [entry["generationmix"] for part in told["data"] for entry in part["regions"]]


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"7",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"<html>",
        b'{"data": null}',
        b'{"data": [], "data": []}',
        b"\xff\xfe\x00",
    ],
)
def test_leaves_what_is_no_answer(told: bytes) -> None:
    assert read(told) is None


def test_leaves_a_body_with_something_after_it() -> None:
    one = json.dumps(body()).encode()
    assert read(one + b"\n" + one) is None
    assert read(one + b" x") is None


def test_leaves_what_is_no_unicode() -> None:
    assert read(json.dumps(body()).encode().replace(b"Region 2", b"Region \xf6")) is None
