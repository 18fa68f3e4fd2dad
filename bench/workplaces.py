"""Where Spark works: in the command's own JVM, or on a standalone cluster of two workers on this machine."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.standalone_cluster import EXECUTOR_MEMORY, Cluster, standalone_cluster

LOCAL, CLUSTER = "local", "cluster"
DRIVER_MEMORY = "800m"
"""The heap of the driver's JVM on the cluster. The JVM takes up to 0.4 GiB beside it, and the driver's Python 0.25."""


@dataclass(frozen=True)
class Workplace:
    """Variables that send Spark there, and the processes that work there beside the command's own."""

    variables: Mapping[str, str] = field(default_factory=dict)
    beside: Callable[[], Iterable[psutil.Process]] = tuple


@contextmanager
def opened(where: str, folder: Path) -> Iterator[Workplace]:
    """The place by its name; ``folder`` gets the cluster's logs and settings."""
    if where == LOCAL:
        yield Workplace()
        return
    folder.mkdir(parents=True, exist_ok=True)
    with standalone_cluster(folder) as cluster:
        settings = {
            "spark.master": cluster.url,
            "spark.driver.memory": DRIVER_MEMORY,
            "spark.executor.memory": EXECUTOR_MEMORY,
            "spark.pyspark.python": sys.executable,
        }
        lines = (f"{name} {value}\n" for name, value in settings.items())
        (folder / "spark-defaults.conf").write_text("".join(lines))
        yield Workplace({"SPARK_CONF_DIR": str(folder)}, lambda: _executors(cluster))


def _executors(cluster: Cluster) -> list[psutil.Process]:
    """The executors' JVMs and their Python."""
    found: list[psutil.Process] = []
    for executor in cluster.executors():
        try:
            found += [executor, *executor.children(recursive=True)]
        except psutil.NoSuchProcess:  # it has just ended
            continue
    return found
