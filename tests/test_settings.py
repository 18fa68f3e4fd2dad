"""Settings: which source wins, and that nothing unknown or secret slips in."""

from pathlib import Path

import pytest

from lakehouse import resources, settings
from lakehouse.errors import UsageError


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A conf/ of the test's own."""
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "base.toml").write_text('root = "from/base"\n[api]\nconcurrency = 2\nattempts = 4\n')
    (folder / "local.toml").write_text('root = "from/local"\n')
    monkeypatch.setattr(resources, "path", lambda name: tmp_path / name)
    return folder


def test_prefers_flag_then_environment_then_own_file_then_base(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().root == str(Path("from/local").absolute())
    assert settings.load().api.concurrency == 2
    monkeypatch.setenv("LAKEHOUSE_ROOT", "/from/environment")
    monkeypatch.setenv("LAKEHOUSE_API__CONCURRENCY", "3")
    found = settings.load()
    assert (found.root, found.api.concurrency, found.api.attempts) == ("/from/environment", 3, 4)
    assert settings.load({"root": "/from/flag"}).root == "/from/flag"


def test_keeps_an_object_store_root_as_it_is(conf: Path) -> None:
    found = settings.load({"root": "s3a://bucket/lake"})
    assert (found.root, found.is_local) == ("s3a://bucket/lake", False)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("LAKEHOUSE_FOO", "1", "The environment variable LAKEHOUSE_FOO is not a setting"),
        ("LAKEHOUSE_API__FOO", "1", "The environment variable LAKEHOUSE_API__FOO is not a setting"),
        ("LAKEHOUSE_API__CONCURRENCY", "0", "The setting api.concurrency is wrong"),
        ("LAKEHOUSE_API__CONCURRENCY", "many", "The setting api.concurrency is wrong"),
        ("LAKEHOUSE_ENV", "nowhere", "LAKEHOUSE_ENV is 'nowhere', but"),
    ],
)
def test_refuses_a_wrong_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=sentence):
        settings.load()


def test_refuses_an_unknown_key_in_a_file(conf: Path) -> None:
    (conf / "local.toml").write_text("[api]\nspeed = 3\n")
    with pytest.raises(UsageError, match=r"The setting api\.speed does not exist"):
        settings.load()


def test_refuses_a_file_that_is_no_toml(conf: Path) -> None:
    (conf / "local.toml").write_text("root = \n")
    with pytest.raises(UsageError, match="not valid TOML"):
        settings.load()


def test_refuses_a_password_in_a_file(conf: Path) -> None:
    (conf / "local.toml").write_text('[postgres]\nurl = "postgresql://me:hush@db/x"\n')
    with pytest.raises(UsageError, match="put it into LAKEHOUSE_POSTGRES__URL instead") as caught:
        settings.load()
    assert "hush" not in str(caught.value)


def test_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_POSTGRES__URL", "postgresql://me:hush@db/x")
    found = settings.load()
    assert "hush" not in repr(found) + str(found) + found.model_dump_json()


def test_keeps_the_embedded_database_beside_the_root() -> None:
    assert settings.load({"root": "/somewhere/lake"}).embedded_data == Path("/somewhere/lake.postgres")
