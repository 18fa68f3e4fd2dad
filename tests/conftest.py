"""What the tests share: one Spark session a process, simulators, lakes in temporary places."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import settings
from lakehouse.pipeline import Run
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator import Simulator, ThreadedSimulator, run_in_thread
from lakehouse.spark import jvm, session

pytest_plugins = [
    f"tests.support.{module}"
    for module in (
        *("postgres_fixtures", "lakes", "export_fixtures", "revised_lake", "api_fixtures"),
        *("autumn_lake", "browser", "calls", "object_stores"),
    )
]

PROJECT = Path(__file__).resolve().parent.parent
RECORDED = PROJECT.parent / "shared" / "real"
TWO_DAYS = "intensegrid_regional_2020-01-01T0000Z_2020-01-02T2359Z.json"
ONE_TASK = {
    "spark.master": "local[1]",
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "1",
}
"""All that the tests' session has beside spark-defaults.conf: their tables hold a handful of rows."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folder says what kind a test is: what is not under ``unit`` needs servers, tables or processes."""
    for item in items:
        if "unit" not in item.path.relative_to(PROJECT).parts:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_users() -> None:
    """The tests must not pass or fail by what the user has set."""
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_") or name.startswith("PG")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def spark(no_settings_of_the_users: None) -> Iterator[SparkSession]:
    """The one session of this process, built from the real spark-defaults.conf; its JVM does many runs."""
    jvm.is_long_lived = True
    opened = session.open_session(ONE_TASK)
    jvm.is_long_lived = False
    yield opened
    opened.stop()


@pytest.fixture
def lake_root(tmp_path: Path) -> str:
    """A place for a lake that does not exist yet."""
    return str(tmp_path / "lake")


@pytest.fixture
def settings_for() -> Callable[..., Settings]:
    """Settings for a root and an API address, with further API settings by name; no rate limit."""

    def made(root: str, url: str = "http://127.0.0.1:9", **api: Any) -> Settings:
        return settings.load({"root": root, "api": {"url": url, "requests_per_second": 0, **api}})

    return made


@pytest.fixture(scope="session")
def settings_of() -> Callable[..., Settings]:
    """Settings of a lake whose API nobody asks, and of a database where one is given."""

    def made(root: str, database: str | None = None) -> Settings:
        return settings.load({"root": root, **({"postgres": {"url": database}} if database else {})})

    return made


@pytest.fixture
def simulator() -> Iterator[ThreadedSimulator]:
    """The simulated API in a thread; its clock stands at 2024-01-05T00:00Z until a test moves it."""
    with run_in_thread(Simulator(seed=42, now=datetime(2024, 1, 5, tzinfo=UTC))) as running:
        yield running


@pytest.fixture
def run_with(spark: SparkSession) -> Callable[..., RunReport]:
    """Do one run: ``run_with(settings, lambda run: run.transform(["silver"]))`` gives its report."""

    def done(chosen: Settings, work: Callable[[Run], object], command: str = "run") -> RunReport:
        run = Run(chosen, command)
        with run.recorded():
            work(run)
        return run.report

    return done


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded API responses; it stands beside the project, never in it."""
    if not (RECORDED / TWO_DAYS).exists():
        pytest.skip(f"needs the recorded responses in {RECORDED}, which are not part of the project")
    return RECORDED
