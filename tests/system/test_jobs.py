"""What spark-submit gives of a job; that each of the four does its work is a part of test_readme_commands."""

import json
from pathlib import Path

import pytest

from lakehouse.simulator import ThreadedSimulator
from tests.support.processes import submit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_gives_one_document_on_stdout(lake_root: str, simulator: ThreadedSimulator) -> None:
    variables = {"LAKEHOUSE_API__URL": simulator.url, "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0"}
    done = submit(lake_root, "bronze", "--from", "2024-01-02", "--to", "2024-01-04", "--json", **variables)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # and nothing else: progress goes to stderr
    assert "bronze: begins" in done.stderr
    assert document["stages"][0]["counts"]["inserted"] == 1


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
