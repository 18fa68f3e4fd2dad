"""The user's own Spark configuration: what it says holds, or is refused in a sentence; nothing of it is dropped."""

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import settings
from lakehouse.errors import UsageError
from lakehouse.spark import configuration, jars, jvm, session

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A configuration of the user's own, in a folder."""
    folder = tmp_path / "spark conf"
    folder.mkdir()
    (folder / "spark-defaults.conf").write_text(
        "# of the user\nspark.driver.memory 5g\nspark.sql.shuffle.partitions=3\nspark.hadoop.fs.s3a.secret.key: hush\n"
        "spark.jars /own/one.jar\nspark.master\tlocal[1]\n"
    )
    return folder


def of_arguments(arguments: str) -> dict[str, str]:
    """The settings that ``spark-submit`` ends with: of two, the later."""
    words = shlex.split(arguments)
    return dict(after.split("=", 1) for word, after in itertools.pairwise(words) if word == "--conf")


def test_lets_the_users_file_win(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(conf))
    variables = jvm.submit_variables({})
    found = of_arguments(variables["PYSPARK_SUBMIT_ARGS"])
    assert (found["spark.driver.memory"], found["spark.sql.shuffle.partitions"]) == ("5g", "3")
    assert found["spark.jars"].endswith(",/own/one.jar")
    assert [Path(jar).is_file() for jar in found["spark.jars"].split(",")[:-1]] == [True] * len(jars.local())
    assert "hush" not in variables["PYSPARK_SUBMIT_ARGS"]  # Spark reads it in the file
    assert "--load-spark-defaults" in variables["PYSPARK_SUBMIT_ARGS"]
    assert "SPARK_CONF_DIR" not in variables
    assert "log4j2" in variables["SPARK_SUBMIT_OPTS"]
    (conf / "log4j2.properties").write_text("")
    assert "log4j2" not in jvm.submit_variables({})["SPARK_SUBMIT_OPTS"]


def test_lets_the_users_arguments_win_over_the_file(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(conf))
    said = "--master 'local[7]' --conf spark.driver.memory=6g --conf 'spark.x=a b' --verbose pyspark-shell"
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", said)
    arguments = jvm.submit_variables({})["PYSPARK_SUBMIT_ARGS"]
    found = of_arguments(arguments)
    assert (found["spark.driver.memory"], found["spark.x"]) == ("6g", "a b")
    assert shlex.split(arguments)[-1] == "pyspark-shell"
    assert shlex.split(arguments).count("pyspark-shell") == 1
    assert "--verbose" in arguments
    assert configuration.stated(settings.environment())["spark.master"] == "local[7]"


def test_an_object_store_of_the_users_configuration_is_ours_or_refused() -> None:
    prefix = "spark.hadoop.fs.s3a"
    wanted = {f"{prefix}.endpoint": "https://ours", f"{prefix}.aws.credentials.provider": "theirs.by.default"}
    assert configuration.with_store({f"{prefix}.endpoint": "https://ours"}, wanted) == wanted
    own = {f"{prefix}.aws.credentials.provider": "of.the.user"}
    assert configuration.with_store(own, wanted) == {**wanted, **own}
    with pytest.raises(
        UsageError, match=r"sets spark\.hadoop\.fs\.s3a\.endpoint to 'https://other', but the lakehouse"
    ):
        configuration.with_store({f"{prefix}.endpoint": "https://other"}, wanted)


def test_puts_the_users_options_for_the_jvm_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=4 -Dplace='a b'")
    said = jvm.submit_variables({})["SPARK_SUBMIT_OPTS"]
    assert said.endswith("-XX:TieredStopAtLevel=1 -XX:TieredStopAtLevel=4 -Dplace='a b'")


def test_leaves_the_variables_as_they_were() -> None:
    before = dict(os.environ)
    with settings.variables({"LC_ALL": "C.UTF-8", "OF_THE_JVM": "1"}):
        assert os.environ["OF_THE_JVM"] == "1"
        assert (
            subprocess.run(["env"], env=dict(os.environ), capture_output=True, check=True).stdout.count(b"OF_THE_JVM")
            == 1
        )
        inherited = subprocess.run(["/usr/bin/env"], capture_output=True, check=True).stdout
    assert b"OF_THE_JVM" not in inherited
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SPARK_REMOTE", "sc://localhost", "SPARK_REMOTE is set, but the lakehouse runs Spark itself"),
        ("SPARK_API_MODE", "connect", "SPARK_API_MODE is set, but"),
        ("SPARK_CONNECT_MODE_ENABLED", "1", "SPARK_CONNECT_MODE_ENABLED is set, but"),
        ("SPARK_HOME", "/opt/spark-3.5", r"SPARK_HOME is /opt/spark-3.5, but no Spark [0-9.]+ is there"),
        ("SPARK_CONF_DIR", "/does/not/exist", "SPARK_CONF_DIR is '/does/not/exist', which is no folder"),
        ("HADOOP_CONF_DIR", "/does/not/exist", "HADOOP_CONF_DIR is '/does/not/exist', which is no folder"),
        ("PYSPARK_PYTHON", "/does/not/exist", "PYSPARK_PYTHON is '/does/not/exist', which cannot be run"),
        ("PYSPARK_PYTHON", shutil.which("true") or "true", "but Spark's workers need a Python"),
        ("PYSPARK_SUBMIT_ARGS", "--conf 'spark.x=1", "PYSPARK_SUBMIT_ARGS cannot be read"),
    ],
)
def test_refuses_what_cannot_be_respected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=sentence):
        jvm.submit_variables({})


