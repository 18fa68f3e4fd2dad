"""Who may import whom: the layers of the code, held by a test."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "lakehouse"
MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in PACKAGE.rglob("*.py")
}
FRAMES = {
    "transform.silver": {"transform.bodies", "transform.quality", "lake.tables"},
    "transform.bodies": {"transform", "transform.plain_bodies", "transform.odd_bodies", "lake.tables"},
    "transform.odd_bodies": {"transform.plain_bodies", "lake.tables"},
    "transform.plain_bodies": {"lake.tables"},
    "transform.quality": {"lake.tables", "run_context"},
    "transform.gold": set(),
    "transform.gold.exact": {"lake.tables"},
    "transform.gold.carbon_intensity_daily": {"transform.gold", "transform.gold.exact", "lake.tables"},
    "transform.gold.carbon_intensity_monthly": {"transform.gold", "transform.gold.exact", "lake.tables"},
    "transform.gold.intensity_profile": {"transform.gold", "transform.gold.exact", "lake.tables"},
    "transform.gold.dim_region": {"lake.tables"},
    "transform.changeset": {"lake", "lake.duck", "lake.changes"},
}
"""DataFrame in, DataFrame out: what each may import of ours."""
PURE = FRAMES | {
    "windows": {"errors"},
    "ingestion.bronze": {"windows"},
    "lake.tables": set(),
    "lake.commits": set(),
    "errors": set(),
}
"""What each pure module may import of ours: never an edge, and no other layer."""


def imports(file: Path) -> set[str]:
    """Every module a file imports, by full name; what is only for the type checker counts too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def importers_of(*libraries: str) -> set[str]:
    wanted = set(libraries)
    return {
        name.removeprefix("lakehouse.")
        for name, file in MODULES.items()
        if any(found.split(".")[0] in wanted for found in imports(file))
    }


def ours(name: str) -> set[str]:
    found = {each for each in imports(MODULES[f"lakehouse.{name}"]) if each in MODULES and each != "lakehouse"}
    return {each.removeprefix("lakehouse.") for each in found}


@pytest.mark.parametrize("name", sorted(PURE))
def test_keeps_pure_layers_free_of_edges(name: str) -> None:
    assert ours(name) <= PURE[name]


def test_opens_delta_through_one_door() -> None:
    assert importers_of("delta") == {"lake.store"}
    assert importers_of("deltalake") == {"lake.delta_log"}


def test_talks_http_in_the_client_and_the_simulator_only() -> None:
    found = {"simulator" if name.startswith("simulator.") else name for name in importers_of("aiohttp")}
    assert found == {"ingestion.api", "simulator"}


def test_reads_the_environment_in_settings_only() -> None:
    readers = {name.removeprefix("lakehouse.") for name, file in MODULES.items() if "os.environ" in file.read_text()}
    assert readers == {"settings"}


def test_asks_for_the_time_in_the_clock_only() -> None:
    askers = {
        name.removeprefix("lakehouse.")
        for name, file in MODULES.items()
        if "datetime.now(" in file.read_text() and not name.startswith("lakehouse.simulator")
    }
    assert askers == {"clock"}


def test_lets_the_simulator_know_nothing_of_the_rest() -> None:
    for name in MODULES:
        if name.startswith("lakehouse.simulator."):
            known = {each for each in ours(name.removeprefix("lakehouse.")) if not each.startswith("simulator")}
            assert known <= {"errors"}


def test_keeps_jobs_thin() -> None:
    for job in (PACKAGE.parent / "jobs").glob("*.py"):
        assert len(job.read_text().splitlines()) <= 12
