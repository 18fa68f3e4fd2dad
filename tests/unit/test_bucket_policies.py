"""The policies of docs/platforms.md against the places of the tables, by an evaluator that is not ours."""

import json
import re

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from lakehouse.lake import lease
from lakehouse.lake.tables import TABLES, Table
from tests.support.documents import PROJECT

FOUND = re.findall(r"^```json\n(.*?)^```$", (PROJECT / "docs/platforms.md").read_text(), re.MULTILINE | re.DOTALL)
READER, ENGINEER, WRITER = (IAMPolicy({"policy_document": policy}) for policy in FOUND)
ACTIONS = ("GetObject", "PutObject", "DeleteObject")
ALL, READ, NONE = set(ACTIONS), {"GetObject"}, set[str]()


def permitted(policy: IAMPolicy, key: str) -> set[str]:
    place = f"arn:aws:s3:::BUCKET/PREFIX/{key}"
    results = {action: policy.is_action_permitted(f"s3:{action}", place) for action in ACTIONS}
    return {action for action, result in results.items() if result is PermissionResult.PERMITTED}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("file", ["_delta_log/00000000000000000000.json", "part-00000.snappy.parquet"])
def test_each_layer_has_its_readers(table: Table, file: str) -> None:
    key = f"{table.path}/{file}"
    reads = READ if table.name.startswith("gold.") else NONE
    assert [permitted(policy, key) for policy in (READER, ENGINEER, WRITER)] == [reads, READ, ALL]


@pytest.mark.parametrize("key", [lease.FILE, "releases/2024/gold/dim_region/_delta_log/00000000000000000000.json"])
def test_what_is_beside_the_layers_is_no_readers_affair(key: str) -> None:
    assert [permitted(policy, key) for policy in (READER, ENGINEER, WRITER)] == [NONE, READ, ALL]


def test_no_other_lake_in_the_bucket_is_reached() -> None:
    for place in ("BUCKET/OTHER/gold/x", "BUCKET/PREFIX2/gold/x", "BUCKET2/PREFIX/gold/x"):
        for policy in (READER, ENGINEER, WRITER):
            found = policy.is_action_permitted("s3:GetObject", f"arn:aws:s3:::{place}")
            assert found is PermissionResult.NEUTRAL


def test_each_policy_lists_what_it_reads() -> None:
    """Beside what the evaluator looks at."""
    listed = [json.loads(policy)["Statement"][0]["Condition"]["StringLike"]["s3:prefix"] for policy in FOUND]
    assert listed == [["PREFIX/gold/*"], ["PREFIX", "PREFIX/*"], ["PREFIX", "PREFIX/*"]]
