"""A real standalone cluster: the built wheel, jobs in client mode, processes killed; results equal the laptop's."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from lakehouse.lake import delta_log
from lakehouse.lake.tables import BRONZE, GOLD, PUBLISHED, QUARANTINE, SILVER, Table
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.settings import Settings
from lakehouse.simulator import Simulator, run_in_thread
from lakehouse.spark import jars
from tests.support.export_fixtures import url_of
from tests.support.object_stores import CREDENTIALS, Bucket
from tests.support.postgres_fixtures import TEMPLATE, Server
from tests.support.processes import PROJECT, PROPERTIES, lakehouse, submit, submitted, until
from tests.support.standalone_cluster import EXECUTOR_MEMORY, Cluster, standalone_cluster
from tests.support.worker_python import bare_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COLD_CLUSTER_SECONDS = 600
"""For three cold JVMs and their Python, on a machine that does other things, too."""

DAYS = ("--from", "2023-12-30", "--to", "2024-01-03")
FETCHING = {
    "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
    "LAKEHOUSE_API__WINDOW_HALF_HOURS": "48",
    "LAKEHOUSE_FETCH__LANDING_MIB": "0.5",  # several files, so that both executors read
}
FIGURES = (BRONZE, SILVER, QUARANTINE, *PUBLISHED)
OF_RUN = {"landing", "run_id", "ingest_date", "attempts", "headers"}
"""Columns of Bronze that say how a run received a response, not what."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Cluster]:
    with standalone_cluster(place) as running:
        yield running


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    """The wheel, built with the packages that ``make setup`` has fetched."""
    locked = ("--build-constraints", "requirements/build.txt", "--require-hashes", "--offline")
    command = [Path(sys.executable).parent / "uv", "build", "--wheel", *locked, "--out-dir", place / "dist"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (place / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def on_cluster(cluster: Cluster, wheel: Path, place: Path) -> tuple[str, ...]:
    """The options of spark-submit: workers whose Python has Arrow and DuckDB, the package from the wheel."""
    return (*_without_package(cluster, bare_python(place / "python")), "--py-files", str(wheel))


def _without_package(cluster: Cluster, python: Path) -> tuple[str, ...]:
    settings = {
        "spark.executor.memory": EXECUTOR_MEMORY,
        "spark.driver.memory": "1g",
        "spark.executor.extraJavaOptions": "-Duser.timezone=UTC -XX:+UseSerialGC -XX:TieredStopAtLevel=1",  # cold
        "spark.sql.shuffle.partitions": "2",
        "spark.pyspark.python": python,
        "spark.pyspark.driver.python": sys.executable,
    }
    said = (word for name, value in settings.items() for word in ("--conf", f"{name}={value}"))
    return (*PROPERTIES, "--master", cluster.url, *said)


@pytest.fixture(scope="module")
def api() -> Iterator[dict[str, str]]:
    """Settings that name the simulated API; its clock stands."""
    with run_in_thread(Simulator(seed=42, now=datetime(2024, 1, 9, tzinfo=UTC))) as running:
        yield {"LAKEHOUSE_API__URL": running.url, **FETCHING}


@pytest.fixture(scope="module")
def databases(embedded_server: Server) -> tuple[PostgresTarget, PostgresTarget]:
    """The laptop's and the cluster's."""
    return embedded_server.create(TEMPLATE), embedded_server.create(TEMPLATE)


@pytest.fixture(scope="module")
def laptop(place: Path, api: dict[str, str], databases: tuple[PostgresTarget, PostgresTarget]) -> Path:
    """The lake that ``lakehouse run`` makes."""
    root = place / "laptop"
    done = lakehouse(str(root), "run", *DAYS, **api, LAKEHOUSE_POSTGRES__URL=url_of(databases[0]))
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def fetched(laptop: Path, tmp_path: Path) -> Path:
    """A lake with the laptop's Bronze and nothing else yet."""
    shutil.copytree(laptop / BRONZE.path, tmp_path / "lake" / BRONZE.path)
    return tmp_path / "lake"


def rows(root: Path | str, table: Table) -> list[tuple[Any, ...]]:
    """Every row of a table, sorted, but for columns that say how it was received."""
    snapshot = delta_log.open_table(f"{root}/{table.path}")
    assert snapshot is not None
    names = [name for name in table.column_names if name not in OF_RUN]
    return sorted((tuple(row.values()) for row in snapshot.rows(names).to_pylist()), key=repr)


def published(target: PostgresTarget) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the published tables."""
    with connect(target) as connection:
        return {
            table.name: sorted(
                (tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM carbon_data.{table.short_name}")),
                key=repr,
            )
            for table in PUBLISHED
        }


def version(root: Path, table: Table) -> int:
    snapshot = delta_log.open_table(f"{root}/{table.path}")
    assert snapshot is not None
    return snapshot.version


def executor_logs(place: Path) -> set[Path]:
    return set(place.glob("worker-*/app-*/*/stderr"))


def test_a_run_gives_what_the_laptop_gives_and_the_next_writes_nothing(
    laptop: Path,
    on_cluster: tuple[str, ...],
    place: Path,
    api: dict[str, str],
    databases: tuple[PostgresTarget, PostgresTarget],
    tmp_path: Path,
) -> None:
    root = tmp_path / "lake"
    variables = {**api, "LAKEHOUSE_POSTGRES__URL": url_of(databases[1])}
    others = executor_logs(place)
    done = submit(str(root), "run", *DAYS, properties=on_cluster, patience=COLD_CLUSTER_SECONDS, **variables)
    assert done.returncode == 0, done.stderr[-3000:]
    have_read = [log for log in executor_logs(place) - others if "Starting Python task execution" in log.read_text()]
    assert len(have_read) == 2
    for table in FIGURES:
        assert rows(root, table) == rows(laptop, table), table.name
    assert len(rows(root, SILVER)) == 4 * 48 * 18
    assert published(databases[1]) == published(databases[0])
    assert len(published(databases[1])[GOLD.name]) == 4 * 18

    before = [version(root, table) for table in FIGURES]
    done = submit(
        str(root),
        "run",
        "--stages",
        "silver,gold,export",
        properties=on_cluster,
        patience=COLD_CLUSTER_SECONDS,
        **variables,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [version(root, table) for table in FIGURES] == before
    assert "export: 0 inserted, 0 updated, 0 deleted" in done.stderr


@pytest.mark.skipif(not jars.local(jars.S3), reason="needs what `make setup EXTRAS=s3` fetches")
def test_a_run_in_an_object_store_gives_the_same(
    laptop: Path,
    on_cluster: tuple[str, ...],
    api: dict[str, str],
    bucket: Bucket,
    settings_of: Callable[..., Settings],
) -> None:
    settings_of(bucket.root)  # this process reads there, too
    credentials = [f"spark.executorEnv.{name}={value}" for name, value in CREDENTIALS.items()]
    known = tuple(word for setting in credentials for word in ("--conf", setting))  # where workers have no role
    properties = (*on_cluster, *known, "--jars", ",".join(map(str, jars.local(jars.S3))))
    stages = ("--stages", "bronze,silver,gold")
    variables = {**api, **bucket.variables}
    done = submit(bucket.root, "run", *DAYS, *stages, properties=properties, patience=COLD_CLUSTER_SECONDS, **variables)
    assert done.returncode == 0, done.stderr[-3000:]
    for table in FIGURES:
        assert rows(bucket.root, table) == rows(laptop, table), table.name


def hold_silver(root: Path, cluster: Cluster, driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Wait until executors read bodies, stop their Python there, and give all of them: Silver is in its middle."""
    until(lambda: driver.poll() is not None or bool(cluster.daemons()), COLD_CLUSTER_SECONDS)
    assert driver.poll() is None
    for daemon in cluster.daemons():
        daemon.suspend()  # it is about to start the task's Python, or has: that one goes on at most to its end
    assert version(root, SILVER) == 0  # made, and without a row yet
    return [each for executor in cluster.executors() for each in (executor, *executor.children(recursive=True))]


def kill(processes: list[psutil.Process]) -> None:
    """Kill those that have not ended by themselves; a Python that is stopped hears of nothing."""
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def test_silver_outlives_its_driver_and_its_executors(
    laptop: Path, fetched: Path, on_cluster: tuple[str, ...], cluster: Cluster, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with submitted(str(fetched), "silver", first, properties=on_cluster) as driver:
        executors = hold_silver(fetched, cluster, driver)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait(COLD_CLUSTER_SECONDS)
        kill(executors)
    until(lambda: not cluster.executors())
    assert version(fetched, SILVER) == 0

    with submitted(str(fetched), "silver", second, properties=on_cluster) as driver:
        kill(hold_silver(fetched, cluster, driver))
        driver.wait(COLD_CLUSTER_SECONDS)
    told = second.read_text()
    assert driver.returncode == 0, told[-3000:]
    assert "Lost executor" in told
    assert rows(fetched, SILVER) == rows(laptop, SILVER)
    assert version(fetched, SILVER) == 1


def test_a_worker_without_the_package_is_told_in_a_sentence(
    fetched: Path, cluster: Cluster, place: Path, tmp_path: Path
) -> None:
    python = bare_python(tmp_path / "python")
    done = submit(str(fetched), "silver", properties=_without_package(cluster, python), patience=COLD_CLUSTER_SECONDS)
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"The Python of Spark's workers ({python}) cannot do its part: No module named 'lakehouse'. Each" in told
    assert version(fetched, SILVER) == 0
