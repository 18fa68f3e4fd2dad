"""Plain bodies by Arrow: what is taken is taken exactly, and anything else is left to the other way. No Spark."""

import copy
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.lake.tables import FUELS
from lakehouse.transform import plain_bodies

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


def read(*bodies: bytes) -> list[list[dict[str, Any]] | None]:
    (found,) = plain_bodies.read(iter([pa.array(bodies, pa.binary())]))
    pieces: list[list[dict[str, Any]] | None] = found.to_pylist()
    return pieces


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    told = copy.deepcopy(body())
    change(told)
    return json.dumps(told).encode()


def first(told: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = told["data"][0]["regions"][0]
    return entry


def test_reads_every_region_of_every_half_hour() -> None:
    (pieces,) = read(json.dumps(body(), indent=1).encode())
    assert pieces is not None
    assert [(p["position"], p["regionid"], p["timestamp"].strftime("%dT%H:%M")) for p in pieces] == [
        (0, 13, "28T23:30"),
        (1, 2, "28T23:30"),
        (1000, 13, "29T00:00"),
        (1001, 2, "29T00:00"),
    ]
    last = pieces[-1]
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
        lambda told: told.update(meta=1),
        lambda told: told["data"][1].update(season="winter"),
        lambda told: first(told).update(note=None),
        lambda told: first(told).pop("shortname"),
        lambda told: first(told).update(dnoregion=None),
        lambda told: first(told).update(regionid="13"),
        lambda told: first(told).update(regionid=2),
        lambda told: first(told)["intensity"].update(forecast=1.5),
        lambda told: first(told)["intensity"].update(forecast=1.0),
        lambda told: first(told)["intensity"].update(forecast="1"),
        lambda told: first(told)["intensity"].update(forecast=3_000_000_000),
        lambda told: first(told)["intensity"].update(actual=1),
        lambda told: first(told)["generationmix"][0].update(perc=1.234),
        lambda told: first(told)["generationmix"][0].update(perc=None),
        lambda told: first(told)["generationmix"][0].update(perc=1000),
        lambda told: first(told)["generationmix"][0].update(mw=1),
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
def test_leaves_what_is_not_plain(change: Callable[[dict[str, Any]], Any]) -> None:
    whole, odd, after = read(changed(lambda _: None), changed(change), changed(lambda _: None))
    assert odd is None
    assert whole == after
    assert whole is not None


@pytest.mark.parametrize(
    "told", [b"", b"7", b"[]", b"{}", b"{", b"<html>", b'{"data": null}', b'{"data": [], "data": []}']
)
def test_leaves_what_is_no_answer(told: bytes) -> None:
    assert read(told) == [None]


def test_leaves_a_body_with_something_after_it() -> None:
    one = json.dumps(body()).encode()
    assert read(one + b"\n" + one, one + b" x") == [None, None]


def test_parts_the_pieces_of_few_responses_from_those_that_are_odd() -> None:
    bodies = [json.dumps(body()).encode(), b"{}", json.dumps(body()).encode()]
    responses = pa.table({"response_id": ["a", "b", "c"], "body": pa.array(bodies, pa.binary())})
    pieces, odd = plain_bodies.exploded(responses)
    assert pieces["response_id"].to_pylist() == ["a"] * 4 + ["c"] * 4
    assert pieces["regionid"].to_pylist() == [13, 2] * 4
    assert odd["response_id"].to_pylist() == ["b"]
