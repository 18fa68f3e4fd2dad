"""Exports at once, killed, rolled back, and by logins that may do little."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from decimal import Decimal

import pytest

from lakehouse.errors import LakeLockedError, PostgresError
from lakehouse.lake.tables import PUBLISHED
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import mirror
from lakehouse.publishing.export_log import ExportCounts
from tests.support.mirror_rows import (
    BEFORE,
    ENGLAND,
    EVERYTHING,
    FIRST,
    GB,
    SAME_REGIONS,
    SECOND,
    SEVENTH,
    THIRD,
    counts,
    day,
    export,
    published,
    query,
    stage,
    wait_until,
)


def test_shows_nothing_before_commit_and_nothing_after_a_rollback(database: PostgresTarget):
    export(database, **BEFORE)
    before = published(database)
    with mirror.export_lock(database) as connection:
        stage(connection, "run-2", regions=BEFORE["regions"], days=[day(18, THIRD)])
        transaction = connection.begin()
        mirror.apply_staged(connection, run_id="run-2", state=SEVENTH, staged=EVERYTHING)
        assert query(database, "SELECT count(*) FROM carbon_data.carbon_intensity_daily") == [(3,)]
        transaction.rollback()
    assert query(database, "SELECT run_id FROM carbon_data.export_log") == [("run-1",)]
    assert published(database) == before


def test_keeps_a_second_exporter_out(database: PostgresTarget):
    with mirror.export_lock(database):
        with pytest.raises(LakeLockedError, match="Another export"), mirror.export_lock(database):
            pass
        with pytest.raises(LakeLockedError, match="Another export"), mirror.export_lock(database, wait=0.05):
            pass
        with connect(database) as other, pytest.raises(LakeLockedError), other.begin():
            mirror.apply_staged(other, run_id="r", state=SEVENTH, staged=[])
    with mirror.export_lock(database):
        pass


def test_lets_a_second_exporter_wait_for_the_first(database: PostgresTarget):
    entered = threading.Event()

    def second() -> None:
        with mirror.export_lock(database, wait=60):
            entered.set()

    with mirror.export_lock(database):
        thread = threading.Thread(target=second)
        thread.start()
        wait_until(database, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        assert not entered.is_set()
    thread.join(60)
    assert entered.is_set()


KILLED = """
import os
from lakehouse.lake.commits import Pin
from lakehouse.lake.tables import PUBLISHED
from lakehouse.publishing import mirror
from lakehouse.publishing.export_log import PublishedState
from lakehouse.publishing.mirror import Staged
from lakehouse.postgres import PostgresTarget
state = PublishedState({"carbon_intensity_daily": Pin("gold-id", 8)})
staged = [Staged(table, is_full=True) for table in PUBLISHED]
target = PostgresTarget.parse(os.environ["TARGET"], environ=os.environ)
with mirror.export_lock(target) as connection, connection.begin():
    mirror.apply_staged(connection, run_id="run-2", state=state, staged=staged)
"""


def test_leaves_the_old_state_when_killed_before_commit(database: PostgresTarget):
    export(database, **BEFORE)
    before = published(database)
    after = [day(13, FIRST, intensity_avg=Decimal("100.00")), day(18, SECOND)]
    with connect(database) as connection:
        stage(connection, "run-2", regions=BEFORE["regions"], days=after)
    with row_lock(database):
        target = database
        exporter = subprocess.Popen(
            [sys.executable, "-c", KILLED],
            env={
                **os.environ,
                "TARGET": f"postgresql://{target.user}@{target.address}/{target.database}?sslmode=disable",
                "PGPASSWORD": str(target.password),
            },
        )
        wait_until(
            database,
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        exporter.send_signal(signal.SIGKILL)
        exporter.wait()
        assert published(database) == before
    wait_until(
        database,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()",
    )
    assert published(database) == before
    done = export(database, days=after)
    assert done == counts(ExportCounts(inserted=1, updated=1, deleted=2), SAME_REGIONS, *[ExportCounts(deleted=2)] * 2)
    assert published(database) == [(13, FIRST, Decimal("100.00")), (18, SECOND, Decimal("123.45"))]
    assert query(database, "SELECT run_id FROM carbon_data.export_log") == [("run-1",), ("run-1",)]


def test_exports_as_the_writer_who_can_do_no_more(database: PostgresTarget, new_login):
    writer = new_login(database, "lakehouse_writer")
    assert export(writer, **BEFORE) == counts(*(ExportCounts(inserted=number) for number in (3, 3, 2, 2)))
    changed = {"regions": [ENGLAND, GB], "days": [day(18, FIRST, intensity_max=161)]}
    assert export(writer, **changed) == counts(
        ExportCounts(updated=1, deleted=2), ExportCounts(deleted=1, unchanged=2), *[ExportCounts(deleted=2)] * 2
    )
    with connect(database) as connection, connection.begin():
        connection.exec_driver_sql("CREATE SCHEMA private")
        connection.exec_driver_sql("CREATE TABLE private.salaries (amount INT)")
    for statement in (
        "CREATE TABLE carbon_data.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE SCHEMA mine",
        "DROP TABLE carbon_data.carbon_intensity_daily",
        "DROP VIEW carbon_data.monthly",
        "TRUNCATE carbon_data.carbon_intensity_daily",
        "ALTER TABLE carbon_data.dim_region ADD COLUMN mine INT",
        "DELETE FROM carbon_data.export_log",
        "DELETE FROM carbon_data.export_log_table",
        "UPDATE carbon_migrations.applied_migration SET sha256 = ''",
        "SELECT * FROM private.salaries",
        "SELECT * FROM pg_authid",
    ):
        with pytest.raises(PostgresError, match="42501"), connect(writer) as connection:
            connection.exec_driver_sql(statement)


def test_lets_the_reader_read_and_nothing_else(database: PostgresTarget, new_login):
    export(database, **BEFORE)
    reader = new_login(database, "lakehouse_reader")
    names = [table.short_name for table in PUBLISHED]
    for name in (*names, "export_log", "export_log_table", "monthly", "latest", "low_carbon_share"):
        assert query(reader, f"SELECT count(*) > 0 FROM carbon_data.{name}") == [(True,)]
    for statement in (
        "INSERT INTO carbon_data.dim_region VALUES (1, '', '', 'gb', NULL)",
        "UPDATE carbon_data.carbon_intensity_daily SET n_periods = 1",
        "DELETE FROM carbon_data.export_log",
        *(f"SELECT * FROM carbon_data.staging_{table.short_name}" for table in PUBLISHED),
        "SELECT * FROM carbon_migrations.applied_migration",
        "CREATE TABLE carbon_data.mine ()",
    ):
        with pytest.raises(PostgresError, match="42501"), connect(reader) as connection:
            connection.exec_driver_sql(statement)


@contextmanager
def row_lock(target: PostgresTarget) -> Iterator[None]:
    with connect(target) as connection, connection.begin():
        connection.exec_driver_sql(
            "SELECT FROM carbon_data.carbon_intensity_daily WHERE date_recorded = '2024-02-28' FOR UPDATE"
        )
        yield


def test_gives_the_lock_back_before_its_session_has_gone(database: PostgresTarget, monkeypatch):
    with connect(database) as lingering:
        with monkeypatch.context() as patched:
            patched.setattr(mirror, "connect", lambda _: nullcontext(lingering))
            with mirror.export_lock(database):
                pass
        with mirror.export_lock(database):
            pass
