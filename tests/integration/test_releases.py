"""Releases stay what they were, prove it, can be rebuilt from their own Bronze and handed to others."""

import csv
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakehouse.errors import LakehouseError, LakeLockedError, UsageError
from lakehouse.history import manifests, query, release_export, releases, reproduction, status
from lakehouse.lake.locking import locked
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import BRONZE, DIM_REGION, GOLD, GOLD_MONTHLY, INTENSITY_PROFILE, RUNS, SILVER
from lakehouse.settings import Settings
from lakehouse.transform import quality, quarantine
from tests.support.lakes import Lake, periods, response
from tests.support.made_once import made_once
from tests.support.reports import Heard
from tests.support.revised_lake import derived

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def released_once(
    revised_once: Lake, tmp_path_factory: pytest.TempPathFactory, settings_of: Callable[..., Settings]
) -> Lake:
    """Lake version 1 released as ``first``, though the lake has moved on. Only copied."""

    def make(root: Path) -> None:
        revised_once.copy(root)
        said: list[str] = []
        heard = Heard()
        settings = settings_of(str(root))
        size = releases.planned(settings, "first", 1).bytes
        releases.create(settings, "first", NOW, note="for a paper", at=1, tell=said.append, on_progress=heard.progress)
        assert said[0].startswith("release first: copies ")
        assert said[0].endswith(" of lake version 1")
        first, *_, last = heard.of("release first")
        assert (first, last) == ((0, size, "bytes"), (size, size, "bytes"))

    return revised_once.at(made_once(tmp_path_factory, "released", make))


@pytest.fixture
def released(released_once: Lake, tmp_path: Path) -> Lake:
    return released_once.copy(tmp_path / "lake")


@pytest.fixture
def chosen(released: Lake, settings_of: Callable[..., Settings]) -> Settings:
    return settings_of(released.store.root)


def place(settings: Settings, *parts: str) -> Path:
    return Path(settings.root, "releases", "first", *parts)


def test_says_what_it_holds_and_how_to_cite_it(chosen: Settings) -> None:
    manifest = manifests.read(chosen, "first")
    rows = {name: about["rows"] for name, about in manifest["tables"].items()}
    assert rows == {
        BRONZE.name: 1,
        SILVER.name: 7,
        "silver.quarantine": 1,
        GOLD.name: 2,
        DIM_REGION.name: 2,
        INTENSITY_PROFILE.name: 7,
        GOLD_MONTHLY.name: 2,
        RUNS.name: 1,
    }
    assert (manifest["lake_version"], manifest["note"]) == (1, "for a paper")
    assert manifest["citation"] == (
        "SIMULATED DATA (simulator:seed=42), not to be cited. Regional carbon intensity of Great Britain, daily, "
        f"2024-01-01 to 2024-01-01. Release first (lake version 1) of 2026-01-31, lakehouse {manifest['made_by']}. "
        "Source: Carbon Intensity API (NESO), CC BY 4.0, https://carbonintensity.org.uk. "
        f"SHA-256 of contents {manifest['checksum']}."
    )
    assert [(row["release"], row["rows"]) for row in releases.listed(chosen)] == [("first", 2)]


def test_is_a_lake_by_itself_that_nobody_writes(chosen: Settings, settings_of: Callable[..., Settings]) -> None:
    own = settings_of(str(place(chosen)))
    assert [(table["table"], table["rows"]) for table in status.of_tables(Tables(own.root))["tables"]][3] == (
        GOLD.name,
        2,
    )
    with pytest.raises(UsageError, match="is a release and stays as it is"), locked(own):
        pass


def test_is_not_written_by_a_query(chosen: Settings, settings_of: Callable[..., Settings]) -> None:
    files = sorted(Path(chosen.root).rglob("*"))
    delete = f"WITH x AS (SELECT 1) DELETE FROM {GOLD.name} WHERE regionid = 13"
    for settings, at in ((chosen, "first"), (settings_of(str(place(chosen))), None)):
        with pytest.raises(UsageError, match="`lakehouse sql` only looks"):
            query.select(settings, delete, 1, at)
        assert query.select(settings, f"SELECT count(*) AS n FROM {GOLD.name}", 1, at) == ([{"n": 2}], False)
    assert sorted(Path(chosen.root).rglob("*")) == files


def test_outlives_the_lakes_own_tables(chosen: Settings, released: Lake) -> None:
    for table in (BRONZE, SILVER, GOLD):
        shutil.rmtree(released.store.path(table))
    heard = Heard()
    assert [each.is_whole for each in releases.verify(chosen, "first", heard.progress)] == [True] * 8
    sizes = [about["bytes"] for about in manifests.read(chosen, "first")["tables"].values()]
    so_far = accumulate(sizes, initial=0)
    assert heard.of("release first") == [(done, sum(sizes), "bytes") for done in so_far]
    assert reproduction.reproduce(chosen, "first", on_progress=heard.progress).is_identical
    assert heard.of("silver: reads")[-1] == (4, 4, "half-hour")
    assert heard.of("compares") == [(done, 6, "table") for done in range(7)]


def test_finds_a_row_that_was_changed_and_a_file_that_is_gone(chosen: Settings, released: Lake) -> None:
    released.store.spark.sql(
        f"UPDATE delta.`{place(chosen, GOLD.path)}` SET fuel_gas = fuel_gas + 1 WHERE regionid = 13"
    )
    next(place(chosen, SILVER.path).glob("*.parquet")).unlink()
    found = {each.table: each for each in releases.verify(chosen, "first")}
    assert [name for name, each in found.items() if not each.is_whole] == [SILVER.name, GOLD.name]
    assert found[GOLD.name].as_row()["result"] == "DIFFERENT"
    assert "could not be read" in found[SILVER.name].as_row()["result"]


