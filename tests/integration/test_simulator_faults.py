"""Every fault of the simulator, as a client on a real socket meets it."""

import asyncio
import json
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from lakehouse.simulator import Simulator, parse_script
from lakehouse.simulator.script import KINDS
from tests.support.api_fixtures import PATH, get, periods

STARTS = ["2024-01-02T00:00Z", "2024-01-02T00:30Z", "2024-01-02T01:00Z", "2024-01-02T01:30Z"]


def order(api: Simulator, fault: str, **settings: object) -> None:
    api.script.add(*parse_script([{"fault": fault, **settings}]))


# --- replies


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_sends_a_status_with_headers_and_body(web: aiohttp.ClientSession, api: Simulator, status: int) -> None:
    order(api, "status", status=status, body="later", content_type="text/plain", headers={"X-Why": "load"})
    async with web.get(PATH) as response:
        assert (response.status, await response.text()) == (status, "later")
        assert (response.headers["X-Why"], response.content_type) == ("load", "text/plain")
        assert "Retry-After" not in response.headers
    assert api.requests[0].fault == "status"
    assert api.requests[0].status == status


async def test_says_retry_after_in_seconds(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "status", status=429, retry_after_s=7)
    async with web.get(PATH) as response:
        assert response.headers["Retry-After"] == "7"


async def test_says_retry_after_as_a_date(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "status", status=429, retry_after_s=90, retry_after_date=True)
    async with web.get(PATH) as response:
        due = parsedate_to_datetime(response.headers["Retry-After"])
    assert timedelta(seconds=80) < due - datetime.now(UTC) <= timedelta(seconds=90)
    assert response.headers["Retry-After"].endswith(" GMT")


async def test_says_retry_after_in_words_of_the_script(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "status", status=429, headers={"Retry-After": "soon"})
    async with web.get(PATH) as response:
        assert response.headers["Retry-After"] == "soon"


async def test_redirects_to_another_host(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "redirect", location="http://elsewhere.invalid/regional", status=307)
    async with web.get(PATH, allow_redirects=False) as response:
        assert response.status == 307
        assert response.headers["Location"] == "http://elsewhere.invalid/regional"


async def test_refuses_a_window_as_too_long(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "window_too_long")
    assert await get(web) == (
        400,
        b'{"error":{"code":"400 Bad Request","message":"Please enter a valid datetime in ISO8601 format '
        b'YYYY-MM-DDThh:mmZ e.g. /regional/intensity/2018-05-15T12:00Z/2018-05-20T12:00Z"}}',
    )


async def test_sends_a_web_page_with_status_200(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "html")
    order(api, "html", content_type="application/json")
    async with web.get(PATH) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert (await response.text()).startswith("<!doctype html>")
    async with web.get(PATH) as response:
        assert (response.status, response.content_type) == (200, "application/json")


@pytest.mark.parametrize(("fault", "body"), [("empty_object", b"{}"), ("empty_list", b'{"data":[]}'), ("no_body", b"")])
async def test_sends_an_empty_answer(web: aiohttp.ClientSession, api: Simulator, fault: str, body: bytes) -> None:
    order(api, fault)
    assert await get(web) == (200, body)


async def test_sends_a_body_that_is_too_big(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "oversize_body", mebibytes=3)
    order(api, "oversize_body", mebibytes=3, declare_length=False)
    size = 3 * 1024 * 1024 + 11
    async with web.get(PATH) as response:
        assert int(response.headers["Content-Length"]) == size
        assert len(await response.read()) == size
    async with web.get(PATH) as response:
        assert "Content-Length" not in response.headers
        body = await response.read()
    assert len(body) == size
    assert json.loads(body) == {"data": []}


async def test_sends_a_gzip_bomb(api: Simulator) -> None:
    order(api, "gzip_bomb", mebibytes=40)
    async with aiohttp.ClientSession(api.url, auto_decompress=False) as web, web.get(PATH) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = await response.read()
    assert len(packed) < 60_000
    body = zlib.decompress(packed, wbits=31)  # also checks the checksum and the length
    assert len(body) == 40 * 1024 * 1024 + 11
    assert json.loads(body) == {"data": []}


# --- deliveries


