"""Looking back: from a figure to its bytes, what was revised, what differs between two states, and going back."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse import cli
from lakehouse.errors import UsageError
from lakehouse.history import comparison, explanation, query, releases, restore, revisions
from lakehouse.ingestion.gaps import Cause
from lakehouse.lake.tables import BRONZE, GOLD, QUARANTINE, SILVER
from lakehouse.pipeline import Run
from lakehouse.postgres import PostgresTarget
from lakehouse.publishing import verification
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.windows import HALF_HOUR
from tests.support.export_fixtures import url_of
from tests.support.lakes import Lake
from tests.support.mirror_rows import query as ask
from tests.support.revised_lake import derived

DAY = date(2024, 1, 1)
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture
def told(revised_once: Lake, tmp_path: Path) -> Lake:
    return revised_once.copy(tmp_path / "lake")


@pytest.fixture
def chosen(told: Lake, settings_of: Callable[..., Settings]) -> Settings:
    return settings_of(told.store.root)


def run(settings: Settings, work: Callable[[Run], Any], command: str = "run") -> RunReport:
    started = Run(settings, command)
    with started.recorded():
        work(started)
    return started.report


def test_follows_a_figure_down_to_its_bytes(chosen: Settings, told: Lake) -> None:
    found = explanation.explain(chosen, 13, DAY)
    assert found.agrees
    assert found.gold is not None
    assert found.recomputed is not None
    assert found.gold["intensity_avg"] == found.recomputed["intensity_avg"] == Decimal("117.67")  # (100+150+103)/3
    assert len(found.half_hours) == 48
    first, second, third, refused, absent, never = found.half_hours[:6]
    assert [half["silver"]["intensity_forecast"] for half in (first, second, third)] == [100, 150, 103]
    assert [said["outcome"] for said in first["statements"]] == ["counts", "confirmed by a newer answer"]
    assert [(said["intensity_forecast"], said["outcome"]) for said in second["statements"]] == [
        (150, "counts"),
        (101, "replaced by a newer answer"),
    ]
    assert (refused["cause"], refused["detail"]) == ("quarantined", "forecast_is_integer, forecast_plausible")
    assert refused["statements"][0]["outcome"] == "refused: forecast_is_integer, forecast_plausible"
    assert (absent["cause"], absent["detail"]) == ("upstream empty", "answered 2024-01-01")
    assert never["cause"] == "not fetched yet"
    bodies = {row[0]: row[1] for row in told.rows(BRONZE, "response_id", "body_sha256")}
    assert {key: said["body_sha256"] for key, said in found.responses.items()} == bodies


def test_explains_an_older_state(chosen: Settings) -> None:
    found = explanation.explain(chosen, 13, DAY, "1")
    assert found.agrees
    assert found.gold is not None
    assert found.gold["intensity_avg"] == Decimal("101.33")
    assert [said["intensity_forecast"] for said in found.half_hours[1]["statements"]] == [101]
    with pytest.raises(UsageError, match="The lake has the versions 1 to 2, not 9"):
        explanation.explain(chosen, 13, DAY, "9")
    with pytest.raises(UsageError, match="--region is 19; regions have the ids 1 to 18"):
        explanation.explain(chosen, 19, DAY)


def test_names_a_figure_that_is_not_what_it_rests_on(
    chosen: Settings, told: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    told.sql("UPDATE {} SET intensity_avg = 110, intensity_min = 1 WHERE regionid = 13", GOLD)
    told.sql("UPDATE {} SET fuel_gas = 41 WHERE regionid = 13 AND timestamp = '2024-01-01T01:00:00Z'", SILVER)
    derived(chosen, wanted=())  # a lake version that pins what hands did
    arguments = ["--root", chosen.root, "explain", "--region", "13", "--date", "2024-01-01"]
    assert cli.exit_code([*arguments, "--json"]) == 3
    said = capfd.readouterr()
    document = json.loads(said.out)
    assert (document["agrees"], document["status"], document["exit_code"]) == (False, "failed", 3)
    assert said.err.endswith(f"error: {document['error']}\n")
    assert set(document["disagreements"]) == {
        "gold.intensity_avg",
        "gold.intensity_min",
        "gold.fuel_gas",
        "silver 01:00 fuel_gas",
    }
    assert document["disagreements"]["gold.intensity_avg"] == {"table": 110.0, "recomputed": 117.67}
    assert said.err.splitlines()[-1].startswith("error: 4 figures are not what they rest on: gold.intensity_avg")


def test_explains_the_lake_as_it_is_not_as_the_last_run_left_it(
    chosen: Settings, told: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    told.sql("UPDATE {} SET intensity_avg = 110 WHERE regionid = 13", GOLD)
    arguments = ["--root", chosen.root, "explain", "--region", "13", "--date", "2024-01-01"]
    assert cli.exit_code(arguments) == 3
    said = capfd.readouterr()
    assert "in the lake as it is, changed since lake version 2 (gold.carbon_intensity_daily 3" in said.out
    assert said.err.splitlines()[-1].startswith("error: 1 figure is not what it rests on: gold.intensity_avg is 110")
    assert cli.exit_code([*arguments, "--at", "2"]) == 0


def test_tells_an_explanation_to_a_person(chosen: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["--root", chosen.root, "explain", "--region", "13", "--date", "2024-01-01"]) == 0
    said = capfd.readouterr().out
    for line in (
        "region 13 on 2024-01-01 in lake version 2 (gold.carbon_intensity_daily 2",
        "intensity: 353 / 3 = 117.67",
        "missing: upstream empty, answered 2024-01-01",
        "replaced by a newer answer",
        "Gold is what its half-hours give, and each of them what its response says.",
    ):
        assert line in said


def test_shows_what_was_revised_and_how_much_by_age(chosen: Settings) -> None:
    found = revisions.find(chosen, 13, START, END)
    names = ("intensity_forecast", "number", "change", "counts", "age_hours")
    assert [tuple(said[name] for name in names) for said in found.statements] == [
        (101, 1, None, False, 2.5),
        (150, 2, 49, True, 23.5),
    ]
    assert found.by_age == [
        {"age_from": 12, "answers": 1, "revised": 1, "mean_change": 49.0, "largest_change": 49},
        {"age_from": 24, "answers": 1, "revised": 0, "mean_change": None, "largest_change": None},
    ]
    assert revisions.find(chosen, 13, START, END, 1).statements == []
    whole = revisions.find(chosen, 13, START, END, revised_only=False)
    assert [said["number"] for said in whole.statements] == [1, 2, 1, 2, 1, None]


def test_lets_sql_see_states_and_revisions(chosen: Settings) -> None:
    asked = "SELECT intensity_avg AS mean FROM gold.carbon_intensity_daily WHERE regionid = 13"
    assert query.select(chosen, asked, 10) == ([{"mean": Decimal("117.67")}], False)
    assert query.select(chosen, asked, 10, "1") == ([{"mean": Decimal("101.33")}], False)
    said = "SELECT max(change) AS most, max(received_at) AS newest FROM revisions"
    assert query.select(chosen, said, 10) == (
        [{"most": 49, "newest": datetime(2024, 1, 2, tzinfo=UTC)}],
        False,
    )
    assert query.select(chosen, said, 10, "1")[0][0]["most"] is None
    assert query.select(chosen, "SELECT count(*) AS n FROM gold.carbon_intensity_daily VERSION AS OF 0", 10) == (
        [{"n": 0}],
        False,
    )


def test_shows_what_differs_by_key_and_column(chosen: Settings, told: Lake) -> None:
    found = comparison.diff(chosen, GOLD, "1", "2")
    assert found.counts == {"added": 0, "removed": 0, "changed": 1}
    assert (found.rows_before, found.rows_after) == (2, 2)
    assert found.rows[0].key == {"regionid": 13, "date_recorded": DAY}
    assert found.rows[0].columns == {
        "intensity_avg": (Decimal("101.33"), Decimal("117.67")),
        "intensity_max": (103, 150),
    }
    assert {name for name, count in found.by_column.items() if count} == {"intensity_avg", "intensity_max"}
    silver = comparison.diff(chosen, SILVER, "0", "2", limit=3)
    assert (silver.counts, len(silver.rows)) == ({"added": 7, "removed": 0, "changed": 0}, 3)
    assert comparison.diff(chosen, SILVER, "2", "0").counts["removed"] == 7
    assert comparison.diff(chosen, BRONZE, "1", "2").counts == {"added": 1, "removed": 0, "changed": 0}
    assert comparison.diff(chosen, QUARANTINE, "0", "1").counts["added"] == 1
    at = told.context.snapshot(GOLD).newest_commits()[1]["inCommitTimestamp"] / 1000
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    assert comparison.diff(chosen, GOLD, moment, "2").counts["changed"] == 1
    for wrong, sentence in (
        ("7", "has the versions 0 to 2, not 7"),
        ("2020-01-01", "was not there at 2020-01-01"),
        ("nowhere", "There is no release 'nowhere'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            comparison.diff(chosen, GOLD, wrong, "2")


def test_goes_back_and_rolls_forward_again(chosen: Settings, told: Lake, caplog: pytest.LogCaptureFixture) -> None:
    tables = restore.DERIVED
    then = [told.rows(table) for table in tables]
    report = run(chosen, lambda started: started.restore("1"), "restore")
    assert report.lake_version == 3
    for table in tables:
        assert comparison.diff(chosen, table, "1", str(told.context.snapshot(table).version)).differing == 0
    assert told.rows(BRONZE, "landing") == [(1,), (2,)]
    assert explanation.explain(chosen, 13, DAY, "3").gold["intensity_avg"] == Decimal("101.33")  # type: ignore[index]  # it is there
    assert [stage.version for stage in run(chosen, lambda started: started.restore("1")).stages] == [None] * 6

    caplog.clear()
    derived(chosen)
    assert caplog.messages == [
        "silver.regional_half_hourly and gold.carbon_intensity_daily and gold.intensity_profile and "
        "gold.carbon_intensity_monthly had been restored to an older state; "
        "this run rolls forward from Bronze."
    ]
    assert [told.rows(table) for table in tables] == then
    caplog.clear()
    assert [stage.version for stage in derived(chosen).stages] == [None] * 5
    assert caplog.messages == []
    with pytest.raises(UsageError, match="There is no release 'x'"):
        restore.checked(chosen, "x")


def test_publishes_a_release_and_comes_back(
    chosen: Settings, database: PostgresTarget, settings_of: Callable[..., Settings]
) -> None:
    releases.create(chosen, "first", END, at=1)
    into = settings_of(chosen.root, url_of(database))
    mean = "SELECT intensity_avg FROM carbon_data.carbon_intensity_daily WHERE regionid = 13"
    run(into, lambda started: started.publish())
    assert ask(database, mean) == [(Decimal("117.67"),)]
    released = run(into, lambda started: started.publish(state="first"))
    assert released.stages[0].outcome == "PostgreSQL equals the Gold of release first"
    assert ask(database, mean) == [(Decimal("101.33"),)]
    found = verification.verify(into)
    assert not found.differences
    whole = "PostgreSQL equals the Gold of release first: 2 rows of carbon_intensity_daily and 3 more tables, proven by"
    assert found.describe().startswith(whole)
    assert found.describe().endswith("; the lake's Gold is at version 2, `lakehouse export` brings it")
    assert run(into, lambda started: started.publish(state="first")).stages[0].counts["unchanged"] == 2
    run(into, lambda started: started.publish(state="2"))
    assert ask(database, mean) == [(Decimal("117.67"),)]
    before = verification.verify(into, state="1")
    assert (before.describe(), before.release) == ("PostgreSQL differs from Gold version 1 in 3 rows", None)
    logged = "SELECT gold_version, lake_version FROM carbon_data.export_log ORDER BY export_id"
    assert ask(database, logged) == [(2, 3), (1, 1), (2, 2)]
    assert len(verification.verify(into, state="first").differences) == 3  # the day, its half-hour, its month


@pytest.fixture(autouse=True)
def names_of_the_session(spark: Any) -> Iterator[None]:
    """Leave no views of an older state to the tests that follow."""
    yield
    for table in (BRONZE, *restore.DERIVED):
        for kind in ("VIEW", "TABLE"):
            if str(spark.conf.get("lakehouse.registered", "")).startswith(kind):
                spark.sql(f"DROP {kind} IF EXISTS {table.name}")


def test_says_of_a_missing_half_hour_what_gaps_says() -> None:
    now, slot = datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    window = {"window_start": slot + HALF_HOUR, "window_end": slot + HALF_HOUR, "ingestion_timestamp": now}
    empty = {**window, "absent": [slot], "regionid": None}
    not_understood = {**empty, "regionid": 0}

    def cause(moment: datetime, *responses: dict[str, Any], error: str = "") -> tuple[str, str]:
        said = {str(number): each for number, each in enumerate(responses)}
        return explanation._cause(slot, [], said, {slot: error} if error else {}, moment)

    assert cause(slot) == (Cause.FUTURE, "")
    assert cause(slot, empty) == (Cause.FUTURE, "")
    assert cause(now) == (Cause.NOT_FETCHED, "")
    assert cause(now, empty) == (Cause.UPSTREAM_EMPTY, "answered 2024-01-02")
    assert cause(now, {**empty, "absent": []}) == (Cause.REGION_MISSING, "")
    assert cause(now, not_understood) == (Cause.NOT_FETCHED, "")
    assert cause(now, not_understood, error="no answer") == (Cause.FETCH_FAILED, "no answer")
