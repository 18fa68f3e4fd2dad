"""The published tables become what is staged: exactly, and touching nothing that is equal."""

from decimal import Decimal

import pytest

from lakehouse.errors import PostgresError
from lakehouse.lake.commits import Pin
from lakehouse.lake.tables import PUBLISHED
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import export_log, mirror
from lakehouse.publishing.checksums import Checksum, Part
from lakehouse.publishing.export_log import ExportCounts, PublishedState
from lakehouse.publishing.mirror import ProofError, Staged
from tests.support.mirror_rows import (
    BEFORE,
    ENGLAND,
    FEBRUARY,
    FIRST,
    FUELS,
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
    REGIONS,
    SAME,
    SAME_REGIONS,
    SECOND,
    SEVENTH,
    THIRD,
    counts,
    day,
    export,
    half_hour,
    marks,
    month,
    published,
    query,
    stage,
    tuple_counts,
)


def test_fills_empty_tables_and_logs_it(any_database: PostgresTarget):
    state = PublishedState(
        {"carbon_intensity_daily": Pin("gold-id", 7, "commit-id"), "dim_region": Pin("dim-id", 3, "dim-commit")}, 9
    )
    done = export(any_database, **BEFORE, state=state, keys=3)
    assert done == counts(*(ExportCounts(inserted=number) for number in (3, 3, 2, 2)))
    with connect(any_database) as connection:
        record = export_log.last_export(connection)
    assert record is not None
    assert (record.run_id, record.state, record.counts) == ("run-1", state, done)
    assert query(any_database, "SELECT rows_total, inserted, regions_inserted FROM carbon_data.export_log") == [
        (3, 3, 3)
    ]
    assert query(
        any_database,
        "SELECT table_name, version, table_id, commit_id, inserted, rows_total FROM carbon_data.export_log_table"
        " ORDER BY table_name",
    ) == [
        ("carbon_intensity_daily", 7, "gold-id", "commit-id", 3, 3),
        ("carbon_intensity_monthly", None, None, None, 2, 2),
        ("dim_region", 3, "dim-id", "dim-commit", 3, 3),
        ("intensity_profile", None, None, None, 2, 2),
    ]


def test_knows_of_no_export_before_the_first(any_database: PostgresTarget):
    with connect(any_database) as connection:
        assert export_log.last_export(connection) is None
        assert mirror.read_checksums(connection) == {}
        assert not connection.in_transaction()


