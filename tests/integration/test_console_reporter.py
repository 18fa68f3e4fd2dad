"""Whatever was done to the tables by hand, the next run makes them what a rebuild would, and writes what differs."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse.lake import watermarks
from lakehouse.lake.tables import BRONZE, DIM_REGION, GOLD, QUARANTINE, SILVER, TABLES, Table
from tests.support.lakes import Lake, period, periods, region, response

UNCHANGED = {"inserted": 0, "updated": 0, "deleted": 0}


@pytest.fixture(scope="module")
def loaded(empty_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two days of two regions, then one half-hour revised, and one piece in quarantine. Only ever copied.

    Silver, Gold: version 1 the first load, version 2 the revision. The quarantine: version 1.
    """
    made = empty_lake.copy(tmp_path_factory.mktemp("loaded") / "lake")
    made.land(
        response(periods("2024-01-01T00:00", [100, 101, 102]), "2024-01-03T00:00"),
        response(
            [*periods("2024-01-02T12:00", [90]), period("2024-01-02T12:30", region(12, "n/a"))], "2024-01-03T00:01"
        ),
    )
    made.derive()
    made.land(response(periods("2024-01-01T00:30", [150]), "2024-01-03T01:00"))
    made.derive()
    assert made.versions() == {
        "bronze.regional_intensity": 2,
        "silver.regional_half_hourly": 2,
        "silver.quarantine": 1,
        "gold.carbon_intensity_daily": 2,
        "gold.dim_region": 1,
        "ops.runs": 0,
    }
    return made


@pytest.fixture
def copied(loaded: Lake, tmp_path: Path) -> Lake:
    """A copy of the loaded lake: by itself a case, since a copy is the same lake in another place."""
    return loaded.copy(tmp_path / "lake")


def changed(lake: Lake) -> list[dict[str, int]]:
    """What a run changes in Silver, Gold and the regions; afterwards nothing differs from a full computation."""
    done = lake.derive()
    again = lake.derive(full=True)
    assert [report.version for report in again] == [None, None, None]
    found = [{name: report.counts[name] for name in UNCHANGED} for report in done]
    wrote = [report.version is not None for report in done]
    assert wrote == [counts != UNCHANGED for counts in found]
    return found


def only(**counts: int) -> dict[str, int]:
    return {**UNCHANGED, **counts}


def test_writes_nothing_when_nothing_came(copied: Lake) -> None:
    before = copied.versions()
    assert changed(copied) == [UNCHANGED] * 3
    assert copied.versions() == before


