"""Every fault of the simulator, as a client on a real socket meets it, and the script that orders them."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lakehouse.errors import UsageError
from lakehouse.simulator import Match, Rule, Simulator, load_script, parse_script
from lakehouse.simulator.kinds import KINDS, CutJson, EmptyObject, RegionMissing, Status

NOW = datetime(2024, 1, 5, tzinfo=UTC)
PATH = "/regional/intensity/2024-01-02T00:30Z/2024-01-02T02:00Z"
STARTS = ["2024-01-02T00:00Z", "2024-01-02T00:30Z", "2024-01-02T01:00Z", "2024-01-02T01:30Z"]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(now=NOW) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(simulator.url, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


def order(simulator: Simulator, fault: str, **settings: object) -> None:
    simulator.script.add(*parse_script([{"fault": fault, **settings}]))


async def get(client: aiohttp.ClientSession, path: str = PATH) -> tuple[int, bytes]:
    async with client.get(path, allow_redirects=False) as response:
        return response.status, await response.read()


async def periods(client: aiohttp.ClientSession, path: str = PATH) -> list[Any]:
    _, body = await get(client, path)
    found: list[Any] = json.loads(body)["data"]
    return found


# --- replies


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_sends_a_status_with_headers_and_body(
    client: aiohttp.ClientSession, simulator: Simulator, status: int
) -> None:
    order(simulator, "status", status=status, body="later", content_type="text/plain", headers={"X-Why": "load"})
    async with client.get(PATH) as response:
        assert (response.status, await response.text()) == (status, "later")
        assert (response.headers["X-Why"], response.content_type) == ("load", "text/plain")
        assert "Retry-After" not in response.headers
    assert simulator.requests[0].fault == "status"
    assert simulator.requests[0].status == status


async def test_says_retry_after_in_seconds(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "status", status=429, retry_after_s=7)
    async with client.get(PATH) as response:
        assert response.headers["Retry-After"] == "7"


async def test_says_retry_after_as_a_date(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "status", status=429, retry_after_s=90, retry_after_date=True)
    async with client.get(PATH) as response:
        due = parsedate_to_datetime(response.headers["Retry-After"])
    assert timedelta(seconds=80) < due - datetime.now(UTC) <= timedelta(seconds=90)
    assert response.headers["Retry-After"].endswith(" GMT")


async def test_says_retry_after_in_words_of_the_script(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "status", status=429, headers={"Retry-After": "soon"})
    async with client.get(PATH) as response:
        assert response.headers["Retry-After"] == "soon"


async def test_redirects_to_another_host(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "redirect", location="http://elsewhere.invalid/regional", status=307)
    async with client.get(PATH, allow_redirects=False) as response:
        assert response.status == 307
        assert response.headers["Location"] == "http://elsewhere.invalid/regional"


async def test_refuses_a_window_as_too_long(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "window_too_long")
    assert await get(client) == (
        400,
        b'{"error":{"code":"400 Bad Request","message":"Please enter a valid datetime in ISO8601 format '
        b'YYYY-MM-DDThh:mmZ e.g. /regional/intensity/2018-05-15T12:00Z/2018-05-20T12:00Z"}}',
    )


async def test_sends_a_web_page_with_status_200(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "html")
    order(simulator, "html", content_type="application/json")
    async with client.get(PATH) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert (await response.text()).startswith("<!doctype html>")
    async with client.get(PATH) as response:
        assert (response.status, response.content_type) == (200, "application/json")


@pytest.mark.parametrize(("fault", "body"), [("empty_object", b"{}"), ("empty_list", b'{"data":[]}'), ("no_body", b"")])
async def test_sends_an_empty_answer(
    client: aiohttp.ClientSession, simulator: Simulator, fault: str, body: bytes
) -> None:
    order(simulator, fault)
    assert await get(client) == (200, body)


async def test_sends_a_body_that_is_too_big(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "oversize_body", mebibytes=3)
    order(simulator, "oversize_body", mebibytes=3, declare_length=False)
    size = 3 * 1024 * 1024 + 11
    async with client.get(PATH) as response:
        assert int(response.headers["Content-Length"]) == size
        assert len(await response.read()) == size
    async with client.get(PATH) as response:
        assert "Content-Length" not in response.headers
        body = await response.read()
    assert len(body) == size
    assert json.loads(body) == {"data": []}


async def test_sends_a_gzip_bomb(simulator: Simulator) -> None:
    order(simulator, "gzip_bomb", mebibytes=40)
    async with aiohttp.ClientSession(simulator.url, auto_decompress=False) as client, client.get(PATH) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = await response.read()
    assert len(packed) < 60_000
    body = zlib.decompress(packed, wbits=31)  # also checks the checksum and the length
    assert len(body) == 40 * 1024 * 1024 + 11
    assert json.loads(body) == {"data": []}


# --- deliveries


async def test_holds_the_headers_until_released(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    _, good = await get(client)
    order(simulator, "stall_headers")
    task = asyncio.create_task(get(client))
    await simulator.until_held()
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done
    simulator.release()
    assert await task == (200, good)


async def test_holds_the_body_until_released(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    _, good = await get(client)
    order(simulator, "stall_body", after_bytes=500)
    async with client.get(PATH) as response:
        assert response.status == 200
        assert await response.content.readexactly(500) == good[:500]
        await simulator.until_held()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await response.content.read(1)
        simulator.release()
        assert await response.content.read() == good[500:]


@pytest.mark.parametrize("fault", ["stall_headers", "stall_body"])
async def test_goes_on_by_itself_after_the_given_seconds(
    client: aiohttp.ClientSession, simulator: Simulator, fault: str
) -> None:
    _, good = await get(client)
    order(simulator, fault, seconds=0.05)
    assert await get(client) == (200, good)


async def test_releases_only_those_that_wait(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "stall_headers", times=2)
    simulator.release()
    first = asyncio.create_task(get(client))
    await simulator.until_held(1)
    simulator.release()
    await first
    second = asyncio.create_task(get(client))
    await simulator.until_held(1)
    assert not second.done()
    simulator.release()
    await second


async def test_resets_the_connection_within_the_body(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "reset", after_bytes=300)
    with pytest.raises(aiohttp.ClientError) as caught:
        await get(client)
    assert isinstance(caught.value, aiohttp.ClientPayloadError | aiohttp.ClientOSError)
    assert (await get(client))[0] == 200


async def test_resets_the_connection_before_the_headers(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    # For ever: aiohttp's own client silently asks once more when a GET's connection dies without an answer.
    order(simulator, "disconnect", times=None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(PATH)
    assert {(request.fault, request.status) for request in simulator.requests} == {("disconnect", 200)}


async def test_drips_the_body(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    _, good = await get(client)
    order(simulator, "slow_drip", chunk_bytes=len(good) // 4 + 1, pause_s=0.05)
    started = asyncio.get_running_loop().time()
    assert await get(client) == (200, good)
    assert asyncio.get_running_loop().time() - started >= 0.14  # three pauses before the last piece


async def test_truncates_a_gzip_stream(simulator: Simulator) -> None:
    order(simulator, "truncated_gzip", missing_bytes=50)
    async with aiohttp.ClientSession(simulator.url, auto_decompress=False) as client, client.get(PATH) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = await response.read()
        assert int(response.headers["Content-Length"]) == len(packed)
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(packed).startswith(b'{"data":[{"from":"2024-01-02T00:00Z"')
    assert not unpacker.eof


async def test_cuts_the_json(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    _, good = await get(client)
    order(simulator, "cut_json")
    status, body = await get(client)
    assert (status, len(body)) == (200, len(good) // 2)
    assert good.startswith(body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_keeps_the_status_of_a_badly_delivered_error(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "stall_headers", seconds=0.01)
    assert (await get(client, "/regional/x"))[0] == 500


# --- edits


@pytest.mark.parametrize("value", ["abc", None, -5, 1.5, {"a": 1}, True])
async def test_writes_a_wrong_forecast(client: aiohttp.ClientSession, simulator: Simulator, value: object) -> None:
    good = await periods(client)
    order(simulator, "forecast_value", value=value, regionid=13)
    found = await periods(client)
    assert found[0]["regions"][12]["intensity"]["forecast"] == value
    found[0]["regions"][12]["intensity"]["forecast"] = good[0]["regions"][12]["intensity"]["forecast"]
    assert found == good


async def test_writes_a_wrong_forecast_into_a_single_regions_answer(
    client: aiohttp.ClientSession, simulator: Simulator
) -> None:
    order(simulator, "forecast_value")
    _, body = await get(client, f"{PATH}/regionid/13")
    assert [period["intensity"]["forecast"] == "abc" for period in json.loads(body)["data"]["data"]] == [
        True,
        False,
        False,
        False,
    ]


async def test_writes_an_unknown_label(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "index_value", value="extreme")
    assert (await periods(client))[0]["regions"][0]["intensity"]["index"] == "extreme"


async def test_writes_a_perc_that_is_an_object(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "perc_value", value={"of": "gas"}, fuel="gas", regionid=2)
    found = await periods(client)
    assert found[0]["regions"][1]["generationmix"][3] == {"fuel": "gas", "perc": {"of": "gas"}}
    assert [type(entry["perc"]) for entry in found[1]["regions"][1]["generationmix"]].count(dict) == 0


async def test_writes_regions_that_are_no_list(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "regions_value", value="none")
    found = await periods(client)
    assert found[0]["regions"] == "none"
    assert len(found[1]["regions"]) == 18


async def test_leaves_a_region_out(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "region_missing", regionid=5)
    for period in await periods(client):
        assert [region["regionid"] for region in period["regions"]] == [1, 2, 3, 4, *range(6, 19)]


async def test_puts_a_region_in(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "region_extra")
    for period in await periods(client):
        assert [region["regionid"] for region in period["regions"]] == list(range(1, 20))


async def test_leaves_a_fuel_out(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "fuel_missing", fuel="solar")
    mixes = [region["generationmix"] for period in await periods(client) for region in period["regions"]]
    assert len(mixes) == 72
    for mix in mixes:
        assert [entry["fuel"] for entry in mix] == [
            "biomass", "coal", "imports", "gas", "nuclear", "other", "hydro", "wind",
        ]  # fmt: skip


async def test_puts_a_tenth_fuel_in(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "fuel_extra", perc=1.5)
    mixes = [region["generationmix"] for period in await periods(client) for region in period["regions"]]
    assert len(mixes) == 72
    assert all(len(mix) == 10 and mix[9] == {"fuel": "storage", "perc": 1.5} for mix in mixes)


async def test_sends_a_half_hour_twice_with_other_values(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "half_hour_twice", add=3)
    found = await periods(client)
    assert [period["from"] for period in found] == [STARTS[0], *STARTS]
    for one, other in zip(found[0]["regions"], found[1]["regions"], strict=True):
        assert other["intensity"]["forecast"] - one["intensity"]["forecast"] == 3
        assert one["generationmix"] == other["generationmix"]


async def test_sends_periods_outside_the_window(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "outside_window", hours=24)
    found = await periods(client)
    assert [(period["from"], period["to"]) for period in (found[0], found[-1])] == [
        ("2024-01-01T00:00Z", "2024-01-01T00:30Z"),
        ("2024-01-03T01:30Z", "2024-01-03T02:00Z"),
    ]
    assert [period["from"] for period in found[1:-1]] == STARTS


async def test_reorders_keys_and_nothing_else(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    good = await periods(client)
    order(simulator, "keys_reordered")
    found = await periods(client)
    assert found == good
    assert [list(entry) for entry in found[0]["regions"][0]["generationmix"][:2]] == [
        ["fuel", "perc"],
        ["perc", "fuel"],
    ]
    assert [next(iter(region)) for region in found[0]["regions"][:2]] == ["regionid", "generationmix"]


async def test_keeps_an_edit_for_an_answer_that_it_fits(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    order(simulator, "region_missing", regionid=13)
    assert (await get(client, "/regional/x"))[0] == 500
    assert await get(client, "/regional/intensity/2024-02-01/fw24h") == (200, b"{}")
    assert (await get(client, f"{PATH}/regionid/13"))[0] == 200
    assert len((await periods(client))[0]["regions"]) == 17
    assert len((await periods(client))[0]["regions"]) == 18
    assert [request.fault for request in simulator.requests] == [None, None, None, "region_missing", None]


def test_has_a_test_for_every_fault() -> None:
    """A new fault enters this set together with its test."""
    assert set(KINDS) == {
        "status", "redirect", "window_too_long", "html", "empty_object", "empty_list", "no_body", "oversize_body",
        "gzip_bomb", "stall_headers", "stall_body", "reset", "disconnect", "slow_drip", "truncated_gzip",
        "cut_json", "forecast_value", "index_value", "perc_value", "regions_value", "region_missing",
        "region_extra", "fuel_missing", "fuel_extra", "half_hour_twice", "outside_window", "keys_reordered",
    }  # fmt: skip


# --- which requests


async def statuses(client: aiohttp.ClientSession, *paths: str) -> list[int]:
    return [(await get(client, path))[0] for path in paths]


DAY_2 = "/regional/intensity/2024-01-02T00:30Z/2024-01-02T23:30Z"
DAY_3 = "/regional/intensity/2024-01-03T00:30Z/2024-01-03T23:30Z"


@pytest.mark.parametrize(
    ("match", "times", "expected"),
    [
        (Match(), 1, [503, 200, 200, 200, 200, 200]),
        (Match(), None, [503, 503, 503, 503, 503, 503]),
        (Match(nth=3), 1, [200, 200, 503, 200, 200, 200]),
        (Match(nth=3), 2, [200, 200, 503, 503, 200, 200]),
        (Match(every=2), None, [503, 200, 503, 200, 503, 200]),
        (Match(nth=2, every=3), None, [200, 503, 200, 200, 503, 200]),
        (Match(path_contains="2024-01-03"), None, [200, 503, 200, 503, 200, 503]),
        (Match(path_contains="2024-01-03", nth=2), 1, [200, 200, 200, 503, 200, 200]),
        (Match(window_start="2024-01-02T00:30Z"), 2, [503, 200, 503, 200, 200, 200]),
        (Match(window_start="2024-01-02"), None, [200, 200, 200, 200, 200, 200]),
    ],
)
async def test_spoils_the_requests_that_match(
    client: aiohttp.ClientSession, simulator: Simulator, match: Match, times: int | None, expected: list[int]
) -> None:
    simulator.script.add(Rule(Status(503), match, times))
    assert await statuses(client, DAY_2, DAY_3, DAY_2, DAY_3, DAY_2, DAY_3) == expected


async def test_matches_pt24h_by_where_its_window_starts(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.script.add(Rule(Status(503), Match(window_start="2024-01-02T00:00Z"), None))
    days = [f"/regional/intensity/2024-01-0{day}/pt24h" for day in (2, 3)]
    assert await statuses(client, *days) == [200, 503]


async def test_follows_the_first_rule_that_is_due(client: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.script.add(Rule(Status(429)), Rule(Status(503), Match(nth=2)), Rule(EmptyObject(), times=None))
    assert await statuses(client, PATH, PATH) == [429, 503]
    assert await get(client) == (200, b"{}")


async def test_spoils_no_more_answers_than_it_may_when_they_overlap(
    client: aiohttp.ClientSession, simulator: Simulator
) -> None:
    simulator.script.add(Rule(RegionMissing(), times=2))
    counts = [len(found[0]["regions"]) for found in await asyncio.gather(*(periods(client) for _ in range(5)))]
    assert sorted(counts) == [17, 17, 18, 18, 18]


# --- scripts in files

JSON_SCRIPT = """
[
  {"match": {"nth": 3, "path_contains": "fw48h"}, "times": null, "fault": "status", "status": 429,
   "headers": {"Retry-After": "7"}, "body": "slow down"},
  {"fault": "cut_json"}
]
"""
TOML_SCRIPT = """
[[rules]]
match = { nth = 3, path_contains = "fw48h" }
times = "forever"
fault = "status"
status = 429
headers = { Retry-After = "7" }
body = "slow down"

