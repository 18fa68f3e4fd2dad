"""Rows that were changed in PostgreSQL by other hands: they are named and put right, or nothing is committed."""

from decimal import Decimal

import pytest

from lakehouse.errors import PostgresError
from lakehouse.postgres import PostgresTarget
from lakehouse.publishing import staging
from tests.support.export_fixtures import edit
from tests.support.gold_rows import GoldLake
from tests.support.mirror_rows import (
    BEFORE,
    FIRST,
    SECOND,
    published,
    query,
)

DAYS = BEFORE["days"]
NOTHING = {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 3}
VALUE = Decimal("123.45")
FOUND = [
    "carbon_intensity_daily 13 1999-01-01: is not in Gold",
    "carbon_intensity_daily 13 2024-02-29: is missing",
    "carbon_intensity_daily 18 2024-02-28: intensity_avg is 100.00, in Gold 123.45, "
    "index_mode is höher, in Gold moderate",
    "dim_region 13: parent_regionid is None, in Gold 15",
    "intensity_profile 13 2024-02-01 0: n_days is 1, in Gold 29",
]
OTHERS_UPDATED = {"regions_updated": 1, "intensity_profile_updated": 1}


def test_names_and_puts_right_what_hands_changed(database: PostgresTarget, publish, caplog):
    publish(database)
    right = published(database)
    edit(database)
    caplog.clear()
    counts = publish(database)
    assert counts == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1, **OTHERS_UPDATED}
    assert caplog.messages == [
        "\n  ".join(["Rows were changed in PostgreSQL since the export of Gold version 1; they are put right", *FOUND])
    ]
    assert published(database) == right
    assert publish(database) == NOTHING


def test_puts_right_what_hands_changed_though_gold_moved_on(
    database: PostgresTarget, gold_lake: GoldLake, publish, caplog
):
    publish(database)
    edit(database)
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    assert publish(database)["updated"] == 2
    assert published(database) == [(13, FIRST, Decimal("90.00")), (13, SECOND, VALUE), (18, FIRST, VALUE)]
    assert "18 2024-02-28: intensity_avg is 100.00, in Gold 123.45" in caplog.text


def test_repairs_without_moving_on(database: PostgresTarget, gold_lake: GoldLake, publish):
    publish(database)
    edit(database)
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    publish(database, repair=True)
    assert published(database) == [(13, FIRST, VALUE), (13, SECOND, VALUE), (18, FIRST, VALUE)]
    assert query(database, "SELECT gold_version FROM carbon_data.export_log") == [(1,), (1,)]


def test_stages_everything_when_a_hand_edits_while_it_exports(
    database: PostgresTarget, gold_lake: GoldLake, publish, staged, monkeypatch
):
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    staged.clear()
    stage_rows = staging.stage_rows

    def edited_meanwhile(rows, table, run_id, target, *, count):
        if len(staged) == 0:
            edit(database)
        stage_rows(rows, table, run_id, target, count=count)

    monkeypatch.setattr(staging, "stage_rows", edited_meanwhile)
    assert publish(database) == {"inserted": 1, "updated": 2, "deleted": 1, "unchanged": 0, **OTHERS_UPDATED}
    days = [row[1:] for row in staged if row[0] == "carbon_intensity_daily"]
    assert sorted(days) == [(13, FIRST, False), *((row["regionid"], row["date_recorded"], False) for row in DAYS)]
    assert published(database) == [(13, FIRST, Decimal("90.00")), (13, SECOND, VALUE), (18, FIRST, VALUE)]


def test_commits_nothing_when_the_server_alters_what_it_stores(database: PostgresTarget, gold_lake: GoldLake, publish):
    publish(database)
    before = published(database)
    edit(
        database,
        """
        CREATE FUNCTION public.alter_row() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.index_mode := ''odd''; RETURN NEW; END';
        CREATE TRIGGER odd BEFORE UPDATE ON carbon_data.carbon_intensity_daily
            FOR EACH ROW EXECUTE FUNCTION public.alter_row()
        """,
    )
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    with pytest.raises(
        PostgresError, match=r"would differ from Gold in carbon_intensity_daily 2024-02; nothing changed\."
    ):
        publish(database)
    assert published(database) == before
    assert query(database, "SELECT count(*) FROM carbon_data.staging_carbon_intensity_daily WHERE run_id IS NULL") == [
        (0,)
    ]