async def test_holds_the_headers_until_released(web: aiohttp.ClientSession, api: Simulator) -> None:
    _, good = await get(web)
    order(api, "stall_headers")
    task = asyncio.create_task(get(web))
    await api.until_held()
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done
    api.release()
    assert await task == (200, good)


async def test_holds_the_body_until_released(web: aiohttp.ClientSession, api: Simulator) -> None:
    _, good = await get(web)
    order(api, "stall_body", after_bytes=500)
    async with web.get(PATH) as response:
        assert response.status == 200
        assert await response.content.readexactly(500) == good[:500]
        await api.until_held()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await response.content.read(1)
        api.release()
        assert await response.content.read() == good[500:]


@pytest.mark.parametrize("fault", ["stall_headers", "stall_body"])
async def test_goes_on_by_itself_after_the_given_seconds(
    web: aiohttp.ClientSession, api: Simulator, fault: str
) -> None:
    _, good = await get(web)
    order(api, fault, seconds=0.05)
    assert await get(web) == (200, good)


async def test_releases_only_those_that_wait(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "stall_headers", times=2)
    api.release()
    first = asyncio.create_task(get(web))
    await api.until_held(1)
    api.release()
    await first
    second = asyncio.create_task(get(web))
    await api.until_held(1)
    assert not second.done()
    api.release()
    await second


async def test_resets_the_connection_within_the_body(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "reset", after_bytes=300)
    with pytest.raises(aiohttp.ClientError) as caught:
        await get(web)
    assert isinstance(caught.value, aiohttp.ClientPayloadError | aiohttp.ClientOSError)
    assert (await get(web))[0] == 200


