"""What ended a command: no known lack ends in "(unexpected; ...)", and each sentence says what to do."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from py4j.protocol import Py4JError

from lakehouse import cli
from lakehouse.errors import LakehouseError
from lakehouse.messages import endings
from lakehouse.messages.wording import in_one_line
from lakehouse.spark import jvm


class OfJavaError(Exception):
    """An error of the JVM's, as py4j and PySpark hand it on."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__("An error occurred while calling o1.save")
        named = SimpleNamespace(getSimpleName=lambda: kind)
        inner = SimpleNamespace(getCause=lambda: None, getClass=lambda: named, getMessage=lambda: message)
        self.java_exception = SimpleNamespace(getCause=lambda: inner)


def of_system(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/lake/file")


DISK, FILES, HEAP, MEMORY = (
    "The disk is full; make room",
    "Too few files may be",
    "Spark's JVM has too little",
    "The mach",
)
LACKS = [
    (of_system(errno.ENOSPC), DISK),
    (of_system(errno.EDQUOT), DISK),
    (OfJavaError("IOException", "No space left on device"), DISK),
    (
        OSError("Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"),
        DISK,
    ),
    (duckdb.IOException('IO Error: Could not write file "/tmp/x": No space left on device'), DISK),
    (of_system(errno.EMFILE), FILES),
    (OfJavaError("FileSystemException", "/lake/part-0: Too many open files"), FILES),
    (OfJavaError("OutOfMemoryError", "Java heap space"), HEAP),
    (
        OfJavaError("SparkIllegalArgumentException", "[INVALID_DRIVER_MEMORY] System memory 9 is too little."),
        HEAP,
    ),
    (MemoryError(), MEMORY),
    (of_system(errno.ENOMEM), MEMORY),
    (RuntimeError("can't start new thread"), MEMORY),
    (OfJavaError("OutOfMemoryError", "unable to create native thread: possibly out of memory"), MEMORY),
]


@pytest.mark.parametrize(("error", "sentence"), LACKS, ids=lambda value: str(value)[:30])
def test_says_what_to_do_about_a_lack(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("a step failed") from cause

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(jvm, "END_SECONDS", 0.01)
    assert cli.exit_code(["status"]) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"error: {sentence}")
    assert "run the same command again" in said
    assert "unexpected" not in said
    assert said.count("\n") == 1


def test_leaves_other_errors_to_who_looks_for_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("regionid")

    monkeypatch.setattr(cli, "app", fail)
    assert cli.exit_code(["status"]) == 1
    assert capfd.readouterr().err == "error: 'regionid' (unexpected; lakehouse --debug ... shows where)\n"


def test_adds_what_to_do_to_an_error_of_ours_once() -> None:
    said = endings.advised("The table at /lake cannot be written: No space left on device (os error 28)")
    assert said.startswith(
        "The table at /lake cannot be written: No space left on device (os error 28). The disk is full"
    )
    assert endings.advised(said) == said
    assert endings.sentence(LakehouseError("There is no lake at /lake yet.")) == "There is no lake at /lake yet."


def test_names_an_error_without_a_text() -> None:
    assert endings.sentence(AssertionError()) == "AssertionError"
    assert endings.sentence(KeyboardInterrupt()) == "interrupted"


def test_finds_the_cause_wherever_a_message_names_it_and_shows_it_plainly() -> None:
    error = OSError(
        "Kernel error -> Generic S3 error\n \x1b[31m↳\x1b[0m Error performing GET https://127.0.0.1:9/b/_latest"
        " in 57.5s, after 10 retries, max_retries\n  \x1b[31m↳\x1b[0m 10, retry_timeout\n   \x1b[31m↳\x1b[0m 180s  -"
        " HTTP error\n    \x1b[31m↳\x1b[0m error sending request\n     \x1b[31m↳\x1b[0m client error (Connect)\n"
    )
    said = endings.sentence(error)
    assert said.startswith("The object store cannot be reached; are LAKEHOUSE_S3__ENDPOINT and")
    assert said.endswith("180s - HTTP error -> error sending request -> client error (Connect)).")
    assert said.isprintable()
    words = said.split(" (")[1].split()
    assert set(words) <= set(in_one_line(str(error)).split())  # none is cut


def test_names_the_store_that_cannot_be_reached() -> None:
    said = endings.sentence(OSError('Could not connect to the endpoint URL: "http://127.0.0.1:9/bucket?prefix=a"'))
    assert said.endswith('(Could not connect to the endpoint URL: "http://127.0.0.1:9/bucket?prefix=a").')


@pytest.mark.parametrize("error", [Py4JError("An error occurred while calling None.x"), EOFError(), OSError("cut off")])
def test_tells_of_a_jvm_that_was_killed_whatever_failed_for_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) as killed:
        monkeypatch.setattr(jvm, "process", killed)
        assert str(endings.known(error)).startswith("Spark's JVM ended with -9; it was killed")


KILLED = """
import os, signal, sys
from lakehouse import cli
from lakehouse.transform import silver_job
from lakehouse.spark import jvm

def killed(work, **_):
    os.kill(jvm.process.pid, signal.SIGKILL)
    work.store.spark.range(3).count()

silver_job.build_silver = killed
code = cli.exit_code(["--root", sys.argv[1], "silver"])
cli.exit_code(["--root", sys.argv[1], "status"])
sys.exit(code)
"""


@pytest.mark.slow
def test_tells_and_records_that_the_jvm_was_killed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "lake")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    said = "Spark's JVM ended with -9; it was killed, mostly by the system for want of memory (`dmesg` tells); what was"
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {said}")
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert f"failed, {said}" in done.stderr


def test_refuses_to_start_with_too_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm.resource, "getrlimit", lambda _: (256, 256))
    with pytest.raises(LakehouseError, match="Only 256 files may be open at once, but Spark needs 1024; allow so many"):
        jvm.allow_open_files()


def test_allows_itself_the_files_that_it_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(jvm.resource, "getrlimit", lambda _: (256, jvm.resource.RLIM_INFINITY))
    monkeypatch.setattr(jvm.resource, "setrlimit", lambda _, wanted: asked.append(wanted))
    jvm.allow_open_files()
    assert asked == [(1024, jvm.resource.RLIM_INFINITY)]
