"""Every command of the README as a process of its own, cold, on one lake with data: first load to removal."""

import json
import re
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from lakehouse.cli import app
from lakehouse.postgres import PostgresTarget
from tests.support.export_fixtures import url_of
from tests.support.lakes import period, region
from tests.support.processes import lakehouse, started, submit

PROJECT = Path(__file__).resolve().parents[2]
Steps = tuple[tuple[str, str], ...]
FIRST_LOAD: Steps = (
    ("plan --from 2024-01-02 --to 2024-01-04", "TBD"),
    ("run --from 2024-01-02 --to 2024-01-04", "TBD"),
    ("release create first", "TBD"),
)
"""Command lines while the API's clock stands at 2024-01-04T00:00Z, and what each of them says among other things."""
NEXT_DAY: Steps = (
    ("bronze --from 2024-01-04 --to 2024-01-05", "TBD"),
    ("run --stages silver,gold,export", "TBD"),
    ("run", "TBD"),
    ("run --stages silver,gold,export", "TBD"),
    ("spark-submit bronze --from 2024-01-04 --to 2024-01-05", "TBD"),
)
"""A day later: an increment, what was revised, and nothing new."""
LATER: Steps = (
    ("import {correction}", "TBD"),
    ("silver", "TBD"),
    ("gold", "TBD"),
    ("export", "TBD"),
    ("quarantine list", "TBD"),
    ("quarantine replay", "TBD"),
    ("gaps", "TBD"),
    ("status", "TBD"),
    ("history gold.carbon_intensity_daily", "TBD"),
    ("diff gold.carbon_intensity_daily first 2", "TBD"),
    ("explain --region 13 --date 2024-01-02", "TBD"),
    ("revisions --region 13 --from 2024-01-02 --to 2024-01-03", "TBD"),
    ("sql 'SELECT count(*) AS days FROM gold.carbon_intensity_daily'", "TBD"),
    ("psql -- -Atc 'SELECT count(*) FROM carbon_data.carbon_intensity_daily'", "TBD"),
    ("export --verify", "TBD"),
    ("release list", "TBD"),
    ("release show first", "TBD"),
    ("release verify first", "TBD"),
    ("release export first {folder}", "TBD"),
    ("reproduce first", "TBD"),
    ("restore first", "TBD"),
    ("spark-submit silver", "TBD"),
    ("spark-submit gold", "TBD"),
    ("spark-submit export", "TBD"),
    ("release delete first --yes", "TBD"),
    ("maintain", "TBD"),
)
"""Without the API: a correction that somebody recorded, looks, and the way back and forth."""


def commands(group: Any, before: str = "") -> Iterator[str]:
    """The names of all commands, those of groups in two words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


ALL = set(commands(typer.main.get_command(app)))

GROUPS = {name.split()[0] for name in ALL if " " in name}


def command_of(line: str) -> str:
    return max((name for name in ALL if f"{line} ".startswith(f"{name} ")), key=len, default=line)


def test_runs_every_command() -> None:
    lines = {line for line, _ in FIRST_LOAD + NEXT_DAY + LATER if not line.startswith("spark-submit")}
    assert {command_of(line) for line in lines} | {"simulate", "demo"} == ALL


def test_the_table_of_the_readme_names_every_command() -> None:
    table = (PROJECT / "README.md").read_text().split("| command | does |")[1].split("\n\n")[0]
    named = set()
    for quoted in re.findall(r"`([^`]*)`", " ".join(line.split(" | ")[0] for line in table.splitlines()[2:])):
        first, *rest = quoted.split()
        subcommands = rest[0].split("/") if first in GROUPS else [""]
        named |= {f"{first} {subcommand}".strip() for subcommand in subcommands}
    assert named == ALL


@contextmanager
def simulated(root: str, port: int, now: str) -> Iterator[None]:
    with started(root, "simulate", "--port", str(port), "--now", now) as process:
        assert process.stdout is not None
        assert f"simulator with seed 42 at http://127.0.0.1:{port};" in process.stdout.readline()
        yield


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_each_command_does_what_the_readme_says(lake_root: str, tmp_path: Path, database: PostgresTarget) -> None:
    correction = tmp_path / "correction.json"
    noon = period("2024-01-02T12:00", region(12, 300), region(13, "n/a"))
    correction.write_text(json.dumps({"data": [noon]}))
    places = {"correction": correction, "folder": tmp_path / "cited"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "LAKEHOUSE_API__URL": f"http://127.0.0.1:{port}",
        "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
        "LAKEHOUSE_POSTGRES__URL": url_of(database),
    }
    with simulated(lake_root, port, "2024-01-04T00:00Z"):
        follow(FIRST_LOAD, lake_root, variables, places)
    with simulated(lake_root, port, "2024-01-05T00:00Z"):
        follow(NEXT_DAY, lake_root, variables, places)
    follow(LATER, lake_root, variables, places)


def follow(steps: Steps, root: str, variables: Mapping[str, str], places: Mapping[str, Path]) -> None:
    for line, _fact in steps:
        first, *rest = shlex.split(line.format(**places))
        done = (
            submit(root, *rest, **variables) if first == "spark-submit" else lakehouse(root, first, *rest, **variables)
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        print(f"=== {line}\n{done.stdout}---\n{done.stderr}")


@pytest.mark.slow
def test_the_demo_loads_twice_and_publishes(lake_root: str, tmp_path: Path) -> None:
    done = lakehouse(lake_root, "demo", "--into", str(tmp_path / "demo"), "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["passes"]
    print(first, second)
