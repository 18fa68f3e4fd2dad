"""Lineage events: what is named how, whose run is above which, and what a failure says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse import lineage, settings
from lakehouse.errors import UsageError
from lakehouse.lake.rule_results import RuleResult
from lakehouse.lineage.observer import LineageObserver, run_uuid
from lakehouse.run_context import StageReport
from lakehouse.run_record import Observers, RunObserver, RunReport
from lakehouse.settings import Settings
from lakehouse.settings.object_store import ObjectStore
from tests.support.openlineage_schema import faults
from tests.support.times import at

CLOCK = at("2024-01-05T00:00:01")
RUN = "20240105T000000Z-0a1b2c3d"
SILVER = StageReport(
    "silver",
    7,
    {"inserted": 16, "updated": 2, "deleted": 0, "quarantined": 1},
    {"bronze.regional_intensity": 3},
    (RuleResult("forecast_known", "quarantine", 1, 19), RuleResult("shape", "fail", 0, 19)),
    writes={"silver.regional_half_hourly": 7, "silver.quarantine": 2},
)
Told = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """The events of a run of ``silver``: ``told(done)`` ends the stage so, ``told(error=E)`` stops it."""

    def events(*done: StageReport, error: BaseException | None = None, **chosen: Any) -> list[dict[str, Any]]:
        file = tmp_path / "events.jsonl"
        read = settings.load({"root": "/lake", "lineage": {"transport": "file", "file": str(file)}, **chosen})
        observer = LineageObserver(read, clock=lambda: CLOCK)
        report = RunReport(RUN, "run")
        observer.run_began(report, CLOCK)
        for stage in done:
            observer.stage_started(stage.stage)
            observer.stage_ended(stage)
        if error is not None:
            observer.stage_started("silver")
            observer.stage_failed("silver", SILVER, error)
            report.status, report.error = "failed", str(error) or "interrupted"
            report.exit_code = 130 if isinstance(error, KeyboardInterrupt) else 2
        report.lake_version = 12
        observer.run_ended(report)
        found = [json.loads(line) for line in file.read_text().splitlines()]
        assert [faults(event) for event in found] == [[]] * len(found)
        return found

    return events


def test_tells_the_beginning_and_the_end_of_a_run_and_its_stages(told: Told) -> None:
    began, started, ended, over = told(SILVER)
    assert [(each["job"]["name"], each["eventType"]) for each in (began, started, ended, over)] == [
        ("run", "START"),
        ("run.silver", "START"),
        ("run.silver", "COMPLETE"),
        ("run", "COMPLETE"),
    ]
    assert began["run"]["runId"] == over["run"]["runId"] == run_uuid(RUN)
    assert started["run"]["runId"] == ended["run"]["runId"] == run_uuid(RUN, "silver") != run_uuid(RUN)
    parent = ended["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (run_uuid(RUN), "run")
    tags = {tag["key"]: tag["value"] for tag in over["run"]["facets"]["tags"]["tags"]}
    assert tags == {"run_id": RUN, "lake_version": "12"}
    assert over["eventTime"] == "2024-01-05T00:00:01+00:00"
    assert over["producer"] == over["job"]["facets"]["jobType"]["_producer"]


def test_names_versions_rows_and_rules_of_a_stage(told: Told) -> None:
    ended = told(SILVER)[2]
    (bronze,) = ended["inputs"]
    assert (bronze["namespace"], bronze["name"]) == ("file", "/lake/bronze/regional_intensity")
    assert bronze["facets"]["version"]["datasetVersion"] == "3"
    checks = bronze["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [(each["assertion"], each["success"], each["severity"], each["actual"]) for each in checks] == [
        ("forecast_known", False, "warn", "1"),
        ("shape", True, "error", "0"),
    ]
    silver, quarantine = ended["outputs"]
    assert (silver["name"], silver["facets"]["version"]["datasetVersion"]) == ("/lake/silver/regional_half_hourly", "7")
    assert silver["outputFacets"]["outputStatistics"]["rowCount"] == 18
    assert quarantine["facets"]["version"]["datasetVersion"] == "2"
    assert quarantine["outputFacets"] == {}
    regionid = silver["facets"]["schema"]["fields"][0]
    assert (regionid["name"], regionid["type"]) == ("regionid", "INT")


def test_a_stage_that_writes_nothing_has_no_new_version(told: Told) -> None:
    idle = StageReport("silver", None, {"inserted": 0}, {}, writes={"silver.regional_half_hourly": None})
    (silver,) = told(idle)[2]["outputs"]
    assert "version" not in silver["facets"]
    assert silver["outputFacets"]["outputStatistics"]["rowCount"] == 0


def test_counts_the_rows_of_every_exported_table_and_shows_no_password(told: Told) -> None:
    counts = {"inserted": 54, "updated": 1, "regions_inserted": 18, "intensity_profile_updated": 9}
    url = "postgresql://writer:s3cret@db.example.org:5433/carbon"
    ended = told(StageReport("export", None, counts, {"gold.dim_region": 4}), postgres={"url": url})[2]
    assert {each["name"]: each["outputFacets"]["outputStatistics"]["rowCount"] for each in ended["outputs"]} == {
        "carbon.carbon_data.dim_region": 18,
        "carbon.carbon_data.carbon_intensity_daily": 55,
        "carbon.carbon_data.intensity_profile": 9,
        "carbon.carbon_data.carbon_intensity_monthly": 0,
    }
    assert {each["namespace"] for each in ended["outputs"]} == {"postgres://db.example.org:5433"}
    assert "s3cret" not in json.dumps(ended)


@pytest.mark.parametrize(
    ("root", "place"),
    [
        ("s3a://bucket/a/lake", ("s3://bucket", "a/lake/silver/regional_half_hourly")),
        ("/lake", ("file", "/lake/silver/regional_half_hourly")),
    ],
)
def test_names_tables_as_the_specification_does(
    told: Told, root: str, place: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    monkeypatch.setattr(ObjectStore, "chosen", None)
    silver, _ = told(SILVER, root=root)[2]["outputs"]
    assert (silver["namespace"], silver["name"]) == place


def test_the_source_of_bronze_is_the_api_without_its_login(told: Told) -> None:
    bronze = StageReport("bronze", 3, {"inserted": 1}, {}, writes={"bronze.regional_intensity": 3})
    (source,) = told(bronze, api={"url": "https://me:s3cret@api.example.org/"})[2]["inputs"]
    assert (source["namespace"], source["name"]) == ("https://api.example.org", "/regional/intensity")


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (UsageError("See postgresql://me:s3cret@db/x."), "FAIL", "See postgresql://***@db/x."),
        (KeyboardInterrupt(), "ABORT", "interrupted"),
    ],
)
def test_a_stage_that_stops_says_why_and_what_it_has_come_to(
    told: Told, error: BaseException, state: str, message: str
) -> None:
    stopped, over = told(error=error)[2:]
    assert (stopped["eventType"], over["eventType"]) == (state, state)
    assert stopped["run"]["facets"]["errorMessage"]["message"] == message
    assert stopped["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"] is False


def test_an_orchestrators_run_is_above_the_run_and_its_root_above_every_stage(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, dag = run_uuid(RUN, "task"), run_uuid(RUN, "dag")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/carbon_lakehouse.silver/{task}")
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/carbon_lakehouse/{dag}")
    began, _, ended, _ = told(SILVER)
    above = began["run"]["facets"]["parent"]
    assert (above["job"]["namespace"], above["job"]["name"]) == ("airflow", "carbon_lakehouse.silver")
    assert above["run"]["runId"] == task
    assert above["root"]["run"]["runId"] == dag
    parent = ended["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["root"]["run"]["runId"]) == (run_uuid(RUN), dag)


def test_a_parent_that_cannot_be_read_is_told_and_left_out(
    told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "nothing")
    assert "parent" not in told(SILVER)[0]["run"]["facets"]
    (warning,) = caplog.messages
    assert warning.endswith("_PARENT_ID is not namespace/job/run-id; lineage events name no parent.")


@pytest.mark.parametrize(("transport", "option"), [("file", "file"), ("http", "url")])
def test_a_transport_without_a_place_is_refused(transport: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"lineage.transport is '{transport}', but lineage.{option} is not set"):
        settings.load({"lineage": {"transport": transport}})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"url": "nowhere"}, "lineage.url is not an address such as https://lineage.example.org; correct it."),
        (
            {"url": "http://x", "api_key_file": "/not/there"},
            "The key file /not/there of lineage cannot be used: No such",
        ),
        (
            {"url": "http://x", "api_key_file": "/dev/null"},
            "The key file /dev/null of lineage cannot be used: it is emp",
        ),
    ],
)
def test_a_server_that_cannot_be_asked_is_refused_before_the_run(wrong: dict[str, str], sentence: str) -> None:
    chosen = settings.load({"lineage": {"transport": "http", **wrong}})
    with pytest.raises(UsageError, match=sentence):
        lineage.observed(chosen, RunObserver())


def test_without_lineage_the_observer_is_alone() -> None:
    observer = RunObserver()
    assert lineage.observed(Settings(), observer) is observer


def test_several_observers_are_told_all_that_one_is() -> None:
    names = [name for name in dir(RunObserver) if not name.startswith("_")]

    class Heard(RunObserver):
        def __getattribute__(self, name: str) -> Any:
            return lambda *given, **named: heard.append((name, given, named)) if name in names else None

    heard: list[tuple[Any, ...]] = []
    for name in names:
        getattr(Observers(Heard(), Heard()), name)("it", unit="row")
    assert heard == [(name, ("it",), {"unit": "row"}) for name in names for _ in range(2)]
    assert "run_ended" in names
