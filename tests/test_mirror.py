"""The published tables become what is staged: exactly, and touching nothing that is equal."""

from decimal import Decimal

import pytest
from mirror_rows import (
    BEFORE,
    ENGLAND,
    FIRST,
    FUELS,
    GB,
    LONDON,
    SECOND,
    THIRD,
    day,
    export,
    published,
    query,
    stage,
    wait_until,
)

from lakehouse import mirror
from lakehouse.errors import PostgresError
from lakehouse.mirror import ExportCounts
from lakehouse.postgres import PostgresTarget, connect

pytestmark = pytest.mark.integration


def marks(target: PostgresTarget) -> list[tuple[object, ...]]:
    """Which transaction wrote each row, where it is, and which one locked it."""
    return query(
        target,
        """
        SELECT 'day', regionid, date_recorded::text, xmin::text, ctid::text, xmax::text
        FROM carbon_data.carbon_intensity_daily
        UNION ALL
        SELECT 'region', regionid, '', xmin::text, ctid::text, xmax::text FROM carbon_data.dim_region
        ORDER BY 1, 2, 3
        """,
    )


def test_fills_empty_tables_and_logs_it(any_database: PostgresTarget):
    counts = export(any_database, **BEFORE, dim_version=3, lake_version=9, staged_rows=6, checksum=10**39)
    assert counts == ExportCounts(inserted=6)
    with connect(any_database) as connection:
        record = mirror.last_export(connection)
    assert record is not None
    assert (record.run_id, record.gold_version, record.gold_table_id) == ("run-1", 7, "gold-id")
    assert (record.dim_version, record.lake_version, record.checksum) == (3, 9, 10**39)
    assert record.counts == counts
    assert counts.rows_total == 6


def test_knows_of_no_export_before_the_first(any_database: PostgresTarget):
    with connect(any_database) as connection:
        assert mirror.last_export(connection) is None
        assert mirror.count_rows(connection) == 0
        assert not connection.in_transaction()


