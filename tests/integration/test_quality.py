"""Every defect ends where it should, named; every good row beside it is in Silver; gates stop before anything."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from lakehouse.errors import UsageError
from lakehouse.ingestion.bronze import Response, inspect_payload
from lakehouse.lake.tables import QUARANTINE, RUNS, SILVER
from lakehouse.pipeline import Run
from lakehouse.run_context import GateError
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.settings.sections import QualitySettings
from lakehouse.simulator.answers import CarbonIntensityApi
from lakehouse.simulator.edits import edited
from lakehouse.transform import quality, quarantine
from lakehouse.transform.models import MODELS
from lakehouse.transform.quality import RULES, RuleResult
from lakehouse.transform.silver_job import Contract
from lakehouse.windows import Window
from tests.support.lakes import MIX, Lake, period, region, response
from tests.support.times import at

DEFECTS: list[tuple[Callable[[bytes], bytes | None], dict[str, int], int]] = [
    # the fault; how many records broke which rules; rows of Silver, of 2 half-hours x 18 regions
    (lambda body: edited(body, "forecast_value", value="abc"), {"forecast_is_integer forecast_plausible": 1}, 35),
    (lambda body: edited(body, "forecast_value", value=12.5), {"forecast_is_integer": 1}, 35),
    (lambda body: edited(body, "forecast_value", value=None), {"forecast_is_integer forecast_plausible": 1}, 35),
    (lambda body: edited(body, "forecast_value", value=-51), {"forecast_plausible": 1}, 35),
    (lambda body: edited(body, "index_value", value="extreme"), {"label_known": 1}, 35),
    (lambda body: edited(body, "perc_value", value={}), {"shares_exact shares_in_range mix_is_whole": 1}, 35),
    (lambda body: edited(body, "perc_value", value=100.01), {"shares_in_range mix_is_whole": 1}, 35),
    (lambda body: edited(body, "region_missing", regionid=13), {}, 34),
    (lambda body: edited(body, "region_extra", regionid=19), {"region_known": 2}, 36),
    (lambda body: edited(body, "fuel_extra", fuel="storage", perc=0), {}, 36),
    (lambda body: edited(body, "half_hour_twice", add=10), {}, 36),
    (lambda body: edited(body, "outside_window", hours=240), {"inside_window": 36}, 36),
    (lambda body: edited(body, "keys_reordered"), {}, 36),
    (
        lambda body: body.replace(b'T00:00Z","to"', b'T00:10Z","to"', 1),
        {"on_half_hour_grid lasts_half_an_hour": 18},
        18,
    ),
    (lambda body: body.replace(b'"North Scotland"', b'""', 1), {"names_present": 1}, 35),
    (lambda body: body.replace(b'North Scotland"', rb'North Scotland\u0000"', 1), {"names_storable": 1}, 35),
    (lambda body: body.replace(b'"Scottish Hydro', b'"' + b"S" * 90, 1), {"names_storable": 1}, 35),
    (lambda body: body.replace(b'"regionid":1,', b'"regionid":null,', 1), {"key_present region_known": 1}, 35),
    (lambda body: body.replace(b'"gas"', b'"methane"', 1), {"fuels_complete shares_in_range mix_is_whole": 1}, 35),
]


def answered(number: int) -> bytes:
    """The simulated API's answer about the first hour of a day of its own."""
    day = date(2024, 1, 2) + timedelta(days=number)
    api = CarbonIntensityApi(42)
    path = f"/regional/intensity/{day}T00:30Z/{day}T01:00Z"
    return "".join(api.answer(path, now=datetime(2025, 1, 1, tzinfo=UTC)).pieces).encode()


def received(number: int, body: bytes) -> Response:
    first = datetime(2024, 1, 2, 0, 30, tzinfo=UTC) + timedelta(days=number)
    asked = Window(first, first + timedelta(minutes=30))
    return Response(body=body, window=asked, received_at=at("2024-03-01"), contents=inspect_payload(body))


