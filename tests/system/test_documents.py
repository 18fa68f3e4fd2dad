"""Every shell and Python block of README and tutorial, in order, as a reader would run it: against the simulator."""

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.simulator import Simulator, ThreadedSimulator, run_in_thread
from tests.support.documents import PROJECT, blocks
from tests.support.processes import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

A_MONTH = {"2022-01-01": "2023-10-10", "2025-01-01": "2023-11-10"}
"""Of the tutorial's three years, which the test of the real size loads, a month is enough here."""


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[ThreadedSimulator]:
    """Its clock stands when the documents' ranges are just over."""
    with run_in_thread(Simulator(seed=42, now=request.param)) as running:
        yield running


def script(steps: list[tuple[str, str]]) -> str:
    """One bash script, as one reader has one shell."""
    parts = ["set -euo pipefail", "PATH=$PWD/.venv/bin:$PATH"]
    for language, body in steps:
        parts.append(body if language == "sh" else f"python - <<'PYTHON'\n{body}PYTHON")
    return "\n".join(parts)


@pytest.mark.parametrize(
    ("name", "api", "replaced", "facts"),
    [
        (
            "README.md",
            datetime(2024, 1, 8, 12, tzinfo=UTC),
            {},
            ["Identical: ", "PostgreSQL", "Gold is what its half-hours give"],
        ),
        (
            "docs/tutorial.md",
            datetime(2023, 11, 10, tzinfo=UTC),
            {**A_MONTH, "make setup": "true"},
            ["about ", "82", "three-years.html", "tutorial.html", "21 days; SIMULATED DATA", "as released"],
        ),
    ],
    indirect=["api"],
    ids=["README", "tutorial"],
)
def test_every_block_runs(
    api: ThreadedSimulator, tmp_path: Path, name: str, replaced: dict[str, str], facts: list[str]
) -> None:
    for needed in ("jobs", "conf", "spark-defaults.conf", ".venv"):
        (tmp_path / needed).symlink_to(PROJECT / needed)
    place = tmp_path / "data" / "lake"
    variables = {"LAKEHOUSE_API__URL": api.url, "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0"}
    done = subprocess.run(
        ["bash", "-c", script(blocks(name, replaced))],
        cwd=tmp_path,
        env=environment(str(place), **variables),
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-3000:]
    assert [fact for fact in facts if fact not in told] == []


def test_each_document_that_is_named_is_there() -> None:
    for file in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text()):
            assert (file.parent / link).exists(), f"{file.name} names {link}"
