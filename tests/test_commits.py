"""What a history proves about a table's progress: literal histories, newest first."""

from typing import Any

from lakehouse import commits
from lakehouse.commits import Commit, Pin

OURS = Commit("silver", "run", "0.1", "abc", {"bronze.regional_intensity": Pin("id", 3)}, landing=7)


def entry(version: int, operation: str, says: str | None = None) -> dict[str, Any]:
    return {"version": version, "operation": operation, "userMetadata": says}


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


def test_sees_that_a_table_was_only_added_to() -> None:
    stages = frozenset({"bronze", "import"})
    assert commits.only_added_to([landed(5), entry(4, "OPTIMIZE"), landed(3, "import")], 2, 5, stages)
    assert commits.only_added_to([], 5, 5, stages)


def test_sees_what_breaks_the_line() -> None:
    stages = frozenset({"bronze"})
    assert not commits.only_added_to([landed(5), entry(4, "RESTORE"), landed(3)], 2, 5, stages)
    assert not commits.only_added_to([landed(5), landed(3)], 2, 5, stages)  # version 4 was cleaned away
    assert not commits.only_added_to([landed(5, "somebody"), landed(4), landed(3)], 2, 5, stages)
