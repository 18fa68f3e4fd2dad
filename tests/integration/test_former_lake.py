"""A lake of the version before models were listed: it goes on, and the Gold tables that it lacks are built.

``tests/data/former_lake.tar.xz``: 234 half-hours of 2023-06-15/16 of the simulator's seed 42, three records in
quarantine, a release ``v1`` and four runs, as that version left them.
"""

import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse.history import comparison, explanation, release_export, releases, reproduction, restore, status
from lakehouse.lake.pinned import Tables
from lakehouse.lake.store import Store
from lakehouse.lake.tables import GOLD, GOLD_MONTHLY, INTENSITY_PROFILE, SILVER, TABLES
from lakehouse.pipeline import Run
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from tests.support.lakes import Lake, period, region, response

FORMER = Path(__file__).resolve().parents[1] / "data" / "former_lake.tar.xz"
NEW = (INTENSITY_PROFILE, GOLD_MONTHLY)
JUNE = date(2023, 6, 1)
KNOWN_SINCE_V1 = [
    *("bronze.regional_intensity", "silver.regional_half_hourly", "silver.quarantine"),
    *("gold.carbon_intensity_daily", "gold.dim_region", "ops.runs"),
]


@pytest.fixture
def former(spark: Any, tmp_path: Path) -> Iterator[Lake]:
    with tarfile.open(FORMER) as archive:
        archive.extractall(tmp_path, filter="data")
    yield Lake(Store(spark, str(tmp_path / "lake")))
    spark.catalog.clearCache()


@pytest.fixture
def settings(former: Lake, settings_of: Callable[..., Settings]) -> Settings:
    return settings_of(former.store.root)


def run(settings: Settings, work: Callable[[Run], object], command: str = "run") -> RunReport:
    started = Run(settings, command)
    with started.recorded():
        work(started)
    return started.report


def derive(settings: Settings) -> dict[str, dict[str, int]]:
    """What a run has counted, by stage."""
    report = run(settings, lambda started: started.transform(("silver", "gold")))
    return {stage.stage: dict(stage.counts) for stage in report.stages}


