"""A small lake in Gold, exports of it into a test's database, and hands that edit what was exported."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse import settings
from lakehouse.lake.tables import GOLD_MONTHLY, INTENSITY_PROFILE
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import export, staging
from lakehouse.run_context import StageReport
from lakehouse.settings import Settings
from tests.support.gold_rows import GoldLake
from tests.support.made_once import made_once
from tests.support.mirror_rows import BEFORE

HANDS = """
    UPDATE carbon_data.carbon_intensity_daily SET intensity_avg = 100, index_mode = 'höher' WHERE regionid = 18;
    DELETE FROM carbon_data.carbon_intensity_daily WHERE date_recorded = '2024-02-29';
    INSERT INTO carbon_data.carbon_intensity_daily
        SELECT 13, '1999-01-01', shortname, dno, 100, index_mode, 1, 2, 3, 4, 5, 6, 7, 8, 9, 48, 48, TRUE, 90, 160
        FROM carbon_data.carbon_intensity_daily WHERE regionid = 18;
    UPDATE carbon_data.dim_region SET parent_regionid = NULL WHERE regionid = 13;
    UPDATE carbon_data.intensity_profile SET n_days = 1 WHERE regionid = 13
"""


def edit(target: PostgresTarget, statements: str = HANDS) -> None:
    with connect(target) as connection, connection.begin():
        connection.exec_driver_sql(statements)


def settings_for(target: PostgresTarget, root: str, owner: PostgresTarget | None = None, query: str = "") -> Settings:
    """Settings whose URLs hold the logins' passwords."""
    urls = {"url": target, "owner_url": owner}
    chosen = {name: f"{url_of(login)}?{query}" for name, login in urls.items() if login}
    return settings.load({"root": root, "postgres": chosen})


def url_of(target: PostgresTarget) -> str:
    return f"postgresql://{target.user}:{target.password}@{target.address}/{target.database}"


@pytest.fixture
def into(database: PostgresTarget) -> Callable[..., Settings]:
    """Settings for a root, an API and the test's own database."""

    def made(root: str, url: str = "http://127.0.0.1:9") -> Settings:
        api = {"url": url, "requests_per_second": 0}
        return settings.load({"root": root, "api": api, "postgres": {"url": url_of(database)}})

    return made


@pytest.fixture(scope="session")
def first_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of London and Great Britain and what else is published of them; never changed, only copied."""

    def make(root: Path) -> None:
        made = GoldLake(spark, str(root))
        made.create()
        made.fill(BEFORE["days"])
        made.replace(INTENSITY_PROFILE, BEFORE["profile"])
        made.replace(GOLD_MONTHLY, BEFORE["months"])

    return made_once(tmp_path_factory, "first", make)


@pytest.fixture
def gold_lake(spark: SparkSession, first_lake: Path, lake_root: str) -> GoldLake:
    """A copy of the first lake."""
    shutil.copytree(first_lake, lake_root)
    return GoldLake(spark, lake_root)


@pytest.fixture
def publish(gold_lake: GoldLake, lake_root: str) -> Callable[..., dict[str, int]]:
    """Export the lake and give the counts."""

    def done(target: PostgresTarget, **how: object) -> dict[str, int]:
        report: StageReport = export.publish(gold_lake.context, settings_for(target, lake_root), **how)
        return dict(report.counts)

    return done


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The table and key of each row that Spark stages, and whether it is deleted."""
    seen: list[tuple[object, ...]] = []
    stage_rows = staging.stage_rows

    def watched(rows, table, run_id, target, *, count):
        found = rows.select(*table.key, "is_deleted").collect()
        seen.extend((table.short_name, *row) for row in found)
        stage_rows(rows, table, run_id, target, count=count)

    monkeypatch.setattr(staging, "stage_rows", watched)
    return seen
