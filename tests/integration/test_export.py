"""PostgreSQL becomes what Gold is at a version: exactly, provably, and by touching what changed."""

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.errors import LossError, PostgresError, UsageError
from lakehouse.lake.tables import DIM_REGION, GOLD
from lakehouse.postgres import PostgresTarget
from lakehouse.publishing import checksums, export, migrations, staging
from lakehouse.publishing.export_log import Checksum
from tests.support.export_fixtures import edit, settings_for
from tests.support.gold_rows import GoldLake
from tests.support.mirror_rows import (
    BEFORE,
    ENGLAND,
    FIRST,
    GB,
    LONDON,
    LONDON_NUMBER,
    ODD_DAY,
    ODD_DAY_NUMBER,
    ODD_REGION,
    ODD_REGION_NUMBER,
    PARTIAL_DAY,
    PARTIAL_DAY_NUMBER,
    SECOND,
    THIRD,
    day,
    marks,
    published,
    query,
    tuple_counts,
)

DAYS = BEFORE["days"]
ENGLAND_NUMBER = 0xE0E4ADBE108E089  # printf '%s' '15|England|England|nation|18' | sha256sum
NOTHING = {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 3}
VALUE = Decimal("123.45")


def test_sums_rows_as_postgresql_and_the_shell_do(spark: SparkSession):
    days = spark.createDataFrame([PARTIAL_DAY, ODD_DAY], GOLD.ddl).toArrow()
    regions = spark.createDataFrame([ODD_REGION, LONDON], DIM_REGION.ddl).toArrow()
    assert checksums.of_parts(days, regions) == {
        "2024-02": Checksum(1, ODD_DAY_NUMBER),
        "2024-03": Checksum(1, PARTIAL_DAY_NUMBER),
        "dim_region": Checksum(2, LONDON_NUMBER + ODD_REGION_NUMBER),
    }


def test_fills_an_empty_database_and_logs_which_gold_it_equals(
    any_database: PostgresTarget, gold_lake: GoldLake, publish
):
    gold_lake.fill([ODD_DAY], [LONDON, ENGLAND, ODD_REGION])
    assert publish(any_database) == {"inserted": 4, "updated": 0, "deleted": 0, "unchanged": 0, "regions_inserted": 3}
    columns = "shortname, intensity_avg, index_mode, fuel_biomass, fuel_wind, is_complete, intensity_min"
    assert query(
        any_database,
        f"SELECT {columns} FROM carbon_data.carbon_intensity_daily WHERE regionid = 18 ORDER BY date_recorded",
    ) == [
        ("GB", VALUE, "moderate", Decimal("11.11"), Decimal("11.11"), True, 90),
        ("Größe |\\N", Decimal("-0.50"), "very low", Decimal("0.00"), Decimal("100.00"), True, -5),
    ]
    assert query(any_database, "SELECT shortname, parent_regionid FROM carbon_data.dim_region ORDER BY regionid") == [
        ("London", 15),
        ("England", 18),
        ("Grö|ß\\e", None),
    ]
    assert query(
        any_database,
        "SELECT gold_version, dim_version, rows_total, regions_inserted, regions_checksum - %s, run_id"
        " FROM carbon_data.export_log" % (LONDON_NUMBER + ODD_REGION_NUMBER),
    ) == [(2, 2, 4, 3, Decimal(ENGLAND_NUMBER), "test-run")]


def test_touches_nothing_and_stages_nothing_without_a_change(any_database: PostgresTarget, publish, staged):
    publish(any_database)
    before, tuples = marks(any_database), tuple_counts(any_database)
    staged.clear()
    assert publish(any_database) == NOTHING
    assert staged == []
    assert marks(any_database) == before
    assert tuple_counts(any_database) == tuples
    assert query(any_database, "SELECT count(*) FROM carbon_data.export_log") == [(1,)]


