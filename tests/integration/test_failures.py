"""Whatever fails, a program that asked for ``--json`` finds one document on stdout: status, sentence and code."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import typer.main
from filelock import FileLock
from py4j.protocol import Py4JError

from lakehouse import cli
from lakehouse.errors import LakehouseError
from lakehouse.monitoring import overview
from lakehouse.spark import submitted

Documented = Callable[..., tuple[int, dict[str, Any], str]]
ARGUMENTS = {
    **{"history": ["ops.runs"], "diff": ["ops.runs", "1", "2"], "sql": ["SELECT 1"], "import": ["x"], "restore": ["1"]},
    **{"explain": ["--region", "1", "--date", "2024-01-01"], "reproduce": ["x"]},
    "revisions": ["--region", "1", "--from", "2024-01-01", "--to", "2024-01-02"],
    **{f"release {name}": ["x"] for name in ("create", "show", "verify")},
}
"""What the commands need beside ``--json``."""


@pytest.fixture
def documented(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Documented:
    """Run a command in this process: the exit code, the one document on stdout, and stderr."""

    def made(*arguments: str, **variables: str) -> tuple[int, dict[str, Any], str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = cli.exit_code([*arguments, "--json"])
        said = capfd.readouterr()
        return code, json.loads(said.out), said.err

    return made


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} ")
        elif any(parameter.name == "as_json" for parameter in command.params):
            yield f"{before}{name}", command


@pytest.mark.parametrize("name", [name for name, _ in commands(typer.main.get_command(cli.app))])
def test_says_in_json_why_a_command_failed(documented: Documented, name: str) -> None:
    code, document, err = documented(*name.split(), *ARGUMENTS.get(name, []), LAKEHOUSE_ENV="moon")
    assert (code, document["status"], document["exit_code"]) == (2, "failed", 2)
    assert document["error"].startswith("LAKEHOUSE_ENV is 'moon', but")
    assert err == f"error: {document['error']}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "No such command 'fly'."),
        (["run", "--fast"], "No such option: --fast"),
        (["run", "--from", "2024-02-30"], "--from is '2024-02-30'"),
        (
            ["run", "--stages", "gold,silver"],
            "--stages is 'gold,silver', but a run has one order, and each stage once:",
        ),
        (["run", "--stages", "silver,silver"], "--stages is 'silver,silver', but a run has one order"),
        (
            ["run", "--stages", "silver,gold", "--from", "2024-01-01"],
            "--from says what to fetch, but --stages is 'silver,gold': add bronze, or leave it out.",
        ),
        (["run", "--stages", "export", "--to", "2024-01-01"], "--to says what to fetch, but --stages is 'export'"),
        (["run", "--stages", "gold", "--force"], "--force says what to fetch, but --stages is 'gold'"),
        (["sql", "DELETE FROM gold.dim_region"], "`lakehouse sql` only looks"),
        (["history", "tin"], "There is no table 'tin'"),
    ],
)
def test_says_in_json_what_is_wrong_with_a_call(
    documented: Documented, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    code, document, err = documented(*arguments, LAKEHOUSE_ROOT=str(tmp_path / "lake"))
    assert document == {"status": "failed", "error": document["error"], "exit_code": 2}
    assert code == 2
    assert document["error"].startswith(sentence)
    assert err == f"error: {document['error']}\n"
    assert not (tmp_path / "lake").exists()


def a_file(root: Path) -> AbstractContextManager[Any]:
    root.write_text("")
    return nullcontext()


def a_release(root: Path) -> AbstractContextManager[Any]:
    root.mkdir()
    (root / "release.json").write_text("{}")
    return nullcontext()


def held(root: Path) -> AbstractContextManager[Any]:
    root.mkdir()
    return FileLock(root / ".lock")


@pytest.mark.parametrize(
    ("state", "code", "sentence"),
    [
        (held, 5, "Another run is writing to the lake at"),
        (a_file, 2, "No lake can stand at '{root}', the root that the environment variable LAKEHOUSE_ROOT"),
        (a_release, 2, "{root} is a release and stays as it is"),
    ],
)
def test_calls_nothing_ok_that_was_refused(
    documented: Documented, tmp_path: Path, state: Callable[[Path], Any], code: int, sentence: str
) -> None:
    root = tmp_path / "lake"
    with state(root):
        found, document, _ = documented("run", LAKEHOUSE_ROOT=str(root))
    assert found == code
    assert (document["status"], document["exit_code"], document.get("lake_version")) == ("failed", code, None)
    assert document["error"].startswith(sentence.format(root=root))


INTERRUPTED = "interrupted; what was committed stays, and the same command goes on from there."


def after(error: BaseException, earlier: BaseException) -> BaseException:
    """An error that was raised while another one was on its way."""
    error.__context__ = earlier
    return error


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, INTERRUPTED),
        (after(LakehouseError("Spark's JVM does not answer."), KeyboardInterrupt()), 130, INTERRUPTED),
        (after(RuntimeError("reentrant call"), after(OSError("cut off"), KeyboardInterrupt())), 130, INTERRUPTED),
        (AssertionError(), 1, "AssertionError (unexpected; lakehouse --debug ... shows where)"),
        (RuntimeError("first,\nsecond"), 1, "first, second (unexpected; lakehouse --debug ... shows where)"),
    ],
)
def test_names_an_error_that_nobody_expected(
    documented: Documented,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(overview, "read", failing)
    found, document, _ = documented("status", LAKEHOUSE_ROOT=str(tmp_path))
    assert (found, document) == (code, {"status": "failed", "error": sentence, "exit_code": code})


def test_leaves_the_arguments_of_another_program_alone(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_ENV", "moon")
    assert cli.exit_code(["psql", "--", "--json"]) == 2
    assert capfd.readouterr().out == ""


def test_writes_to_its_own_stderr_once_the_jvm_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: bytes) -> None:
        raise Py4JError("gone")

    monkeypatch.setattr(submitted, "_print", gone)
    before = io.TextIOWrapper(io.BytesIO())
    print("é", file=io.TextIOWrapper(submitted._JvmStderr(before), encoding="utf-8", write_through=True))
    assert before.buffer.getvalue() == "é\n".encode()  # type: ignore[attr-defined]  # a BytesIO


@pytest.mark.parametrize(
    ("arguments", "option"), [(("report", "--at", "x"), "--at"), (("history", "ops.runs", "--limit", "0"), "--limit")]
)
def test_names_the_option_whose_value_is_wrong(documented: Documented, arguments: tuple[str, ...], option: str) -> None:
    _, _, told = documented(*arguments, LAKEHOUSE_ROOT="/nowhere")
    assert f"error: Invalid value for '{option}': " in told
