"""The promise as one story, through the command line: cite, be revised, rebuild, go back, all proven by checksums."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import cli
from lakehouse.lake.store import Store
from lakehouse.lake.table_checksum import table_checksum
from lakehouse.lake.tables import GOLD
from lakehouse.postgres import PostgresTarget
from lakehouse.simulator import ThreadedSimulator
from tests.support.export_fixtures import url_of

pytestmark = pytest.mark.slow

Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(
    tmp_path: Path,
    simulator: ThreadedSimulator,
    database: PostgresTarget,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Call:
    """A command with ``--json`` on a lake, an API and a database of its own: (exit code, document)."""
    for name, value in {
        "ROOT": str(tmp_path / "lake"),
        "API__URL": simulator.url,
        "API__REQUESTS_PER_SECOND": "0",
        "POSTGRES__URL": url_of(database),
    }.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", value)

    def made(*arguments: str) -> tuple[int, Any]:
        capfd.readouterr()
        code = cli.exit_code([*arguments, "--json"])
        return code, json.loads(capfd.readouterr().out)

    return made


def counts(report: Any, stage: str) -> dict[str, int]:
    found = next(done for done in report["stages"] if done["stage"] == stage)
    return {name: found["counts"][name] for name in ("inserted", "updated", "deleted")}


def test_cites_rebuilds_and_goes_back(call: Call, spark: Any, tmp_path: Path, simulator: ThreadedSimulator) -> None:
    lake = Store(spark, str(tmp_path / "lake"))

    def gold(version: int) -> str:
        return table_checksum(lake.read(GOLD, version), GOLD.column_names).checksum

    simulator.now = datetime(2024, 1, 5, tzinfo=UTC)
    code, loaded = call("run", "--from", "2024-01-03", "--to", "2024-01-05")
    assert (code, counts(loaded, "export")) == (0, {"inserted": 36, "updated": 0, "deleted": 0})
    code, release = call("release", "create", "cited")
    assert (code, release["tables"][GOLD.name]["checksum"]) == (0, gold(1))

    simulator.now = datetime(2024, 1, 5, 12, tzinfo=UTC)  # half a day later the API has revised the day before
    code, again = call("run", "--from", "2024-01-03", "--to", "2024-01-05")
    assert (code, counts(again, "export")) == (0, {"inserted": 0, "updated": 18, "deleted": 0})
    assert gold(2) != gold(1)
    code, differing = call("diff", GOLD.name, "cited", "2")
    assert (code, differing["changed"], differing["added"], differing["removed"]) == (0, 18, 0, 0)
    assert {row["key"]["date_recorded"] for row in differing["rows"]} == {"2024-01-04"}

    code, rebuilt = call("reproduce", "cited")
    assert (code, rebuilt["is_identical"]) == (0, True)
    code, _ = call("release", "verify", "cited")
    assert code == 0

    code, restored = call("restore", "cited")
    assert (code, counts(restored, f"restore {GOLD.name}")["updated"]) == (0, 18)
    assert gold(restored["versions"][GOLD.name]) == release["tables"][GOLD.name]["checksum"]
    code, exported = call("export")
    assert (code, counts(exported, "export")) == (0, {"inserted": 0, "updated": 18, "deleted": 0})
    code, proof = call("export", "--verify", "--release", "cited")
    assert (code, proof["is_equal"]) == (0, True)

    code, forward = call("run", "--from", "2024-01-03", "--to", "2024-01-05")
    assert (code, counts(forward, "export")) == (0, {"inserted": 0, "updated": 18, "deleted": 0})
    assert gold(forward["versions"][GOLD.name]) == gold(2)