def test_finds_a_manifest_that_was_changed(chosen: Settings) -> None:
    text = place(chosen, "release.json").read_text()
    place(chosen, "release.json").write_text(text.replace('"rows": 7', '"rows": 8'))
    with pytest.raises(LakehouseError, match="The manifest of release first was changed"):
        releases.verify(chosen, "first")


def test_is_rebuilt_from_its_own_bronze_to_the_bit(chosen: Settings) -> None:
    found = reproduction.reproduce(chosen, "first")
    assert found.is_identical
    assert found.describe()[-1].startswith("Identical: 21 rows of release first, made by ")
    assert not list(Path(chosen.root).glob(".reproduce-*"))


def test_is_rebuilt_though_an_answer_only_confirmed_what_was_known(chosen: Settings) -> None:
    releases.create(chosen, "second", NOW)
    assert reproduction.reproduce(chosen, "second").is_identical


def test_names_what_a_changed_rule_makes_different(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def stricter(rule: quality.Rule) -> quality.Rule:
        return replace(rule, keeps="intensity_forecast <= 102") if rule.name == "forecast_plausible" else rule

    rules = quality.Rules(tuple(map(stricter, quality.RULES.records)), quality.RULES.repeated)
    monkeypatch.setattr(quarantine, "RULES", rules)
    monkeypatch.setattr(reproduction, "RULES", rules)
    found = reproduction.reproduce(chosen, "first")
    assert not found.is_identical
    assert found.rules == ["forecast_plausible"]
    silver, refused, gold, regions, profile, months = found.comparisons
    assert [(row.key["regionid"], f"{row.key['timestamp']:%H:%M}", row.kind) for row in silver.rows] == [
        (12, "01:00", "removed"),
        (13, "01:00", "removed"),
    ]
    assert refused.counts == {"added": 2, "removed": 0, "changed": 0}
    assert [row.columns["intensity_max"] for row in gold.rows] == [(103, 101), (103, 101)]
    assert regions.differing == 0
    assert [(row.key["half_hour"], row.kind) for row in profile.rows] == [(2, "removed"), (2, "removed")]
    assert [row.columns["n_periods"] for row in months.rows] == [(4, 3), (3, 2)]
    assert "gold.carbon_intensity_daily: from release first to what its Bronze gives today 0 added, 0 removed, 2" in (
        "\n".join(found.describe())
    )


def test_refuses_a_name_that_is_taken_or_cannot_be_one(chosen: Settings) -> None:
    with pytest.raises(UsageError, match="There is a release 'first' already"):
        releases.create(chosen, "first", NOW)
    for name in ("2", "../x", "", ".hidden", "a b"):
        with pytest.raises(UsageError, match="cannot name a release"):
            releases.create(chosen, name, NOW)
    with pytest.raises(UsageError, match="The lake has the versions 1 to 2, not 3"):
        releases.create(chosen, "third", NOW, at=3)
    with pytest.raises(UsageError, match=r"There is no release 'other' in .*; known: first"):
        releases.verify(chosen, "other")


def test_leaves_nothing_half_written(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(manifests, "write", broken)
        with pytest.raises(OSError, match="no space left"):
            releases.create(chosen, "second", NOW)
    assert not place(chosen).with_name("second").exists()
    with monkeypatch.context() as patched:
        patched.setattr(releases.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(LakehouseError, match=r"only 0 MiB are free; nothing was written"):
            releases.create(chosen, "second", NOW)
    with locked(chosen), pytest.raises(LakeLockedError):
        releases.create(chosen, "second", NOW)
    # what a creation that was killed left behind is no release, and goes
    shutil.copytree(place(chosen, GOLD.path), place(chosen).with_name("second") / GOLD.path)
    assert manifests.names(chosen) == ["first"]
    manifest = releases.create(chosen, "second", NOW)
    assert manifest["tables"][SILVER.name]["source_version"] == 2
    releases.delete(chosen, "first")
    assert manifests.names(chosen) == ["second"]


def test_gives_others_what_they_can_check_without_us(chosen: Settings, tmp_path: Path) -> None:
    files = release_export.export(chosen, "first", tmp_path / "one")
    release_export.export(chosen, "first", tmp_path / "two")
    sums = (tmp_path / "one" / "SHA256SUMS").read_text()
    assert sums == (tmp_path / "two" / "SHA256SUMS").read_text()
    assert sorted(files) == sorted(file.name for file in (tmp_path / "one").iterdir())
    for line in sums.splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / "one" / name).read_bytes()).hexdigest() == digest
    with (tmp_path / "one" / "carbon_intensity_daily.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["regionid"], row["date_recorded"], row["intensity_avg"], row["is_complete"]) for row in rows] == [
        ("12", "2024-01-01", "101.00", "false"),
        ("13", "2024-01-01", "101.33", "false"),
    ]
    table = pq.read_table(tmp_path / "one" / "carbon_intensity_daily.parquet")
    assert [str(value) for value in table.column("intensity_avg").to_pylist()] == ["101.00", "101.33"]
    with pytest.raises(UsageError, match="is there already and not an empty folder"):
        release_export.export(chosen, "first", tmp_path / "one")


def test_keeps_its_figures_while_the_lake_moves_on(chosen: Settings, released: Lake) -> None:
    released.land(response(periods("2024-01-01T00:00", [300]), "2024-01-03T00:00"))
    derived(chosen)
    assert all(each.is_whole for each in releases.verify(chosen, "first"))
