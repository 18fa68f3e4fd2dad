"""PostgreSQL becomes what Gold is at a version: exactly, provably, and by touching what changed."""

import shutil
import tarfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.errors import LossError, PostgresError, UsageError
from lakehouse.history.states import LakeVersion
from lakehouse.lake.tables import DIM_REGION, GOLD, GOLD_MONTHLY, INTENSITY_PROFILE, PUBLISHED
from lakehouse.postgres import PostgresTarget
from lakehouse.publishing import checksums, export, migrations, verification
from lakehouse.publishing.checksums import Checksum, Part
from tests.support.export_fixtures import edit, settings_for
from tests.support.gold_rows import GoldLake
from tests.support.mirror_rows import (
    BEFORE,
    ENGLAND,
    FEBRUARY,
    FIRST,
    GB,
    HALF_HOUR_NUMBER,
    LONDON,
    LONDON_NUMBER,
    MONTH_NUMBER,
    ODD_DAY,
    ODD_DAY_NUMBER,
    ODD_REGION,
    ODD_REGION_NUMBER,
    PARTIAL_DAY,
    PARTIAL_DAY_NUMBER,
    SECOND,
    THIRD,
    day,
    half_hour,
    marks,
    month,
    published,
    query,
    tuple_counts,
)

DAYS = BEFORE["days"]
FORMER_LAKE = Path(__file__).resolve().parents[1] / "data" / "former_lake.tar.xz"
"""What the release before migration 0005 left beside the database of the fixture ``former_database``."""
ENGLAND_NUMBER = 0xE0E4ADBE108E089  # printf '%s' '15|England|England|nation|18' | sha256sum
NOTHING = {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 3}
VALUE = Decimal("123.45")


def test_sums_rows_as_postgresql_and_the_shell_do(spark: SparkSession):
    rows = {
        DIM_REGION.name: [ODD_REGION, LONDON],
        GOLD.name: [PARTIAL_DAY, ODD_DAY],
        INTENSITY_PROFILE.name: [half_hour(13, 0)],
        GOLD_MONTHLY.name: [month(13, FEBRUARY)],
    }
    found = {}
    for table in PUBLISHED:
        found |= checksums.of_rows(table, spark.createDataFrame(rows[table.name], table.ddl).toArrow())
    assert found == {
        Part("carbon_intensity_daily", "2024-02"): Checksum(1, ODD_DAY_NUMBER),
        Part("carbon_intensity_daily", "2024-03"): Checksum(1, PARTIAL_DAY_NUMBER),
        Part("dim_region"): Checksum(2, LONDON_NUMBER + ODD_REGION_NUMBER),
        Part("intensity_profile", "2024-02"): Checksum(1, HALF_HOUR_NUMBER),
        Part("carbon_intensity_monthly", "2024-02"): Checksum(1, MONTH_NUMBER),
    }


def test_fills_an_fresh_database_and_logs_which_gold_it_equals(database: PostgresTarget, gold_lake: GoldLake, publish):
    gold_lake.fill([ODD_DAY], [LONDON, ENGLAND, ODD_REGION])
    assert publish(database) == {
        **{"inserted": 4, "updated": 0, "deleted": 0, "unchanged": 0},
        **{"regions_inserted": 3, "intensity_profile_inserted": 2, "carbon_intensity_monthly_inserted": 2},
    }
    columns = "shortname, intensity_avg, index_mode, fuel_biomass, fuel_wind, is_complete, intensity_min"
    assert query(
        database,
        f"SELECT {columns} FROM carbon_data.carbon_intensity_daily WHERE regionid = 18 ORDER BY date_recorded",
    ) == [
        ("GB", VALUE, "moderate", Decimal("11.11"), Decimal("11.11"), True, 90),
        ("Größe |\\N", Decimal("-0.50"), "very low", Decimal("0.00"), Decimal("100.00"), True, -5),
    ]
    assert query(database, "SELECT shortname, parent_regionid FROM carbon_data.dim_region ORDER BY regionid") == [
        ("London", 15),
        ("England", 18),
        ("Grö|ß\\e", None),
    ]
    assert query(
        database,
        "SELECT gold_version, dim_version, rows_total, regions_inserted, regions_checksum - %s, run_id"
        " FROM carbon_data.export_log" % (LONDON_NUMBER + ODD_REGION_NUMBER),
    ) == [(2, 2, 4, 3, Decimal(ENGLAND_NUMBER), "test-run")]
    logged = "SELECT table_name, version, table_id, commit_id, rows_total FROM carbon_data.export_log_table"
    pins = {table.short_name: gold_lake.context.snapshot(table).pin for table in PUBLISHED}
    rows = {"dim_region": 3, "carbon_intensity_daily": 4, "intensity_profile": 2, "carbon_intensity_monthly": 2}
    assert sorted(query(database, logged)) == sorted(
        (name, pin.version, pin.table_id, pin.commit_id, rows[name]) for name, pin in pins.items()
    )


