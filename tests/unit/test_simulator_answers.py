"""Routes, shapes, labels and errors of the simulated API, against what was recorded and documented."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.simulator.answers import CarbonIntensityApi
from lakehouse.simulator.rendering import label
from tests.support.pure_answers import NOW, body_of, data_of

RECORDED = Path(__file__).parents[3] / "shared" / "real"
FUELS = ["biomass", "coal", "imports", "gas", "nuclear", "other", "hydro", "solar", "wind"]


@pytest.fixture(scope="module")
def api() -> CarbonIntensityApi:
    return CarbonIntensityApi(42)


def message_of(api: CarbonIntensityApi, path: str, status: int = 400) -> str:
    answer = api.answer(path, now=NOW)
    assert answer.status == status
    error = json.loads("".join(answer.pieces))["error"]
    assert list(error) == ["code", "message"]
    return f"{error['code']}: {error['message']}"


def recorded(name: str) -> str:
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"the recorded responses do not stand beside the project ({path})")
    return path.read_text(encoding="utf-8")


def skeleton(value: Any) -> Any:
    """Keep keys in their order, names, fuels and types; forget numbers, labels and times."""
    if isinstance(value, dict):
        fixed = ("regionid", "dnoregion", "shortname", "fuel")
        return [(key, part if key in fixed else skeleton(part)) for key, part in value.items()]
    if isinstance(value, list):
        return [skeleton(part) for part in value]
    return "number" if isinstance(value, (int, float)) else type(value).__name__


# --- shape


@pytest.mark.parametrize(
    ("name", "path", "now"),
    [
        (
            "intensegrid_regional_2020-01-01T0000Z_2020-01-02T2359Z.json",
            "/regional/intensity/2020-01-01T00:00Z/2020-01-02T23:59Z",
            NOW,
        ),
        (
            "intensegrid_regional_current_2021-04-30T2230Z.json",
            "/regional",
            datetime(2021, 4, 30, 23, 1, 58, tzinfo=UTC),
        ),
    ],
)
def test_answers_like_the_recorded_file_except_for_values(
    api: CarbonIntensityApi, name: str, path: str, now: datetime
) -> None:
    theirs = json.loads(recorded(name))
    ours = json.loads(body_of(api, path, now))
    assert skeleton(ours) == skeleton(theirs)
    assert [(p["from"], p["to"]) for p in ours["data"]] == [(p["from"], p["to"]) for p in theirs["data"]]


def test_writes_numbers_and_separators_as_the_recorded_file(api: CarbonIntensityApi) -> None:
    theirs = recorded("intensegrid_regional_2020-01-01T0000Z_2020-01-02T2359Z.json")
    assert json.dumps(json.loads(theirs), separators=(",", ":")) == theirs
    ours = body_of(api, "/regional/intensity/2020-01-01T00:00Z/2020-01-02T23:59Z")
    assert json.dumps(json.loads(ours), separators=(",", ":")) == ours
    assert abs(len(ours) - 669_490) < 20_000


def test_gives_a_region_the_documented_keys(api: CarbonIntensityApi) -> None:
    (period, *_) = data_of(api, "/regional/intensity/2024-01-05T00:00Z/2024-01-05T00:00Z")
    assert list(period) == ["from", "to", "regions"]
    assert [region["regionid"] for region in period["regions"]] == list(range(1, 19))
    london = period["regions"][12]
    assert list(london) == ["regionid", "dnoregion", "shortname", "intensity", "generationmix"]
    assert (london["dnoregion"], london["shortname"]) == ("UKPN London", "London")
    assert list(london["intensity"]) == ["forecast", "index"]
    assert type(london["intensity"]["forecast"]) is int
    assert [entry["fuel"] for entry in london["generationmix"]] == FUELS
    assert [list(entry) for entry in london["generationmix"]] == [["fuel", "perc"]] * 9


def test_writes_whole_percentages_without_a_point(api: CarbonIntensityApi) -> None:
    body = body_of(api, "/regional/intensity/2024-01-05T00:00Z/2024-01-07T00:00Z")
    assert ".0}" not in body
    assert '"perc":0}' in body


def test_gives_one_region_as_an_object(api: CarbonIntensityApi) -> None:
    data = data_of(api, "/regional/intensity/2024-01-05T00:00Z/fw24h/regionid/13")
    assert list(data) == ["regionid", "dnoregion", "shortname", "data"]
    assert (data["regionid"], data["dnoregion"], data["shortname"]) == (13, "UKPN London", "London")
    assert len(data["data"]) == 49
    assert list(data["data"][0]) == ["from", "to", "intensity", "generationmix"]


def test_gives_a_postcode_without_dnoregion(api: CarbonIntensityApi) -> None:
    data = data_of(api, "/regional/intensity/2024-01-05T00:00Z/2024-01-06T00:00Z/postcode/RG10")
    assert list(data) == ["regionid", "shortname", "postcode", "data"]
    assert (data["regionid"], data["shortname"], data["postcode"]) == (12, "South England", "RG10")


def test_gives_one_region_the_values_it_has_among_all(api: CarbonIntensityApi) -> None:
    path = "/regional/intensity/2024-01-05T00:00Z/2024-01-06T00:00Z"
    among_all = [period["regions"][8] for period in data_of(api, path)]
    alone = data_of(api, f"{path}/regionid/9")["data"]
    assert [(one["intensity"], one["generationmix"]) for one in alone] == [
        (one["intensity"], one["generationmix"]) for one in among_all
    ]


@pytest.mark.parametrize(
    ("path", "regionid", "keys"),
    [
        ("/regional/regionid/13", 13, ["regionid", "dnoregion", "shortname", "data"]),
        ("/regional/postcode/sw1a", 13, ["regionid", "dnoregion", "shortname", "postcode", "data"]),
        ("/regional/england", 15, ["regionid", "dnoregion", "shortname", "data"]),
        ("/regional/scotland/", 16, ["regionid", "dnoregion", "shortname", "data"]),
        ("/regional/wales", 17, ["regionid", "dnoregion", "shortname", "data"]),
    ],
)
def test_gives_the_current_half_hour_of_one_region_in_a_list(
    api: CarbonIntensityApi, path: str, regionid: int, keys: list[str]
) -> None:
    (only,) = data_of(api, path)
    assert list(only) == keys
    assert only["regionid"] == regionid
    assert [(period["from"], period["to"]) for period in only["data"]] == [("2025-06-01T12:00Z", "2025-06-01T12:30Z")]


def test_names_region_6_with_and_before_2020_04_21(api: CarbonIntensityApi) -> None:
    periods = data_of(api, "/regional/intensity/2020-04-21T00:00Z/2020-04-21T00:30Z")
    assert [(period["from"], period["regions"][5]["shortname"]) for period in periods] == [
        ("2020-04-20T23:30Z", "North Wales and Merseyside"),
        ("2020-04-21T00:00Z", "North Wales & Merseyside"),
    ]


# --- labels


@pytest.mark.parametrize(
    ("year", "forecast", "expected"),
    [
        (2018, 79, "very low"),
        (2018, 80, "low"),
        (2018, 380, "very high"),
        (2019, 359, "high"),
        (2019, 360, "very high"),
        (2024, 0, "very low"),
        (2024, 34, "very low"),
        (2024, 35, "low"),
        (2024, 109, "low"),
        (2024, 110, "moderate"),
        (2024, 189, "moderate"),
        (2024, 190, "high"),
        (2024, 269, "high"),
        (2024, 270, "very high"),
        (2030, 150, "very high"),
        (2035, 149, "high"),
    ],
)
def test_labels_a_forecast_by_the_years_bands(year: int, forecast: int, expected: str) -> None:
    assert label(forecast, year) == expected


def test_labels_a_slot_by_the_year_in_the_request(api: CarbonIntensityApi) -> None:
    """2023-12-30T23:30Z comes in both answers, with equal numbers and 2023's or 2024's labels."""
    by_2023 = data_of(api, "/regional/intensity/2023-12-31T00:00Z/pt24h")[-1]
    by_2024 = data_of(api, "/regional/intensity/2024-01-01T00:00Z/pt24h")[0]
    assert by_2023["from"] == by_2024["from"] == "2023-12-30T23:30Z"
    bands = {
        2023: [(39, "very low"), (119, "low"), (199, "moderate"), (289, "high"), (780, "very high")],
        2024: [(34, "very low"), (109, "low"), (189, "moderate"), (269, "high"), (780, "very high")],
    }
    for year, period in ((2023, by_2023), (2024, by_2024)):
        for region in period["regions"]:
            forecast = region["intensity"]["forecast"]
            expected = next(name for last, name in bands[year] if forecast <= last)
            assert region["intensity"]["index"] == expected
    assert [region["generationmix"] for region in by_2023["regions"]] == [
        region["generationmix"] for region in by_2024["regions"]
    ]


def test_gives_a_slot_two_labels_somewhere_at_new_year(api: CarbonIntensityApi) -> None:
    differing = 0
    for seed in range(5):
        grid = CarbonIntensityApi(seed)
        by_2023 = data_of(grid, "/regional/intensity/2023-12-31T00:00Z/pt24h")[-1]["regions"]
        by_2024 = data_of(grid, "/regional/intensity/2024-01-01T00:00Z/pt24h")[0]["regions"]
        for old, new in zip(by_2023, by_2024, strict=True):
            assert old["intensity"]["forecast"] == new["intensity"]["forecast"]
            differing += old["intensity"]["index"] != new["intensity"]["index"]
    assert differing > 0


# --- errors

BAD_DATETIME = "400 Bad Request: Please enter a valid datetime in ISO8601 format YYYY-MM-DDThh:mmZ e.g. "


@pytest.mark.parametrize(
    ("path", "example"),
    [
        ("nonsense/pt24h", "/regional/intensity/2018-05-15T12:00Z/pt24h"),
        ("2024-02-30T00:00Z/fw24h", "/regional/intensity/2018-05-15T12:00Z/fw24h"),
        ("2024-01-01T24:00Z/fw48h", "/regional/intensity/2018-05-15T12:00Z/fw48h"),
        ("2024-01-01T00:00:00Z/2024-01-02T00:00Z", "/regional/intensity/2018-05-15T12:00Z/2018-05-20T12:00Z"),
        ("2024-01-01T00:00Z/2024-1-2", "/regional/intensity/2018-05-15T12:00Z/2018-05-20T12:00Z"),
        ("2024-01-01T00:00Z/fw72h", "/regional/intensity/2018-05-15T12:00Z/2018-05-20T12:00Z"),
        ("9999-12-31/fw48h", "/regional/intensity/2018-05-15T12:00Z/fw48h"),
        ("x/pt24h/regionid/3", "/regional/intensity/2018-05-15T12:00Z/pt24h/regionid/1"),
        ("x/pt24h/postcode/RG10", "/regional/intensity/2018-05-15T12:00Z/pt24h/postcode/RG10"),
        # backwards, and one minute longer than 14 days
        ("2024-01-02T00:00Z/2024-01-01T00:00Z", "/regional/intensity/2018-05-15T12:00Z/2018-05-20T12:00Z"),
        ("2024-01-01T00:00Z/2024-01-15T00:01Z", "/regional/intensity/2018-05-15T12:00Z/2018-05-20T12:00Z"),
    ],
)
def test_refuses_a_bad_datetime_with_an_example_of_the_route(api: CarbonIntensityApi, path: str, example: str) -> None:
    assert message_of(api, f"/regional/intensity/{path}") == BAD_DATETIME + example


def test_refuses_a_datetime_with_the_recorded_words(api: CarbonIntensityApi) -> None:
    theirs = json.loads(recorded("devsjc_error_400.json"))["error"]
    assert message_of(api, "/regional/intensity/x/pt24h").startswith(
        f"{theirs['code']}: {theirs['message'].rsplit(' ', 1)[0]} "
    )


@pytest.mark.parametrize("place", ["regionid/0", "regionid/19", "regionid/x", "regionid/²", "postcode/BT1"])
@pytest.mark.parametrize("start", ["", "/intensity/2024-01-01T00:00Z/fw24h"])
def test_refuses_a_place_that_does_not_exist(api: CarbonIntensityApi, start: str, place: str) -> None:
    assert message_of(api, f"/regional{start}/{place}").startswith("400 Bad Request: Please enter a valid ")


@pytest.mark.parametrize("postcode", ["RG", "RG10XX", "ZZ1", "1AA", "RG10 1AA", "\uff32G10"])
def test_refuses_a_postcode_that_is_no_outward_code(api: CarbonIntensityApi, postcode: str) -> None:
    assert api.answer(f"/regional/postcode/{postcode}", now=NOW).status == 400


@pytest.mark.parametrize("path", ["/", "/intensity", "/regional/france", "/regional/intensity/2024-01-01"])
def test_answers_500_for_an_unknown_resource(api: CarbonIntensityApi, path: str) -> None:
    expected = "500 Internal Server Error: Requested resource not found."
    assert message_of(api, path, status=500) == expected


def test_refuses_a_get_with_a_content_type(api: CarbonIntensityApi) -> None:
    path = "/regional/intensity/2024-01-01T00:00Z/fw24h"
    assert api.answer(path, now=NOW, has_content_type=True).status == 400
    assert api.answer(path, now=NOW, has_content_type=False).status == 200


def test_makes_a_long_answer_in_small_pieces(api: CarbonIntensityApi) -> None:
    """A server can serve others between two pieces; none holds more than a day."""
    pieces = list(api.answer("/regional/intensity/2024-02-01/2024-02-15", now=NOW).pieces)
    assert max(piece.count('"regions":') for piece in pieces) == 48
    assert sum(piece.count('"regions":') for piece in pieces) == 673


def test_keeps_a_bounded_number_of_periods_in_memory() -> None:
    api = CarbonIntensityApi(42)
    for month in range(1, 9):
        body_of(api, f"/regional/intensity/2024-{month:02d}-01/2024-{month:02d}-15")
    assert api._period.cache_info().currsize == 4096