def test_puts_every_defect_where_it_belongs(lake: Lake) -> None:
    bodies = [fault(answered(number)) for number, (fault, _, _) in enumerate(DEFECTS)]
    assert all(body is not None and body != answered(number) for number, body in enumerate(bodies))
    responses = [received(number, body or b"") for number, body in enumerate(bodies)]
    ids = [each.response_id("simulator:seed=42") for each in responses]
    lake.land(*responses)
    report = lake.silver()

    refused: list[Counter[str]] = [Counter() for _ in DEFECTS]
    for response_id, reasons in lake.rows(QUARANTINE, "response_id", "reasons"):
        refused[ids.index(response_id)][" ".join(reasons)] += 1
    assert refused == [named for _, named, _ in DEFECTS]
    kept = Counter(ids.index(row[0]) for row in lake.rows(SILVER, "response_id"))
    assert [kept[number] for number in range(len(DEFECTS))] == [rows for _, _, rows in DEFECTS]
    # received = what is in Silver, what was refused, and the first of each half-hour that came twice
    assert report.counts["received"] == sum(kept.values()) + report.counts["quarantined"] + 18
    assert report.counts["duplicates"] == 18

    failed = {result.rule: result.failed for result in report.quality}
    assert failed["key_once_in_response"] == 18
    assert failed["fuels_known"] == 37  # storage in 36 records, methane in one
    assert failed["generationmix.storage"] == 36
    assert failed["generationmix.methane"] == 1
    assert failed["shares_exact"] == 1
    assert failed["readable"] == 0
    assert {result.checked for result in report.quality} == {report.counts["received"]}


def test_keeps_what_is_not_known_beside_the_row(lake: Lake) -> None:
    storage = {**MIX, "storage": 0.25, "wind": 19.75}
    odd = region(13, mix=storage, note={"b": 1.50, "a": [None, "x"]})
    odd["intensity"] = {"forecast": 100, "actual": 95, "index": "low"}
    odd["generationmix"][0]["mw"] = 5
    known = {"generationmix": list(reversed([dict(reversed(e.items())) for e in region(12)["generationmix"]]))}
    lake.land(
        response([period("2024-01-02T12:00", region(12, **known), odd, season="winter")], "2024-01-03", meta=1),
        response([period("2024-01-02T12:30", region(12), region(13))], "2024-01-03T00:01"),
    )
    report = lake.silver()
    rows = {(row[0], row[1].strftime("%H:%M")): row[2:] for row in lake.rows(SILVER, *SILVER.column_names[:2], "extra")}
    assert rows == {
        (12, "12:00"): ('{"season":"winter"}',),
        (13, "12:00"): (
            '{"generationmix":{"biomass":{"mw":5},"storage":{"perc":0.25}},"intensity":{"actual":95},'
            '"note":{"a":[null,"x"],"b":1.5},"season":"winter"}',
        ),
        (12, "12:30"): (None,),
        (13, "12:30"): (None,),
    }
    drift = {result.rule: result.failed for result in report.quality if result.level == "drift"}
    assert drift == {
        "generationmix.storage": 1,
        "generationmix[].mw": 1,
        "intensity.actual": 1,
        "meta": 2,
        "note": 1,
        "season": 2,
    }
    assert report.counts["quarantined"] == 0
    assert {row[0] for row in lake.rows(SILVER, "fuel_wind")} == {Decimal("20.00"), Decimal("19.75")}


