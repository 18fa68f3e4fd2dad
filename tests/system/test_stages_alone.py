"""Every stage as a process of its own, cold, on a lake with data: first load, increment, correction, nothing new."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.postgres import PostgresTarget
from tests.support.export_fixtures import url_of
from tests.support.lakes import periods
from tests.support.processes import lakehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
NOTHING = {"inserted": 0, "updated": 0, "deleted": 0}
SHOWN = ("silver", "gold", "export")


def recorded(folder: Path, name: str, start: str, forecast: int) -> Path:
    """A file with one half-hour of two regions."""
    file = folder / name
    file.write_text(json.dumps({"data": periods(start, [forecast])}))
    return file


def counts(root: str, *arguments: str, **variables: str) -> list[dict[str, Any]]:
    """What each stage of a command counted, its exit code being 0."""
    done = lakehouse(root, *arguments, "--json", **variables)
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    return [{name: stage["counts"][name] for name in NOTHING} for stage in stages if stage["stage"] in SHOWN]


def changed(**rows: int) -> dict[str, int]:
    return {**NOTHING, **rows}


def test_each_stage_alone_follows_every_increment(lake_root: str, tmp_path: Path, database: PostgresTarget) -> None:
    to = {"LAKEHOUSE_POSTGRES__URL": url_of(database)}
    files = [
        recorded(tmp_path, "first.json", "2024-01-01T00:00", 100),
        recorded(tmp_path, "second.json", "2024-01-02T00:00", 110),
        recorded(tmp_path, "correction.json", "2024-01-01T00:00", 120),
    ]
    expected = [changed(inserted=2), changed(inserted=2), changed(updated=2)]
    for file, rows in zip(files, expected, strict=True):
        assert lakehouse(lake_root, "import", str(file)).returncode == 0
        for stage in ("silver", "gold", "export"):
            assert counts(lake_root, stage, **to) == [rows], (file.name, stage)
    for stage in ("silver", "gold", "export"):
        assert counts(lake_root, stage, **to) == [NOTHING], stage
