"""A failing export says why in one sentence without the password, and leaves what was published whole."""

import os
import re
import signal
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.errors import LakehouseError, LakeLockedError, PostgresError
from lakehouse.lake.tables import GOLD
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, connect
from lakehouse.publishing import export, mirror, staging
from lakehouse.transform.quality import LONGEST_NAME
from tests.support.export_fixtures import edit, settings_for
from tests.support.gold_rows import GoldLake
from tests.support.mirror_rows import ENGLAND, FIRST, GB, LONDON, REGIONS, SECOND, THIRD, day, published, query

OLD = Decimal("123.45")
NEW = Decimal("90.00")
WRONG = "top" + "secret"


@pytest.fixture
def changed(database: PostgresTarget, gold_lake: GoldLake, publish) -> Iterator[PostgresTarget]:
    """A database with the lake's first version, when the lake has a second."""
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=NEW)
    yield database
    assert publish(database) == {"inserted": 0, "updated": 1, "deleted": 0, "unchanged": 2}
    assert published(database)[0] == (13, FIRST, NEW)
    assert query(database, "SELECT gold_version FROM carbon_data.export_log ORDER BY export_id") == [(1,), (2,)]


def failure(gold_lake: GoldLake, target: PostgresTarget) -> LakehouseError:
    with pytest.raises(LakehouseError) as failed:
        export.publish(gold_lake.context, settings_for(target, gold_lake.context.store.root))
    assert target.password
    assert target.password not in "".join(traceback.format_exception(failed.value))
    assert "\n" not in str(failed.value)
    return failed.value


def trigger(target: PostgresTarget, body: str) -> None:
    """Run ``body`` before a row is staged."""
    edit(
        target,
        f"""
        CREATE OR REPLACE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN {body} RETURN NEW; END $$;
        CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON carbon_data.staging_carbon_intensity_daily
            FOR EACH ROW EXECUTE FUNCTION public.fails()
        """,
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "RAISE EXCEPTION 'no space' USING ERRCODE = '53100';",
            "the server's disk is full; nothing was changed (53100",
        ),
        ("PERFORM pg_terminate_backend(pg_backend_pid());", "ended the session; run the command again (57P01"),
        ("RAISE EXCEPTION 'no' USING ERRCODE = '22001';", "a text is too long for its column"),
    ],
)
def test_names_what_stops_the_staging(changed: PostgresTarget, gold_lake: GoldLake, body: str, sentence: str):
    trigger(changed, body)
    assert sentence in str(failure(gold_lake, changed))
    assert published(changed)[0] == (13, FIRST, OLD)
    edit(changed, "DROP FUNCTION public.fails CASCADE")


def test_commits_nothing_once_its_own_session_was_killed(changed: PostgresTarget, gold_lake: GoldLake):
    trigger(
        changed,
        "PERFORM pg_terminate_backend(pid, 5000) FROM pg_locks"
        " WHERE locktype = 'advisory' AND pid <> pg_backend_pid();",
    )
    failed = failure(gold_lake, changed)
    assert type(failed) is PostgresError
    assert "ended the session; run the command again" in str(failed)
    assert published(changed)[0] == (13, FIRST, OLD)
    edit(changed, "DROP FUNCTION public.fails CASCADE")


def test_names_a_password_that_was_changed_between_both_connections(
    changed: PostgresTarget, gold_lake: GoldLake, new_login, monkeypatch
):
    writer = new_login(changed, "lakehouse_writer")
    stage_rows = staging.stage_rows

    def with_another_password(rows, table, run_id, target, *, count) -> None:
        stage_rows(rows, table, run_id, replace(target, password=WRONG), count=count)

    monkeypatch.setattr(staging, "stage_rows", with_another_password)
    failed = failure(gold_lake, replace(writer, password=writer.password))
    assert "the login was refused; check user and password (28P01" in str(failed)
    assert WRONG not in "".join(traceback.format_exception(failed))
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"password": "not-the-password"}, "did not accept the login; check user and password"),
        ({"database": "nowhere"}, "has no database 'nowhere'; create it first"),
    ],
)
def test_names_what_is_wrong_with_the_url(database: PostgresTarget, gold_lake: GoldLake, broken, sentence: str):
    assert sentence in str(failure(gold_lake, replace(database, **broken)))


