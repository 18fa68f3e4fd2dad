"""The way back from a backup, as docs/operations.md says it: its own lines, in a shell."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.lake import delta_log
from lakehouse.lake.tables import PUBLISHED, SILVER
from lakehouse.postgres import PostgresTarget
from lakehouse.simulator import Simulator, run_in_thread
from tests.support.documents import PROJECT
from tests.support.export_fixtures import url_of
from tests.support.processes import LAKEHOUSE, environment

pytestmark = pytest.mark.slow
BACKUP, BACK = 0, 1
"""The blocks of the section, by their place."""


def blocks() -> list[str]:
    text = (PROJECT / "docs" / "operations.md").read_text()
    section = text.split("\n## Backup, and back from it\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def contents(root: Path) -> dict[str, list[str]]:
    """What each table says; not when it was received, which a lost half-hour cannot know any more."""
    found = {}
    for table in (SILVER, *PUBLISHED):
        snapshot = delta_log.open_table(str(root / table.path))
        assert snapshot is not None
        values = (name for name in (*table.key, *table.values) if name not in ("response_id", "ingestion_timestamp"))
        found[table.name] = sorted(map(str, snapshot.rows(tuple(values)).to_pylist()))
    return found


def test_a_backup_brings_the_lake_back(autumn_lake: Path, database: PostgresTarget, tmp_path: Path) -> None:
    lake, backup = tmp_path / "lake", tmp_path / "backup"
    shutil.copytree(autumn_lake, lake)
    backup.mkdir()
    with run_in_thread(Simulator(seed=42, now=datetime(2023, 11, 5, 13, tzinfo=UTC))) as api:
        variables = {
            "PATH": f"{LAKEHOUSE.parent}:/usr/bin:/bin",
            "BACKUP": str(backup),
            "LAKEHOUSE_API__URL": api.url,
            "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
            "LAKEHOUSE_POSTGRES__URL": url_of(database),
        }

        def shell(text: str) -> str:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                env=environment(str(lake), **variables),
                capture_output=True,
                text=True,
                timeout=400,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        shell(blocks()[BACKUP])
        (made,) = backup.iterdir()
        shell("lakehouse run")  # what the backup does not have
        before = contents(lake)
        told = shell(blocks()[BACK].replace("lake-2026-11-25", made.name))
        assert "silver: " in told
        assert "PostgreSQL equals" in told
        assert contents(lake) == before
