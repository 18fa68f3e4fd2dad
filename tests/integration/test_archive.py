"""The archive of the JVM's classes: used where it fits, left aside without a word where it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse import settings, warmup
from lakehouse.errors import LakehouseError
from lakehouse.spark import archive, java

LOADED = "-Xlog:class+load:file={}"
QUERY = "from lakehouse.spark import session; session.open_session().range(3).count()"


@pytest.fixture
def java_home() -> Path:
    return java.find(settings.environment())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(archive, "CACHE", tmp_path)
    return tmp_path


def test_asks_nothing_of_the_jvm_where_there_is_no_archive(cache: Path, java_home: Path) -> None:
    assert archive.options(java_home) == []


def test_leaves_an_archive_aside_that_is_not_all_there(cache: Path, java_home: Path) -> None:
    whole = cache / f"{archive.name(java_home)}.4.jsa"
    whole.write_bytes(b"four")
    assert archive.find(java_home) == whole
    whole.write_bytes(b"tru")
    assert archive.find(java_home) is None


def test_leaves_an_archive_aside_that_another_jdk_wrote(cache: Path, java_home: Path, tmp_path: Path) -> None:
    (cache / f"{archive.name(java_home)}.4.jsa").write_bytes(b"four")
    other = tmp_path / "jdk"
    other.mkdir()
    (other / "release").write_text('JAVA_VERSION="21"')
    assert archive.find(other) is None


def test_starts_without_a_word_when_the_archive_does_not_fit(cache: Path, java_home: Path) -> None:
    (cache / f"{archive.name(java_home)}.4.jsa").write_bytes(b"four")
    command = [str(java_home / "bin" / "java"), *archive.options(java_home), "-version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "archive" not in said.stdout + said.stderr
    assert "warning" not in (said.stdout + said.stderr).lower()


def test_starts_spark_and_delta_from_the_archive(tmp_path: Path) -> None:
    loaded = tmp_path / "classes.txt"
    environment = {**settings.environment(), "SPARK_SUBMIT_OPTS": LOADED.format(loaded)}
    subprocess.run([sys.executable, "-c", QUERY], env=environment, check=True, capture_output=True)
    shared = [line for line in loaded.read_text().splitlines() if "shared objects file" in line]
    assert len(shared) > 10_000
    assert any("io.delta" in line or "sql.delta" in line for line in shared)


def test_says_that_the_archive_could_not_be_made(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "NO_CONF", cache / "conf")
    monkeypatch.setattr(warmup.sys, "executable", "/bin/false")
    with pytest.raises(LakehouseError, match=r"could not be archived in .*: it said nothing"):
        warmup.make_archive()