def test_takes_a_spark_of_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyspark

    monkeypatch.setenv("SPARK_HOME", str(Path(pyspark.__file__).parent))
    configuration.refuse(settings.environment())


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("--master spark://head:7077", "spark.driver.host"),
        ("--master yarn --conf spark.driver.host=this", "spark.driver.bindAddress"),
        ("--master k8s://https://head --conf spark.driver.bindAddress=0.0.0.0", "spark.driver.host"),
    ],
)
def test_refuses_a_driver_that_its_workers_cannot_reach(monkeypatch: pytest.MonkeyPatch, said: str, name: str) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", said)
    with pytest.raises(UsageError, match=f"but {name} is 127.0.0.1, where no worker reaches this driver: set spark"):
        configuration.refuse(settings.environment())


@pytest.mark.parametrize(
    "said",
    [
        "--master spark://127.0.0.1:7077",
        "--master spark://head:7077 --conf spark.driver.host=this --conf spark.driver.bindAddress=0.0.0.0",
    ],
)
def test_takes_a_cluster_whose_workers_have_a_python_elsewhere(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", said)
    monkeypatch.setenv("PYSPARK_PYTHON", "/on/the/workers/python")
    configuration.refuse(settings.environment())
    assert not session.is_local()


class _Changed:
    """The session, but for some settings."""

    def __init__(self, spark: SparkSession, changed: dict[str, str]) -> None:
        self._spark, self._changed = spark, changed
        self.conf = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spark, name)

    def get(self, name: str, default: str | None = None) -> Any:
        return self._changed.get(name) or self._spark.conf.get(name, default)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("spark.sql.ansi.enabled", "false", "sets spark.sql.ansi.enabled to 'false', but the lakehouse needs 'true'"),
        ("spark.sql.session.timeZone", "Europe/London", "sets spark.sql.session.timeZone to 'Europe/London'"),
        ("spark.sql.catalogImplementation", "hive", "sets spark.sql.catalogImplementation to 'hive'"),
        ("spark.sql.extensions", "org.Other", "Spark was started without Delta"),
    ],
)
def test_refuses_settings_that_break_a_promise(spark: SparkSession, name: str, value: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        configuration.check(_Changed(spark, {name: value}))  # type: ignore[arg-type]
    configuration.check(spark)


def test_refuses_a_hadoop_that_looks_for_the_lake_elsewhere(spark: SparkSession) -> None:
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    before = hadoop.get("fs.defaultFS")
    hadoop.set("fs.defaultFS", "hdfs://name:8020")
    try:
        with pytest.raises(UsageError, match=r"sets fs\.defaultFS to hdfs://name:8020, where Spark would look for"):
            configuration.check(spark)
    finally:
        hadoop.set("fs.defaultFS", before)


STORY = """
import json, sys
from pathlib import Path
from lakehouse import cli, resources
from lakehouse.spark import session
code = cli.exit_code(["--root", sys.argv[1], "silver"])
spark = session.open_session()
zone = spark._jvm.java.util.TimeZone.getDefault().getID()
print(json.dumps([code, spark.conf.get("spark.sql.shuffle.partitions"), zone, str(resources.path("conf"))]))
"""


@pytest.mark.slow
def test_starts_in_a_project_of_any_name_from_cron_with_the_users_settings(tmp_path: Path, conf: Path) -> None:
    project, here = tmp_path / "my project's (é) $HOME", tmp_path / "here"
    for name in ("lakehouse", "conf", "sql", ".cache/jars"):
        shutil.copytree(PROJECT / name, project / name)
    shutil.copy(PROJECT / "spark-defaults.conf", project)
    here.mkdir()
    with (conf / "spark-defaults.conf").open("w") as file:
        file.write("spark.sql.shuffle.partitions 3\nspark.driver.extraJavaOptions -XX:+UseSerialGC\n")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    variables = {**kept, "LC_ALL": "C", "PYTHONPATH": str(project), "SPARK_CONF_DIR": str(conf), "TZ": "Asia/Tokyo"}
    lake = tmp_path / "Läke 日"
    done = subprocess.run(
        [sys.executable, "-c", STORY, str(lake)], cwd=here, env=variables, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    said = done.stdout.decode()
    assert json.loads(said.splitlines()[-1]) == [0, "3", "UTC", str(project / "conf")], done.stderr.decode()
    assert (lake / "silver" / "regional_half_hourly" / "_delta_log").is_dir()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([conf.name, here.name, lake.name, project.name])
    assert list(here.iterdir()) == []