def test_inserts_updates_and_deletes_exactly_what_differs(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    done = export(
        any_database,
        regions=[{**LONDON, "shortname": "Greater London"}, ENGLAND, GB],
        days=[day(13, FIRST), day(13, SECOND, intensity_avg=Decimal("123.46")), day(18, SECOND)],
        profile=[half_hour(13, 0, n_days=28), half_hour(18, 46)],
        months=[month(13, FEBRUARY), month(13, THIRD)],
    )
    assert done == counts(
        ExportCounts(inserted=1, updated=1, deleted=1, unchanged=1),
        ExportCounts(updated=1, unchanged=2),
        ExportCounts(inserted=1, updated=1, deleted=1),
        ExportCounts(inserted=1, deleted=1, unchanged=1),
    )
    assert published(any_database) == [
        (13, FIRST, Decimal("123.45")),
        (13, SECOND, Decimal("123.46")),
        (18, SECOND, Decimal("123.45")),
    ]


def test_leaves_equal_rows_unwritten_and_unlocked(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    before, tuples = marks(any_database), tuple_counts(any_database)
    assert export(any_database, **BEFORE) == counts(ExportCounts(unchanged=3), SAME_REGIONS, **SAME)
    assert marks(any_database) == before
    assert tuple_counts(any_database) == tuples


def test_touches_only_the_row_that_changed(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    before = marks(any_database)
    changed = [day(13, FIRST), day(13, SECOND, fuel_wind=Decimal("11.12")), day(18, FIRST)]
    done = export(any_database, **{**BEFORE, "days": changed})
    assert done == counts(ExportCounts(updated=1, unchanged=2), SAME_REGIONS, **SAME)
    touched = [old for old, new in zip(before, marks(any_database), strict=True) if old != new]
    assert [row[:2] for row in touched] == [("carbon_intensity_daily", "13 2024-02-29")]


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
        done = export(any_database, days=[day(13, FIRST, **new)], full=False)
        assert done == counts(ExportCounts(updated=1, unchanged=2), SAME_REGIONS, **SAME), column
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
    for london, expected in ((orphan, 1), (orphan, 0), (adopted, 1), (adopted, 0)):
        done = export(any_database, regions=[london, ENGLAND, GB], full=False)
        assert done["dim_region"] == ExportCounts(updated=expected, unchanged=3 - expected)


def test_deletes_only_what_is_marked_when_staging_holds_changes(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    gone = {"regionid": 13, "date_recorded": FIRST, "is_deleted": True}
    done = export(any_database, days=[gone, day(18, THIRD)], full=False)
    assert done == counts(ExportCounts(inserted=1, deleted=1, unchanged=2), SAME_REGIONS, **SAME)
    assert [row[:2] for row in published(any_database)] == [(13, SECOND), (18, FIRST), (18, THIRD)]


def test_deletes_a_region_together_with_all_that_refers_to_it(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    rest = {"days": [day(18, FIRST)], "profile": [half_hour(18, 47)], "months": [month(18, FEBRUARY)]}
    assert export(any_database, regions=[ENGLAND, GB], **rest) == counts(
        ExportCounts(deleted=2, unchanged=1),
        *[ExportCounts(deleted=1, unchanged=2)],
        *[ExportCounts(deleted=1, unchanged=1)] * 2,
    )


def test_repairs_rows_edited_by_hand(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    expected = published(any_database)
    with connect(any_database) as connection, connection.begin():
        connection.exec_driver_sql(
            "UPDATE carbon_data.carbon_intensity_daily SET intensity_avg = 100 WHERE regionid = 18"
        )
        connection.exec_driver_sql("DELETE FROM carbon_data.carbon_intensity_daily WHERE date_recorded = '2024-02-29'")
        connection.exec_driver_sql("INSERT INTO carbon_data.dim_region VALUES (99, 'x', 'x', 'nation', NULL)")
    assert export(any_database, **BEFORE) == counts(
        ExportCounts(inserted=1, updated=1, unchanged=1), ExportCounts(deleted=1, unchanged=3), **SAME
    )
    assert published(any_database) == expected


def test_takes_a_row_staged_twice_once(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    twice = [day(13, THIRD), day(13, THIRD), day(13, FIRST, intensity_max=161), day(13, FIRST, intensity_max=161)]
    done = export(any_database, days=twice, full=False, keys=2)
    assert done == counts(ExportCounts(inserted=1, updated=1, unchanged=2), SAME_REGIONS, **SAME)


def test_refuses_two_values_for_one_key(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    before = marks(any_database)
    with pytest.raises(PostgresError, match=r"carbon_intensity_daily was staged .* \(13, 2024-02-28\)"):
        export(any_database, days=[day(13, FIRST), day(13, FIRST, intensity_max=161)], full=False)
    assert marks(any_database) == before


def test_refuses_a_staging_table_that_lost_rows(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    with pytest.raises(PostgresError, match="2 rows of carbon_intensity_daily are staged instead of 3"):
        export(any_database, regions=BEFORE["regions"], days=BEFORE["days"][1:], keys=3)
    assert len(published(any_database)) == 3


def test_ignores_and_clears_what_a_dead_run_staged(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    with connect(any_database) as connection:
        stage(connection, "dead-run", days=[day(18, THIRD)])
    with mirror.export_lock(any_database) as connection:
        stage(connection, "run-2", regions=REGIONS, days=[day(13, THIRD)])
        with connection.begin():
            staged = [Staged(table, is_full=False) for table in PUBLISHED]
            done = mirror.apply_staged(connection, run_id="run-2", state=SEVENTH, staged=staged)
    assert done == counts(ExportCounts(inserted=1, unchanged=3), SAME_REGIONS, **SAME)
    for table in PUBLISHED:
        assert query(any_database, f"SELECT * FROM carbon_data.staging_{table.short_name}") == []


def test_needs_the_callers_transaction(any_database: PostgresTarget):
    with connect(any_database) as connection, pytest.raises(ValueError, match="transaction"):
        mirror.apply_staged(connection, run_id="r", state=SEVENTH, staged=[])


def test_sums_each_month_of_each_table_and_the_regions_whatever_the_order(any_database: PostgresTarget):
    profile, months = [half_hour(13, 0)], [month(13, FEBRUARY)]
    export(any_database, regions=[ODD_REGION, LONDON], days=[ODD_DAY, PARTIAL_DAY], profile=profile, months=months)
    with connect(any_database) as connection:
        assert mirror.read_checksums(connection) == {
            Part("carbon_intensity_daily", "2024-02"): Checksum(1, ODD_DAY_NUMBER),
            Part("carbon_intensity_daily", "2024-03"): Checksum(1, PARTIAL_DAY_NUMBER),
            Part("dim_region"): Checksum(2, LONDON_NUMBER + ODD_REGION_NUMBER),
            Part("intensity_profile", "2024-02"): Checksum(1, HALF_HOUR_NUMBER),
            Part("carbon_intensity_monthly", "2024-02"): Checksum(1, MONTH_NUMBER),
        }


def test_commits_nothing_that_is_not_proven(any_database: PostgresTarget):
    export(any_database, **BEFORE)
    before = published(any_database)
    with connect(any_database) as connection:
        proof = mirror.read_checksums(connection)
    export(any_database, **BEFORE, proof=proof)
    days = "carbon_intensity_daily"
    other = {**proof, Part(days, "2024-02"): Checksum(3, 1), Part("dim_region"): Checksum(1, 5)}
    with pytest.raises(
        ProofError,
        match=f"would differ from Gold in {days} 2024-02, {days} 2024-03, dim_region; nothing changed",
    ):
        export(any_database, **{**BEFORE, "days": [*BEFORE["days"], day(18, THIRD)]}, proof=other)
    assert published(any_database) == before
