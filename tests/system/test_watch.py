"""A real `watch` through what happens to one: outages, a killed JVM, somebody else's lock, new settings, its end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.lake import delta_log
from lakehouse.lake.locking import locked
from lakehouse.lake.tables import PUBLISHED, SILVER
from lakehouse.pipeline import STAGES, Run
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator import ThreadedSimulator, parse_script
from tests.support.export_fixtures import url_of
from tests.support.postgres_fixtures import TEMPLATE, Server
from tests.support.processes import PATIENCE_SECONDS, PROJECT, environment, until
from tests.support.times import at

pytestmark = pytest.mark.slow
HALF_HOUR = timedelta(minutes=30)
STOP_SECONDS = 20
COMMAND = (sys.executable, "-c", "from lakehouse.cli import main; main()")


@dataclass
class Watching:
    """A watch in a process of its own, from a copy of the package whose conf/ a test may change."""

    process: subprocess.Popen[str]
    release: Path
    log: Path

    def line(self) -> dict[str, Any]:
        """What it says of its next run."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, self.log.read_text()
        found: dict[str, Any] = json.loads(said)
        return found

    def until(self, code: int) -> None:
        """Wait for a run that ends so: those before it may have begun before what the test did last."""
        codes: list[int] = []
        while code not in codes:
            codes.append(self.line()["exit_code"])
            assert len(codes) < 6, codes

    def set(self, **values: float) -> None:
        lines = "\n".join(f"{name} = {value}" for name, value in values.items())
        (self.release / "conf" / "local.toml").write_text(f"[watch]\n{lines}\n")

    def has_said(self, text: str) -> bool:
        return text in self.log.read_text()

    def ask(self, path: str) -> tuple[int, str]:
        found = re.search(r"/metrics at (\S+)", self.log.read_text())
        assert found
        try:
            with urllib.request.urlopen(f"http://{found[1]}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def kill_jvm(self) -> None:
        (jvm,) = [each for each in psutil.Process(self.process.pid).children(recursive=True) if each.name() == "java"]
        jvm.send_signal(signal.SIGKILL)


@contextmanager
def watching(folder: Path, api: ThreadedSimulator, database: PostgresTarget) -> Iterator[Watching]:
    release = folder / "release"
    for name in ("lakehouse", "conf", "sql"):
        shutil.copytree(PROJECT / name, release / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "spark-defaults.conf", release)
    os.symlink(PROJECT / ".cache", release / ".cache")
    here = environment(
        str(folder / "lake"),
        PYTHONPATH=str(release),
        LAKEHOUSE_API__URL=api.url,
        LAKEHOUSE_API__ATTEMPTS="1",
        LAKEHOUSE_API__REQUESTS_PER_SECOND="0",
        LAKEHOUSE_POSTGRES__URL=url_of(database),
        LAKEHOUSE_WATCH__PORT="0",
    )
    log = folder / "watch.log"
    with log.open("w") as stderr:
        made = Watching(None, release, log)  # type: ignore[arg-type]  # its settings come first
        made.set(every_seconds=1, maintain_hours=0)
        made.process = subprocess.Popen(
            [*COMMAND, "watch", "--json"], cwd=release, env=here, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        try:
            yield made
        finally:
            children = psutil.Process(made.process.pid).children(recursive=True) if made.process.poll() is None else []
            for each in (made.process, *children):
                each.kill()
            made.process.communicate()


@contextmanager
def without_postgres(database: PostgresTarget, server: Server) -> Iterator[None]:
    """Nobody gets into the database meanwhile."""

    def allow(answer: str) -> None:
        with connect(server.target) as connection:
            by_itself = connection.execution_options(isolation_level="AUTOCOMMIT")
            by_itself.exec_driver_sql(f"ALTER DATABASE {database.database} ALLOW_CONNECTIONS {answer}")

    allow("false")
    try:
        yield
    finally:
        allow("true")


def contents(root: str, database: PostgresTarget) -> dict[str, Any]:
    """Every value of Silver and Gold, and every row in PostgreSQL."""
    found: dict[str, Any] = {}
    for table in (SILVER, *PUBLISHED):
        snapshot = delta_log.open_table(f"{root}/{table.path}")
        assert snapshot is not None
        found[table.name] = sorted(map(str, snapshot.rows((*table.key, *table.values)).to_pylist()))
    with connect(database) as connection:
        for table in PUBLISHED:
            rows = connection.exec_driver_sql(f"SELECT * FROM carbon_data.{table.short_name}").fetchall()
            found[f"postgres: {table.short_name}"] = sorted(map(str, rows))
    return found


def newest_period(metrics: str) -> datetime:
    """The end of Silver's newest half-hour, by the metrics."""
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    samples = families["lakehouse_newest_period_timestamp_seconds"].samples
    (found,) = [sample.value for sample in samples if sample.labels["table"] == SILVER.name]
    return datetime.fromtimestamp(found, UTC)


def test_lives_through_all_of_it_and_ends_as_one_clean_run(
    simulator: ThreadedSimulator,
    database: PostgresTarget,
    embedded_server: Server,
    into: Callable[..., Settings],
    run_with: Callable[..., RunReport],
    tmp_path: Path,
) -> None:
    first = at("2024-01-05T00:00")
    settings = into(str(tmp_path / "lake"), simulator.url)
    with watching(tmp_path, simulator, database) as watch:

        def later() -> datetime:
            assert simulator.now is not None
            simulator.now += HALF_HOUR
            return simulator.now

        watch.until(0)
        assert watch.ask("/healthz") == (200, "ok\n")
        assert watch.ask("/readyz") == (200, "ok\n")

        later()
        simulator.stop()
        watch.until(4)
        simulator.start()
        watch.until(0)

        with without_postgres(database, embedded_server):
            later()
            watch.until(1)
            assert "PostgreSQL" in watch.ask("/readyz")[1]
        watch.until(0)

        with locked(settings):
            watch.until(5)
        watch.until(0)

        simulator.add_rules(parse_script([{"fault": "stall_headers"}]))
        later()
        simulator.until_held()
        watch.kill_jvm()  # while Bronze waits for an answer that it then cannot write
        simulator.release()
        watch.until(1)
        watch.until(0)

        watch.set(every_seconds=3600, maintain_hours=0)
        end = later()
        watch.process.send_signal(signal.SIGHUP)
        until(lambda: watch.has_said("read its settings anew; a run every 3600 s"))
        watch.until(0)

        status, metrics = watch.ask("/metrics")
        assert status == 200
        assert "lakehouse_watch_lost_jvms_total 1.0" in metrics
        assert 'lakehouse_watch_cycles_total{outcome="api"}' in metrics
        assert newest_period(metrics) == end

        began = time.monotonic()
        watch.process.terminate()
        assert watch.process.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - began < STOP_SECONDS

    clean = embedded_server.create(TEMPLATE)
    other = into(str(tmp_path / "clean"), simulator.url).model_copy(update={"postgres": _postgres(clean)})
    try:
        run_with(other, lambda run: _everything(run, first - timedelta(days=7), end))
        assert contents(settings.root, database) == contents(other.root, clean)
    finally:
        embedded_server.drop(clean)


def _postgres(target: PostgresTarget) -> Any:
    return Settings(postgres={"url": url_of(target)}).postgres


def _everything(run: Run, start: datetime, end: datetime) -> None:
    run.fetch(start, end)
    run.transform(STAGES)
