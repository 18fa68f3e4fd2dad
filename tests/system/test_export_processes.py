"""Real exporters in processes of their own: killed before COMMIT, side by side, and searched for the password."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psutil
import pyspark
import pytest

from lakehouse import cli, settings
from lakehouse.errors import LakeLockedError
from lakehouse.history import status
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import export
from lakehouse.spark import java
from tests.support.export_fixtures import edit
from tests.support.gold_rows import GoldLake
from tests.support.mirror_rows import FIRST, SECOND, THIRD, day, published, query, wait_until

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 300
"""For a JVM on a machine that is busy with other tests."""
OLD, NEW = Decimal("123.45"), Decimal("90.00")
WAITING = "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
ALONE = "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()"


@contextmanager
def row_lock(target: PostgresTarget) -> Iterator[None]:
    with connect(target, idle_in_transaction_timeout=0) as connection, connection.begin():
        connection.exec_driver_sql(
            "SELECT FROM carbon_data.carbon_intensity_daily WHERE date_recorded = '2024-02-28' FOR UPDATE"
        )
        yield


def exporter(gold_lake: GoldLake, target: PostgresTarget, folder: Path) -> subprocess.Popen[bytes]:
    """`lakehouse export` with its password in a password file."""
    passwords = folder / "pgpass"
    passwords.write_text(f"*:*:*:{target.user}:{target.password}\n")
    passwords.chmod(0o600)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "PG"))}
    return subprocess.Popen(
        [sys.executable, "-c", "from lakehouse.cli import main; main()", "export"],
        env={
            **clean,
            "LAKEHOUSE_ROOT": gold_lake.context.store.root,
            "LAKEHOUSE_POSTGRES__URL": f"postgresql://{target.user}@{target.address}/{target.database}",
            "PGPASSFILE": str(passwords),
        },
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def arguments(process: psutil.Process) -> list[str]:
    """Its command line; none of a process that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_publishes_nothing_when_told_to_end(
    database: PostgresTarget, gold_lake: GoldLake, publish, new_login, tmp_path: Path
):
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=NEW)
    before = published(database)
    writer = new_login(database, "lakehouse_writer")
    with row_lock(database):
        process = exporter(gold_lake, writer, tmp_path)
        wait_until(database, WAITING, seconds=START_SECONDS)
        process.terminate()
        said, _ = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 130
    assert b"error: interrupted; what was committed stays" in said
    assert published(database) == before
    last = status.last_run(settings.load({"root": gold_lake.context.store.root}))
    assert last is not None
    assert (last["command"], last["error"]) == ("export", "interrupted")


def test_loses_nothing_when_killed_before_commit(
    database: PostgresTarget, gold_lake: GoldLake, publish, new_login, tmp_path: Path, monkeypatch
):
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=NEW)
    gold_lake.delete(13, SECOND)
    gold_lake.fill([day(18, THIRD)])
    writer = new_login(database, "lakehouse_writer")
    with row_lock(database):
        process = exporter(gold_lake, writer, tmp_path)
        family = [psutil.Process(process.pid)]
        try:
            wait_until(database, WAITING, START_SECONDS)
            family += family[0].children(recursive=True)
            assert len(family) > 1, "the JVM"
            assert not [one for one in family if str(writer.password) in " ".join(arguments(one))]
            assert query(database, "SELECT count(*) FROM carbon_data.staging_carbon_intensity_daily") == [(3,)]

            monkeypatch.setattr(export, "LOCK_WAIT_SECONDS", 0.2)
            with pytest.raises(LakeLockedError, match="Another export"):
                publish(database)
            monkeypatch.setenv("LAKEHOUSE_ROOT", gold_lake.context.store.root)
            assert cli.exit_code(["export"]) == 5

            process.send_signal(signal.SIGKILL)
            process.wait()
            assert published(database) == [(13, FIRST, OLD), (13, SECOND, OLD), (18, FIRST, OLD)]
        finally:
            process.kill()
            process.communicate()
            psutil.wait_procs(family[1:], timeout=60)
    wait_until(database, ALONE)
    assert published(database) == [(13, FIRST, OLD), (13, SECOND, OLD), (18, FIRST, OLD)]
    assert publish(database) == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1}
    assert published(database) == [(13, FIRST, NEW), (18, FIRST, OLD), (18, THIRD, OLD)]
    assert query(database, "SELECT gold_version, inserted FROM carbon_data.export_log ORDER BY export_id") == [
        (1, 3),
        (4, 1),
    ]
    assert query(database, "SELECT count(*) FROM carbon_data.staging_carbon_intensity_daily") == [(0,)]


LOGGING = """
status = error
appenders = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %p %c: %m%n%ex
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
logger.jdbc.name = org.apache.spark.sql.execution.datasources.jdbc
logger.jdbc.level = trace
logger.connections.name = org.apache.spark.sql.execution.datasources.jdbc.connection
logger.connections.level = fatal
logger.pg.name = org.postgresql
logger.pg.level = trace
"""


def test_never_tells_the_password_however_much_it_logs(
    database: PostgresTarget, gold_lake: GoldLake, publish, tmp_path: Path
):
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=NEW)
    edit(
        database,
        """
        CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'refused on purpose'; END $$;
        CREATE TRIGGER fails BEFORE INSERT ON carbon_data.staging_carbon_intensity_daily
            FOR EACH ROW EXECUTE FUNCTION public.fails()
        """,
    )
    (tmp_path / "log4j2.properties").write_text(LOGGING)
    events = tmp_path / "events"
    events.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "PG"))}
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    done = subprocess.run(
        [
            submit,
            *("--properties-file", "spark-defaults.conf"),
            *("--conf", "spark.eventLog.enabled=true", "--conf", f"spark.eventLog.dir=file://{events}"),
            *("--conf", "spark.eventLog.compress=false", "--conf", "spark.sql.debug.maxToStringFields=1000"),
            *("--driver-java-options", f"-Duser.timezone=UTC -Dlog4j2.configurationFile={tmp_path}/log4j2.properties"),
            *("jobs/export.py", "--json"),
        ],
        env={
            **clean,
            "JAVA_HOME": str(java.find(os.environ)),
            "LAKEHOUSE_ROOT": gold_lake.context.store.root,
            "LAKEHOUSE_POSTGRES__URL": f"postgresql://{database.user}@{database.address}/{database.database}",
            "PGPASSWORD": str(database.password),
        },
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr  # spark-submit joins them
    told = [line for line in said.splitlines() if line.startswith("error: ")]
    assert told == [
        f"error: PostgreSQL at {database.safe} refused a statement (P0001): refused on purpose "
        "Where: PL/pgSQL function public.fails() line 1 at RAISE."
    ]
    logged = "".join(file.read_text() for file in events.rglob("*") if file.is_file())
    assert "SparkListenerSQLExecutionStart" in logged
    assert "staging_carbon_intensity_daily" in logged
    leaks = [line for line in (said + logged).splitlines() if str(database.password) in line]
    assert leaks == []
    assert published(database)[0] == (13, FIRST, OLD)
