"""The command `lakehouse` in a process of its own, cold, as people run it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LAKEHOUSE = Path(sys.executable).parent / "lakehouse"
SUBMIT = Path(sys.executable).parent / "spark-submit"
PROPERTIES = ("--properties-file", "spark-defaults.conf")
PATIENCE_SECONDS = 240
"""For a cold JVM on a machine that does other things too."""


def environment(root: str, **variables: str) -> dict[str, str]:
    """The user's, without what would change Spark's or ours, and with this root."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("LAKEHOUSE", "PYSPARK", "SPARK"))
    }
    return {**clean, "LAKEHOUSE_ROOT": root, **variables}


def lakehouse(
    root: str, *arguments: str, patience: float = PATIENCE_SECONDS, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [LAKEHOUSE, *arguments],
        env=environment(root, **variables),
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


def submit(
    root: str,
    job: str,
    *arguments: str,
    properties: Sequence[str] = PROPERTIES,
    patience: float = PATIENCE_SECONDS,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a job to its end, as after ``. .venv/bin/activate``: spark-submit finds Spark through the PATH's python3."""
    return subprocess.run(
        [SUBMIT, *properties, f"jobs/{job}.py", *arguments],
        cwd=PROJECT,
        env=_submitting(root, variables),
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


def _submitting(root: str, variables: Mapping[str, str]) -> dict[str, str]:
    path = f"{SUBMIT.parent}:{os.environ['PATH']}"
    return environment(root, PATH=path, SPARK_SUBMIT_OPTS="-XX:TieredStopAtLevel=1", **variables)


@contextmanager
def submitted(
    root: str, job: str, log: Path, *arguments: str, properties: Sequence[str] = PROPERTIES, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A job in a process group of its own, killed when the block ends; ``log`` gets what it prints."""
    with log.open("wb") as told:
        process = subprocess.Popen(
            [SUBMIT, *properties, f"jobs/{job}.py", *arguments],
            cwd=PROJECT,
            env=_submitting(root, variables),
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)


@contextmanager
def started(root: str, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a terminal would start it; killed when the block ends."""
    process = subprocess.Popen(
        [LAKEHOUSE, *arguments],
        env=environment(root, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # which whoever began the tests may ignore
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(holds: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds; fail if it does not in time."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