async def test_resets_the_connection_before_the_headers(web: aiohttp.ClientSession, api: Simulator) -> None:
    # For ever: aiohttp's own client silently asks once more when a GET's connection dies without an answer.
    order(api, "disconnect", times=None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await web.get(PATH)
    assert {(request.fault, request.status) for request in api.requests} == {("disconnect", 200)}


async def test_drips_the_body(web: aiohttp.ClientSession, api: Simulator) -> None:
    _, good = await get(web)
    order(api, "slow_drip", chunk_bytes=len(good) // 4 + 1, pause_s=0.05)
    started = asyncio.get_running_loop().time()
    assert await get(web) == (200, good)
    assert asyncio.get_running_loop().time() - started >= 0.14  # three pauses before the last piece


async def test_truncates_a_gzip_stream(api: Simulator) -> None:
    order(api, "truncated_gzip", missing_bytes=50)
    async with aiohttp.ClientSession(api.url, auto_decompress=False) as web, web.get(PATH) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = await response.read()
        assert int(response.headers["Content-Length"]) == len(packed)
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(packed).startswith(b'{"data":[{"from":"2024-01-02T00:00Z"')
    assert not unpacker.eof


async def test_cuts_the_json(web: aiohttp.ClientSession, api: Simulator) -> None:
    _, good = await get(web)
    order(api, "cut_json")
    status, body = await get(web)
    assert (status, len(body)) == (200, len(good) // 2)
    assert good.startswith(body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_keeps_the_status_of_a_badly_delivered_error(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "stall_headers", seconds=0.01)
    assert (await get(web, "/regional/x"))[0] == 500


# --- edits


@pytest.mark.parametrize("value", ["abc", None, -5, 1.5, {"a": 1}, True])
async def test_writes_a_wrong_forecast(web: aiohttp.ClientSession, api: Simulator, value: object) -> None:
    good = await periods(web)
    order(api, "forecast_value", value=value, regionid=13)
    found = await periods(web)
    assert found[0]["regions"][12]["intensity"]["forecast"] == value
    found[0]["regions"][12]["intensity"]["forecast"] = good[0]["regions"][12]["intensity"]["forecast"]
    assert found == good


async def test_writes_a_wrong_forecast_into_a_single_regions_answer(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "forecast_value")
    _, body = await get(web, f"{PATH}/regionid/13")
    assert [period["intensity"]["forecast"] == "abc" for period in json.loads(body)["data"]["data"]] == [
        True,
        False,
        False,
        False,
    ]


async def test_writes_an_unknown_label(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "index_value", value="extreme")
    assert (await periods(web))[0]["regions"][0]["intensity"]["index"] == "extreme"


async def test_writes_a_perc_that_is_an_object(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "perc_value", value={"of": "gas"}, fuel="gas", regionid=2)
    found = await periods(web)
    assert found[0]["regions"][1]["generationmix"][3] == {"fuel": "gas", "perc": {"of": "gas"}}
    assert [type(entry["perc"]) for entry in found[1]["regions"][1]["generationmix"]].count(dict) == 0


async def test_writes_regions_that_are_no_list(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "regions_value", value="none")
    found = await periods(web)
    assert found[0]["regions"] == "none"
    assert len(found[1]["regions"]) == 18


async def test_leaves_a_region_out(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "region_missing", regionid=5)
    for period in await periods(web):
        assert [region["regionid"] for region in period["regions"]] == [1, 2, 3, 4, *range(6, 19)]


async def test_puts_a_region_in(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "region_extra")
    for period in await periods(web):
        assert [region["regionid"] for region in period["regions"]] == list(range(1, 20))


async def test_leaves_a_fuel_out(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "fuel_missing", fuel="solar")
    mixes = [region["generationmix"] for period in await periods(web) for region in period["regions"]]
    assert len(mixes) == 72
    for mix in mixes:
        assert [entry["fuel"] for entry in mix] == [
            "biomass", "coal", "imports", "gas", "nuclear", "other", "hydro", "wind",
        ]  # fmt: skip


async def test_puts_a_tenth_fuel_in(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "fuel_extra", perc=1.5)
    mixes = [region["generationmix"] for period in await periods(web) for region in period["regions"]]
    assert len(mixes) == 72
    assert all(len(mix) == 10 and mix[9] == {"fuel": "storage", "perc": 1.5} for mix in mixes)


async def test_sends_a_half_hour_twice_with_other_values(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "half_hour_twice", add=3)
    found = await periods(web)
    assert [period["from"] for period in found] == [STARTS[0], *STARTS]
    for one, other in zip(found[0]["regions"], found[1]["regions"], strict=True):
        assert other["intensity"]["forecast"] - one["intensity"]["forecast"] == 3
        assert one["generationmix"] == other["generationmix"]


async def test_sends_periods_outside_the_window(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "outside_window", hours=24)
    found = await periods(web)
    assert [(period["from"], period["to"]) for period in (found[0], found[-1])] == [
        ("2024-01-01T00:00Z", "2024-01-01T00:30Z"),
        ("2024-01-03T01:30Z", "2024-01-03T02:00Z"),
    ]
    assert [period["from"] for period in found[1:-1]] == STARTS


async def test_reorders_keys_and_nothing_else(web: aiohttp.ClientSession, api: Simulator) -> None:
    good = await periods(web)
    order(api, "keys_reordered")
    found = await periods(web)
    assert found == good
    assert [list(entry) for entry in found[0]["regions"][0]["generationmix"][:2]] == [
        ["fuel", "perc"],
        ["perc", "fuel"],
    ]
    assert [next(iter(region)) for region in found[0]["regions"][:2]] == ["regionid", "generationmix"]


async def test_keeps_an_edit_for_an_answer_that_it_fits(web: aiohttp.ClientSession, api: Simulator) -> None:
    order(api, "region_missing", regionid=13)
    assert (await get(web, "/regional/x"))[0] == 500
    assert await get(web, "/regional/intensity/2024-02-01/fw24h") == (200, b"{}")
    assert (await get(web, f"{PATH}/regionid/13"))[0] == 200
    assert len((await periods(web))[0]["regions"]) == 17
    assert len((await periods(web))[0]["regions"]) == 18
    assert [request.fault for request in api.requests] == [None, None, None, "region_missing", None]


def test_has_a_test_for_every_fault() -> None:
    """A new fault enters this set together with its test."""
    assert set(KINDS) == {
        "status", "redirect", "window_too_long", "html", "empty_object", "empty_list", "no_body", "oversize_body",
        "gzip_bomb", "stall_headers", "stall_body", "reset", "disconnect", "slow_drip", "truncated_gzip",
        "cut_json", "forecast_value", "index_value", "perc_value", "regions_value", "region_missing",
        "region_extra", "fuel_missing", "fuel_extra", "half_hour_twice", "outside_window", "keys_reordered",
    }  # fmt: skip
