"""What ``lakehouse catalog`` prints, and DuckDB that reads by those names in a process without our package."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.lake import catalog
from lakehouse.lake.tables import DIM_REGION, GOLD, TABLES
from lakehouse.settings import Settings
from tests.support.calls import Call
from tests.support.lakes import Lake

BY_NAME = """
import json, sys
from importlib.resources import files
import duckdb

extension = files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"
answers = []
for _ in range(2):
    with duckdb.connect(sys.argv[1], config={"autoinstall_known_extensions": "false"}) as names:
        names.execute(f"LOAD '{extension}'")
        names.execute(sys.stdin.read())
        answers.append(names.execute(sys.argv[2]).fetchall())
assert "lakehouse" not in sys.modules
print(json.dumps(answers, default=str))
"""
"""Run a script, ask; open what it made again, and ask without it."""


def test_prints_a_statement_for_each_table_that_is_there(call: Call, revised_once: Lake, tmp_path: Path) -> None:
    root = tmp_path / "it's"
    for table in (GOLD, DIM_REGION):
        shutil.copytree(revised_once.store.path(table), root / table.path)
    code, out, err = call("catalog", "--for", "spark", "--prefix", "carbon_", LAKEHOUSE_ROOT=str(root))
    assert (code, err) == (0, "")
    assert out == (
        "CREATE DATABASE IF NOT EXISTS carbon_gold;\n"
        "CREATE TABLE IF NOT EXISTS carbon_gold.carbon_intensity_daily USING delta"
        f" LOCATION 'file://{tmp_path}/it\\'s/gold/carbon_intensity_daily';\n"
        "CREATE TABLE IF NOT EXISTS carbon_gold.dim_region USING delta"
        f" LOCATION 'file://{tmp_path}/it\\'s/gold/dim_region';\n"
    )


def test_names_an_object_store_as_each_program_does(
    settings_of: Callable[..., Settings], lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog.delta_log, "open_table", lambda path: path if path.endswith("/ops/runs") else None)
    stored = settings_of(lake_root).model_copy(update={"root": "s3a://bucket/lake"})
    assert catalog.script(stored, "spark").splitlines()[1:] == [
        "CREATE TABLE IF NOT EXISTS ops.runs USING delta LOCATION 's3a://bucket/lake/ops/runs';"
    ]
    assert catalog.script(stored, "duckdb").splitlines()[1:] == [
        "CREATE OR REPLACE VIEW ops.runs AS FROM delta_scan('s3://bucket/lake/ops/runs');"
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--for", "trino"), 2, "There are no names for 'trino'; --for takes spark or duckdb."),
        (("--prefix", "1_"), 2, "--prefix takes letters, digits and _ (no digit first), not '1_'."),
        (("--prefix", "a.b"), 2, "--prefix takes letters, digits and _ (no digit first), not 'a.b'."),
        (("--prefix", "a_1"), 1, "There is no lake at {root} yet; `lakehouse run` makes one."),
    ],
)
def test_refuses_what_has_no_names(
    call: Call, lake_root: str, arguments: tuple[str, str], code: int, sentence: str
) -> None:
    found = call("catalog", *arguments, LAKEHOUSE_ROOT=lake_root)
    assert found == (code, "", f"error: {sentence.format(root=lake_root)}\n")


def test_duckdb_reads_every_table_by_name(
    revised_once: Lake, settings_of: Callable[..., Settings], tmp_path: Path
) -> None:
    script = catalog.script(settings_of(revised_once.store.root), "duckdb")
    counts = " UNION ALL ".join(f"SELECT '{table.name}', count(*) FROM {table.name}" for table in TABLES)
    done = subprocess.run(
        [sys.executable, "-c", BY_NAME, tmp_path / "names.duckdb", f"{counts} ORDER BY 1"],
        input=script * 2,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    counted = [
        ["bronze.regional_intensity", 2],
        ["gold.carbon_intensity_daily", 2],
        ["gold.carbon_intensity_monthly", 2],
        ["gold.dim_region", 2],
        ["gold.intensity_profile", 7],
        ["ops.runs", 2],
        ["silver.quarantine", 1],
        ["silver.regional_half_hourly", 7],
    ]
    assert json.loads(done.stdout) == [counted, counted]
