"""Settings: which source wins, and that nothing unknown or secret slips in."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lakehouse import resources, settings
from lakehouse.errors import UsageError
from lakehouse.settings import object_store
from lakehouse.settings.object_store import ObjectStore


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


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable names an object store, a region or a profile of the user's; afterwards none is set up."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    yield
    ObjectStore.chosen = None


def test_an_object_store_is_described_once_for_spark_and_delta_rs(conf: Path, no_store: None) -> None:
    section = {"endpoint": "http://store.example:9000/", "region": "eu-west-2"}
    found = settings.load({"root": "s3a://bucket/lake", "s3": section})
    assert (found.root, found.is_local) == ("s3a://bucket/lake", False)
    store = object_store.current()
    assert store.for_spark == {
        "spark.hadoop.fs.s3a.endpoint": "http://store.example:9000",
        "spark.hadoop.fs.s3a.endpoint.region": "eu-west-2",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.aws.credentials.provider": object_store.CREDENTIALS,
    }
    assert store.for_delta_rs == {
        "aws_endpoint": "http://store.example:9000",
        "aws_region": "eu-west-2",
        "aws_virtual_hosted_style_request": "false",
        "aws_conditional_put": "etag",
        "allow_http": "true",
    }


def test_an_object_store_of_aws_needs_its_region_alone(
    conf: Path, no_store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"^The bucket's region is not known: set LAKEHOUSE_S3__REGION\.$"):
        settings.load({"root": "s3a://bucket/lake"})
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    settings.load({"root": "s3a://bucket/lake"})
    store = object_store.current()
    assert (store.endpoint, store.region, store.path_style) == (None, "eu-west-2", False)
    assert "spark.hadoop.fs.s3a.endpoint" not in store.for_spark
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example")  # AWS' own variable drives Spark, too
    settings.load({"root": "s3a://bucket/lake"})
    assert object_store.current().for_spark["spark.hadoop.fs.s3a.endpoint"] == "https://store.example"


@pytest.mark.parametrize("variable", object_store.UNSAFE)
def test_refuses_what_makes_commits_to_an_object_store_unsafe(
    variable: str, conf: Path, no_store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "dynamodb")
    with pytest.raises(UsageError, match=rf"^{variable} is set, with which delta-rs does not commit by a conditional"):
        settings.load({"root": "s3a://bucket/lake", "s3": {"region": "eu-west-2"}})


def test_says_what_an_object_store_needs_that_is_not_installed(
    conf: Path, no_store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="make setup EXTRAS=s3"):
        settings.load({"root": "s3a://bucket/lake"})


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("LAKEHOUSE_FOO", "1", "The environment variable LAKEHOUSE_FOO is not a setting"),
        ("LAKEHOUSE_API__FOO", "1", "The environment variable LAKEHOUSE_API__FOO is not a setting"),
        ("LAKEHOUSE_API__CONCURRENCY", "0", "The setting api.concurrency is wrong"),
        ("LAKEHOUSE_API__CONCURRENCY", "many", "The setting api.concurrency is wrong"),
        ("LAKEHOUSE_ENV", "nowhere", "LAKEHOUSE_ENV is 'nowhere', but"),
        ("lakehouse_foo", "1", "The environment variable lakehouse_foo is not a setting"),
        (
            "LAKEHOUSE_API__ATTEMPTS",
            "0",
            "in the environment variable LAKEHOUSE_API__ATTEMPTS: it should be greater than or equal to 1, not '0'",
        ),
        ("LAKEHOUSE_API__ATTEMPTS", "many", "it should be a valid integer, not 'many'"),
        ("LAKEHOUSE_API", '{"attempts": 0}', r"api\.attempts is wrong in the environment variable LAKEHOUSE_API: it"),
        ("LAKEHOUSE_API", "many", "LAKEHOUSE_API is not JSON: set LAKEHOUSE_API__"),
        ("LAKEHOUSE_RETENTION__DAYS", "1", "LAKEHOUSE_RETENTION__DAYS: it should be greater than or equal to 7"),
        ("LAKEHOUSE_QUALITY__CONTRACT", "thaw", "it should be 'evolve' or 'freeze', not 'thaw'"),
        ("LAKEHOUSE_QUALITY__FAIL", "a, b", r"""write LAKEHOUSE_QUALITY__FAIL='\["a", "b"\]'"""),
        ("LAKEHOUSE_QUALITY__FAIL", '["a', "LAKEHOUSE_QUALITY__FAIL is not a JSON list"),
        ("LAKEHOUSE_FETCH__EMPTY_RETRY_HOURS", "inf", "it should be a finite number"),
        ("LAKEHOUSE_FETCH__REFETCH_HORIZON_HOURS", "1e300", "it should be less than or equal to 876000"),
    ],
)
def test_refuses_a_wrong_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=sentence):
        settings.load()


def test_refuses_an_unknown_key_in_a_file(conf: Path) -> None:
    (conf / "local.toml").write_text("[api]\nspeed = 3\n")
    with pytest.raises(UsageError, match=r"The setting api\.speed does not exist, but /.*/local\.toml has it"):
        settings.load()


def test_names_the_file_of_a_wrong_value(conf: Path) -> None:
    (conf / "base.toml").write_text("[api]\nattempts = 0\n")
    with pytest.raises(UsageError, match=r"api\.attempts is wrong in /.*/base\.toml: it should be .* 1, not 0"):
        settings.load()


def test_refuses_a_file_that_is_no_toml(conf: Path) -> None:
    (conf / "local.toml").write_text("root = \n")
    with pytest.raises(UsageError, match=r"/local\.toml is not valid TOML: Invalid value \(at line 1, column 8\)"):
        settings.load()
    (conf / "local.toml").write_bytes(b"root = '\xe9'\n")
    with pytest.raises(UsageError, match=r"/local\.toml is not valid TOML: 'utf-8' codec"):
        settings.load()


def test_refuses_a_file_that_cannot_be_read(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"/local\.toml cannot be read: Permission denied"):
        settings.load()


def test_tells_no_secret_that_is_wrong(conf: Path) -> None:
    (conf / "local.toml").write_text('[postgres]\nurl = ["hush"]\n')
    with pytest.raises(UsageError, match=r"postgres\.url is wrong in /.*/local\.toml: it should") as caught:
        settings.load()
    assert "hush" not in str(caught.value)


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


def test_takes_a_freshness_target_that_is_not_set_from_the_layer_before(monkeypatch: pytest.MonkeyPatch) -> None:
    hour = timedelta(hours=1)
    usual = {layer: (1.5 * hour, 3 * hour) for layer in ("bronze", "silver", "gold", "export")}
    assert settings.load().freshness.targets == usual
    monkeypatch.setenv("LAKEHOUSE_FRESHNESS__SILVER__FAIL_AFTER_HOURS", "6")
    monkeypatch.setenv("LAKEHOUSE_FRESHNESS__EXPORT__WARN_AFTER_HOURS", "2.5")
    assert settings.load().freshness.targets == {
        "bronze": (1.5 * hour, 3 * hour),
        "silver": (1.5 * hour, 6 * hour),
        "gold": (1.5 * hour, 6 * hour),
        "export": (2.5 * hour, 6 * hour),
    }


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "BRONZE__WARN_AFTER_HOURS",
            "3",
            "freshness.bronze warns after 3 hours, which is not before it fails, after 3",
        ),
        (
            "GOLD__FAIL_AFTER_HOURS",
            "2",
            "freshness.gold (1.5 and 2 hours) is stricter than freshness.silver (1.5 and 3), which it is made of and "
            "cannot be newer than",
        ),
        (
            "SILVER__WARN_AFTER_HOURS",
            "1",
            "freshness.silver (1 and 3 hours) is stricter than freshness.bronze (1.5 and 3), which it is made of and "
            "cannot be newer than",
        ),
    ],
)
def test_refuses_freshness_targets_that_contradict(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    name = f"LAKEHOUSE_FRESHNESS__{variable}"
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        settings.load()
    assert str(caught.value) == f"{sentence}; correct the environment variable {name}."
