"""The report's figures from real tables: pinned, exact, and refused in one sentence where there is nothing to show."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli import exit_code
from lakehouse.errors import LakehouseError
from lakehouse.history import releases, states
from lakehouse.lake.tables import GOLD
from lakehouse.report import figures, writing
from lakehouse.report.figures import Selection
from lakehouse.settings import Settings
from tests.support.lakes import Lake, periods, response
from tests.support.revised_lake import derived


@pytest.fixture
def chosen(revised_once: Lake, tmp_path: Path, settings_of: Callable[[str], Settings]) -> Settings:
    return settings_of(revised_once.copy(tmp_path / "lake").store.root)


def written(settings: Settings, out: Path, at: str | None = None, selection: Selection | None = None) -> str:
    state = states.newest(settings) if at is None else states.resolve_version(settings, at)
    writing.write(state, selection or Selection(), out)
    return out.read_text()


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_holds_golds_figures_and_what_is_missing_and_was_revised(chosen: Settings, tmp_path: Path) -> None:
    page = written(chosen, tmp_path / "report.html")
    data = data_of(page)
    assert data["days"] == {"first": "2024-01-01", "count": 1}
    assert [region["name"] for region in data["regions"]] == ["South England", "London"]
    # London: 100, then 150 in place of 101, then 103; its 01:30 is in quarantine.
    assert data["daily"]["13"] == {"avg": [11767], "min": [100], "max": [150], "n": [3], "label": [1]}
    assert data["monthly"]["13"] == {"month": ["2024-01"], "avg": [11767], "days": [1], "complete": [0], "n": [3]}
    profile = data["profile"]["13"]
    assert profile["avg"] == [[10000, 15000, 10300, *[None] * 45]]
    assert profile["n"] == [[1, 1, 1, *[None] * 45]]
    assert data["mix"]["of"]["13"]["fuel_gas"] == [4030]
    assert data["revised"] == {"told": "", "of": {"13": [[12, 1, 49, 49]]}}
    holes = re.findall(
        r"<th scope=row>(2024\S+)</th><td>(\S+)</td><td class=n>(\d+)</td><td>(.*?)</td><td>(.*?)<", page
    )
    assert ("2024-01-01T02:00Z", "2024-01-01T02:30Z", "1", "all", "upstream empty") in holes
    assert ("2024-01-01T01:30Z", "2024-01-01T02:00Z", "1", "13", "quarantined") in holes
    assert "1 record of all runs is in quarantine" in page


def test_stays_the_same_whatever_comes_later(chosen: Settings, revised_once: Lake, tmp_path: Path) -> None:
    releases.create(chosen, "cited", datetime(2024, 2, 1, tzinfo=UTC), at=1)
    before = {at: written(chosen, tmp_path / "before.html", at) for at in ("1", "2", "cited")}
    lake = revised_once.at(Path(chosen.root))
    lake.land(response(periods("2024-01-01T00:00", [300, 300], [12, 13]), "2024-01-03T00:00"))
    derived(chosen)
    for at, page in before.items():
        assert written(chosen, tmp_path / "after.html", at) == page
    newest = written(chosen, tmp_path / "after.html")
    assert data_of(newest)["daily"]["13"]["avg"] == [23433]
    assert data_of(before["cited"])["daily"]["13"]["avg"] == [10133]
    assert "Cite it as" in before["cited"]
    assert data_of(before["cited"])["revised"]["told"].startswith("A release keeps the values of its time")


def test_shows_the_regions_and_days_that_are_asked_for(chosen: Settings, tmp_path: Path) -> None:
    only = Selection((13,), date(2024, 1, 1), date(2024, 1, 2))
    data = data_of(written(chosen, tmp_path / "report.html", selection=only))
    assert [region["id"] for region in data["regions"]] == [13]
    assert set(data["daily"]) == set(data["mix"]["of"]) == set(data["profile"]) == {"13"}


def test_has_a_long_mix_by_month(chosen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "DAYS_OF_DAILY_MIX", 0)
    page = written(chosen, tmp_path / "report.html")
    assert data_of(page)["mix"]["step"] == "month"
    assert data_of(page)["mix"]["of"]["13"]["fuel_gas"] == [4030]
    assert "its fuel mix is by month" in page


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--region", "99"], 2, "There is no region 99: ids are 1 to 18."),
        (["--region", "Londn"], 2, "the nearest are London (13)"),
        (["--from", "2024-01-02", "--to", "2024-01-01"], 2, "is not before"),
        (["--from", "2030-01-01"], 1, "no day of Gold among those asked for"),
        (["--at", "99"], 2, "lake has the versions 1 to 2, not 99"),
        (["--release", "nobody"], 2, "no release 'nobody'"),
        (["--at", "1", "--release", "x"], 2, "give one of them"),
        (["--out", "."], 2, "is a folder"),
        (["--out", "nowhere/report.html"], 2, "in no folder that is there"),
    ],
)
def test_refuses_in_one_sentence(
    chosen: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert exit_code(["--root", chosen.root, "report", *arguments]) == code
    assert sentence in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_leaves_nothing_half_written(chosen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("the report of yesterday")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LakehouseError, match=r"report\.html cannot be written: No space left on device"):
        written(chosen, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "the report of yesterday"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]


def test_says_that_a_lake_is_empty(lake: Lake, settings_of: Callable[[str], Settings], tmp_path: Path) -> None:
    settings = settings_of(lake.store.root)
    with pytest.raises(LakehouseError, match="`lakehouse run` makes the first"):
        written(settings, tmp_path / "report.html")
    derived(settings)
    with pytest.raises(LakehouseError, match="has no day of Gold"):
        written(settings, tmp_path / "report.html")


def test_says_that_a_lake_is_too_old(chosen: Settings, tmp_path: Path) -> None:
    state = states.newest(chosen)
    versions = {name: version for name, version in state.versions.items() if name != "gold.intensity_profile"}
    older = states.LakeVersion(state.name, state.lake_version, state.root, versions, state.run)
    with pytest.raises(LakehouseError, match=r"holds no gold\.intensity_profile: name a later lake version"):
        writing.write(older, Selection(), tmp_path / "report.html")
    assert older.holds(GOLD)
