"""Time travel keeps what it promises: for ever by default, as long as was set otherwise, and in copies of a lake."""

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import cli, settings
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import comparison, query, release_export, releases, reproduction
from lakehouse.lake import commits, maintenance
from lakehouse.lake.tables import BRONZE, GOLD, SILVER, TABLES, Table
from lakehouse.pipeline import Run
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.transform.models import MODELS
from tests.support.lakes import Lake, periods, response
from tests.support.reports import Heard
from tests.support.revised_lake import derived

DAY_MS = 24 * 3600 * 1000
TIMES = ("inCommitTimestamp", "timestamp", "modificationTime", "deletionTimestamp", "createdTime")


def older(value: Any, days: int) -> Any:
    if isinstance(value, dict):
        return {
            name: kept - days * DAY_MS if name in TIMES and isinstance(kept, int) else older(kept, days)
            for name, kept in value.items()
        }
    return value


def age(lake: Lake, days: int, tables: tuple[Table, ...] = TABLES) -> None:
    """Let everything in the tables have happened that many days earlier, as far as the commits are still there."""
    for table in tables:
        place = Path(lake.store.path(table))
        is_whole = (place / "_delta_log" / f"{0:020}.json").exists()
        for file in filter(Path.is_file, (place / "_delta_log").glob("*")):
            if file.suffix != ".json":
                if is_whole or file.suffix == ".crc":
                    file.unlink()
                continue
            lines = [json.dumps(older(json.loads(line), days)) for line in file.read_text().splitlines()]
            file.write_text("\n".join(lines) + "\n")
        for file in place.rglob("*"):
            moment = time.time() - days * 24 * 3600
            os.utime(file, (moment, moment))
    forget(lake)


def forget(lake: Lake) -> None:
    """Let Spark read the logs anew."""
    jvm: Any = lake.store.spark._jvm
    jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


@pytest.fixture
def told(revised_once: Lake, tmp_path: Path) -> Lake:
    return revised_once.copy(tmp_path / "lake")


@pytest.fixture
def bounded(told: Lake) -> Settings:
    return settings.load({"root": told.store.root, "retention": {"days": 30}})


@pytest.fixture
def forever(told: Lake, settings_of: Callable[[str], Settings]) -> Settings:
    return settings_of(told.store.root)


def maintained(chosen: Settings) -> RunReport:
    heard = Heard()
    run = Run(chosen, "maintain", heard)
    with run.recorded():
        run.maintain()
    assert heard.of("maintain") == [(done, len(TABLES), "table") for done in range(len(TABLES) + 1)]
    return run.report


def test_keeps_every_version_for_ever_unless_told_otherwise(told: Lake, forever: Settings) -> None:
    before = {version: told.store.read(SILVER, version).count() for version in (0, 1, 2)}
    files = sorted(Path(told.store.path(SILVER)).glob("*.parquet"))
    age(told, 3000)
    assert all(upkeep.goes == 0 for upkeep in maintenance.planned(forever))
    maintained(forever)
    age(told, 3000, (SILVER, GOLD))
    assert {version: told.store.read(SILVER, version).count() for version in (0, 1, 2)} == before
    assert set(files) <= set(Path(told.store.path(SILVER)).glob("*.parquet"))
    asked = "SELECT intensity_avg AS mean FROM gold.carbon_intensity_daily VERSION AS OF 1 WHERE regionid = 13"
    assert str(query.select(forever, asked, 1)[0][0]["mean"]) == "101.33"
    assert [stage.version for stage in derived(forever).stages] == [None] * (1 + len(MODELS))


