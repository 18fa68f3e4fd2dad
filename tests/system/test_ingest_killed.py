"""Real processes ended by real signals while the simulator holds an answer; the next run goes on from there."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.ingestion import gaps
from lakehouse.lake import delta_log
from lakehouse.lake.tables import GOLD, RUNS, SILVER
from lakehouse.settings import Settings
from lakehouse.simulator import Simulator, ThreadedSimulator, parse_script, run_in_thread
from tests.support.lake_rows import bronze_rows
from tests.support.processes import PATIENCE_SECONDS, started, until
from tests.support.times import at

pytestmark = pytest.mark.slow

FETCH = ("bronze", "--from", "2023-12-10", "--to", "2023-12-20")
STARTS = [f"2023-12-{day}T00:30Z" for day in range(10, 20)]


@contextmanager
def process(lake: Settings, url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a terminal would start it: one-day windows, one at a time, a commit for every two days."""
    settings = {
        "API__URL": url,
        "API__CONCURRENCY": "1",
        "API__REQUESTS_PER_SECOND": "0",
        "API__WINDOW_HALF_HOURS": "48",
        "API__READ_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        "API__ATTEMPT_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        "FETCH__LANDING_MIB": "0.5",
    }
    with started(lake.root, *arguments, **{f"LAKEHOUSE_{name}": value for name, value in settings.items()}) as running:
        yield running


def asked(requests: Sequence[str]) -> list[str]:
    """Starts of the windows that were asked for."""
    return [path.split("/")[3] for path in requests if path.startswith("/regional/intensity/")]


def landed(lake: Settings) -> list[str]:
    return [f"{row['window_start']:%Y-%m-%dT%H:%MZ}" for row in bronze_rows(lake)]


@pytest.fixture
def lake(settings_for: Callable[..., Settings], lake_root: str) -> Settings:
    return settings_for(lake_root)


@pytest.fixture
def holding(simulator: ThreadedSimulator) -> ThreadedSimulator:
    """The simulator, which gives seven days and then holds every answer."""
    simulator.add_rules(
        parse_script([{"fault": "stall_headers", "times": None, "match": {"nth": 8, "path_contains": "intensity"}}])
    )
    return simulator


def resume(lake: Settings, simulator: ThreadedSimulator) -> list[str]:
    """Let the simulator answer, run again, and give the windows that this run asked for."""
    simulator.clear_rules()
    simulator.release()
    before = len(simulator.requests)
    with process(lake, simulator.url, *FETCH) as second:
        _, told = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, told
    assert landed(lake) == STARTS
    assert gaps.find(lake, at("2023-12-10"), at("2023-12-20")).gaps == ()
    return asked([request.path for request in simulator.requests[before:]])


def test_loses_only_what_was_not_committed_when_it_is_killed(lake: Settings, holding: ThreadedSimulator) -> None:
    with process(lake, holding.url, *FETCH) as first:
        holding.until_held(timeout_s=PATIENCE_SECONDS)
        until(lambda: len(landed(lake)) == 6)
        first.kill()
        first.wait(PATIENCE_SECONDS)
    assert landed(lake) == STARTS[:6]  # the seventh was in memory
    assert resume(lake, holding) == STARTS[6:]


def test_lands_what_it_has_on_ctrl_c(lake: Settings, holding: ThreadedSimulator) -> None:
    with process(lake, holding.url, *FETCH) as first:
        holding.until_held(timeout_s=PATIENCE_SECONDS)
        os.killpg(first.pid, signal.SIGINT)  # as a terminal does: to Spark's JVM too
        _, told = first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 130
    assert "error: interrupted; what was committed stays, and the same command goes on from there." in told
    assert "Traceback" not in told
    assert landed(lake) == STARTS[:7]
    runs = delta_log.open_table(lake.path(RUNS.path))
    assert runs is not None
    assert runs.rows(["status", "error"]).to_pylist() == [{"status": "failed", "error": "interrupted"}]
    assert resume(lake, holding) == STARTS[7:]


def test_says_one_sentence_when_ctrl_c_meets_sparks_work(settings_for: Callable[..., Settings], lake_root: str) -> None:
    with run_in_thread(Simulator(seed=42, now=datetime(2024, 1, 5, tzinfo=UTC))) as api:
        lake = settings_for(lake_root, api.url)
        days = ("--from", "2023-12-10", "--to", "2023-12-12")
        with process(lake, api.url, "run", "--stages", "bronze,silver,gold", *days) as first:
            assert first.stderr is not None
            assert any("silver: begins" in line for line in first.stderr)
            until(lambda: any(Path(lake.path(SILVER.path)).glob("part-*.parquet")))  # Spark is writing
            os.killpg(first.pid, signal.SIGINT)
            told = first.stderr.read().splitlines()
            first.wait(PATIENCE_SECONDS)
        assert first.returncode == 130, told
        assert told.pop() == "error: interrupted; what was committed stays, and the same command goes on from there."
        assert all(line.startswith(("silver: ", "gold: ")) for line in told)  # it may just have ended
        with process(lake, api.url, "run", "--stages", "silver,gold") as second:
            _, told_then = second.communicate(timeout=PATIENCE_SECONDS)
        assert second.returncode == 0, told_then
    days_in_gold = delta_log.open_table(lake.path(GOLD.path))
    assert days_in_gold is not None
    assert days_in_gold.rows(["regionid"]).num_rows == 2 * 18
