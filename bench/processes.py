"""Programs run as their users run them, in processes of their own: how long they take and how much memory."""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

LAKEHOUSE = (sys.executable, "-c", "from lakehouse.cli import main; main()")
MIB = 2**20
SAMPLE_SECONDS = 0.2


class Watched:
    """A program, watched to its end: its seconds, its memory by stage, and what it printed.

    ``peaks``: the largest sum of resident sets in bytes, of the JVM's and of all other processes, by the stage that
    ``lakehouse`` tells on stderr; sampled five times a second. ``peak_beside`` is the same sum of processes that the
    program did not start itself: ``beside`` names those that are there now.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        beside: Callable[[], Iterable[psutil.Process]] = tuple,
    ) -> None:
        self.peaks: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.peak = self.peak_beside = 0
        self._beside = beside
        self.stage = "start"
        began = time.perf_counter()
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        said: list[str] = []
        self._last: list[str] = []
        readers = [Thread(target=self._follow), Thread(target=lambda: said.append(self._process.stdout.read()))]
        for reader in readers:
            reader.start()
        while True:
            try:
                self._process.wait(SAMPLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                self._sample()
        self.seconds = time.perf_counter() - began
        for reader in readers:
            reader.join()
        if self._process.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {self._process.returncode}: {''.join(self._last)}")
        self.output = said[0]

    @property
    def document(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.output)

    @property
    def python(self) -> int:
        """The largest peak of all that is no JVM, in bytes."""
        return max((python for python, _ in self.peaks.values()), default=0)

    @property
    def jvm(self) -> int:
        """The largest peak of the JVM, in bytes."""
        return max((jvm for _, jvm in self.peaks.values()), default=0)

    def _follow(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last = [*self._last[-9:], line]
            if line.endswith(": begins\n"):
                self.stage = line.split(":")[0]

    def _sample(self) -> None:
        try:
            ours = psutil.Process(self._process.pid)
            family = [ours, *ours.children(recursive=True)]
            sizes = [(process.name(), process.memory_info().rss) for process in family]
        except psutil.Error:
            return  # it has just ended
        peak = self.peaks[self.stage]
        peak[0] = max(peak[0], sum(size for name, size in sizes if name != "java"))
        peak[1] = max(peak[1], sum(size for name, size in sizes if name == "java"))
        self.peak = max(self.peak, sum(size for _, size in sizes))
        self.peak_beside = max(self.peak_beside, sum(map(_size, self._beside())))


def _size(process: psutil.Process) -> int:
    """Its resident set in bytes; 0 where it has just ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def lakehouse(
    environment: Mapping[str, str], *arguments: str, beside: Callable[[], Iterable[psutil.Process]] = tuple
) -> Watched:
    """The command ``lakehouse``, cold."""
    return Watched([*LAKEHOUSE, *arguments], environment, beside)


def seconds(environment: Mapping[str, str], *arguments: str) -> float:
    """How long a short ``lakehouse`` command takes as a whole process, to the millisecond."""
    began = time.perf_counter()
    done = subprocess.run([*LAKEHOUSE, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"lakehouse {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return time.perf_counter() - began


def environment(root: Path, **more: str) -> dict[str, str]:
    """This process's environment with no settings but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    return {**clean, "LAKEHOUSE_ROOT": str(root), **more}


@contextmanager
def simulator(now: str) -> Iterator[str]:
    """The simulated API in a process of its own, its clock at ``now``."""
    command = [*LAKEHOUSE, "simulate", "--port", "0", "--now", now]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield next(word for word in server.stdout.readline().split() if word.startswith("http")).rstrip(";")
        finally:
            server.terminate()
