"""Silver where Spark's workers have a Python that cannot do its part: one sentence, and nothing is written.

That the package itself lacks is a part of ``test_cluster``: Python finds it here where the tests are run.
"""

import json
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import lakehouse
from lakehouse import cli
from lakehouse.lake.tables import SILVER
from lakehouse.spark import failures, session
from tests.support.lakes import Lake, periods, response
from tests.support.worker_python import NEEDED, bare_python


@pytest.fixture
def distributed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with a response that Silver has yet to read, by Spark's Python workers."""
    lake.land(response(periods("2024-01-01T00:00", [100, 110]), "2024-01-02"))
    monkeypatch.setattr(session, "is_local", lambda: False)
    return lake


def refused(lake: Lake, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says in its sentence, on stderr and in its document."""
    before = lake.versions()
    assert cli.exit_code(["--root", lake.store.root, "silver", "--json"]) == 1
    said = capsys.readouterr()
    sentence: str = json.loads(said.out)["error"]
    assert f"error: {sentence}" in said.err.splitlines()
    assert {**lake.versions(), "ops.runs": 0} == {**before, "ops.runs": 0}  # which has a row of the failed run
    return sentence


@pytest.mark.parametrize(
    ("there", "missing"),
    [(("duckdb", "lakehouse"), "pyarrow"), (("pyarrow", "lakehouse"), "duckdb")],
    ids=["without Arrow", "without DuckDB"],
)
def test_names_what_the_workers_python_lacks(
    distributed: Lake,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    there: tuple[str, ...],
    missing: str,
) -> None:
    python = bare_python(tmp_path / "python", there)
    monkeypatch.setattr(distributed.store.spark.sparkContext, "pythonExec", str(python))
    assert refused(distributed, capsys).startswith(
        f"The Python of Spark's workers ({python}) cannot do its part: No module named '{missing}'. "
        "Each worker needs a Python 3."
    )


def test_names_a_python_that_is_not_there(
    distributed: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed.store.spark.sparkContext, "pythonExec", "/no/python")
    assert 'cannot do its part: Cannot run program "/no/python"' in refused(distributed, capsys)


def test_names_a_python_of_another_version(
    distributed: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed.store.spark.sparkContext, "pythonVer", "3.99")
    assert "cannot do its part: Python in worker has different version" in refused(distributed, capsys)


def test_refuses_another_version_of_the_package(
    distributed: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = lakehouse.__version__
    monkeypatch.setattr(lakehouse, "__version__", "99")
    assert f"cannot do its part: lakehouse {there} is there, but the driver has 99" in refused(distributed, capsys)


def test_does_its_part_with_arrow_duckdb_and_the_package_alone(
    distributed: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = bare_python(tmp_path / "python", (*NEEDED, "lakehouse"))
    monkeypatch.setattr(distributed.store.spark.sparkContext, "pythonExec", str(python))
    distributed.silver()
    assert distributed.rows(SILVER, "regionid", "intensity_forecast") == [(12, 100), (12, 110), (13, 100), (13, 110)]


def test_names_a_master_that_gave_no_answer(spark: SparkSession) -> None:
    stopped = PySparkException("Cannot call methods on a stopped SparkContext.\nThis stopped SparkContext was created")
    assert str(failures.known(stopped)).startswith("Spark's master local[1] does not answer, or has ended this")
    assert failures.known(PySparkException("[TABLE_OR_VIEW_NOT_FOUND]")) is None