def test_inserts_updates_and_deletes_exactly_what_differs(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    counts = export(
        any_database,
        regions=[{**LONDON, "shortname": "Greater London"}, ENGLAND, GB],
        days=[day(13, FIRST), day(13, SECOND, intensity_avg=Decimal("123.46")), day(18, SECOND)],
    )
    assert counts == ExportCounts(inserted=1, updated=2, deleted=1, unchanged=3)
    assert published(any_database) == [
        (13, FIRST, Decimal("123.45")),
        (13, SECOND, Decimal("123.46")),
        (18, SECOND, Decimal("123.45")),
    ]


def test_leaves_equal_rows_unwritten_and_unlocked(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    before, tuples = marks(any_database), tuple_counts(any_database)
    assert export(any_database, **BEFORE) == ExportCounts(unchanged=6)
    assert marks(any_database) == before
    assert tuple_counts(any_database) == tuples


def test_touches_only_the_row_that_changed(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    before = marks(any_database)
    changed = [day(13, FIRST), day(13, SECOND, fuel_wind=Decimal("11.12")), day(18, FIRST)]
    assert export(any_database, regions=BEFORE["regions"], days=changed) == ExportCounts(updated=1, unchanged=5)
    touched = [old for old, new in zip(before, marks(any_database), strict=True) if old != new]
    assert [(kind, regionid, recorded) for kind, regionid, recorded, *_ in touched] == [("day", 13, "2024-02-29")]


def test_sees_a_change_in_every_column(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    partial = {"n_periods": 47, "is_complete": False}
    changes = {
        "shortname": {"shortname": "Greater London"},
        "dno": {"dno": "LPN"},
        "intensity_avg": {"intensity_avg": Decimal("123.46")},
        "index_mode": {"index_mode": "high"},
        **{f"fuel_{fuel}": {f"fuel_{fuel}": Decimal("11.12")} for fuel in FUELS},
        "n_periods": partial,
        "n_expected": {"n_expected": 50, "is_complete": False},
        "is_complete": partial,
        "intensity_min": {"intensity_min": -91},
        "intensity_max": {"intensity_max": 161},
    }
    assert [*changes] == [*day(13, FIRST)][2:]
    for column, new in changes.items():
        counts = export(any_database, days=[day(13, FIRST, **new)], full=False)
        assert counts == ExportCounts(updated=1, unchanged=5), column
        rows = query(
            any_database,
            f"SELECT {column} FROM carbon_data.carbon_intensity_daily"
            f" WHERE regionid = 13 AND date_recorded = '{FIRST}'",
        )
        assert rows == [(new[column],)]
        export(any_database, days=[day(13, FIRST)], full=False)


def test_compares_nulls_as_values(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    orphan, adopted = {**LONDON, "parent_regionid": None}, {**LONDON, "parent_regionid": 15}
    for region, expected in ((orphan, 1), (orphan, 0), (adopted, 1), (adopted, 0)):
        assert export(any_database, regions=[region], full=False).updated == expected


def test_deletes_only_what_is_marked_when_staging_holds_changes(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    gone = {"regionid": 13, "date_recorded": FIRST, "is_deleted": True}
    counts = export(any_database, days=[gone, day(18, THIRD)], full=False)
    assert counts == ExportCounts(inserted=1, deleted=1, unchanged=5)
    assert [row[:2] for row in published(any_database)] == [(13, SECOND), (18, FIRST), (18, THIRD)]


def test_deletes_a_region_together_with_its_days(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    counts = export(any_database, regions=[ENGLAND, GB], days=[day(18, FIRST)])
    assert counts == ExportCounts(deleted=3, unchanged=3)


def test_repairs_rows_edited_by_hand(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    expected = published(any_database)
    with connect(any_database) as connection, connection.begin():
        connection.exec_driver_sql(
            "UPDATE carbon_data.carbon_intensity_daily SET intensity_avg = 100 WHERE regionid = 18"
        )
        connection.exec_driver_sql("DELETE FROM carbon_data.carbon_intensity_daily WHERE date_recorded = '2024-02-29'")
        connection.exec_driver_sql("INSERT INTO carbon_data.dim_region VALUES (99, 'x', 'x', 'nation', NULL)")
    assert export(any_database, **BEFORE) == ExportCounts(inserted=1, updated=1, deleted=1, unchanged=4)
    assert published(any_database) == expected


def test_takes_a_row_staged_twice_once(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    twice = [day(13, THIRD), day(13, THIRD), day(13, FIRST, intensity_max=161), day(13, FIRST, intensity_max=161)]
    assert export(any_database, days=twice, full=False, staged_rows=2) == ExportCounts(1, 1, 0, 5)


def test_refuses_two_values_for_one_key(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    before = marks(any_database)
    with pytest.raises(PostgresError, match=r"carbon_intensity_daily was staged .* \(13, 2024-02-28\)"):
        export(any_database, days=[day(13, FIRST), day(13, FIRST, intensity_max=161)], full=False)
    assert marks(any_database) == before


def test_refuses_a_staging_table_that_lost_rows(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    with pytest.raises(PostgresError, match="5 rows are staged instead of 6"):
        export(any_database, regions=BEFORE["regions"], days=BEFORE["days"][1:], staged_rows=6)
    assert len(published(any_database)) == 3


def test_ignores_and_clears_what_a_dead_run_staged(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    with connect(any_database) as connection:
        stage(connection, "dead-run", days=[day(18, THIRD)])
    with mirror.export_lock(any_database) as connection:
        stage(connection, "run-2", days=[day(13, THIRD)])
        with connection.begin():
            counts = mirror.apply_staged(
                connection, run_id="run-2", gold_version=8, gold_table_id="gold-id", full=False
            )
    assert counts == ExportCounts(inserted=1, unchanged=6)
    assert query(any_database, f"SELECT * FROM {mirror.STAGING['carbon_intensity_daily']}") == []


def test_needs_the_callers_transaction(any_database: PostgresTarget):
    with connect(any_database) as connection, pytest.raises(ValueError, match="transaction"):
        mirror.apply_staged(connection, run_id="r", gold_version=1, gold_table_id="g", full=False)


# The first 15 hexadecimal digits of sha256sum, of 18|Größe|GB|gb|\N and of
# 13|2024-03-01|London|UKPN London|123.45|moderate|11.11|…|11.11|1|48|false|90|160
EXPECTED_REGION = 0xB0845633D348321
EXPECTED_DAY = 0x1FAB390CDEF27B9


def test_sums_each_month_and_the_regions_whatever_the_order(any_database: PostgresTarget):
    export(any_database, regions=[{**GB, "shortname": "Größe"}], days=[])
    with connect(any_database) as connection:
        assert mirror.checksums(connection) == {"dim_region": mirror.Checksum(1, EXPECTED_REGION)}
    export(any_database, regions=[LONDON, ENGLAND, GB], days=[day(13, THIRD, n_periods=1, is_complete=False)])
    with connect(any_database) as connection:
        assert mirror.checksums(connection)["2024-03"] == mirror.Checksum(1, EXPECTED_DAY)


def tuple_counts(target: PostgresTarget) -> list[tuple[object, ...]]:
    """Rows ever inserted, updated and deleted, and dead ones, once every session has reported its own."""
    wait_until(
        target,
        "SELECT count(*) = 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'",
    )
    return query(
        target,
        """
        SELECT relname, n_tup_ins, n_tup_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables
        WHERE schemaname = 'carbon_data' AND relname IN ('dim_region', 'carbon_intensity_daily') ORDER BY relname
        """,
    )