def test_stages_only_what_changed_in_gold_since(database: PostgresTarget, gold_lake: GoldLake, publish, staged):
    publish(database)
    before = marks(database)
    staged.clear()
    gold_lake.change(13, SECOND, intensity_avg=Decimal("99.99"))
    gold_lake.change(13, SECOND, intensity_avg=Decimal("100.00"))
    gold_lake.delete(18, FIRST)
    gold_lake.fill([day(18, THIRD)])
    assert publish(database) == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1}
    assert sorted(staged) == [(13, SECOND, False), (18, FIRST, True), (18, THIRD, False)]
    assert published(database) == [(13, FIRST, VALUE), (13, SECOND, Decimal("100.00")), (18, THIRD, VALUE)]
    same = [row for row in before if row in marks(database)]
    assert [row[:3] for row in same if row[0] == "day"] == [("day", 13, "2024-02-28")]
    assert query(database, "SELECT gold_version, unchanged FROM carbon_data.export_log ORDER BY 1") == [(1, 0), (5, 1)]


def test_brings_a_gold_that_only_moved_house_without_touching_a_row(
    database: PostgresTarget, gold_lake: GoldLake, publish, staged
):
    publish(database)
    before = marks(database)
    staged.clear()
    DeltaTable.forPath(gold_lake.context.store.spark, gold_lake.context.store.path(GOLD)).optimize().executeCompaction()
    gold_lake.change(13, SECOND, intensity_avg=VALUE)
    assert publish(database) == NOTHING
    assert marks(database) == before
    assert query(database, "SELECT gold_version FROM carbon_data.export_log ORDER BY 1 DESC") == [
        (gold_lake.version,),
        (1,),
    ]


def test_follows_a_restore_of_gold(database: PostgresTarget, gold_lake: GoldLake, publish):
    publish(database)
    gold_lake.change(13, SECOND, intensity_avg=Decimal("100.00"))
    publish(database)
    gold_lake.restore(1)
    assert publish(database) == {"inserted": 0, "updated": 1, "deleted": 0, "unchanged": 2}
    assert published(database) == [(13, FIRST, VALUE), (13, SECOND, VALUE), (18, FIRST, VALUE)]


def test_goes_back_to_a_version_with_its_regions_and_forward_again(
    database: PostgresTarget, gold_lake: GoldLake, publish
):
    gold_lake.change(13, SECOND, intensity_avg=Decimal("100.00"))
    gold_lake.delete(18, FIRST)
    gold_lake.fill([day(18, THIRD)], [LONDON, ENGLAND, {**GB, "shortname": "Great Britain"}])
    newest = [(13, FIRST, VALUE), (13, SECOND, Decimal("100.00")), (18, THIRD, VALUE)]
    name = "SELECT shortname FROM carbon_data.dim_region WHERE regionid = 18"
    publish(database)
    assert (published(database), query(database, name)) == (newest, [("Great Britain",)])
    counts = publish(database, version=1)
    assert counts == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1, "regions_updated": 1}
    assert published(database) == [(13, FIRST, VALUE), (13, SECOND, VALUE), (18, FIRST, VALUE)]
    assert query(database, name) == [("GB",)]
    assert publish(database, version=1) == NOTHING
    publish(database)
    assert (published(database), query(database, name)) == (newest, [("Great Britain",)])
    publish(database, version=0)
    assert published(database) == query(database, "SELECT * FROM carbon_data.dim_region") == []


def test_refuses_a_version_that_gold_has_not(database: PostgresTarget, publish):
    publish(database)
    with pytest.raises(UsageError, match="has the versions 0 to 1, not 2"):
        publish(database, version=2)
    assert len(published(database)) == 3


FOUND = [
    "carbon_intensity_daily 13 1999-01-01: is not in Gold",
    "carbon_intensity_daily 13 2024-02-29: is missing",
    "carbon_intensity_daily 18 2024-02-28: intensity_avg is 100.00, in Gold 123.45, "
    "index_mode is höher, in Gold moderate",
    "dim_region 13: parent_regionid is None, in Gold 15",
]


