"""Finding a JDK: the user's first, a clear sentence when there is none that will do."""

from pathlib import Path

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.spark import java


def jdk(place: Path, version: str) -> Path:
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "java").write_text("#!/bin/sh\n")
    (place / "bin" / "java").chmod(0o755)
    (place / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return place


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(java, "cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_takes_java_home_first(tmp_path: Path) -> None:
    stated, on_path = jdk(tmp_path / "a", "21.0.1"), jdk(tmp_path / "b", "17.0.15")
    assert java.find({"JAVA_HOME": str(stated), "PATH": str(on_path / "bin")}) == stated


def test_looks_on_the_path_then_in_the_cache(tmp_path: Path, empty_cache: Path) -> None:
    fetched = jdk(empty_cache / "jdk-17", "17.0.15")
    assert java.find({"PATH": ""}) == fetched
    on_path = jdk(tmp_path / "b", "17.0.15")
    assert java.find({"PATH": str(on_path / "bin")}) == on_path


def test_passes_over_an_old_java_on_the_path(tmp_path: Path, empty_cache: Path) -> None:
    old, fetched = jdk(tmp_path / "old", "1.8.0_412"), jdk(empty_cache / "jdk-17", "17.0.15")
    assert java.version(old) == 8
    assert java.find({"PATH": str(old / "bin")}) == fetched


def test_says_what_to_do_without_a_jdk() -> None:
    with pytest.raises(LakehouseError, match=r"No JDK 17 or newer was found .*run `\S+ -m lakehouse.spark.java`"):
        java.find({"PATH": ""})


def test_says_that_java_home_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="there is no Java in it"):
        java.find({"JAVA_HOME": str(tmp_path), "PATH": ""})
    with pytest.raises(LakehouseError, match="is Java 11, but Spark needs 17"):
        java.find({"JAVA_HOME": str(jdk(tmp_path / "x", "11.0.2")), "PATH": ""})


def test_fetches_one_only_when_none_is_found(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def install(version: str, path: str) -> None:
        asked.append((version, path))
        jdk(Path(path) / "jdk-17.0.15+6", "17.0.15")

    monkeypatch.setattr(java.jdk, "install", install)
    on_path = jdk(tmp_path / "b", "17.0.15")
    assert java.find_or_fetch({"PATH": str(on_path / "bin")}) == on_path
    assert asked == []
    assert java.find_or_fetch({"PATH": ""}) == empty_cache / "jdk-17.0.15+6"
    assert asked == [("17", str(empty_cache))]


def test_says_why_fetching_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def install(version: str, path: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(java.jdk, "install", install)
    with pytest.raises(LakehouseError, match=r"fetching one failed \(no route to host\); install one"):
        java.find_or_fetch({"PATH": ""})
