"""A JVM that fits the work, and what is said when it is gone."""

import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest
from py4j.protocol import Py4JNetworkError
from pyspark import SparkContext

from lakehouse.spark import session

LOST = Py4JNetworkError("Error while sending or receiving", ConnectionResetError(104, "Connection reset by peer"))


def test_tells_how_the_jvm_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(52)"]) as ended:  # as Spark's own, out of memory
        monkeypatch.setattr(SparkContext, "_gateway", SimpleNamespace(proc=ended))
        said = session.reason(LOST)
    assert said.startswith("Spark's JVM ended with 52 (ConnectionResetError: [Errno 104] Connection reset by peer); ")


def test_tells_that_a_jvm_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkContext, "_gateway", None)  # under spark-submit no process of ours
    assert session.reason(LOST).startswith("Spark's JVM does not answer (ConnectionResetError: ")


@pytest.mark.parametrize(
    ("half_hours", "compiler", "collector"),
    [
        (48, session.QUICK_COMPILER, "-XX:+UseSerialGC"),
        (1_000, session.QUICK_COMPILER, "-XX:+UseSerialGC"),
        (1_001, session.QUICK_COMPILER, None),
        (60_000, session.QUICK_COMPILER, None),
        (60_001, session.SPARING_COMPILER, None),
        (None, session.SPARING_COMPILER, None),
    ],
)
def test_fits_the_jvm_to_the_work(half_hours: int | None, compiler: str, collector: str | None) -> None:
    variables = session._jvm_variables({}, half_hours)
    arguments = shlex.split(variables["PYSPARK_SUBMIT_ARGS"])
    stated = [argument for argument in arguments if argument.startswith(f"{session.JVM_OPTIONS}=")]
    assert compiler in variables["SPARK_SUBMIT_OPTS"]
    assert [set(options.split()) & {"-XX:+UseSerialGC", "-XX:+UseParallelGC"} for options in stated] == (
        [{collector}] if collector else []
    )
    assert all("-Duser.timezone=UTC" in options for options in stated)


def test_leaves_the_collector_to_who_states_one() -> None:
    variables = session._jvm_variables({session.JVM_OPTIONS: "-XX:+UseG1GC"}, 48)
    assert f"{session.JVM_OPTIONS}=-XX:+UseG1GC" in shlex.split(variables["PYSPARK_SUBMIT_ARGS"])
    assert "UseSerialGC" not in variables["PYSPARK_SUBMIT_ARGS"]
