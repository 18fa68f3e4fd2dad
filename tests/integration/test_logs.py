"""The log file and what stands on stderr beside it."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lakehouse import logs
from lakehouse.console_reporter import ConsoleReporter
from lakehouse.errors import UsageError
from lakehouse.logs import json_lines
from lakehouse.messages import console, loudness
from lakehouse.messages.loudness import Loudness
from lakehouse.settings.sections import LogSettings
from lakehouse.spark import jvm_log
from tests.support.calls import Call

log = logging.getLogger("lakehouse.tests")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What a test opens and chooses ends with it."""
    yield
    logs.open_file(LogSettings())
    loudness.choose(Loudness.NORMAL)
    logs.say_as_wanted()
    logging.getLogger().removeHandler(logs._terminal)


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The lines of the log ``tmp_path/x.log``, which is open."""
    logs.open_file(LogSettings(file=tmp_path / "x.log"))

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "x.log").read_text().splitlines()]

    return read


def test_each_line_has_its_time_in_utc_and_the_run_and_stage_also_from_a_thread(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    log.info("before")
    with logs.run("20240105T000000Z-1", "watch"):
        logs.stage("silver")
        thread = threading.Thread(target=log.warning, args=("%d rows of postgresql://me:hush@db", 7))
        thread.start()
        thread.join()
        log.info("stage ended", extra={**logs.TOLD, "stage": "gold", "counts": {"inserted": 2}})
    log.debug("not at all")
    before, warned, ended = lines()
    assert (before["run_id"], before["stage"], before["event"]) == (None, None, "before")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(before["timestamp"])).total_seconds()) < 60
    assert before["timestamp"].endswith("Z")
    assert (warned["run_id"], warned["command"], warned["stage"]) == ("20240105T000000Z-1", "watch", "silver")
    assert (warned["level"], warned["event"]) == ("warning", "7 rows of postgresql://***@db")
    assert (ended["stage"], ended["counts"]) == ("gold", {"inserted": 2})
    assert "is_told" not in ended


def test_spark_s_warnings_are_in_the_file_and_off_the_terminal(
    lines: Callable[[], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.to_terminal()
    assert jvm_log.passed_on(
        "lakehouse-log\tWARN\torg.apache.spark.util.Utils\tset 100% of it\\n\tjava.lang.Error: x\n"
    )
    assert jvm_log.passed_on("lakehouse-log\tERROR\torg.apache.spark.sql.delta.X\tno\t\n")
    assert not jvm_log.passed_on("Exception in thread main\n")
    first, second = lines()
    assert (first["level"], first["logger"]) == ("warning", "org.apache.spark.util.Utils")
    assert (first["event"], first["thrown"]) == ("set 100% of it\\n", "java.lang.Error: x")
    assert (second["level"], "thrown" in second) == ("error", False)
    assert capsys.readouterr().err == ""


WRITER = """
import logging, sys
from pathlib import Path
from lakehouse import logs
from lakehouse.settings.sections import LogSettings
logs.open_file(LogSettings(file=Path(sys.argv[1]), max_mib=0.02, keep=1000))
print("ready", flush=True)
sys.stdin.read()
for number in range(1000):
    logging.getLogger("lakehouse.w").info("line", extra={"of": sys.argv[2], "number": number})
