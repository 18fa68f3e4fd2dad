"""`status` on small lakes: ages and their exit codes, completeness, gaps, runs, and what PostgreSQL has."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.lake import delta_log
from lakehouse.lake.tables import BRONZE, GOLD, SILVER, TABLES
from lakehouse.monitoring import overview, published
from lakehouse.monitoring.figures import LakeFigures
from lakehouse.monitoring.freshness import State
from lakehouse.postgres import PostgresTarget
from lakehouse.settings import Settings
from tests.support.calls import Call
from tests.support.export_fixtures import settings_for
from tests.support.gold_rows import GoldLake
from tests.support.lakes import Lake, period, region, response
from tests.support.revised_lake import derived
from tests.support.times import at

WARN, FAIL = "LAKEHOUSE_FRESHNESS__BRONZE__WARN_AFTER_HOURS", "LAKEHOUSE_FRESHNESS__BRONZE__FAIL_AFTER_HOURS"


@pytest.mark.parametrize(
    ("targets", "arguments", "code", "sentence"),
    [
        (("21", "21.5"), [], 0, ""),
        (("21", "21.5"), ["--check"], 3, "bronze is 22 h old (its newest half-hour ended 2024-01-01T02:00Z); 21 h 30"),
        (("21", "23"), ["--check"], 0, ""),
        (("21", "23"), ["--check", "--strict"], 1, "bronze is 22 h old (its newest half-hour ended 2024-01-01T02:00Z)"),
        (("22.5", "23"), ["--check", "--strict"], 0, ""),
    ],
)
def test_checks_ages_by_the_lakes_clock(
    call: Call, revised_once: Lake, targets: tuple[str, str], arguments: list[str], code: int, sentence: str
) -> None:
    variables = {"LAKEHOUSE_ROOT": revised_once.store.root, WARN: targets[0], FAIL: targets[1]}
    found, out, err = call("status", *arguments, **variables)
    assert found == code
    assert "bronze\t2024-01-01T02:00:00Z\t22 h\t" in out
    assert ("error: " in err) == bool(sentence)
    assert sentence in err.partition("error: ")[2]
    assert err.count("error: ") <= 1


def test_gives_everything_as_one_document(call: Call, revised_once: Lake) -> None:
    root = revised_once.store.root
    code, out, _ = call("status", "--check", "--json", LAKEHOUSE_ROOT=root)
    found = json.loads(out)
    assert (code, found["status"], found["exit_code"]) == (3, "failed", 3)
    assert found["lake_clock"] == "2024-01-02T00:00:00Z"
    assert [(layer["layer"], layer["until"], layer["state"]) for layer in found["freshness"]] == [
        ("bronze", "2024-01-01T02:00:00Z", "broken"),
        ("silver", "2024-01-01T02:00:00Z", "broken"),
        ("gold", "2024-01-01T02:00:00Z", "broken"),
    ]
    assert found["freshness"][0]["age_seconds"] == 22 * 3600
    assert found["completeness"] == [
        {"day": "2024-01-01", "rows": 7, "expected": 48 * 18, "share": 0.0081},
    ]
    assert {gap["cause"] for gap in found["gaps"]} == {
        "upstream empty",
        "not fetched yet",
        "quarantined",
        "region missing in the answer",
    }
    assert [run["lake_version"] for run in found["runs"]] == [2, 1]
    first = found["runs"][1]
    assert first["stages"][0]["counts"]["quarantined"] == 1
    assert [name for name, count in first["quality"].items() if count] != []
    assert found["postgres"]["note"] == "no export yet"
    assert {finding["level"] for finding in found["findings"]} == {"broken"}


def test_tells_an_empty_lake_that_nothing_is_there(call: Call, tmp_path: Path) -> None:
    code, out, err = call("status", "--check", LAKEHOUSE_ROOT=str(tmp_path / "lake"))
    assert code == 3
    assert "bronze\t\t\t1 h 30 min\t3 h\tbroken" in out
    assert err.splitlines()[-1] == (
        "error: bronze holds nothing yet; silver holds nothing yet; gold holds nothing yet."
    )
    assert not (tmp_path / "lake").exists()


def test_refuses_strict_alone(call: Call, tmp_path: Path) -> None:
    code, out, err = call("status", "--strict", LAKEHOUSE_ROOT=str(tmp_path))
    assert (code, out, err) == (2, "", "error: --strict says how --check judges; give both.\n")


def test_is_as_old_as_the_silver_that_gold_was_made_of(
    revised_once: Lake, tmp_path: Path, settings_of: Callable[..., Settings]
) -> None:
    lake = revised_once.copy(tmp_path / "lake")
    chosen = settings_of(lake.store.root)
    lake.land(response([period("2024-01-02T05:00", region(12), region(13))], "2024-01-02T06:00"))
    derived(chosen)  # Gold counts one half-hour of that day, of which Silver knows that it is not the first one
    lake.sql("UPDATE {} SET timestamp = timestamp + INTERVAL 1 DAY WHERE hour(timestamp) = 5", SILVER)
    found = overview.read(chosen, at("2024-05-01"))
    until = {layer.layer: layer.until for layer in found.layers}
    assert until["silver"] == at("2024-01-03T05:30")
    assert until["gold"] == at("2024-01-02T05:30")
    metrics = LakeFigures(lake.store.root).read().newest_period_end
    assert [layer.until for layer in found.layers] == [metrics[table.name] for table in (BRONZE, SILVER, GOLD)]


def test_finds_days_complete_and_the_outage_a_gap(autumn_lake: Path, settings_of: Callable[..., Settings]) -> None:
    found = overview.read(settings_of(str(autumn_lake)), at("2030-01-01"))
    assert found.clock == at("2023-11-05T12:00")
    assert [layer.state for layer in found.layers] == [State.OK] * 3
    assert [(day.rows, day.expected) for day in found.days] == [*[(864, 864)] * 6, (24 * 18, 24 * 18)]
    assert (found.anomalies, found.gaps and found.gaps.gaps, found.findings) == ([], (), [])


def test_warns_of_a_lost_file_and_a_server_that_does_not_answer(call: Call, revised_once: Lake, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(revised_once.store.root, root)
    silver = delta_log.open_table(str(root / SILVER.path))
    assert silver is not None
    Path(silver.table.file_uris()[0].removeprefix("file://")).unlink()  # of the newest version
    variables = {"LAKEHOUSE_ROOT": str(root), WARN: "30", FAIL: "40"}
    code, out, err = call("status", LAKEHOUSE_POSTGRES__URL="postgresql://me:hush@127.0.0.1:9/db", **variables)
    assert code == 0
    assert "warning: PostgreSQL cannot be asked: Nothing listens on 127.0.0.1:9; is PostgreSQL running there?" in err
    assert "broken: silver.regional_half_hourly has lost 1 of its 1 data file" in err
    assert "hush" not in out + err
    assert call("status", "--check")[0] == 3


def test_tells_what_postgresql_has(
    publish: Callable[..., dict[str, int]], database: PostgresTarget, gold_lake: GoldLake, lake_root: str
) -> None:
    chosen = settings_for(database, lake_root)
    assert published.read(chosen).note == "nothing has been exported into this database yet"
    publish(database)
    found = overview.read(chosen, at("2024-03-02"))
    assert found.published.note is None
    assert (found.published.versions or {})["carbon_intensity_daily"] == gold_lake.context.snapshot(GOLD).version
    assert not found.is_other_lake
    assert [layer.layer for layer in found.layers] == ["bronze", "silver", "gold", "export"]
    assert found.layers[2].until == found.layers[3].until
    other = found.published.__class__(table_ids={"carbon_intensity_daily": "another"})
    assert overview._is_of_another(overview.Tables(lake_root), other)


def test_opens_each_table_once(
    revised_once: Lake, settings_of: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    really = delta_log.open_table

    def counting(path: str, version: int | None = None) -> delta_log.Snapshot | None:
        opened.append(path)
        return really(path, version)

    monkeypatch.setattr(delta_log, "open_table", counting)
    overview.read(settings_of(revised_once.store.root), at("2024-05-01"))
    assert len(opened) == len(set(opened)) == len(TABLES)
