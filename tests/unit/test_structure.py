"""What the import contracts of pyproject.toml (``lint-imports``) cannot say of the code's structure."""

import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "lakehouse"
MODULES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): file.read_text()
    for file in PACKAGE.rglob("*.py")
}


def test_reads_the_environment_in_settings_only() -> None:
    assert {name for name, text in MODULES.items() if "os.environ" in text} == {"settings"}


def test_asks_for_the_time_in_the_clock_only() -> None:
    askers = {name for name, text in MODULES.items() if "datetime.now(" in text}
    assert {name for name in askers if not name.startswith("simulator")} == {"clock"}


def test_keeps_jobs_thin() -> None:
    for job in (PACKAGE.parent / "jobs").glob("*.py"):
        assert len(job.read_text().splitlines()) <= 12


@pytest.mark.parametrize("module", sorted(file.stem for file in (PACKAGE.parent / "bench").glob("*.py")))
def test_keeps_the_benchmark_importable(module: str) -> None:
    """It is not run with the tests: what it uses must at least be there."""
    importlib.import_module(f"bench.{module}")
