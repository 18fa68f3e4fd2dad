"""The benchmark of growth runs as its users run it, on days in place of years."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import PROJECT

PATIENCE_SECONDS = 550
"""For ten cold processes, six of them with a JVM, on a machine that does other things too; alone they take a minute."""


@pytest.mark.slow
def test_measures_a_history_and_what_comes_after_it(tmp_path: Path) -> None:
    arguments = ("--days", "4", "--where", "local", "--repeat", "1", "--place", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "bench.scale", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {
        cells[0].strip(): [cell.strip() for cell in cells[1:]]
        for cells in (line.strip("|").split("|") for line in done.stdout.splitlines() if line.startswith("| "))
    }
    assert rows["4 days"][0] == f"{4 * 48 * 18:,}"
    assert float(rows["4 days"][1]) > float(rows["4 days"][2]) + float(rows["4 days"][3]) > 0
    assert {"a new day: `run`", "`plan`", "`gaps`", "`status`", "`explain`"} <= set(rows)
    assert [file.name for file in tmp_path.iterdir()] == ["bronze-4"]
