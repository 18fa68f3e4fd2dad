"""Long stages and commands say how far they are, in what people count, and reach the end."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.history import releases, reproduction
from lakehouse.ingestion import file_source
from lakehouse.pipeline import Run
from lakehouse.run_record import RunObserver
from lakehouse.settings import Settings
from tests.support.lakes import Lake, periods, response

NOW = datetime(2024, 3, 1, tzinfo=UTC)
Told = list[tuple[str, int, int | None, str]]


class Heard(RunObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: Told = []

    def progress(self, what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
        self.told.append((what, done, total, unit))

    def of(self, what: str) -> list[tuple[int, int | None, str]]:
        return [how_far for name, *how_far in self.told if name == what]  # type: ignore[misc]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_silver_counts_the_half_hours_that_it_has_read(
    lake: Lake, heard: Heard, settings_of: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.transform.batch.PART_PERIODS", 3)
    for day in (1, 2, 3):
        lake.land(response(periods(f"2024-01-0{day}T00:00", [90, 91, 92]), "2024-01-05T00:00"))
    run = Run(settings_of(lake.store.root), "run", heard)
    with run.recorded():
        run.transform(("silver", "gold"))
    assert heard.of("silver: reads") == [[done, 9, "half-hour"] for done in (0, 3, 6, 9)]
    stages = ("silver", "silver: reads", "silver: counts", "silver: writes", "gold", "dim_region", "intensity_profile")
    assert list(dict.fromkeys(name for name, *_ in heard.told)) == [*stages, "carbon_intensity_monthly"]


def test_an_import_counts_bytes(tmp_path: Path, heard: Heard) -> None:
    for name, size in (("a.json", 5), ("b.json", 7)):
        (tmp_path / name).write_bytes(b"x" * size)
    found = [each.read() for each in file_source.discover([tmp_path], 100, heard.progress)]
    assert found == [b"x" * 5, b"x" * 7]
    assert heard.of("import") == [[done, 12, "bytes"] for done in (0, 5, 12)]


def test_releases_count_bytes_and_the_rest_counts_tables(
    revised_once: Lake, tmp_path: Path, heard: Heard, settings_of: Callable[..., Settings]
) -> None:
    settings = settings_of(revised_once.copy(tmp_path / "lake").store.root)
    size = releases.planned(settings, "first").bytes
    releases.create(settings, "first", NOW, on_progress=heard.progress)
    assert (heard.of("release first")[0], heard.of("release first")[-1]) == ([0, size, "bytes"], [size, size, "bytes"])
    heard.told.clear()
    releases.verify(settings, "first", heard.progress)
    first, *_, last = heard.of("release first")
    assert (first[0], last[0]) == (0, last[1])
    heard.told.clear()
    reproduction.reproduce(settings, "first", on_progress=heard.progress)
    assert heard.of("silver: reads")[-1][:2] == [6, 6]
    assert heard.of("compares")[-1] == [6, 6, "table"]
    for command, work in (("maintain", Run.maintain), ("restore", lambda run: run.restore("1"))):
        run = Run(settings, command, heard)
        with run.recorded():
            work(run)
        first, *_, last = heard.of(command)[-9:]
        assert last[0] == last[1] > 1