BY_HAND: dict[str, tuple[str, Table, list[dict[str, int]]]] = {
    "silver restored": ("RESTORE {} TO VERSION AS OF 1", SILVER, [only(updated=2), UNCHANGED, UNCHANGED]),
    "gold restored": ("RESTORE {} TO VERSION AS OF 1", GOLD, [UNCHANGED, only(updated=2), UNCHANGED]),
    "regions restored": ("RESTORE {} TO VERSION AS OF 0", DIM_REGION, [UNCHANGED, UNCHANGED, only(inserted=2)]),
    "bronze restored": ("RESTORE {} TO VERSION AS OF 1", BRONZE, [only(updated=2), only(updated=2), UNCHANGED]),
    "bronze emptied": (
        "RESTORE {} TO VERSION AS OF 0",
        BRONZE,
        [only(deleted=8), only(deleted=4), only(deleted=2)],
    ),
    "silver updated": ("UPDATE {} SET intensity_forecast = 7", SILVER, [only(updated=8), UNCHANGED, UNCHANGED]),
    "silver's provenance updated": ("UPDATE {} SET response_id = 'x'", SILVER, [UNCHANGED, UNCHANGED, UNCHANGED]),
    "silver's rows deleted": (
        "DELETE FROM {} WHERE regionid = 13 AND timestamp < '2024-01-02'",
        SILVER,
        [only(inserted=3), UNCHANGED, UNCHANGED],
    ),
    "rows put into silver": (
        "INSERT INTO {0} SELECT regionid, timestamp + INTERVAL 20 DAYS AS timestamp, * EXCEPT (regionid, timestamp) "
        "FROM {0} WHERE regionid = 12",
        SILVER,
        [only(deleted=4), UNCHANGED, UNCHANGED],
    ),
    "gold updated": ("UPDATE {} SET fuel_gas = 1", GOLD, [UNCHANGED, only(updated=4), UNCHANGED]),
    "gold's rows deleted": ("DELETE FROM {} WHERE regionid = 12", GOLD, [UNCHANGED, only(inserted=2), UNCHANGED]),
    "regions updated": ("UPDATE {} SET kind = 'gb'", DIM_REGION, [UNCHANGED, UNCHANGED, only(updated=2)]),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_rights_what_was_done_by_hand(copied: Lake, case: str) -> None:
    statement, table, expected = BY_HAND[case]
    copied.sql(statement, table)
    # That Bronze holds less than Silver was made of has to be meant.
    assert changed(replace(copied, accept_loss=table is BRONZE)) == expected


@pytest.mark.parametrize(
    "statement", ["RESTORE {} TO VERSION AS OF 0", "DELETE FROM {}", "UPDATE {} SET reasons = array('x')"]
)
def test_rights_the_quarantine(copied: Lake, statement: str) -> None:
    copied.sql(statement, QUARANTINE)
    assert changed(copied) == [UNCHANGED] * 3
    assert copied.rows(QUARANTINE, "regionid", "period_from", "reasons") == [
        ("12", "2024-01-02T12:30Z", ["forecast_is_integer", "forecast_plausible"])
    ]


def made_anew(lake: Lake, table: Table) -> None:
    shutil.rmtree(lake.store.path(table))
    lake.store.spark.catalog.clearCache()
    lake.store.ensure(*TABLES)


def replaced(lake: Lake, table: Table) -> None:
    lake.sql("CREATE OR REPLACE TABLE {0} USING delta AS SELECT * FROM {0} LIMIT 1", table)


@pytest.mark.parametrize("anew", [made_anew, replaced])
@pytest.mark.parametrize("table", [SILVER, GOLD, DIM_REGION], ids=lambda table: table.name)
def test_fills_a_table_that_was_replaced(copied: Lake, anew: Callable[[Lake, Table], None], table: Table) -> None:
    before = copied.rows(table)
    anew(copied, table)
    place = [SILVER, GOLD, DIM_REGION].index(table)
    found = changed(copied)
    assert found[place]["inserted"] == len(before) - (anew is replaced)
    assert [counts for number, counts in enumerate(found) if number != place] == [UNCHANGED] * 2
    assert copied.rows(table) == before


def test_trusts_no_table_of_a_copy_that_went_its_own_way(loaded: Lake, tmp_path: Path) -> None:
    one, other = loaded.copy(tmp_path / "one"), loaded.copy(tmp_path / "other")
    one.land(response(periods("2024-01-02T12:00", [60]), "2024-01-04T00:00"))
    other.land(response(periods("2024-01-02T12:00", [70]), "2024-01-04T00:00"))
    one.derive()
    other.derive()
    # the same table ids, the same versions, the same landings: only the commits differ
    for table in (SILVER, GOLD):
        shutil.rmtree(one.store.path(table))
        shutil.copytree(other.store.path(table), one.store.path(table))
    moved = one.copy(tmp_path / "moved")
    assert changed(moved) == [only(updated=2), only(updated=2), UNCHANGED]
    assert {row[0] for row in moved.rows(SILVER, "intensity_forecast")} == {60, 100, 102, 150}


def test_rights_a_table_whose_log_was_cleaned(copied: Lake) -> None:
    for table in (BRONZE, SILVER, GOLD):
        copied.store.spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(  # type: ignore[union-attr]  # only a client of Spark Connect has none
            copied.store.spark._jsparkSession, copied.store.path(table)
        ).checkpoint()
    for table in (BRONZE, SILVER, GOLD):
        log = Path(copied.store.path(table)) / "_delta_log"
        for old in sorted(log.glob("*.json"))[:-1]:
            old.unlink()
    copied.sql("DELETE FROM {} WHERE regionid = 13", GOLD)
    assert changed(copied) == [UNCHANGED, only(inserted=2), UNCHANGED]
    copied.land(response(periods("2024-01-01T01:00", [160]), "2024-01-04T00:00"))
    assert changed(copied) == [only(updated=2), only(updated=2), UNCHANGED]


def test_keeps_its_place_through_maintenance(copied: Lake) -> None:
    for table in (BRONZE, SILVER, QUARANTINE, GOLD, DIM_REGION):
        copied.sql("OPTIMIZE {}", table)
        copied.sql("VACUUM {}", table)
        copied.sql("ALTER TABLE {} SET TBLPROPERTIES ('note' = 'x')", table)
    copied.sql("ALTER TABLE {} ADD CONSTRAINT x CHECK (n_periods > 0)", GOLD)
    before = copied.versions()
    assert [report.version for report in copied.derive()] == [None, None, None]
    assert copied.versions() == before
    snapshot = copied.context.snapshot
    assert watermarks.landing(copied.store, snapshot(SILVER), snapshot(BRONZE), snapshot(QUARANTINE)) == 2
    assert watermarks.version_of_silver(copied.store, snapshot(GOLD), snapshot(SILVER)) == snapshot(SILVER).version
    copied.land(response(periods("2024-01-01T01:00", [160]), "2024-01-04T00:00"))
    silver, gold, _ = copied.derive()
    assert silver.counts["received"] == 2  # the new response alone
    assert (silver.counts["updated"], gold.counts["updated"]) == (2, 2)


def test_takes_older_dates_in_any_order(copied: Lake) -> None:
    copied.land(response(periods("2023-06-01T00:00", [80]), "2024-01-05T00:00"))
    assert changed(copied) == [only(inserted=2), only(inserted=2), UNCHANGED]
    copied.land(
        response(periods("2023-06-03T00:00", [80]), "2024-01-05T00:02"),
        response(periods("2022-03-01T00:00", [80]), "2024-01-05T00:01"),
    )
    assert changed(copied) == [only(inserted=4), only(inserted=4), UNCHANGED]
    copied.land(response(periods("2023-06-02T00:00", [80]), "2020-01-01T00:00"))
    assert changed(copied) == [only(inserted=2), only(inserted=2), UNCHANGED]


def test_lets_a_late_import_of_an_older_answer_change_nothing(lake: Lake) -> None:
    for forecast, received in ((10, "2024-01-03T01:00"), (10, "2024-01-03T03:00"), (20, "2024-01-03T02:00")):
        lake.land(response(periods("2024-01-01T00:00", [forecast], [13]), received))
        lake.silver()
    assert lake.rows(SILVER, "intensity_forecast") == [(10,)]
    assert lake.context.snapshot(SILVER).version == 1


def test_asks_only_responses_that_it_has_read_about_a_half_hour(lake: Lake) -> None:
    """A consumed response that is read again beside a late one may itself be out of date elsewhere."""
    lake.land(response(periods("2024-01-01T00:00", [11, 12, 13], [13]), "2024-01-03T02:00"))
    lake.land(response(periods("2024-01-01T00:30", [22], [13]), "2024-01-03T03:00"))
    lake.silver()
    lake.land(
        response(periods("2024-01-01T00:00", [1], [13]), "2024-01-03T01:00"),
        response(periods("2024-01-01T02:00", [5], [13]), "2024-01-03T01:00"),
    )
    done = lake.silver()
    assert (done.counts["inserted"], done.counts["updated"]) == (1, 0)
    assert [row[0] for row in lake.rows(SILVER, "intensity_forecast", "timestamp")] == [11, 13, 22, 5]
