"""What a history proves about a table's progress: literal histories, newest first."""

import json
from dataclasses import replace
from typing import Any

from lakehouse.lake import commits
from lakehouse.lake.commits import Commit, Pin

OURS = Commit("silver", "run", "0.1", "abc", {"bronze.regional_intensity": Pin("id", 3)}, landing=7)


def entry(version: int, operation: str, says: str | None = None) -> dict[str, Any]:
    return {"version": version, "operation": operation, "userMetadata": says, "txnId": f"commit-{version}"}


def landed(version: int, stage: str = "bronze") -> dict[str, Any]:
    return entry(version, "WRITE", Commit(stage, "run", "0.1", "abc", {}, landing=version).to_json())


def test_reads_back_what_a_commit_said() -> None:
    assert commits.parse(OURS.to_json()) == OURS


def test_takes_nobody_elses_metadata_for_ours() -> None:
    for text in (None, "", "hello", "7", "{}", '{"run_id": "x"}', '["lakehouse"]'):
        assert commits.parse(text) is None


def test_finds_the_newest_data_commit_past_maintenance() -> None:
    history = [
        entry(9, "VACUUM END"),
        entry(8, "OPTIMIZE"),
        entry(7, "SET TBLPROPERTIES"),
        entry(6, "MERGE", OURS.to_json()),
    ]
    assert commits.newest_data_commit(history, "silver") == OURS


def test_trusts_no_cursor_behind_a_foreign_commit() -> None:
    for operation in ("RESTORE", "UPDATE", "DELETE", "WRITE", "CREATE OR REPLACE TABLE"):
        history = [entry(7, operation), entry(6, "MERGE", OURS.to_json())]
        assert commits.newest_data_commit(history, "silver") is None


def test_trusts_no_cursor_of_another_stage() -> None:
    assert commits.newest_data_commit([entry(6, "MERGE", OURS.to_json())], "gold") is None


def test_has_no_cursor_in_a_table_never_written() -> None:
    assert commits.newest_data_commit([entry(0, "CREATE TABLE")], "silver") is None
    assert commits.newest_data_commit([], "silver") is None


STAGES = frozenset({"bronze", "import"})


def test_trusts_no_commit_that_passed_over_anothers() -> None:
    """A commit that was found against version 6 says nothing of what somebody wrote as version 7."""
    ours = entry(8, "MERGE", replace(OURS, based_on=6).to_json())
    assert commits.newest_data_commit([ours, entry(7, "OPTIMIZE"), entry(6, "WRITE")], "silver") is not None
    assert commits.newest_data_commit([ours, entry(7, "UPDATE"), entry(6, "WRITE")], "silver") is None
    assert commits.newest_data_commit([ours, entry(6, "WRITE")], "silver") is None


def test_reads_an_account_of_another_release() -> None:
    newer = json.loads(OURS.to_json()) | {"surprise": 1}
    older = {key: value for key, value in newer.items() if key not in ("schema", "based_on", "at", "surprise")}
    assert commits.parse(json.dumps(newer)) == OURS
    assert commits.parse(json.dumps(older)) == OURS
    assert commits.parse('{"lakehouse": 1, "stage": "silver"}') is None


STAGES = frozenset({"bronze", "import"})


def since(
    version: int, history: list[dict[str, Any]], commit_id: str | None = "commit-3", table_id: str = "id"
) -> bool:
    return commits.added_to_since(Pin("id", version, commit_id), table_id, history, stages=STAGES)


def test_sees_that_a_table_was_only_added_to() -> None:
    assert since(3, [landed(5), entry(4, "OPTIMIZE"), landed(3, "import")])
    assert since(3, [landed(3)])


def test_sees_what_breaks_the_line() -> None:
    assert not since(3, [landed(5), entry(4, "RESTORE"), landed(3)])
    assert not since(3, [landed(5), landed(3)])  # version 4 was cleaned away
    assert not since(3, [landed(5), landed(4)])  # the pinned one was cleaned away
    assert not since(3, [landed(5, "somebody"), landed(4), landed(3)])
    assert not since(3, [landed(2), landed(1)])  # the table has gone back behind it


def test_knows_a_copy_that_went_its_own_way() -> None:
    assert not since(3, [landed(4), landed(3)], commit_id="another")
    assert not since(3, [landed(4), landed(3)], commit_id=None)
    assert not since(3, [landed(4), landed(3)], table_id="another")