def test_names_and_puts_right_what_hands_changed(database: PostgresTarget, publish, caplog):
    publish(database)
    right = published(database)
    edit(database)
    caplog.clear()
    counts = publish(database)
    assert counts == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1, "regions_updated": 1}
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
    stage_days = staging.stage_days

    def edited_meanwhile(rows, run_id, target):
        if len(staged) == 0:
            edit(database)
        stage_days(rows, run_id, target)

    monkeypatch.setattr(staging, "stage_days", edited_meanwhile)
    assert publish(database) == {"inserted": 1, "updated": 2, "deleted": 1, "unchanged": 0, "regions_updated": 1}
    assert sorted(staged) == [(13, FIRST, False), *((row["regionid"], row["date_recorded"], False) for row in DAYS)]
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
    with pytest.raises(PostgresError, match=r"would differ from Gold in 2024-02; nothing changed\."):
        publish(database)
    assert published(database) == before
    assert query(database, "SELECT count(*) FROM carbon_data.staging_carbon_intensity_daily WHERE run_id IS NULL") == [
        (0,)
    ]


def test_looks_at_everything_after_another_lakes_export(
    spark: SparkSession, database: PostgresTarget, gold_lake: GoldLake, publish, tmp_path: Path
):
    publish(database)
    copy = tmp_path / "copy"
    shutil.copytree(gold_lake.context.store.root, copy)
    other = GoldLake(spark, str(copy))
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    other.change(13, SECOND, intensity_avg=Decimal("91.00"))
    publish(database)
    export.publish(other.context, settings_for(database, str(copy)))
    assert published(database) == [(13, FIRST, VALUE), (13, SECOND, Decimal("91.00")), (18, FIRST, VALUE)]
    publish(database)
    assert published(database) == [(13, FIRST, Decimal("90.00")), (13, SECOND, VALUE), (18, FIRST, VALUE)]


def test_stages_everything_when_the_change_feed_cannot_be_read(database: PostgresTarget, gold_lake: GoldLake, publish):
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    for file in Path(gold_lake.context.store.path(GOLD)).glob("_change_data/*.parquet"):
        file.unlink()
    assert publish(database)["updated"] == 1
    assert published(database)[0] == (13, FIRST, Decimal("90.00"))


def test_exports_a_region_whose_parent_is_not_there(database: PostgresTarget, gold_lake: GoldLake, publish):
    gold_lake.name([LONDON, GB])
    assert publish(database)["inserted"] == 3
    assert query(database, "SELECT regionid FROM carbon_data.dim_region ORDER BY 1") == [(13,), (18,)]


def test_names_a_day_whose_region_is_not_there(database: PostgresTarget, gold_lake: GoldLake, publish):
    gold_lake.name([LONDON])
    with pytest.raises(PostgresError, match="speak of a region that is not there; run `lakehouse gold`"):
        publish(database)
    assert published(database) == []


def test_exports_as_the_writer_into_what_the_owner_migrated(
    empty_database: PostgresTarget, new_login, gold_lake: GoldLake, lake_root: str
):
    alone = new_login(empty_database)
    with pytest.raises(PostgresError, match=r"lacks 0001_regions_and_days\.sql, .*LAKEHOUSE_POSTGRES__OWNER_URL"):
        export.publish(gold_lake.context, settings_for(alone, lake_root))
    migrations.migrate(empty_database)
    writer = new_login(empty_database, "lakehouse_writer")
    for chosen in (settings_for(writer, lake_root), settings_for(writer, lake_root, owner=empty_database)):
        edit(empty_database, "DELETE FROM carbon_data.carbon_intensity_daily")
        assert export.publish(gold_lake.context, chosen).counts["inserted"] == 3
    assert published(empty_database) == [(13, FIRST, VALUE), (13, SECOND, VALUE), (18, FIRST, VALUE)]


def test_deletes_no_more_days_than_a_run_may_unless_this_gold_is_named(
    database: PostgresTarget, gold_lake: GoldLake, publish, lake_root: str
):
    publish(database)
    gold_lake.delete(13, SECOND)
    before, careful = published(database), replace(gold_lake.context, max_deleted_share=0.1)
    with pytest.raises(LossError, match=r"carbon_intensity_daily in PostgreSQL would lose 1 of its 3 rows.*0\.1"):
        export.publish(careful, settings_for(database, lake_root))
    assert published(database) == before
    newest = gold_lake.context.snapshot(GOLD).version
    done = export.publish(careful, settings_for(database, lake_root), version=newest)
    assert done.counts["deleted"] == 1
