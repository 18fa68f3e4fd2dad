"""`dbt build` on a small published database: every model and test of it, and figures of a mart against Gold's."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from lakehouse.postgres import PostgresTarget
from tests.support.dashboards import publish
from tests.support.export_fixtures import edit, url_of
from tests.support.mirror_rows import marks, query
from tests.support.processes import PROJECT, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PROJECT / ".venv-dbt" / "bin" / "dbt").exists(), reason="needs `make setup-dbt`"),
]


def dbt(target: PostgresTarget, work: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run a dbt command; how it ended, and the status of each node by its name."""
    places = ("--target-path", str(work), "--log-path", str(work))
    done = subprocess.run(
        [sys.executable, PROJECT / "dbt" / "run.py", *command, *places, "--no-use-colors"],
        env=environment("unused", LAKEHOUSE_POSTGRES__URL=url_of(target)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    results = work / ("sources.json" if command[0] == "source" else "run_results.json")
    nodes = json.loads(results.read_text())["results"] if results.exists() else []
    names = [node["unique_id"].split(".") for node in nodes]
    return done, {
        name[3] if name[0] == "unit_test" else name[2]: node["status"] for name, node in zip(names, nodes, strict=True)
    }


def test_builds_every_model_as_a_login_that_else_only_reads(
    database: PostgresTarget, new_login: Callable[..., PostgresTarget], tmp_path: Path
) -> None:
    publish(database)
    analyst = new_login(database, "lakehouse_reader")
    edit(database, f"CREATE SCHEMA carbon_marts AUTHORIZATION {analyst.user}")
    before = marks(database)
    done, nodes = dbt(analyst, tmp_path, "build")
    assert done.returncode == 0, done.stdout
    assert {name: status for name, status in nodes.items() if status not in ("success", "pass", "no-op")} == {}
    assert {"cleanest_hours", "monthly_by_nation", "year_on_year"} <= {*nodes}
    assert {"year_on_year_compares_what_is_whole_enough", "nations_are_golds"} <= {*nodes}
    assert marks(database) == before

    assert query(
        database,
        "SELECT nation, month, intensity_avg, gb_intensity_avg, above_gb, share_of_half_hours, is_complete"
        " FROM carbon_marts.monthly_by_nation ORDER BY 1, 2",
    ) == [
        ("England", date(2023, 2, 1), Decimal("200.25"), Decimal("200.25"), Decimal("0.00"), Decimal("1.0000"), True),
        ("England", date(2024, 2, 1), Decimal("160.50"), Decimal("160.50"), Decimal("0.00"), Decimal("1.0000"), True),
        ("Scotland", date(2023, 2, 1), Decimal("200.25"), Decimal("200.25"), Decimal("0.00"), Decimal("1.0000"), True),
        ("Scotland", date(2024, 2, 1), Decimal("160.50"), Decimal("160.50"), Decimal("0.00"), Decimal("1.0000"), True),
        ("Scotland", date(2024, 3, 1), Decimal("160.50"), None, None, Decimal("0.0403"), False),
    ]
    assert query(
        database,
        "SELECT regionid, month, is_comparable, change, change_percent FROM carbon_marts.year_on_year ORDER BY 1",
    ) == [
        (13, date(2024, 2, 1), False, None, None),
        *((regionid, date(2024, 2, 1), True, Decimal("-39.75"), Decimal("-19.9")) for regionid in (15, 16, 18)),
    ]
    assert query(
        database,
        "SELECT starts_at_utc::text, rank, intensity_avg, below_month, is_complete FROM carbon_marts.cleanest_hours"
        " WHERE regionid = 13 AND (rank <= 2 OR half_hour = 47) ORDER BY month, rank",
    ) == [
        ("00:00:00", 1, Decimal("200.00"), Decimal("-39.50"), True),
        ("00:30:00", 2, Decimal("201.00"), Decimal("-40.50"), True),
        ("23:30:00", 47, Decimal("247.00"), Decimal("-86.50"), True),
        ("13:30:00", 1, Decimal("90.25"), Decimal("70.25"), False),
    ]
    comments = (
        "SELECT count(*) FROM pg_description WHERE objoid = 'carbon_marts.year_on_year'::regclass AND objsubid > 0"
    )
    assert query(database, comments) == [(11,)]


def test_finds_rows_that_no_export_would_write(database: PostgresTarget, tmp_path: Path) -> None:
    publish(database)
    edit(
        database,
        "UPDATE carbon_data.carbon_intensity_daily SET index_mode = 'hoch' WHERE regionid = 13;"
        "UPDATE carbon_data.dim_region SET kind = 'nation' WHERE regionid = 13",
    )
    done, nodes = dbt(database, tmp_path, "build")
    assert done.returncode == 1
    failed = {name for name, status in nodes.items() if status == "fail"}
    assert {name for name in failed if name.startswith("accepted_values_stg_days_index_mode")}
    assert {name for name in failed if name.startswith("accepted_values_monthly_by_nation_regionid")}


def test_says_that_the_export_is_late(database: PostgresTarget, tmp_path: Path) -> None:
    publish(database)
    edit(database, "UPDATE carbon_data.export_log SET exported_at = now() - interval '2 hours'")
    done, nodes = dbt(database, tmp_path, "source", "freshness")
    assert (done.returncode, {*nodes.values()}) == (0, {"warn"})


def test_needs_an_export(lake_root: str) -> None:
    done = subprocess.run(
        [sys.executable, PROJECT / "dbt" / "run.py", "build"],
        env=environment(lake_root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: There is no embedded database for {lake_root} yet; `lakehouse export` makes it.\n"
