"""The script that orders the simulator's faults: which requests a rule meets, and scripts in files."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from lakehouse.errors import UsageError
from lakehouse.simulator import Match, Rule, Simulator, fault, load_script, parse_script
from tests.support.api_fixtures import PATH, get, periods

# --- which requests


async def statuses(web: aiohttp.ClientSession, *paths: str) -> list[int]:
    return [(await get(web, path))[0] for path in paths]


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
    web: aiohttp.ClientSession, api: Simulator, match: Match, times: int | None, expected: list[int]
) -> None:
    api.script.add(Rule(fault("status", status=503), match, times))
    assert await statuses(web, DAY_2, DAY_3, DAY_2, DAY_3, DAY_2, DAY_3) == expected


async def test_matches_pt24h_by_where_its_window_starts(web: aiohttp.ClientSession, api: Simulator) -> None:
    api.script.add(Rule(fault("status", status=503), Match(window_start="2024-01-02T00:00Z"), None))
    days = [f"/regional/intensity/2024-01-0{day}/pt24h" for day in (2, 3)]
    assert await statuses(web, *days) == [200, 503]


async def test_follows_the_first_rule_that_is_due(web: aiohttp.ClientSession, api: Simulator) -> None:
    api.script.add(
        Rule(fault("status", status=429)),
        Rule(fault("status", status=503), Match(nth=2)),
        Rule(fault("empty_object"), times=None),
    )
    assert await statuses(web, PATH, PATH) == [429, 503]
    assert await get(web) == (200, b"{}")


async def test_spoils_no_more_answers_than_it_may_when_they_overlap(web: aiohttp.ClientSession, api: Simulator) -> None:
    api.script.add(Rule(fault("region_missing"), times=2))
    counts = [len(found[0]["regions"]) for found in await asyncio.gather(*(periods(web) for _ in range(5)))]
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
        fault("status", status=429, body="slow down", headers={"Retry-After": "7"}),
        Match(nth=3, path_contains="fw48h"),
        times=None,
    ),
    Rule(fault("cut_json"), Match(), times=1),
)


@pytest.mark.parametrize(("name", "text"), [("faults.json", JSON_SCRIPT), ("faults.toml", TOML_SCRIPT)])
def test_reads_a_script_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert load_script(path) == RULES


def test_reads_a_list_under_rules_from_json() -> None:
    assert parse_script({"rules": [{"fault": "cut_json"}]}) == (Rule(fault("cut_json")),)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"rules": [], "more": 1}, "Around the list of rules there is only the key 'rules'"),
        ("nothing", "A script is a list of rules"),
        ([1], "Rule 1, or its 'match', is not a table"),
        (
            [{"fault": "cut_json"}, {"fault": "explode"}],
            "Rule 2: no fault is called 'explode'; there are cut_",
        ),
        ([{"times": 1}], "Rule 1: no fault is called 'None'"),
        (
            [{"fault": "cut_json", "size": 1}],
            "Rule 1: in the fault 'cut_json', 'size' is wrong: Extra inputs are not permitted, not 1.",
        ),
        (
            [{"fault": "reset", "after_bytes": "x"}],
            "Rule 1: in the fault 'reset', 'after_bytes' is wrong: it should be a valid integer, not 'x'.",
        ),
        ([{"fault": "reset", "after_bytes": True}], "'after_bytes' is wrong: it should be a valid integer, not True"),
        ([{"fault": "slow_drip", "pause_s": True}], "'pause_s' is wrong: it should be a valid number, not True"),
        ([{"fault": "status"}], "Rule 1: in the fault 'status', 'status' is wrong: Field required."),
        ([{"fault": "status", "status": 42}], "'status' is wrong: it should be greater than or equal to 200, not 42"),
        (
            [{"fault": "status", "status": 429, "headers": {"Retry-After": 7}}],
            "'headers' is wrong: it should be a valid string, not 7",
        ),
        ([{"fault": "cut_json", "times": 0}], "'times' is wrong: it should be greater than or equal to 1, not 0"),
        ([{"fault": "cut_json", "times": "often"}], "'times' is wrong: it should be a valid integer, not 'often'"),
        ([{"fault": "cut_json", "match": []}], "Rule 1, or its 'match', is not a table"),
        ([{"fault": "cut_json", "match": {"nht": 1}}], "in 'match', 'nht' is wrong"),
        ([{"fault": "cut_json", "match": {"nth": 0}}], "'nth' is wrong: it should be greater than or equal to 1"),
        (
            [{"fault": "cut_json", "match": {"window_start": "today"}}],
            "'window_start' is wrong: it should be a datetime like 2024-01-02T00:30Z, not 'today'",
        ),
        ([{"fault": "slow_drip", "chunk_bytes": 0}], "it should be greater than or equal to 1, not 0"),
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
