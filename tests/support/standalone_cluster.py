"""A Spark standalone cluster on the loopback: a master and workers of the pip-installed Spark, in real processes."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pyspark

from tests.support.processes import PATIENCE_SECONDS, environment, until

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
LOOPBACK = "127.0.0.1"
WORKER_MEMORY = "1200m"
"""What a worker may give to executors: one of ``EXECUTOR_MEMORY``."""
EXECUTOR_MEMORY = "1g"
EXECUTOR = "CoarseGrainedExecutorBackend"
DAEMON = "pyspark.daemon"
"""Starts an executor's Python workers; it is there once a task needs Python."""


@dataclass(frozen=True)
class Cluster:
    """A cluster whose workers are registered: ``url`` is Spark's master."""

    url: str
    page: str
    workers: tuple[psutil.Process, ...]

    def executors(self) -> list[psutil.Process]:
        """The JVMs that work for an application now."""
        return [child for worker in self.workers for child in _children(worker) if EXECUTOR in _command(child)]

    def daemons(self) -> list[psutil.Process]:
        """What starts the Python workers of executors that need Python."""
        return [child for executor in self.executors() for child in _children(executor) if DAEMON in _command(child)]

    def state(self) -> dict[str, Any]:
        """What the master says of itself: its workers, and the applications that are active and completed."""
        return _asked(self.page)


@contextmanager
def standalone_cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A master and workers of one core each; all of them, and what they started, are killed when the block ends.

    ``folder`` gets their logs and the executors' own folders. Executors take the Python that the driver names
    (``PYSPARK_PYTHON`` or ``spark.pyspark.python``) at its path on their machine.
    """
    with ExitStack() as ends:
        page_port = _free_port()
        page = f"http://{LOOPBACK}:{page_port}/json/"
        master = ends.enter_context(_started(folder, "master", "Master", "--port", "0", "--webui-port", str(page_port)))
        until(lambda: _is_up(page, master))
        url = _asked(page)["url"]
        started = [ends.enter_context(_worker(folder, f"worker-{number}", url)) for number in range(1, workers + 1)]
        until(lambda: all(_runs(each) for each in started) and _registered(page) == workers)
        yield Cluster(url, page, tuple(psutil.Process(each.pid) for each in started))


@contextmanager
def _started(folder: Path, name: str, role: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A master or worker in a process group of its own; its log is ``folder/name.log``."""
    variables = {
        "SPARK_LOCAL_IP": LOOPBACK,  # of its pages, too
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-Dspark.port.maxRetries=0 -Dspark.master.rest.enabled=false -XX:TieredStopAtLevel=1",
    }
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [SPARK_CLASS, f"org.apache.spark.deploy.{role.lower()}.{role}", "--host", LOOPBACK, *arguments],
            env=environment("", **variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # executors too; their Python ends when they do
            process.wait(PATIENCE_SECONDS)


@contextmanager
def _worker(folder: Path, name: str, master: str) -> Iterator[subprocess.Popen[bytes]]:
    place = ("--port", "0", "--webui-port", "0", "--work-dir", str(folder / name))
    with _started(folder, name, "Worker", *place, "--cores", "1", "--memory", WORKER_MEMORY, master) as process:
        yield process


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _asked(page: str) -> dict[str, Any]:
    with urlopen(page, timeout=PATIENCE_SECONDS) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _is_up(page: str, process: subprocess.Popen[bytes]) -> bool:
    assert _runs(process)
    try:
        return bool(_asked(page))
    except URLError:  # it does not listen yet
        return False


def _runs(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"a master or worker ended with {process.returncode}; see its log"
    return True


def _registered(page: str) -> int:
    return sum(worker["state"] == "ALIVE" for worker in _asked(page)["workers"])


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:  # it has just ended
        return []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
