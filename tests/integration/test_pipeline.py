"""The whole path on real Delta and a real PostgreSQL, against recorded answers and the simulator over sockets."""

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import LakehouseError, SourceMismatchError, UsageError
from lakehouse.history import query as lake_query
from lakehouse.ingestion.ingest import ReceivedAt
from lakehouse.lake.store import Store
from lakehouse.lake.tables import RUNS
from lakehouse.pipeline import STAGES, Run
from lakehouse.postgres import PostgresTarget
from lakehouse.run_context import StageReport
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator import ThreadedSimulator
from lakehouse.spark import session
from lakehouse.transform.models import MODELS
from tests.conftest import TWO_DAYS
from tests.support.lakes import Lake
from tests.support.mirror_rows import query
from tests.support.reports import counts, versions
from tests.support.revised_lake import derived
from tests.support.times import at

RunWith = Callable[..., RunReport]


@pytest.fixture
def lake_root(lake: Lake) -> str:
    """The place of a lake whose tables are there, copied: making them is tested elsewhere."""
    return lake.store.root


def everything(first: datetime, last: datetime) -> Callable[[Run], None]:
    def work(run: Run) -> None:
        run.fetch(first, last)
        run.transform(STAGES)

    return work


def test_imports_a_recorded_answer_to_the_last_digit(
    spark: SparkSession,
    recorded: Path,
    lake_root: str,
    into: Callable[..., Settings],
    database: PostgresTarget,
    run_with: RunWith,
) -> None:
    def work(run: Run) -> None:
        run.import_files([recorded / TWO_DAYS], None, ReceivedAt(at("2021-04-30T23:01:59")))
        run.transform(STAGES)

    report = run_with(into(lake_root), work, "import")
    assert counts(report, "import") == {"received": 1, "duplicates": 0, "inserted": 1, "empty": 0}
    assert counts(report, "silver")["inserted"] == 1728
    assert counts(report, "gold")["inserted"] == 54
    assert counts(report, "export")["inserted"] == 54
    days = query(
        database,
        "SELECT date_recorded, intensity_avg, fuel_gas, n_periods, is_complete FROM carbon_data.carbon_intensity_daily "
        "WHERE regionid = 13 ORDER BY 1",
    )
    # London, 2020-01-01: 48 forecasts that sum to 9030; gas shares that sum to 1329.0
    assert days == [
        (date(2019, 12, 31), Decimal("199.00"), Decimal("14.20"), 1, False),
        (date(2020, 1, 1), Decimal("188.13"), Decimal("27.69"), 48, True),
        (date(2020, 1, 2), Decimal("86.00"), Decimal("29.92"), 47, False),
    ]
    Store(spark, lake_root).register()
    stored = spark.sql("SELECT body, body_sha256, source FROM bronze.regional_intensity").first()
    assert bytes(stored.body) == (recorded / TWO_DAYS).read_bytes()
    assert stored.source == "https://api.carbonintensity.org.uk"


def test_loads_across_new_year_and_an_outage_then_only_what_was_revised(
    spark: SparkSession,
    lake_root: str,
    into: Callable[..., Settings],
    database: PostgresTarget,
    run_with: RunWith,
    simulator: ThreadedSimulator,
) -> None:
    chosen = into(lake_root, simulator.url)
    first = run_with(chosen, everything(at("2023-12-30"), at("2024-01-05")))
    assert counts(first, "silver") == {
        "received": 5184,
        "duplicates": 0,
        "inserted": 5184,  # 6 days x 48 half-hours x 18 regions
        "updated": 0,
        "deleted": 0,
        "unchanged": 0,
        "quarantined": 0,
    }
    assert counts(first, "gold")["inserted"] == 108

    again = run_with(chosen, everything(at("2023-12-30"), at("2024-01-05")))
    assert {done.version for done in again.stages} == {None}
    assert versions(again) == versions(first)
    assert counts(again, "export") == {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 108}

    before = {row[0]: row[1] for row in query(database, "SELECT ctid::text, xmin::text FROM carbon_data.dim_region")}
    simulator.now = at("2024-01-05T01:00")
    later = run_with(chosen, everything(at("2023-12-30"), at("2024-01-05")))
    silver = counts(later, "silver")
    assert silver["received"] == 96 * 18  # the last 48 hours are asked for again
    assert 0 < silver["updated"] < 48 * 18  # and of them only the last 24 are still revised
    assert silver["inserted"] == silver["deleted"] == 0
    assert 0 < counts(later, "gold")["updated"] <= 36
    assert counts(later, "export")["updated"] == counts(later, "gold")["updated"]
    after = {row[0]: row[1] for row in query(database, "SELECT ctid::text, xmin::text FROM carbon_data.dim_region")}
    assert after == before

    Store(spark, lake_root).register()
    gold = [tuple(row) for row in spark.sql("SELECT * FROM gold.carbon_intensity_daily ORDER BY 1, 2").collect()]
    assert query(database, "SELECT * FROM carbon_data.carbon_intensity_daily ORDER BY 1, 2") == gold


