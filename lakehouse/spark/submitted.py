"""Under ``spark-submit``: stderr of this process, which Spark would merge into stdout."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkContext

from lakehouse import settings


def keep_stdout_clean() -> None:
    """Let stderr be the JVM's own, so that stdout holds answers alone; nothing where no ``spark-submit`` is.

    It starts a Python program with its stderr joined to its stdout (``PythonRunner``), and copies both to its stdout.
    """
    if "PYSPARK_GATEWAY_PORT" in settings.environment():
        SparkContext._ensure_initialized()  # connects; opens no session
        sys.stderr = io.TextIOWrapper(_JvmStderr(sys.stderr), encoding="utf-8", errors="replace", write_through=True)


class _JvmStderr(io.RawIOBase):
    """Bytes to the JVM's stderr, or to where they went before, once the JVM no longer answers.

    A thread of its own talks to the JVM: one that was interrupted may still have an answer to come.
    """

    def __init__(self, before: Any) -> None:
        self._before = before
        self._writer = ThreadPoolExecutor(1)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """All of them."""
        given = bytes(data)
        try:
            self._writer.submit(_print, given).result()
        except (Py4JError, OSError, RuntimeError):  # the last: this process is about to end
            self._before.buffer.write(given)
            self._before.flush()
        return len(given)


def _print(data: bytes) -> None:
    jvm: Any = SparkContext._jvm
    jvm.System.err.write(data, 0, len(data))
    jvm.System.err.flush()