def test_gives_up_what_a_bounded_retention_gives_up_and_keeps_releases(
    told: Lake, bounded: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    releases.create(bounded, "first", datetime(2024, 2, 1, tzinfo=UTC), at=1)
    age(told, 100)
    planned = {upkeep.table: upkeep for upkeep in maintenance.planned(bounded)}
    assert planned[SILVER.name].files_to_go == 1
    assert planned[SILVER.name].new_retention == "interval 30 days"
    files = len(list(Path(told.store.path(SILVER)).glob("*.parquet")))
    maintained(bounded)
    assert "Versions older than 30 days are given up (retention.days); releases stay." in caplog.messages
    assert len(list(Path(told.store.path(SILVER)).glob("*.parquet"))) == files - 1
    age(told, 40)  # and even the newest data commit is older than the retention now

    with pytest.raises(LakehouseError, match=r"silver\.regional_half_hourly version 1 is older than the retention"):
        told.store.read(SILVER, 1)
    with pytest.raises(UsageError, match=r"older than the retention .* a release of its time can"):
        query.select(bounded, "SELECT count(*) FROM silver.regional_half_hourly VERSION AS OF 1", 1)
    with pytest.raises(
        LakehouseError, match=r"Version 1 of the table at .* can no longer be read; a release of its time can"
    ):
        comparison.diff(bounded, SILVER, "1", "2")

    told.land(response(periods("2024-01-01T00:00", [200], [13]), "2024-01-03T00:00"))
    silver, gold, *_ = derived(bounded).stages
    assert (silver.counts["updated"], gold.counts["updated"]) == (1, 1)
    assert all(checked.is_whole for checked in releases.verify(bounded, "first"))
    assert reproduction.reproduce(bounded, "first").is_identical
    assert "carbon_intensity_daily.csv" in release_export.export(bounded, "first", tmp_path / "out")


def test_says_what_would_go_and_writes_nothing(
    told: Lake, bounded: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    age(told, 100)
    before = told.versions()
    monkeypatch.setenv("LAKEHOUSE_RETENTION__DAYS", "30")
    assert cli.exit_code(["--root", bounded.root, "maintain", "--dry-run", "--json"]) == 0
    said = {row["table"]: row for row in json.loads(capfd.readouterr().out)}
    assert said[SILVER.name]["goes_files"] == 1
    assert said[SILVER.name]["goes_bytes"] > 0
    assert said[BRONZE.name] | {"bytes": 0} == {
        "table": BRONZE.name,
        "files": 2,
        "bytes": 0,
        "compact_to": None,
        "kept_bytes": 0,
        "goes_bytes": 0,
        "goes_files": 0,
        "why_kept": "nothing but the newest version's files",
        "retention": "30 days",
    }
    assert told.versions() == before
    monkeypatch.setenv("LAKEHOUSE_RETENTION__DAYS", "3")
    assert cli.exit_code(["--root", bounded.root, "maintain"]) == 2
    assert "The setting retention.days is wrong" in capfd.readouterr().err


def test_compacts_small_files_and_leaves_every_stage_where_it_was(told: Lake, forever: Settings) -> None:
    for day in range(3, 7):
        told.land(response(periods(f"2024-02-0{day}T00:00", [100]), "2024-02-10T00:00"))
        told.derive()
    before = {table.name: told.rows(table) for table in (BRONZE, SILVER, GOLD)}
    report = maintained(forever)
    counts = {stage.stage.removeprefix("maintain "): stage.counts for stage in report.stages}
    assert (counts[BRONZE.name]["files"], counts[BRONZE.name]["files_now"]) == (6, 1)
    assert counts[SILVER.name]["files_now"] == counts[GOLD.name]["files_now"] == 1
    assert {table.name: told.rows(table) for table in (BRONZE, SILVER, GOLD)} == before
    newest = told.context.snapshot(SILVER).newest_commits()[0]
    assert (newest["operation"], commits.parse(newest["userMetadata"]).run_id) == ("OPTIMIZE", report.run_id)
    assert [stage.version for stage in derived(forever).stages] == [None] * (1 + len(MODELS))
    again = [stage for stage in maintained(forever).stages if stage.stage != "maintain ops.runs"]
    assert [stage.version for stage in again] == [None] * len(again)


def test_travels_in_time_in_a_copy_as_in_the_lake(
    told: Lake, tmp_path: Path, settings_of: Callable[[str], Settings]
) -> None:
    first = told.context.snapshot(GOLD).history()[1]["inCommitTimestamp"] / 1000
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", told.store.root)
    shutil.unpack_archive(archive, tmp_path / "elsewhere")
    for file in (tmp_path / "elsewhere").rglob("*"):
        os.utime(file)
    shutil.rmtree(told.store.root)
    copy = settings_of(str(tmp_path / "elsewhere"))
    moment = datetime.fromtimestamp(first + 0.001, UTC).isoformat()
    asked = (
        f"SELECT intensity_avg AS mean FROM gold.carbon_intensity_daily TIMESTAMP AS OF '{moment}' WHERE regionid = 13"
    )
    assert str(query.select(copy, asked, 1)[0][0]["mean"]) == "101.33"
    assert comparison.diff(copy, GOLD, moment, "2").counts["changed"] == 1
    assert [stage.version for stage in derived(copy).stages] == [None] * (1 + len(MODELS))