"""


def test_two_processes_write_and_rotate_one_file_and_no_line_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    assert [each.stdout.readline() for each in writers if each.stdout] == ["ready\n"] * 2
    for each in writers:
        each.communicate(timeout=120)
    assert [each.returncode for each in writers] == [0, 0]
    assert_has_all(tmp_path, [(of, number) for of in "ab" for number in range(1000)])


def assert_has_all(folder: Path, expected: list[tuple[str, int]]) -> None:
    """Every line once, whole, and each file full, but for the newest: what is rotated too early drives others out."""
    files = [each for each in folder.iterdir() if each.name != "x.log.lock"]
    assert len(files) > 3
    assert max(each.stat().st_size for each in files) <= 0.02 * 2**20
    assert min(each.stat().st_size for each in files if each.name != "x.log") > 0.018 * 2**20
    found = [json.loads(line) for each in files for line in each.read_text().splitlines()]
    assert sorted((line["of"], line["number"]) for line in found) == expected


def test_follows_a_file_that_another_process_has_rotated(tmp_path: Path) -> None:
    settings = LogSettings(file=tmp_path / "x.log", max_mib=0.02, keep=1000)
    handlers = {of: json_lines.handler(tmp_path / "x.log", settings, logs.current) for of in "ab"}
    for number in range(300):  # in turn, so that each finds the file rotated by the other one
        for of, handler in handlers.items():
            record = logging.makeLogRecord({"msg": "line", "of": of, "number": number})
            handler.handle(record)
    for handler in handlers.values():
        handler.close()
    assert_has_all(tmp_path, [(of, number) for of in "ab" for number in range(300)])


def test_waits_while_another_process_writes(tmp_path: Path, lines: Callable[[], list[dict[str, Any]]]) -> None:
    thread = threading.Thread(target=log.info, args=("waits",))
    with FileLock(tmp_path / "x.log.lock"):
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert lines() == []
    thread.join()
    assert [line["event"] for line in lines()] == ["waits"]


def test_writes_on_where_somebody_has_removed_the_file(
    tmp_path: Path, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    log.info("one")
    (tmp_path / "x.log").unlink()
    log.info("two")
    assert [line["event"] for line in lines()] == ["two"]


def test_a_full_disk_is_told_once_and_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.log").symlink_to("/dev/full")
    logs.open_file(LogSettings(file=tmp_path / "x.log"))
    for _ in range(3):
        log.info("a line")
    said = capsys.readouterr().err
    assert said == f"warning: the log {tmp_path}/x.log cannot be written: [Errno 28] No space left on device\n"


def test_another_file_is_taken_only_if_it_can_be_written(
    tmp_path: Path, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    with pytest.raises(UsageError):
        logs.open_file(LogSettings(file=tmp_path / "none" / "y.log"))
    log.info("stays")
    logs.open_file(LogSettings(file=tmp_path / "y.log"))
    log.info("goes")
    assert [line["event"] for line in lines()] == ["stays"]
    assert json.loads((tmp_path / "y.log").read_text())["event"] == "goes"


@pytest.mark.parametrize("place", ["none/x.log", "file/x.log", "."])
def test_a_log_that_cannot_be_written_is_one_sentence_and_nothing_is_done(
    call: Call, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())
    code, out, err = call("run", LAKEHOUSE_ROOT=str(tmp_path / "lake"), LAKEHOUSE_LOG__FILE=str(tmp_path / place))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: The log {tmp_path / place} cannot be written: ")
    assert err.endswith("; correct log.file or its folder.\n")
    assert sorted(tmp_path.iterdir()) == before


def test_the_end_of_a_command_that_is_no_run_is_in_the_file(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    assert call("history", "nothing", LAKEHOUSE_ROOT=str(tmp_path / "lake"), LAKEHOUSE_LOG__FILE=str(file))[0] == 2
    (line,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert (line["level"], line["command"], line["exit_code"]) == ("error", "history", 2)
    assert line["event"].startswith("There is no table 'nothing'")


@pytest.mark.parametrize("flags", [["--quiet", "status"], ["status", "--quiet"]])
def test_quiet_leaves_warnings_and_data(call: Call, tmp_path: Path, flags: list[str]) -> None:
    code, out, err = call(*flags, LAKEHOUSE_ROOT=str(tmp_path / "lake"))
    assert code == 0
    assert "bronze\t" in out
    assert [line.partition(":")[0] for line in err.splitlines()] == ["broken"] * 3
    assert "lake at" in call("status")[2]


def test_quiet_hides_progress_but_no_retry(capsys: pytest.CaptureFixture[str]) -> None:
    loudness.choose(Loudness.QUIET)
    capsys.readouterr()
    reporter = ConsoleReporter()
    reporter.stage_began("bronze")
    reporter.retried("2024-01-01T00:00Z", "HTTP 503", 2.0)
    console.say("data", out=sys.stdout)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("data\n", "bronze: 2024-01-01T00:00Z HTTP 503; again in 2.0 s\n")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(Loudness.NORMAL, ["warning: w"]), (Loudness.VERBOSE, ["i", "warning: w"]), (Loudness.QUIET, ["warning: w"])],
)
def test_verbose_shows_notes_that_no_other_line_has_told(
    capsys: pytest.CaptureFixture[str], wanted: Loudness, expected: list[str]
) -> None:
    logs.to_terminal()
    loudness.choose(wanted)
    logs.say_as_wanted()
    log.info("i")
    log.info("told", extra=logs.TOLD)
    log.warning("w")
    logging.getLogger("sqlalchemy.engine").info("SELECT 'a secret'")
    assert capsys.readouterr().err.splitlines() == expected


@pytest.mark.parametrize("flags", [["--quiet", "--verbose", "gaps"], ["--quiet", "gaps", "--verbose"]])
def test_quiet_and_verbose_contradict(call: Call, flags: list[str]) -> None:
    said = "error: --quiet and --verbose contradict each other; give one of them.\n"
    assert call(*flags) == (2, "", said)


@pytest.mark.parametrize("flags", [["--verbose", "history", "nothing"], ["history", "nothing", "--verbose"]])
def test_verbose_is_heard_before_and_after_a_command(
    call: Call, flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    logs.to_terminal()
    call("history", "nothing")
    log.info("not told")
    assert capfd.readouterr().err == ""
    call(*flags)
    log.info("told")
    assert capfd.readouterr().err == "told\n"
