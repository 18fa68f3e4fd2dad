"""Commands as processes of their own, cold, on one lake with data: first load, increments, corrections, removal."""

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
from tests.support.documents import PROJECT, commands
from tests.support.export_fixtures import url_of
from tests.support.lakes import period, region
from tests.support.processes import lakehouse, started

Steps = tuple[tuple[str, str], ...]
FIRST_LOAD: Steps = (
    ("plan --from 2024-01-02 --to 2024-01-04", "1 request, 96 half-hours, about … nothing was written"),
    (
        "run --from 2024-01-02 --to 2024-01-04",
        "silver: … 1,728 inserted, … gold: … 36 inserted, … export: … 36 inserted, … lake version 1, run",
    ),
    ("release create first", "gold.carbon_intensity_daily: 36 rows of version 1"),
)
"""Command lines while the API's clock stands at 2024-01-04T00:00Z, and what each says: parts in their order."""
NEXT_DAY: Steps = (
    ("bronze --from 2024-01-04 --to 2024-01-05", "bronze: 1 request (48 half-hours new)"),
    (
        "run --stages silver,gold,export",
        "silver: … 864 inserted, 0 updated … gold: … 18 inserted, 0 updated … export: … 18 inserted, 0 updated",
    ),
    ("run", "silver: … 0 inserted, 826 updated, … gold: … 18 updated, … export: … 18 updated"),
    (
        "run --stages silver,gold,export",
        "silver: … (nothing to write … gold: … (nothing to write … export: … 0 inserted, 0 updated",
    ),
)
"""A day later: an increment, what the API has revised, and nothing new."""
LATER: Steps = (
    ("import {correction}", "import: … 1 inserted"),
    ("silver", "silver: … 0 inserted, 1 updated"),
    ("gold", "gold: … 0 inserted, 1 updated"),
    ("export", "export: … 0 inserted, 1 updated"),
    ("quarantine list", "2024-01-02T12:00Z … 13 … forecast_is_integer"),
    ("quarantine replay", "silver: … (nothing to write"),
    ("gaps", "0 of 144 half-hours from 2024-01-02T00:00:00Z to 2024-01-05T00:00:00Z lack something"),
    ("status", "gold.carbon_intensity_daily … 54 … lake version"),
    ("diff gold.carbon_intensity_daily 3 4", "intensity_avg: 297.02 -> 296.65 … 0 added, 0 removed, 1 changed"),
    ("explain --region 12 --date 2024-01-02", "300 … Gold is what its half-hours give, and each of them what"),
    ("export --verify", "PostgreSQL equals … : 54 rows"),
    ("release list", "first … 36"),
    ("release show first", "gold.carbon_intensity_daily: 36 rows of version 1"),
    ("restore first", "restore gold.carbon_intensity_daily: … 18 deleted"),
    (
        "run --stages silver,gold,export",
        "silver: … 864 inserted … gold: … 18 inserted … export: … 0 inserted, 0 updated",
    ),
    ("release delete first --yes", "release first is gone"),
    ("maintain", "maintain gold.carbon_intensity_daily: "),
)
"""Without the API: a correction that somebody recorded, looks, and the way back and forth."""


def names_of(group: Any, before: str = "") -> Iterator[str]:
    """The names of all commands, those of groups in two words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from names_of(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


ALL = set(names_of(typer.main.get_command(app)))

GROUPS = {name.split()[0] for name in ALL if " " in name}


def command_of(line: str) -> str:
    return max((name for name in ALL if f"{line} ".startswith(f"{name} ")), key=len, default=line)


def test_runs_every_command() -> None:
    """Here or in the documents' blocks; of ``dashboard``, ``watch`` and ``metrics`` there are tests elsewhere."""
    lines = [*(line for line, _ in FIRST_LOAD + NEXT_DAY + LATER), *commands()]
    assert {command_of(line) for line in lines} | {"simulate", "demo", "dashboard", "watch", "metrics"} == ALL


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
    places = {"correction": correction}
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
    for line, fact in steps:
        done = lakehouse(root, *shlex.split(line.format(**places)), **variables)
        said, place = done.stdout + done.stderr, 0
        assert done.returncode == 0, (line, said)
        for part in fact.split(" … "):
            place = said.find(part, place)
            assert place >= 0, (line, part, said)


@pytest.mark.slow
def test_the_demo_loads_twice_and_publishes(lake_root: str, tmp_path: Path) -> None:
    played = lakehouse(lake_root, "demo", "--into", str(tmp_path / "demo"), "--json")
    assert played.returncode == 0, played.stderr
    counts = [
        {
            stage["stage"]: tuple(stage["counts"][name] for name in ("inserted", "updated"))
            for stage in each["stages"][1:]
        }
        for each in json.loads(played.stdout)["passes"]
    ]
    assert counts == [
        {
            "silver": (69_372, 0),
            "gold": (1_458, 0),
            "dim_region": (18, 0),
            "intensity_profile": (3_456, 0),
            "carbon_intensity_monthly": (72, 0),
            "export": (1_458, 0),
        },
        {
            "silver": (432, 824),
            "gold": (18, 18),
            "dim_region": (0, 0),
            "intensity_profile": (0, 841),
            "carbon_intensity_monthly": (0, 18),
            "export": (18, 18),
        },
    ]
    assert "<title>Regional carbon intensity" in (tmp_path / "demo" / "report.html").read_text()[:2000]
