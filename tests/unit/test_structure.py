"""What the import contracts of pyproject.toml (``lint-imports``) cannot say of the code's structure."""

from pathlib import Path

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