def test_touches_nothing_and_stages_nothing_without_a_change(database: PostgresTarget, publish, staged):
    publish(database)
    before, tuples = marks(database), tuple_counts(database)
    staged.clear()
    assert publish(database) == NOTHING
    assert staged == []
    assert marks(database) == before
    assert tuple_counts(database) == tuples
    assert query(database, "SELECT count(*) FROM carbon_data.export_log") == [(1,)]


def test_stages_only_what_changed_in_gold_since(database: PostgresTarget, gold_lake: GoldLake, publish, staged):
    publish(database)
    before = marks(database)
    staged.clear()
    gold_lake.change(13, SECOND, intensity_avg=Decimal("99.99"))
    gold_lake.change(13, SECOND, intensity_avg=Decimal("100.00"))
    gold_lake.delete(18, FIRST)
    gold_lake.fill([day(18, THIRD)])
    assert publish(database) == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1}
    assert sorted(row for row in staged if row[0] != "dim_region") == [
        ("carbon_intensity_daily", 13, SECOND, False),
        ("carbon_intensity_daily", 18, FIRST, True),
        ("carbon_intensity_daily", 18, THIRD, False),
    ]
    assert published(database) == [(13, FIRST, VALUE), (13, SECOND, Decimal("100.00")), (18, THIRD, VALUE)]
    same = [row for row in before if row in marks(database)]
    assert [row[:2] for row in same if row[0] == "carbon_intensity_daily"] == [
        ("carbon_intensity_daily", "13 2024-02-28")
    ]
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
    gold_lake.replace(INTENSITY_PROFILE, [half_hour(13, 0, n_days=7)])
    gold_lake.replace(GOLD_MONTHLY, [month(18, THIRD, n_days=8, n_complete_days=8, n_periods=384)])
    newest = [(13, FIRST, VALUE), (13, SECOND, Decimal("100.00")), (18, THIRD, VALUE)]
    name = "SELECT shortname FROM carbon_data.dim_region WHERE regionid = 18"
    others = "SELECT n_days FROM carbon_data.intensity_profile UNION SELECT n_days FROM carbon_data.monthly ORDER BY 1"
    publish(database)
    assert (published(database), query(database, name)) == (newest, [("Great Britain",)])
    assert query(database, others) == [(7,), (8,)]
    counts = publish(database, version=1)
    assert counts == {
        **{"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1, "regions_updated": 1},
        **{"intensity_profile_inserted": 1, "intensity_profile_updated": 1},
        **{"carbon_intensity_monthly_inserted": 2, "carbon_intensity_monthly_deleted": 1},
    }
    assert query(database, others) == [(29,)]
    assert published(database) == [(13, FIRST, VALUE), (13, SECOND, VALUE), (18, FIRST, VALUE)]
    assert query(database, name) == [("GB",)]
    assert publish(database, version=1) == NOTHING
    publish(database)
    assert (published(database), query(database, name)) == (newest, [("Great Britain",)])
    publish(database, version=0)
    for table in PUBLISHED:
        assert query(database, f"SELECT * FROM carbon_data.{table.short_name}") == []


def test_refuses_a_version_that_gold_has_not(database: PostgresTarget, publish):
    publish(database)
    with pytest.raises(UsageError, match="has the versions 0 to 1, not 2"):
        publish(database, version=2)
    assert len(published(database)) == 3


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
    fresh_database: PostgresTarget, new_login, gold_lake: GoldLake, lake_root: str
):
    alone = new_login(fresh_database)
    with pytest.raises(PostgresError, match=r"lacks 0001_regions_and_days\.sql, .*LAKEHOUSE_POSTGRES__OWNER_URL"):
        export.publish(gold_lake.context, settings_for(alone, lake_root))
    migrations.migrate(fresh_database)
    writer = new_login(fresh_database, "lakehouse_writer")
    for chosen in (settings_for(writer, lake_root), settings_for(writer, lake_root, owner=fresh_database)):
        edit(fresh_database, "DELETE FROM carbon_data.carbon_intensity_daily")
        assert export.publish(gold_lake.context, chosen).counts["inserted"] == 3
    assert published(fresh_database) == [(13, FIRST, VALUE), (13, SECOND, VALUE), (18, FIRST, VALUE)]


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


