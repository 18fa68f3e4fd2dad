"""What is said when Spark's JVM is gone."""

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