def mean(values: list[Any]) -> Decimal:
    return (sum(map(Decimal, values), Decimal(0)) / len(values)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_goes_on_by_the_watermarks_of_the_former_version(former: Lake, settings: Settings) -> None:
    former.land(response([period("2023-06-16T04:00", region(12, 333), region(13, 336))], "2023-06-17T02:00"))
    counts = derive(settings)
    assert counts["silver"]["received"] == 2  # nothing that the former version had read is read again
    rows = {stage: [counts[stage][kind] for kind in ("inserted", "updated", "deleted")] for stage in counts}
    assert rows == {
        "silver": [2, 0, 0],
        "gold": [0, 2, 0],
        "dim_region": [0, 0, 0],
        "intensity_profile": [236, 0, 0],
        "carbon_intensity_monthly": [18, 0, 0],
    }
    assert counts["gold"]["unchanged"] == 16  # of the day that was touched
    before = former.versions()
    assert [report.version for report in former.derive()] == [None] * 5
    assert [report.version for report in former.derive(full=True)] == [None] * 5
    assert former.versions() == before


def test_builds_the_tables_that_it_lacks_from_all_half_hours(former: Lake, settings: Settings) -> None:
    derive(settings)
    half_hours = former.rows(SILVER, "timestamp", "intensity_forecast", "fuel_wind", "regionid")
    london = [row for row in half_hours if row[3] == 13]
    forecasts = [forecast for _, forecast, *_ in london]
    found = former.rows(
        *(GOLD_MONTHLY, "regionid", "month", "n_days", "n_complete_days", "n_periods", "intensity_avg"),
        *("intensity_min", "intensity_max", "fuel_wind"),
    )
    assert len(found) == 18
    assert next(row for row in found if row[0] == 13) == (
        *(13, JUNE, 2, 0, 13, mean(forecasts)),
        *(min(forecasts), max(forecasts), mean([wind for _, _, wind, _ in london])),
    )
    profile = former.rows(INTENSITY_PROFILE)
    assert [row for row in profile if row[0] == 13] == sorted(
        [
            (13, JUNE, moment.hour * 2 + moment.minute // 30, 1, mean([forecast]), forecast, forecast)
            for moment, forecast, *_ in london
        ],
        key=str,
    )
    assert len(profile) == 234


def test_looks_at_a_lake_that_lacks_tables(settings: Settings) -> None:
    versions = {row["table"]: row["version"] for row in status.of_tables(Tables(settings.root))["tables"]}
    assert [name for name, version in versions.items() if version is None] == [table.name for table in NEW]
    assert comparison.diff(settings, GOLD, "1", "2").counts == {"added": 0, "removed": 0, "changed": 18}
    assert explanation.explain(settings, 13, date(2023, 6, 16)).agrees
    assert len(status.history(settings, GOLD.name, 10)) == 3


@pytest.mark.parametrize("is_run", [False, True], ids=["before a run", "after a run"])
def test_checks_and_rebuilds_a_release_of_the_former_version(former: Lake, settings: Settings, is_run: bool) -> None:
    if is_run:
        former.land(response([period("2023-06-16T04:00", region(13, 336))], "2023-06-17T02:00"))
        derive(settings)
    found = releases.verify(settings, "v1")
    assert [each.table for each in found if each.is_whole] == KNOWN_SINCE_V1
    reproduced = reproduction.reproduce(settings, "v1")
    assert reproduced.is_identical
    assert [(each.table, each.rows_after) for each in reproduced.comparisons] == [
        ("silver.regional_half_hourly", 234),
        ("silver.quarantine", 3),
        ("gold.carbon_intensity_daily", 36),
        ("gold.dim_region", 18),
    ]


def test_releases_a_former_lake_version_and_a_present_one(former: Lake, settings: Settings) -> None:
    derive(settings)
    now = datetime(2026, 1, 31, tzinfo=UTC)
    old = releases.create(settings, "old", now, at=4)
    assert sorted(old["tables"]) == sorted(KNOWN_SINCE_V1)
    new = releases.create(settings, "new", now)
    assert set(new["tables"]) == {table.name for table in TABLES}
    assert new["tables"][INTENSITY_PROFILE.name]["rows"] == 234
    assert all(each.is_whole for name in ("old", "new") for each in releases.verify(settings, name))
    assert reproduction.reproduce(settings, "new").is_identical


def test_gives_others_what_a_former_release_holds(settings: Settings, tmp_path: Path) -> None:
    files = release_export.export(settings, "v1", tmp_path / "v1")
    assert sorted(file for file in files if file.endswith(".csv")) == ["carbon_intensity_daily.csv", "dim_region.csv"]
    assert "intensity_profile" not in (tmp_path / "v1" / "README.md").read_text()


def test_goes_back_and_leaves_what_the_release_lacks_to_the_next_run(
    former: Lake, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    former.land(response([period("2023-06-16T04:00", region(13, 336))], "2023-06-17T02:00"))
    derive(settings)
    newest = {table.name: former.rows(table) for table in restore.DERIVED}
    caplog.clear()
    done = run(settings, lambda started: started.restore("v1"), "restore")
    assert caplog.messages == [
        "release v1 holds no gold.intensity_profile and no gold.carbon_intensity_monthly: what is there stays until "
        "the next run builds it anew."
    ]
    assert [stage.stage for stage in done.stages] == [
        *("restore silver.regional_half_hourly", "restore silver.quarantine"),
        *("restore gold.carbon_intensity_daily", "restore gold.dim_region"),
    ]
    assert len(former.rows(SILVER)) == 234
    assert {table.name: former.rows(table) for table in NEW} == {table.name: newest[table.name] for table in NEW}
    assert comparison.diff(settings, GOLD, "v1", str(former.context.snapshot(GOLD).version)).differing == 0
    former.gold()
    assert len(former.rows(INTENSITY_PROFILE)) == 234
    derive(settings)
    assert {table.name: former.rows(table) for table in restore.DERIVED} == newest
