"""Versions stand in several places because several tools read them; they agree."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pyspark
import pytest

from lakehouse import __version__
from lakehouse.spark import jars

PROJECT = Path(__file__).resolve().parents[2]
STATED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in STATED["dependencies"] if "==" in line)


def coordinates() -> dict[str, str]:
    found = (package.split(":") for package in jars.defaults()["spark.jars.packages"].split(","))
    return {artifact: version for _, artifact, version in found}


def test_package_and_project_have_one_version() -> None:
    assert STATED["version"] == __version__ == metadata.version("lakehouse")


def test_delta_jar_fits_the_installed_delta_and_spark() -> None:
    spark = metadata.version("pyspark")
    assert PINS["pyspark"] == spark
    assert PINS["delta-spark"] == metadata.version("delta-spark")
    minor = ".".join(spark.split(".")[:2])
    assert coordinates()[f"delta-spark_{minor}_2.13"] == PINS["delta-spark"]


def test_every_jar_is_pinned_at_the_version_that_spark_submit_resolves() -> None:
    pinned = {jar.artifact: jar.version for jar in jars.pinned()}
    assert {name: pinned.get(name) for name in coordinates()} == coordinates()
    of_delta = {jar.version for jar in jars.pinned() if jar.group == "io.delta"}
    assert of_delta == {PINS["delta-spark"]}


def test_the_jars_for_an_object_store_fit_sparks_hadoop() -> None:
    of_store = {jar.artifact: jar.version for jar in jars.pinned(jars.S3)}
    assert (Path(pyspark.__file__).parent / "jars" / f"hadoop-client-api-{of_store['hadoop-aws']}.jar").is_file()
    assert len({jar.version for jar in jars.pinned(jars.S3) if jar.group == "software.amazon.awssdk"}) == 1


def test_every_pinned_dependency_is_locked_at_that_version() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (PROJECT / "requirements" / "lock.txt").read_text(), re.M))
    assert {name: locked.get(name) for name in PINS} == PINS


def test_every_locked_package_has_hashes() -> None:
    for file in ("lock.txt", "build.txt", "uv.txt", "dbt.txt", "airflow.txt", "dashboard.txt", "s3.txt"):
        text = (PROJECT / "requirements" / file).read_text()
        packages = re.findall(r"^[a-z0-9-]+==.*(?:\n    .*)*", text, re.M)
        assert packages
        assert all("--hash=sha256:" in package for package in packages)


@pytest.mark.parametrize(("file", "package"), [("dashboard.txt", "streamlit"), ("s3.txt", "boto3")])
def test_an_extra_is_locked_at_the_versions_of_the_rest(file: str, package: str) -> None:
    def locked(file: str) -> dict[str, set[str]]:
        versions: dict[str, set[str]] = {}
        for name, version in re.findall(r"^([a-z0-9-]+)==([^ ]+)", (PROJECT / "requirements" / file).read_text(), re.M):
            versions.setdefault(name, set()).add(version)
        return versions

    base, extra = locked("lock.txt"), locked(file)
    assert package in extra
    assert {name: versions for name, versions in extra.items() if base.get(name, versions) != versions} == {}


def test_documents_name_the_versions_in_use() -> None:
    text = (PROJECT / "README.md").read_text() + "".join(file.read_text() for file in (PROJECT / "docs").glob("*.md"))
    for name, version in {**PINS, **coordinates()}.items():
        for stated in re.findall(rf"`?{re.escape(name)}`?[ =]=?=? ?`?(\d+\.\d+(?:\.\d+)?)`?", text):
            assert stated == version, f"the docs say {name} {stated}"
    assert f"Spark {metadata.version('pyspark')}" in text
    assert f"Delta {PINS['delta-spark']}" in text
    assert f"PostgreSQL driver {coordinates()['postgresql']}" in text
