"""The four jobs as their users start them: a real spark-submit each, in fresh processes."""

import json
from pathlib import Path

import pytest

from lakehouse.simulator import ThreadedSimulator
from tests.support.processes import submit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_submits_the_four_jobs_one_after_the_other(lake_root: str, simulator: ThreadedSimulator) -> None:
    variables = {"LAKEHOUSE_API__URL": simulator.url, "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0"}
    found = {}
    for job, arguments in (
        ("bronze", ["--from", "2024-01-02", "--to", "2024-01-04"]),
        ("silver", []),
        ("gold", []),
        ("export", []),
    ):
        done = submit(lake_root, job, *arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)  # and nothing else: progress goes to stderr
        assert f"{job}: begins" in done.stderr
        found[job] = document["stages"][0]["counts"]["inserted"]
    assert found == {"bronze": 1, "silver": 1728, "gold": 36, "export": 36}


def test_returns_the_contracts_exit_codes(lake_root: str) -> None:
    variables = {"LAKEHOUSE_API__URL": "http://127.0.0.1:9"}
    done = submit(lake_root, "bronze", "--from", "2024-01-04", "--to", "2024-01-02", **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: --from 2024-01-04 is not before --to 2024-01-02." in done.stderr
    done = submit(lake_root, "bronze", "--from", "2024-01-02", "--to", "2024-01-04", "--json", **variables)
    assert done.returncode == 4
    document = json.loads(done.stdout)
    assert (document["status"], document["exit_code"]) == ("failed", 4)
    assert document["error"].startswith("The API at http://127.0.0.1:9 cannot be asked")
    assert f"error: {document['error']}" in done.stderr


def test_refuses_to_run_without_the_properties_file(lake_root: str) -> None:
    done = submit(lake_root, "silver", properties=())
    assert (done.returncode, done.stdout) == (2, "")
    assert "call spark-submit --properties-file spark-defaults.conf" in done.stderr
    assert not Path(lake_root).exists()