def test_travels_in_time_by_name_and_by_path(
    spark: SparkSession,
    lake_root: str,
    settings_for: Callable[..., Settings],
    run_with: RunWith,
    simulator: ThreadedSimulator,
) -> None:
    chosen = settings_for(lake_root, simulator.url)

    def load(run: Run) -> None:
        run.fetch(at("2024-01-04"), at("2024-01-05"))
        run.transform(["silver", "gold"])

    run_with(chosen, load)
    simulator.now = at("2024-01-05T02:00")
    run_with(chosen, load)

    def asked(text: str) -> list[dict[str, Any]]:
        return lake_query.select(chosen, text, 2000)[0]

    (moment,) = [
        row["timestamp"].isoformat()
        for row in asked("DESCRIBE HISTORY gold.carbon_intensity_daily")
        if row["version"] == 1
    ]
    for table, key in (
        ("bronze.regional_intensity", "response_id"),
        ("silver.regional_half_hourly", "regionid, timestamp"),
        ("gold.carbon_intensity_daily", "regionid"),
    ):
        path = f"delta.`{lake_root}/{table.replace('.', '/')}`"
        old = asked(f"SELECT * FROM {table} VERSION AS OF 1 ORDER BY {key}")
        new = asked(f"SELECT * FROM {table} VERSION AS OF 2 ORDER BY {key}")
        assert old != new
        assert asked(f"SELECT * FROM {path} VERSION AS OF 1 ORDER BY {key}") == old
        assert asked(f"SELECT * FROM delta.`{lake_root}/{table.replace('.', '/')}@v1` ORDER BY {key}") == old
    changed = asked(
        "SELECT count(*) AS n FROM gold.carbon_intensity_daily a JOIN gold.carbon_intensity_daily VERSION AS OF 1 b "
        "USING (regionid, date_recorded) WHERE a.intensity_avg <> b.intensity_avg"
    )
    assert changed[0]["n"] > 0
    at_first = asked(f"SELECT * FROM gold.carbon_intensity_daily TIMESTAMP AS OF '{moment}' ORDER BY regionid")
    assert at_first == asked("SELECT * FROM gold.carbon_intensity_daily VERSION AS OF 1 ORDER BY regionid")


def test_refuses_to_mix_two_sources(
    lake_root: str,
    settings_for: Callable[..., Settings],
    run_with: RunWith,
    simulator: ThreadedSimulator,
    tmp_path: Path,
) -> None:
    chosen = settings_for(lake_root, simulator.url)
    run_with(chosen, lambda run: run.fetch(at("2024-01-04"), at("2024-01-05")))
    with pytest.raises(SourceMismatchError, match=r"was filled from simulator:seed=42, not from https://api\.carbon"):
        run_with(
            chosen, lambda run: run.import_files([tmp_path], "https://api.carbonintensity.org.uk", ReceivedAt(None))
        )
    assert run_with(chosen, lambda run: run.transform([])).lake_version == 2  # a refused call is no run


