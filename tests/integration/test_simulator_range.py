"""The range rule of the simulated API: which half-hours a window gives."""

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.simulator.answers import CarbonIntensityApi, slots_in
from tests.support.pure_answers import NOW, body_of, starts
from tests.support.times import at


@pytest.fixture(scope="module")
def api() -> CarbonIntensityApi:
    return CarbonIntensityApi(42)


@pytest.mark.parametrize(
    ("path", "count", "first", "last"),
    [
        ("2022-01-01T00:00Z/2022-01-02T00:00Z", 49, "2021-12-31T23:30Z", "2022-01-01T23:30Z"),
        ("2020-01-01T00:00Z/2020-01-02T23:59Z", 96, "2019-12-31T23:30Z", "2020-01-02T23:00Z"),
        ("2022-03-01T00:00Z/fw24h", 49, "2022-02-28T23:30Z", "2022-03-01T23:30Z"),
        ("2022-03-01T00:00Z/fw48h", 97, "2022-02-28T23:30Z", "2022-03-02T23:30Z"),
        ("2022-03-01T00:00Z/pt24h", 49, "2022-02-27T23:30Z", "2022-02-28T23:30Z"),
        ("2022-03-01T00:30Z/fw24h", 49, "2022-03-01T00:00Z", "2022-03-02T00:00Z"),
        ("2022-03-01T00:01Z/fw24h", 48, "2022-03-01T00:00Z", "2022-03-01T23:30Z"),
        ("2022-03-01T00:01Z/fw48h", 96, "2022-03-01T00:00Z", "2022-03-02T23:30Z"),
        ("2022-03-01T00:29Z/pt24h", 48, "2022-02-28T00:00Z", "2022-02-28T23:30Z"),
        ("2022-03-01/fw24h", 49, "2022-02-28T23:30Z", "2022-03-01T23:30Z"),
        ("2022-03-01/2022-03-15", 673, "2022-02-28T23:30Z", "2022-03-14T23:30Z"),
        ("2022-03-01T00:30Z/2022-03-01T00:30Z", 1, "2022-03-01T00:00Z", "2022-03-01T00:00Z"),
    ],
)
def test_gives_the_periods_whose_end_lies_in_the_window(
    api: CarbonIntensityApi, path: str, count: int, first: str, last: str
) -> None:
    found = starts(api, f"/regional/intensity/{path}")
    assert (len(found), found[0], found[-1]) == (count, first, last)
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("path", "count", "first", "last"),
    [
        # The window starts in 2023, so the period that ends at 2024-01-01T00:00Z is lost.
        ("2024-01-01T00:00Z/pt24h", 48, "2023-12-30T23:30Z", "2023-12-31T23:00Z"),
        ("2023-12-25T00:00Z/2024-01-08T00:00Z", 336, "2023-12-24T23:30Z", "2023-12-31T23:00Z"),
        ("2024-12-31T12:00Z/fw48h", 24, "2024-12-31T11:30Z", "2024-12-31T23:00Z"),
        ("2025-01-01T00:00Z/2025-01-01T00:00Z", 1, "2024-12-31T23:30Z", "2024-12-31T23:30Z"),
        ("2024-01-01T00:00Z/fw24h", 49, "2023-12-31T23:30Z", "2024-01-01T23:30Z"),
    ],
)
def test_loses_the_periods_that_end_after_the_year_of_the_window_start(
    api: CarbonIntensityApi, path: str, count: int, first: str, last: str
) -> None:
    found = starts(api, f"/regional/intensity/{path}")
    assert (len(found), found[0], found[-1]) == (count, first, last)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("2018-07-13T00:00Z/2018-07-17T00:00Z", "2018-07-13T01:00Z", "2018-07-16T01:30Z"),
        ("2018-08-03T12:00Z/2018-08-06T00:00Z", "2018-08-03T23:00Z", "2018-08-05T23:30Z"),
        ("2023-10-20T12:00Z/2023-10-23T00:00Z", "2023-10-20T21:30Z", "2023-10-22T15:00Z"),
        ("2024-06-11T12:00Z/2024-06-13T00:00Z", "2024-06-11T22:30Z", "2024-06-12T10:00Z"),
    ],
)
def test_leaves_out_the_half_hours_that_upstream_never_had(
    api: CarbonIntensityApi, path: str, before: str, after: str
) -> None:
    found = starts(api, f"/regional/intensity/{path}")
    assert found[found.index(before) + 1] == after


def test_begins_with_the_first_regional_half_hour(api: CarbonIntensityApi) -> None:
    found = starts(api, "/regional/intensity/2018-05-10T00:00Z/2018-05-12T00:00Z")
    assert (found[0], len(found)) == ("2018-05-10T23:30Z", 49)
    assert body_of(api, "/regional/intensity/2018-05-10T00:00Z/2018-05-10T23:30Z") == "{}"


def test_ends_48_hours_ahead_of_the_clock(api: CarbonIntensityApi) -> None:
    on_the_half_hour = datetime(2024, 1, 5, tzinfo=UTC)
    found = starts(api, "/regional/intensity/2024-01-05T00:00Z/2024-01-10T00:00Z", on_the_half_hour)
    assert (len(found), found[-1]) == (97, "2024-01-06T23:30Z")
    later = datetime(2024, 1, 5, 0, 29, 59, tzinfo=UTC)
    assert starts(api, "/regional/intensity/2024-01-06T23:30Z/fw48h", later)[-1] == "2024-01-06T23:30Z"
    assert body_of(api, "/regional/intensity/2024-01-07T00:01Z/fw24h", later) == "{}"


def test_answers_a_day_within_a_hole_as_empty(api: CarbonIntensityApi) -> None:
    assert body_of(api, "/regional/intensity/2023-10-22T00:00Z/pt24h") == "{}"


def test_holds_52504_half_hours_from_2022_to_2024() -> None:
    found: list[int] = []
    for year in (2022, 2023, 2024):
        start, year_end = at(f"{year}-01-01T00:30"), at(f"{year}-12-31T23:30")
        while start <= year_end:
            end = min(start + timedelta(days=14, minutes=-30), year_end)
            found += slots_in(start, end, now=NOW)
            start = end + timedelta(minutes=30)
        new_year = at(f"{year + 1}-01-01T00:00")
        found += slots_in(new_year, new_year, now=NOW)
    assert len(found) == 52_504
    assert len(set(found)) == 52_504
    assert found == sorted(found)


def test_gives_the_case_studys_slots_from_one_window_a_day() -> None:
    days = [at("2022-01-01") + timedelta(days=day) for day in range(1096)]
    answers = [slots_in(day - timedelta(days=1), day, now=NOW) for day in days]
    assert days[-1] == at("2024-12-31")
    assert sum(map(len, answers)) == 53_594
    assert sum(1 for slots in answers if slots) == 1_095
    assert len({slot for slots in answers for slot in slots}) == 52_505


@pytest.mark.slow
def test_gives_the_case_studys_records_from_one_response_a_day(api: CarbonIntensityApi) -> None:
    records = readings = empty = 0
    distinct = set()
    for number in range(1096):
        day = at("2022-01-01") + timedelta(days=number)
        body = body_of(api, f"/regional/intensity/{day:%Y-%m-%d}/pt24h")
        empty += body == "{}"
        records += body.count('"regions":')
        readings += body.count('"perc":')
        distinct.update(part[:17] for part in body.split('{"from":"')[1:])
    assert (records, readings, empty, len(distinct)) == (53_594, 8_682_228, 1, 52_505)
