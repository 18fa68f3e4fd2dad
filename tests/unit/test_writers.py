"""Two writers at once, told from the histories that they leave."""

from typing import Any

from lakehouse.lake.commits import Commit
from lakehouse.monitoring.writers import interleaved, overwritten


def commit(version: int, generation: int | None, run: str = "one") -> dict[str, Any]:
    made = Commit("gold", run, "0.1", "hash", generation=generation)
    return {"version": version, "operation": "MERGE", "userMetadata": made.to_json()}


def newest_first(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return list(reversed(entries))


def test_generations_that_rise_are_as_they_should_be() -> None:
    foreign = {"version": 2, "operation": "OPTIMIZE", "userMetadata": None}
    history = newest_first(commit(0, None), commit(1, 3), foreign, commit(3, 3), commit(4, 5))
    assert list(interleaved(history)) == []


def test_a_commit_under_a_lease_that_was_replaced_is_told() -> None:
    history = newest_first(commit(1, 3, "a"), commit(2, 4, "b"), commit(3, 3, "a"), commit(4, 4, "b"))
    assert list(interleaved(history)) == [
        "version 3 was committed by run a under lease 3, after a commit under lease 4: two runs wrote at once"
    ]


def test_a_version_that_is_not_of_the_run_that_says_so_is_told() -> None:
    history = newest_first(commit(1, 1, "a"), commit(2, 2, "b"))
    assert list(overwritten(history, {1: "a", 2: "b", 7: "gone from the log"})) == []
    assert list(overwritten(history, {1: "a", 2: "a"})) == [
        "version 2, which run a wrote, is now that of run b: a commit was lost"
    ]