def test_takes_a_table_that_the_lake_does_not_hold_for_empty_and_says_so(
    database: PostgresTarget, gold_lake: GoldLake, publish, caplog
):
    publish(database)
    for table in (INTENSITY_PROFILE, GOLD_MONTHLY):
        shutil.rmtree(gold_lake.context.store.path(table))
    caplog.clear()
    assert publish(database) == {**NOTHING, "intensity_profile_deleted": 2, "carbon_intensity_monthly_deleted": 2}
    assert caplog.messages == [
        "Gold version 1 comes without gold.intensity_profile, gold.carbon_intensity_monthly: PostgreSQL's are empty"
    ]
    assert publish(database) == NOTHING
    assert query(database, "SELECT count(*) FROM carbon_data.export_log") == [(2,)]


def test_stages_no_table_but_the_one_that_changed(database: PostgresTarget, gold_lake: GoldLake, publish, staged):
    publish(database)
    before = [row[:-1] for row in marks(database)]
    staged.clear()
    gold_lake.replace(GOLD_MONTHLY, [*BEFORE["months"], month(13, THIRD)])
    assert publish(database) == {**NOTHING, "carbon_intensity_monthly_inserted": 1}
    assert {row[0] for row in staged} == {"carbon_intensity_monthly"}
    assert set(before) < {row[:-1] for row in marks(database)}  # a row that refers to a region locks it


def test_leaves_what_the_release_before_exported_as_it_is_and_goes_on(
    spark: SparkSession, former_database: PostgresTarget, tmp_path: Path, staged
):
    with tarfile.open(FORMER_LAKE) as packed:
        packed.extractall(tmp_path, filter="data")
    former = GoldLake(spark, str(tmp_path / "lake"))
    chosen = settings_for(former_database, former.context.store.root)
    days = "SELECT regionid, xmin::text, ctid::text FROM carbon_data.carbon_intensity_daily ORDER BY ctid"
    before = query(former_database, days)
    assert export.publish(former.context, chosen).counts == {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 36}
    assert (query(former_database, days), staged) == (before, [])
    assert query(former_database, "SELECT max(export_id) FROM carbon_data.export_log") == [(2,)]
    found = verification.verify(chosen)
    assert (found.differences, found.rows, found.months) == ([], 36, 1)
    former.context.store.prepare(INTENSITY_PROFILE)
    former.replace(INTENSITY_PROFILE, [half_hour(13, 0)])
    assert export.publish(former.context, chosen).counts == {
        **NOTHING,
        "unchanged": 36,
        "intensity_profile_inserted": 1,
    }
    assert query(former_database, days) == before
    assert {row[0] for row in staged} == {"intensity_profile"}
    assert export.publish(former.context, chosen, version=1).counts["updated"] == 18
    assert query(former_database, "SELECT count(*) FROM carbon_data.intensity_profile") == [(0,)]


def test_publishes_an_old_state_without_the_tables_that_it_lacks(
    database: PostgresTarget, gold_lake: GoldLake, publish, caplog
):
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    old = LakeVersion("lake version 1", 1, gold_lake.context.store.root, {GOLD.name: 1, DIM_REGION.name: 1}, {})
    caplog.clear()
    assert publish(database, state=old) == {
        **NOTHING,
        "intensity_profile_deleted": 2,
        "carbon_intensity_monthly_deleted": 2,
    }
    assert "comes without gold.intensity_profile, gold.carbon_intensity_monthly" in caplog.text
    assert query(database, "SELECT lake_version FROM carbon_data.export_log ORDER BY export_id") == [(None,), (1,)]
    assert publish(database) == {
        **{"inserted": 0, "updated": 1, "deleted": 0, "unchanged": 2},
        **{"intensity_profile_inserted": 2, "carbon_intensity_monthly_inserted": 2},
    }


def test_takes_tables_of_silver_as_they_were_though_gold_did_not_change_since(
    database: PostgresTarget, gold_lake: GoldLake, publish
):
    publish(database)
    path = gold_lake.context.store.path(GOLD)
    gold_lake.context.store.spark.sql(
        f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('note' = 'a commit without rows')"
    )
    gold_lake.replace(INTENSITY_PROFILE, [half_hour(13, 0, n_days=5)])
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    assert publish(database, version=1) == NOTHING
    found = verification.verify(settings_for(database, gold_lake.context.store.root))
    assert (found.gold_version, found.differences) == (1, [])