def test_leaves_a_file_that_is_no_response_out(
    lake_root: str, settings_for: Callable[..., Settings], run_with: RunWith, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text('{"hello": 1}')
    with pytest.raises(LakehouseError, match=r"bad\.json left out because it is not a response of the API"):
        run_with(settings_for(lake_root), lambda run: run.import_files([tmp_path / "bad.json"], None, ReceivedAt(None)))


def test_says_when_a_stage_before_is_missing(
    lake_root: str, settings_for: Callable[..., Settings], run_with: RunWith
) -> None:
    report = run_with(settings_for(lake_root), lambda run: run.transform(["silver", "gold"]))
    assert [done.version for done in report.stages] == [None] * (1 + len(MODELS))


def test_keeps_one_row_a_run_with_its_versions(
    spark: SparkSession, lake_root: str, settings_for: Callable[..., Settings], run_with: RunWith, tmp_path: Path
) -> None:
    chosen = settings_for(lake_root)
    (tmp_path / "bad.json").write_text('{"hello": 1}')
    with pytest.raises(LakehouseError):
        run_with(chosen, lambda run: run.import_files([tmp_path / "bad.json"], None, ReceivedAt(None)), "import")
    with pytest.raises(UsageError):
        run_with(chosen, lambda run: run.import_files([Path("/does/not/exist")], None, ReceivedAt(None)), "import")
    run_with(chosen, lambda run: run.transform(["silver"]), "silver")
    with pytest.raises(AssertionError):
        run_with(chosen, lambda run: run.stage("silver", _without_a_word), "silver")
    with pytest.raises(KeyboardInterrupt):
        run_with(chosen, lambda run: run.stage("silver", _interrupted), "silver")
    Store(spark, lake_root).register()
    rows = spark.sql("SELECT lake_version, command, status, error, versions FROM ops.runs ORDER BY 1").collect()
    assert [(row.lake_version, row.command, row.status) for row in rows] == [
        (1, "import", "failed"),
        (2, "silver", "ok"),
        (3, "silver", "failed"),
        (4, "silver", "failed"),
    ]
    assert "bad.json left out because it is not a response of the API that can be read: " in rows[0].error
    assert [row.error for row in rows[2:]] == ["AssertionError", "interrupted"]
    assert rows[1].versions["silver.regional_half_hourly"] == 0


def _without_a_word() -> StageReport:
    raise AssertionError


def _interrupted() -> StageReport:
    raise KeyboardInterrupt


def test_gives_json_that_a_program_can_read(
    lake_root: str, settings_for: Callable[..., Settings], run_with: RunWith
) -> None:
    report = run_with(settings_for(lake_root), lambda run: run.transform(["silver"]), "silver")
    document = json.loads(json.dumps(report.as_dict()))
    assert document["lake_version"] == 1
    assert document["stages"][0]["stage"] == "silver"
    assert document["stages"][0]["version"] is None
    assert document["stages"][0]["counts"]["inserted"] == 0


def test_needs_no_spark_when_nothing_is_new(
    revised_once: Lake, tmp_path: Path, settings_of: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = revised_once.copy(tmp_path / "lake")

    def refused(*_: object) -> None:
        raise AssertionError("Spark was asked for")

    monkeypatch.setattr(session, "open_session", refused)
    report = derived(settings_of(lake.store.root))
    assert [done.version for done in report.stages] == [None] * (1 + len(MODELS))
    assert report.lake_version == 3
    assert [row[0] for row in lake.rows(RUNS, "lake_version")] == [1, 2, 3]


def test_starts_one_jvm_a_process(
    spark: SparkSession, lake_root: str, settings_for: Callable[..., Settings], run_with: RunWith
) -> None:
    def java() -> list[int]:
        return [child.pid for child in psutil.Process().children(recursive=True) if child.name() == "java"]

    before = java()
    run_with(settings_for(lake_root), lambda run: run.transform(["silver"]), "silver")
    run_with(settings_for(f"{lake_root}2"), lambda run: run.transform(["silver"]), "silver")
    assert java() == before