def test_stops_before_it_writes_anything(lake: Lake) -> None:
    lake.land(
        response([period("2024-01-02T12:00", region(12, "n/a"), region(13, shortname="Londinium"))], "2024-01-03"),
        response([period("2024-01-02T12:30", region(13, actual=1))], "2024-01-03"),
    )
    before = lake.versions()
    with pytest.raises(
        GateError, match=r"not known before: actual \(1 of 3 records\)\. With contract = \"evolve\""
    ) as frozen:
        lake.silver(contract=Contract(is_frozen=True))
    with pytest.raises(GateError, match=r"level fail are broken: names_expected \(1 of 3 records\)\.") as failed:
        lake.silver(contract=Contract(RULES.failing(["names_expected", "mix_is_whole"])))
    assert lake.versions() == before
    assert (frozen.value.exit_code, failed.value.exit_code) == (3, 3)
    assert failed.value.report.status == "failed"
    assert frozen.value.report.counts == {"received": 3, "duplicates": 0, "quarantined": 1}
    assert RuleResult("names_expected", "fail", 1, 3) in failed.value.report.quality
    assert RuleResult("mix_is_whole", "fail", 0, 3) in failed.value.report.quality
    assert lake.silver().counts["inserted"] == 2


def test_records_every_rule_of_every_run(
    lake: Lake,
    settings_for: Callable[..., Settings],
    run_with: Callable[..., RunReport],
) -> None:
    chosen = settings_for(lake.store.root)
    lake.land(response([period("2024-01-02T12:00", region(13, actual=1))], "2024-01-03"))
    frozen = chosen.model_copy(update={"quality": QualitySettings(contract="freeze")})

    def work(run: Run) -> None:
        run.transform(["silver", "gold"])

    with pytest.raises(GateError):
        run_with(frozen, work)
    run_with(chosen, work)
    run_with(chosen, work)
    rows = sorted(lake.context.snapshot(RUNS).rows(RUNS.column_names).to_pylist(), key=lambda row: row["lake_version"])
    assert [row["status"] for row in rows] == ["failed", "ok", "ok"]
    every = ["ok"] * (1 + len(MODELS))
    assert [[done["status"] for done in row["stages"]] for row in rows] == [["failed"], every, every]
    names = [rule.name for rule in RULES.all]
    for row, checked in zip(rows, (1, 1, 0), strict=True):
        results = [result for result in row["quality"] if result["level"] != "drift"]
        assert [result["rule"] for result in results] == names
        assert {(result["stage"], result["failed"], result["checked"]) for result in results} == {
            ("silver", 0, checked)
        }
    drift = [[result["rule"] for result in row["quality"] if result["level"] == "drift"] for row in rows]
    assert drift == [["actual"], ["actual"], []]


def test_reads_a_response_that_changed_nothing_only_once(
    lake: Lake,
    settings_for: Callable[..., Settings],
    run_with: Callable[..., RunReport],
) -> None:
    chosen = settings_for(lake.store.root)
    done = []
    for received_at in ("2024-01-03", "2024-01-04"):
        lake.land(response([period("2024-01-02T12:00", region(13))], received_at))
        for _ in range(2):
            report = run_with(chosen, lambda run: run.transform(["silver", "gold"]))
            done.append((report.stages[0].counts["received"], report.stages[0].version))
    assert done == [(1, 1), (0, None), (1, None), (0, None)]
    lake.sql("UPDATE {} SET intensity_forecast = 1", SILVER)
    report = run_with(chosen, lambda run: run.transform(["silver", "gold"]))
    assert report.stages[0].counts["updated"] == 1


def test_names_a_rule_that_does_not_exist() -> None:
    chosen = Settings(quality={"fail": ["mix_is_whole", "nonsense"]})
    with pytest.raises(UsageError, match=r"quality\.fail names 'nonsense', which is no rule; known: readable, "):
        quarantine.contract(chosen)


def test_gives_every_rule_a_name_of_its_own_a_level_and_a_unit() -> None:
    names = [rule.name for rule in RULES.all]
    assert len(set(names)) == len(names) == 21
    assert {rule.level for rule in RULES.all} == {quality.WARN, quality.QUARANTINE}
    assert all(rule.unit for rule in RULES.all)
    assert replace(RULES.records[0], level="fail").refuses
