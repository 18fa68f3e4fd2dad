"""The four jobs as their users start them: a real spark-submit each, in fresh processes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.simulator import ThreadedSimulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PROJECT = Path(__file__).resolve().parents[2]
SUBMIT = PROJECT / ".venv" / "bin" / "spark-submit"


def submit(job: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    if not SUBMIT.exists():
        pytest.skip(f"needs {SUBMIT}, which make setup installs")
    # As after `. .venv/bin/activate`: spark-submit finds Spark through the python3 of the PATH.
    variables = {"PATH": f"{SUBMIT.parent}:{os.environ['PATH']}", **variables}
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "LAKEHOUSE"))
    }
    return subprocess.run(
        [SUBMIT, "--properties-file", "spark-defaults.conf", f"jobs/{job}.py", *arguments],
        cwd=PROJECT,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_submits_the_four_jobs_one_after_the_other(tmp_path: Path, simulator: ThreadedSimulator) -> None:
    variables = {
        "LAKEHOUSE_ROOT": str(tmp_path / "lake"),
        "LAKEHOUSE_API__URL": simulator.url,
        "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
    }
    found = {}
    for job, arguments in (
        ("bronze", ["--from", "2024-01-02", "--to", "2024-01-04"]),
        ("silver", []),
        ("gold", []),
        ("export", []),
    ):
        done = submit(job, *arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)  # and nothing else: progress goes to stderr
        assert f"{job}: begins" in done.stderr
        found[job] = document["stages"][0]["counts"]["inserted"]
    assert found == {"bronze": 1, "silver": 1728, "gold": 36, "export": 36}


def test_returns_the_contracts_exit_codes(tmp_path: Path) -> None:
    variables = {"LAKEHOUSE_ROOT": str(tmp_path / "lake"), "LAKEHOUSE_API__URL": "http://127.0.0.1:9"}
    done = submit("bronze", "--from", "2024-01-04", "--to", "2024-01-02", **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: --from 2024-01-04 is not before --to 2024-01-02." in done.stderr
    done = submit("bronze", "--from", "2024-01-02", "--to", "2024-01-04", "--json", **variables)
    assert done.returncode == 4
    document = json.loads(done.stdout)
    assert (document["status"], document["exit_code"]) == ("failed", 4)
    assert document["error"].startswith("The API at http://127.0.0.1:9 cannot be asked")
    assert f"error: {document['error']}" in done.stderr


def test_refuses_to_run_without_the_properties_file(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK"))}
    done = subprocess.run(
        [SUBMIT, "jobs/silver.py"],
        cwd=PROJECT,
        env={**plain, "PATH": f"{SUBMIT.parent}:{os.environ['PATH']}", "LAKEHOUSE_ROOT": str(tmp_path / "lake")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "call spark-submit --properties-file spark-defaults.conf" in done.stderr
    assert settings.load({"root": str(tmp_path)}).root == str(tmp_path)
