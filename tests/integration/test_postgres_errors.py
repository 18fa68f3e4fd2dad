"""What goes wrong on a real server comes as one clear sentence without the password."""

import os
import signal
import socket
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from lakehouse.errors import LakehouseError, LakeLockedError, PostgresError
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, connect


def failure_of(target: PostgresTarget, statement: str = "SELECT 1", **timeouts: float) -> LakehouseError:
    with pytest.raises(LakehouseError) as failure, connect(target, **timeouts) as connection:
        connection.exec_driver_sql(statement)
    assert target.password is not None
    whole = "".join(traceback.format_exception(failure.value))
    assert target.password not in whole
    assert "\n" not in str(failure.value)
    return failure.value


def test_names_a_wrong_password(any_database: PostgresTarget):
    failure = failure_of(replace(any_database, password="not-the-password"))
    assert type(failure) is PostgresError
    assert f"{any_database.safe} did not accept the login; check user and password" in str(failure)


def test_names_a_missing_password(any_database: PostgresTarget):
    with pytest.raises(PostgresError, match="no password was given"), connect(replace(any_database, password=None)):
        pass


def test_names_a_missing_database(any_database: PostgresTarget):
    failure = failure_of(replace(any_database, database="nowhere"))
    assert "has no database 'nowhere'" in str(failure)


def test_names_a_database_that_the_login_may_not_enter(any_database: PostgresTarget, new_login):
    login = new_login(any_database)
    with connect(any_database) as connection, connection.begin():
        connection.exec_driver_sql(f"REVOKE CONNECT ON DATABASE {any_database.database} FROM PUBLIC")
    assert "may not connect to this database" in str(failure_of(login))


def test_names_a_port_where_nothing_listens(any_database: PostgresTarget):
    with socket.socket() as bound:  # bound but not listening, so nobody else can take it
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        failure = failure_of(replace(any_database, port=port))
    assert str(failure) == f"Nothing listens on 127.0.0.1:{port}; is PostgreSQL running there?"


def test_names_an_unknown_host(any_database: PostgresTarget):
    failure = failure_of(replace(any_database, host="nowhere.invalid"))
    assert str(failure) == "PostgreSQL's host nowhere.invalid is unknown; check its name in the URL."


def test_names_a_server_without_tls(any_database: PostgresTarget):
    failure = failure_of(replace(any_database, sslmode="require"))
    assert "SSL" in str(failure)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELECT * FROM carbon_data.nowhere", "makes all of it anew from Gold (42P01"),
        ("SELECT nothing FROM carbon_data.dim_region", "makes all of it anew from Gold (42703"),
        ("CREATE TABLE nowhere.t ()", "makes all of it anew from Gold (3F000"),
        ("DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$", "disk is full; nothing was changed"),
        ("SELECT 1 / 0", "refused a statement (22012): division by zero."),
    ],
)
def test_tells_a_refused_statement_by_its_code(any_database: PostgresTarget, statement: str, sentence: str):
    assert sentence in str(failure_of(any_database, statement))


def test_names_a_missing_privilege(any_database: PostgresTarget, new_login):
    failure = failure_of(new_login(any_database, "lakehouse_reader"), "DELETE FROM carbon_data.dim_region")
    assert "this login lacks the privilege (42501" in str(failure)


def test_stops_a_statement_at_its_time_limit(any_database: PostgresTarget):
    failure = failure_of(any_database, "SELECT pg_sleep(60)", statement_timeout=0.05)
    assert "time limit" in str(failure)


def test_is_locked_where_a_lock_is_not_free_in_time(any_database: PostgresTarget):
    with connect(any_database) as holder, holder.begin():
        holder.exec_driver_sql("LOCK TABLE carbon_data.dim_region")
        failure = failure_of(any_database, "SELECT * FROM carbon_data.dim_region", lock_timeout=0.05)
    assert type(failure) is LakeLockedError


def test_ends_a_transaction_that_idles(any_database: PostgresTarget):
    def idle() -> None:
        with connect(any_database, idle_in_transaction_timeout=0.05) as session:
            pid = session.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with connect(any_database) as other:
                wait_for_end(other, pid)
            session.exec_driver_sql("SELECT 1")

    with pytest.raises(PostgresError, match=r"the server or an administrator ended the session|idle for too long"):
        idle()


def test_names_a_killed_session(any_database: PostgresTarget):
    def be_killed() -> None:
        with connect(any_database) as session:
            pid = session.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with connect(any_database) as other:
                other.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            session.exec_driver_sql("SELECT 1")

    with pytest.raises(PostgresError, match="an administrator ended the session"):
        be_killed()


def test_names_a_server_killed_in_the_middle(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path / "postgres")

    def lose_the_server(target: PostgresTarget) -> None:
        with connect(target) as session:
            running = server.cluster.postmaster()
            assert running is not None
            pid = session.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            os.kill(running.pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            session.exec_driver_sql("SELECT 1")

    with server as target, pytest.raises(PostgresError, match="the server or an administrator ended"):
        lose_the_server(target)


def wait_for_end(connection: Connection, pid: int) -> None:
    connection.exec_driver_sql(
        f"""
        DO $$ BEGIN
            WHILE EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid}) LOOP
                PERFORM pg_sleep(0.01);
                PERFORM pg_stat_clear_snapshot();
            END LOOP;
        END $$
        """
    )
