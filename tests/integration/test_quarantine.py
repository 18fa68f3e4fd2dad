"""What is refused can be looked at, and judged again when a rule has changed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse.errors import UsageError
from lakehouse.lake.tables import QUARANTINE, SILVER
from lakehouse.settings import Settings
from lakehouse.transform import quarantine
from lakehouse.transform.quality import RULES, WARN, Rules
from lakehouse.transform.silver_job import Contract
from tests.support.lakes import Lake, period, region, response

LOOSER = Contract(
    Rules(
        tuple(replace(rule, level=WARN) if rule.name == "label_known" else rule for rule in RULES.records),
        RULES.repeated,
    )
)
"""A release in which a label that nobody knew no longer refuses a piece."""


def extreme(regionid: int, forecast: object) -> dict[str, object]:
    return region(regionid, intensity={"forecast": forecast, "index": "extreme"})


@pytest.fixture
def refusing(lake: Lake) -> Lake:
    """Four records with a label that is not known, one of them with a second fault; of one there is a newer value.

    12:00 region 12 has an older good value of 90.
    """
    noon, half_past = "2024-01-02T12:00", "2024-01-02T12:30"
    lake.land(response([period(noon, region(12, 90))], "2024-01-03T00:00"))
    lake.land(
        response(
            [period(noon, extreme(12, 91), extreme(13, 92)), period(half_past, extreme(12, 93), extreme(13, "n/a"))],
            "2024-01-03T01:00",
        )
    )
    lake.land(response([period(half_past, region(12, 94))], "2024-01-03T02:00"))
    lake.derive()
    assert sorted(row[0] for row in lake.rows(SILVER, "intensity_forecast")) == [90, 94]
    return lake


def test_moves_on_what_is_good_by_a_changed_rule(refusing: Lake, tmp_path: Path) -> None:
    whole = refusing.copy(tmp_path / "whole")
    carried = next(row[0] for row in refusing.rows(QUARANTINE, "response_id"))
    report = refusing.silver(replay=True, contract=LOOSER)
    assert {name: report.counts[name] for name in ("received", "quarantined", "inserted", "updated", "deleted")} == {
        "received": 4,
        "quarantined": 1,
        "inserted": 1,
        "updated": 1,
        "deleted": 0,
    }
    found = {
        (row[0], row[1].strftime("%H:%M")): row[2:]
        for row in refusing.rows(SILVER, "regionid", "timestamp", "intensity_forecast", "response_id")
    }
    assert {key: row[0] for key, row in found.items()} == {(12, "12:00"): 91, (13, "12:00"): 92, (12, "12:30"): 94}
    assert found[12, "12:00"][1] == found[13, "12:00"][1] == carried
    assert found[12, "12:30"][1] != carried
    assert refusing.rows(QUARANTINE, "position", "reasons") == [
        (1001, ["forecast_is_integer", "forecast_plausible"]),
    ]

    whole.silver(full=True, contract=LOOSER)
    assert (whole.rows(SILVER), whole.rows(QUARANTINE)) == (refusing.rows(SILVER), refusing.rows(QUARANTINE))
    gold = refusing.gold()[0].counts
    assert (gold["inserted"], gold["updated"]) == (1, 1)
    assert refusing.silver(replay=True, contract=LOOSER).version is None
    assert refusing.silver(contract=LOOSER).version is None


def test_takes_back_what_a_changed_rule_refuses_again(refusing: Lake) -> None:
    before = refusing.rows(SILVER), refusing.rows(QUARANTINE)
    refusing.silver(replay=True, contract=LOOSER)
    refusing.silver(replay=True)
    # the piece that stayed leads to its response, whose half-hours are judged whole
    assert (refusing.rows(SILVER), refusing.rows(QUARANTINE)) == before


def test_keeps_the_history_of_what_left(refusing: Lake) -> None:
    refusing.silver(replay=True, contract=LOOSER)
    past = refusing.store.read(QUARANTINE, 1)
    assert past.count() == 4
    assert refusing.context.snapshot(QUARANTINE).version == 2


def test_changes_nothing_while_the_rules_stay(refusing: Lake) -> None:
    before = refusing.versions()
    assert refusing.silver(replay=True).version is None
    assert refusing.versions() == before


def test_replays_beside_what_has_just_come(refusing: Lake) -> None:
    refusing.land(response([period("2024-01-02T12:00", region(13, 95))], "2024-01-03T05:00"))
    refusing.silver(replay=True, contract=LOOSER)
    assert sorted(row[0] for row in refusing.rows(SILVER, "intensity_forecast")) == [91, 94, 95]
    assert refusing.silver(contract=LOOSER).counts["received"] == 0


def test_lists_what_was_refused(refusing: Lake, settings_for: Callable[..., Settings]) -> None:
    chosen = settings_for(refusing.store.root)
    rows = quarantine.listed(chosen)
    assert [(row["position"], row["regionid"], row["period_from"]) for row in rows] == [
        (0, "12", "2024-01-02T12:00Z"),
        (1, "13", "2024-01-02T12:00Z"),
        (1000, "12", "2024-01-02T12:30Z"),
        (1001, "13", "2024-01-02T12:30Z"),
    ]
    assert '"index":"extreme"' in rows[0]["piece"]
    assert [row["position"] for row in quarantine.listed(chosen, "forecast_plausible")] == [1001]
    with pytest.raises(UsageError, match="There is no rule 'x'; known: readable, "):
        quarantine.listed(chosen, "x")
    assert quarantine.listed(settings_for("/nowhere")) == []