def test_waits_for_another_export_and_then_gives_up(changed: PostgresTarget, gold_lake: GoldLake, monkeypatch):
    monkeypatch.setattr(export, "LOCK_WAIT_SECONDS", 0.2)
    with mirror.export_lock(changed):
        failed = failure(gold_lake, changed)
    assert type(failed) is LakeLockedError
    assert failed.exit_code == 5


def test_survives_a_server_that_dies_after_staging(gold_lake: GoldLake, lake_root: str, monkeypatch):
    chosen = settings.load({"root": lake_root})
    server = EmbeddedPostgres(chosen.embedded_data)
    with server as target:
        export.publish(gold_lake.context, chosen)
        gold_lake.change(13, FIRST, intensity_avg=NEW)
        stage_rows = staging.stage_rows

        def then_die(rows, table, run_id, target, *, count) -> None:
            stage_rows(rows, table, run_id, target, count=count)
            running = server.cluster.postmaster()
            assert running is not None
            with connect(target) as connection:
                backends = connection.exec_driver_sql("SELECT pid FROM pg_stat_activity").scalars().all()
            for pid in (running.pid, *backends):
                with suppress(ProcessLookupError):  # a backend may end by itself when its postmaster has gone
                    os.kill(pid, signal.SIGKILL)

        with monkeypatch.context() as patched:
            patched.setattr(staging, "stage_rows", then_die)
            with pytest.raises(PostgresError, match="ended the session; run the command again"):
                export.publish(gold_lake.context, chosen)
        with server as again:
            assert published(again)[0] == (13, FIRST, OLD)
            assert dict(export.publish(gold_lake.context, chosen).counts)["updated"] == 1
            assert published(again)[:2] == [(13, FIRST, NEW), (13, SECOND, OLD)]
            assert target.database == again.database


@pytest.mark.parametrize(
    ("days", "regions", "named"),
    [
        (
            [day(18, THIRD, shortname="G\0B")],
            REGIONS,
            r"gold.carbon_intensity_daily 18 2024-03-01: shortname is 'G\x00B'",
        ),
        ([], (LONDON, ENGLAND, {**GB, "dno": "G" * 101}), "gold.dim_region 18: dno is 'GGG"),
        ([], (LONDON, ENGLAND, {**GB, "dno": "\0"}), r"gold.dim_region 18: dno is '\x00'"),
    ],
)
def test_names_the_row_that_postgresql_cannot_hold(
    database: PostgresTarget, gold_lake: GoldLake, publish, days, regions, named: str
):
    publish(database)
    gold_lake.fill(days, regions)
    failed = str(failure(gold_lake, database))
    assert f"PostgreSQL cannot hold {named}" in failed
    assert "--full-refresh" in failed
    assert len(published(database)) == 3


def test_holds_names_as_long_as_the_rules_let_pass(database: PostgresTarget):
    lengths = query(
        database,
        "SELECT DISTINCT atttypmod - 4 FROM pg_attribute WHERE attname IN ('shortname', 'dno')"
        " AND attrelid IN ('carbon_data.dim_region'::regclass, 'carbon_data.carbon_intensity_daily'::regclass)",
    )
    assert lengths == [(LONGEST_NAME,)]


def test_says_that_golds_files_are_gone(database: PostgresTarget, gold_lake: GoldLake):
    for file in Path(gold_lake.context.store.path(GOLD)).glob("*.parquet"):
        file.unlink()
    sentence = str(failure(gold_lake, database))
    assert re.search(r"has lost (\d) of its \1 data files \(part-", sentence)
    assert "run `lakehouse gold`, which builds the newest version anew from Silver" in sentence
    assert published(database) == []