[[rules]]
fault = "cut_json"
"""
RULES = (
    Rule(
        Status(429, body="slow down", headers={"Retry-After": "7"}),
        Match(nth=3, path_contains="fw48h"),
        times=None,
    ),
    Rule(CutJson(), Match(), times=1),
)


@pytest.mark.parametrize(("name", "text"), [("faults.json", JSON_SCRIPT), ("faults.toml", TOML_SCRIPT)])
def test_reads_a_script_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert load_script(path) == RULES


def test_reads_a_list_under_rules_from_json() -> None:
    assert parse_script({"rules": [{"fault": "cut_json"}]}) == (Rule(CutJson()),)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"rules": [], "more": 1}, "Around the list of rules there is only the key 'rules'"),
        ("nothing", "A script is a list of rules"),
        ([1], "Rule 1 is not a table"),
        (
            [{"fault": "cut_json"}, {"fault": "explode"}],
            "Rule 2: no fault is called 'explode'; there are cut_",
        ),
        ([{"times": 1}], "Rule 1: no fault is called None"),
        ([{"fault": "cut_json", "size": 1}], "Rule 1: fault 'cut_json' has no key 'size'; it knows none"),
        ([{"fault": "reset", "bytes": 1}], "Rule 1: fault 'reset' has no key 'bytes'; it knows after_bytes"),
        ([{"fault": "reset", "after_bytes": "x"}], "Rule 1: fault 'reset': 'after_bytes' cannot be 'x'"),
        ([{"fault": "reset", "after_bytes": True}], "Rule 1: fault 'reset': 'after_bytes' cannot be True"),
        ([{"fault": "status"}], "Rule 1: fault 'status' needs more keys, out of status"),
        ([{"fault": "status", "status": 42}], "Rule 1: An HTTP status lies in 200..599"),
        ([{"fault": "status", "status": 429, "headers": {"Retry-After": 7}}], "'headers' cannot be"),
        ([{"fault": "cut_json", "times": 0}], "Rule 1: A fault's 'times' is at least 1"),
        ([{"fault": "cut_json", "times": "often"}], "Rule 1: 'times' is a whole number"),
        ([{"fault": "cut_json", "match": []}], "Rule 1: 'match' is not a table"),
        ([{"fault": "cut_json", "match": {"nht": 1}}], "Rule 1: 'match' has no key 'nht'; it knows nth, every,"),
        ([{"fault": "cut_json", "match": {"nth": 0}}], "'nth' and 'every' count from 1"),
        ([{"fault": "cut_json", "match": {"window_start": "today"}}], "not 'today'"),
        ([{"fault": "slow_drip", "chunk_bytes": 0}], "at least 1 byte"),
    ],
)
def test_refuses_a_script_in_one_clear_sentence(document: object, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_script(document)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("faults.json", "[", "is not valid: Expecting value"),
        ("faults.toml", "=", "is not valid: Invalid statement"),
        ("faults.json", '[{"fault": "explode"}]', "is not valid: Rule 1: no fault is called 'explode'"),
        ("faults.json", None, "cannot be read: No such file or directory"),
    ],
)
def test_names_the_file_of_a_bad_script(tmp_path: Path, name: str, text: str | None, sentence: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_script(path)
    assert f"The fault script {path} {sentence}" in str(caught.value)
