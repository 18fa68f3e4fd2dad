"""Where a lake may stand: each place holds one, by one name, or is refused before anything is written."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse import cli, settings
from lakehouse.errors import UsageError
from lakehouse.settings import Settings, roots
from tests.support.lakes import periods

PRINTABLE = "".join(map(chr, range(32, 127))).replace("/", "")
REFUSED = [*roots.REFUSED, *map(chr, range(1, 32)), "\x7f", "\x85", "\u2028", "\u202e", "\udce9", "\u200b"]
TAKEN = "".join(letter for letter in PRINTABLE if letter not in roots.REFUSED and not letter.isalnum()) + "éé日🔋 .. ."
"""Every other character of ASCII in one name, others beside them, and an end in dots and a space."""


@pytest.mark.parametrize("letter", REFUSED, ids=ascii)
def test_refuses_a_character_that_delta_cannot_read(letter: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose another") as caught:
        settings.load({"root": str(tmp_path / f"a{letter}b")})
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("/", "it is the whole machine"),
        ("/tmp/..", "it is the whole machine"),
        ("//", "it is the whole machine"),
        ("file:///", "it is the whole machine"),
        ("hdfs://name/lake", "only folders and s3a:// are known"),
        ("hdfs:/lake", "only folders and s3a:// are known"),
        ("gs://bucket/lake", "only folders and s3a:// are known"),
        ("s3://bucket/lake", "write s3a:// for s3://"),
        ("s3a:///lake", "it names no bucket"),
        ("file://elsewhere/lake", "it is on another machine"),
        ("~nobody-of-this-name/lake", "names no home"),
        ("/tmp/" + 241 * "a", "too long"),
        ("/tmp/" + 900 * "abc/", "too long"),
    ],
)
def test_refuses_what_is_no_place(root: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        settings.load({"root": root})


def test_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    with pytest.raises(UsageError, match="it is a file, not a folder"):
        settings.load({"root": str(tmp_path / "lake")})


def test_says_where_the_root_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_ROOT", "")
    with pytest.raises(UsageError, match=r"''.* that the environment variable LAKEHOUSE_ROOT states: it is empty"):
        settings.load()


@pytest.mark.parametrize("stated", ["file://{}/lake", "file:{}/lake", "file://localhost{}/lake", "{}/x/../lake/"])
def test_takes_every_name_of_a_folder_for_that_folder(stated: str, tmp_path: Path) -> None:
    found = settings.load({"root": stated.format(tmp_path)})
    assert (found.root, found.is_local) == (str(tmp_path / "lake"), True)


def test_gives_a_lake_behind_a_link_one_database(tmp_path: Path) -> None:
    (tmp_path / "disk" / "lake").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "lake")
    (tmp_path / "to come").symlink_to(tmp_path / "disk" / "other")
    assert settings.load({"root": str(tmp_path / "link")}).embedded_data == tmp_path / "disk" / "lake.postgres"
    assert settings.load({"root": str(tmp_path / "to come")}).root == str(tmp_path / "disk" / "other")


def test_decodes_the_address_of_a_folder(tmp_path: Path) -> None:
    assert settings.load({"root": f"file://{tmp_path}/a%20lake"}).root == str(tmp_path / "a lake")


def test_takes_an_address_in_any_case() -> None:
    assert settings.load({"root": "FILE:///tmp/lake"}).root == os.path.realpath("/tmp/lake")


@pytest.mark.slow
def test_works_in_a_folder_of_any_name(
    spark: SparkSession, tmp_path: Path, settings_of: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    root, days = str(tmp_path / TAKEN), tmp_path / "days.json"
    assert settings_of(root).root == root

    def call(*arguments: str) -> str:
        code = cli.exit_code(["--root", root, *arguments])
        said = capfd.readouterr()
        assert code == 0, (arguments, said.err)
        return said.out

    days.write_text(json.dumps({"data": periods("2024-01-02T00:00", [100] * 3)}))
    call("import", str(days))
    call("run", "--stages", "silver,gold,export", "--json")
    again = json.loads(call("run", "--stages", "silver,gold,export", "--json"))
    assert {stage["version"] for stage in again["stages"]} == {None}
    gold = "SELECT count(*) AS n FROM gold.carbon_intensity_daily {}"
    assert json.loads(call("sql", gold.format(""), "--json")) == [{"n": 2}]
    assert json.loads(call("sql", gold.format("VERSION AS OF 0"), "--json")) == [{"n": 0}]
    assert len(json.loads(call("gaps", "--json"))["gaps"]) > 0
    assert json.loads(call("explain", "--region", "13", "--date", "2024-01-02", "--json"))
    call("release", "create", "one")
    assert {each.name for each in tmp_path.iterdir()} == {TAKEN, f"{TAKEN}.postgres", "days.json"}
