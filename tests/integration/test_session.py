"""How the JVM is started, and what is said when it is gone."""

import shlex
import subprocess
import sys

import pytest
from py4j.protocol import Py4JNetworkError

from lakehouse.spark import failures, jvm

LOST = Py4JNetworkError("Error while sending or receiving", ConnectionResetError(104, "Connection reset by peer"))


def test_tells_how_the_jvm_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(52)"]) as ended:  # as Spark's own, out of memory
        monkeypatch.setattr(jvm, "process", ended)
        said = failures.reason(LOST)
    assert said.startswith("Spark's JVM ended with 52 (ConnectionResetError: [Errno 104] Connection reset by peer); ")


def test_tells_that_a_jvm_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm, "process", None)  # under spark-submit no process of ours
    assert failures.reason(LOST).startswith("Spark's JVM does not answer (ConnectionResetError: ")


def test_starts_the_jvm_with_one_compiler_and_the_options_of_the_file() -> None:
    variables = jvm.submit_variables({})
    assert shlex.split(variables["SPARK_SUBMIT_OPTS"]).count("-XX:TieredStopAtLevel=1") == 1
    assert "extraJavaOptions" not in variables["PYSPARK_SUBMIT_ARGS"]


def test_leaves_the_collector_to_who_states_one() -> None:
    variables = jvm.submit_variables({"spark.driver.extraJavaOptions": "-XX:+UseG1GC"})
    assert "spark.driver.extraJavaOptions=-XX:+UseG1GC" in shlex.split(variables["PYSPARK_SUBMIT_ARGS"])
