"""What rows of `ops.runs` come to, for monitors."""

from typing import Any

from lakehouse.monitoring import exposition
from lakehouse.monitoring.figures import Figures, RunTotals, Seconds
from tests.support.times import at

CLOCK = at("2024-01-05T00:00")


def stage(name: str, seconds: float = 0.3, status: str = "ok", **counts: int) -> dict[str, Any]:
    """As delta-rs gives it: maps are lists of pairs."""
    reads = [("gold.carbon_intensity_daily", 7)] if name == "export" else []
    return {"stage": name, "status": status, "seconds": seconds, "reads": reads, "counts": list(counts.items())}


def row(number: int, *stages: dict[str, Any], status: str = "ok", code: int | None = 0, **more: Any) -> dict[str, Any]:
    ended = {"finished_at": at(f"2024-01-05T00:{number:02}"), "lake_clock": CLOCK, "failed_windows": []}
    return {
        "lake_version": number,
        "command": "watch",
        "status": status,
        "exit_code": code,
        "stages": stages,
        **ended,
        **more,
    }


def totals(*rows: dict[str, Any]) -> RunTotals:
    made = RunTotals()
    for each in rows:
        made.add(each)
    return made


def test_counts_runs_by_how_they_ended() -> None:
    codes = [0, 1, 2, 3, 4, 5, 130, 0]
    found = totals(*(row(n, status="failed" if code else "ok", code=code) for n, code in enumerate(codes, 1)))
    outcomes = {outcome: number for (_, outcome), number in found.runs.items()}
    assert outcomes == {"ok": 2, "failed": 1, "usage": 1, "gate": 1, "api": 1, "locked": 1, "interrupted": 1}
    assert found.run_attempt == {"watch": at("2024-01-05T00:08")}


def test_takes_rows_of_an_older_release_which_have_no_code() -> None:
    old = row(1, status="failed", code=None)
    del old["exit_code"]
    assert totals(old, row(2, code=None)).runs == {("watch", "failed"): 1, ("watch", "ok"): 1}


def test_tells_the_last_success_of_a_stage_from_its_last_attempt() -> None:
    well = row(1, stage("silver", inserted=18, updated=2, unchanged=1400))
    found = totals(well, row(2, stage("silver", status="failed", inserted=0), status="failed", code=3))
    assert found.stage_success == {"silver": at("2024-01-05T00:01")}
    assert found.stage_attempt == {"silver": at("2024-01-05T00:02")}
    assert found.run_success == {"watch": at("2024-01-05T00:01")}
    assert found.rows["silver.regional_half_hourly", "inserted"] == 18
    assert found.rows["silver.regional_half_hourly", "updated"] == 2


def test_remembers_the_clock_and_the_export_of_the_last_runs_that_had_any() -> None:
    found = totals(row(1, stage("export")), row(2, stage("export", status="failed"), lake_clock=None, status="failed"))
    assert found.lake_clock == CLOCK
    assert found.exported == {"gold.carbon_intensity_daily": 7}


def test_counts_windows_that_failed_and_knows_no_stage_without_a_bounded_name() -> None:
    lost = {"window_start": CLOCK, "window_end": CLOCK, "error": "HTTP 503"}
    found = totals(row(1, stage("maintain ops.runs"), failed_windows=[lost, lost]))
    assert (found.windows_failed, found.stage_attempt) == (2, {})


def test_sums_seconds_up_as_a_histogram() -> None:
    taken = Seconds()
    for seconds in (0.1, 0.3, 7.0, 4000.0):
        taken.add(seconds)
    assert taken.counts == [1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert taken.total == 4007.4


def test_writes_what_prometheus_reads() -> None:
    found = totals(row(1, stage("silver", seconds=0.3, inserted=18)))
    text = exposition.text(
        Figures(found, {"ops.runs": 1}, {"silver.regional_half_hourly": CLOCK}, 2, {"24h": 3}, {"bad_share": 4}, 5)
    )
    assert {
        'lakehouse_runs_total{command="watch",outcome="ok"} 1.0',
        'lakehouse_stage_duration_seconds_bucket{le="0.25",stage="silver"} 0.0',
        'lakehouse_stage_duration_seconds_bucket{le="0.5",stage="silver"} 1.0',
        'lakehouse_rows_written_total{operation="inserted",table="silver.regional_half_hourly"} 18.0',
        'lakehouse_newest_period_timestamp_seconds{table="silver.regional_half_hourly"} 1.7044128e+09',
        'lakehouse_stage_last_success_timestamp_seconds{stage="silver"} 1.70441286e+09',
        "lakehouse_export_behind_versions 2.0",
        'lakehouse_missing_periods{within="24h"} 3.0',
        'lakehouse_quarantined_records{rule="bad_share"} 4.0',
        "lakehouse_api_retries_total 5.0",
    } <= set(text.splitlines())
