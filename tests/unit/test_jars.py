"""The pinned jars: fetched from the repository that is named, checked by their hashes, and once."""

import hashlib
from pathlib import Path

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.spark import jars
from lakehouse.spark.jars import Jar

ONE = Jar("org.example", "one", "1.0", hashlib.sha256(b"one").hexdigest())
TWO = Jar("org.example.more", "two_2.13", "2.1", hashlib.sha256(b"two").hexdigest())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(jars, "pinned", lambda _name: (ONE, TWO))
    monkeypatch.setattr(jars, "cache", lambda: tmp_path / "a cache")
    return tmp_path / "a cache"


@pytest.fixture
def mirror(tmp_path: Path) -> dict[str, str]:
    """A Maven repository with both jars, as the variable that names it."""
    for place, data in (
        ("org/example/one/1.0/one-1.0.jar", b"one"),
        ("org/example/more/two_2.13/2.1/two_2.13-2.1.jar", b"two"),
    ):
        file = tmp_path / "mirror" / place
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
    return {"DEFAULT_ARTIFACT_REPOSITORY": (tmp_path / "mirror").as_uri()}


def test_fetches_every_jar_from_the_repository_that_is_named(cache: Path, mirror: dict[str, str]) -> None:
    assert jars.local() == []
    found = jars.fetch(mirror)
    assert [(file.name, file.read_bytes()) for file in found] == [
        ("org.example.more_two_2.13-2.1.jar", b"two"),
        ("org.example_one-1.0.jar", b"one"),
    ]
    assert jars.local() == found == sorted(cache.iterdir())


def test_fetches_a_jar_once(cache: Path, mirror: dict[str, str]) -> None:
    found = jars.fetch(mirror)
    assert jars.fetch({"DEFAULT_ARTIFACT_REPOSITORY": "file:///does/not/exist"}) == found


def test_fetches_a_damaged_jar_once_more(cache: Path, mirror: dict[str, str]) -> None:
    jars.fetch(mirror)
    (cache / ONE.file_name).write_bytes(b"on")
    jars.fetch(mirror)
    assert (cache / ONE.file_name).read_bytes() == b"one"


def test_takes_no_other_bytes_for_a_jar(
    cache: Path, mirror: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mirror" / ONE.path).write_bytes(b"another")
    with pytest.raises(LakehouseError, match=r"one-1\.0\.jar is not the pinned jar: its SHA-256 is ae448ac86c4e8e4d"):
        jars.fetch(mirror)
    assert list(cache.iterdir()) == []
    assert jars.local() == []


def test_says_which_jar_cannot_be_fetched(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"empty/org/example/one/1\.0/one-1\.0\.jar could not be fetched"):
        jars.fetch({"DEFAULT_ARTIFACT_REPOSITORY": (tmp_path / "empty").as_uri()})
    with pytest.raises(LakehouseError, match=r"could not be fetched .*; is Maven Central reachable\?"):
        jars.fetch({"DEFAULT_ARTIFACT_REPOSITORY": "http://127.0.0.1:9/maven"})


def test_shows_no_login_of_a_repository(cache: Path) -> None:
    with pytest.raises(LakehouseError) as caught:
        jars.fetch({"DEFAULT_ARTIFACT_REPOSITORY": "http://user:hidden@127.0.0.1:9/maven"})
    assert "hidden" not in str(caught.value)
