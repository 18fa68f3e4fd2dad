"""The command line: exit codes and one clear sentence for every mistake, nothing half-written."""

import json
import re
import sys
from pathlib import Path

import pytest
import typer
from filelock import FileLock
from pyspark.sql import SparkSession

from lakehouse import __version__, cli
from lakehouse.messages import console
from lakehouse.simulator import ThreadedSimulator
from tests.support.calls import Call

PROJECT = Path(__file__).resolve().parents[2]


def test_prints_its_version(call: Call) -> None:
    assert call("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("group", [[], ["release"], ["quarantine"]])
def test_prints_help_on_stdout_where_it_is_asked_for_and_on_stderr_where_a_command_lacks(
    call: Call, group: list[str]
) -> None:
    code, out, err = call(*group, "-h")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: {' '.join(['lakehouse', *group])} [OPTIONS] COMMAND")
    assert call(*group, "--help") == (0, out, "")
    assert call(*group) == (2, "", out)


def test_shows_every_command_in_a_group_and_with_an_example(call: Call) -> None:
    _, out, _ = call("-h")
    headings = re.findall(r"^(\w+)(?: \(.*\))?:$", out, re.MULTILINE)
    assert headings == ["Options", "Run", "Look", "Keep", "Serve", "Operate"]
    assert "..." not in out.split("Run (")[1]
    assert max(map(len, out.splitlines())) <= 80
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]  # it is a group
        assert re.search(rf"^  {name} ", out, re.MULTILINE)
        members = getattr(command, "commands", {"": command})
        for member in members:
            _, said, _ = call(name, *filter(None, [member]), "-h")
            assert re.search(rf"^  Example:\n    lakehouse {name} ?{member}", said, re.MULTILINE), (name, member)


@pytest.mark.parametrize(
    ("called", "on_path", "command"),
    [
        ("{}/venv/bin/lakehouse", None, "'{}/venv/bin/lakehouse'"),
        ("{}/venv/bin/lakehouse", "{}/venv/bin/lakehouse", "lakehouse"),
        ("{}/venv/bin/lakehouse", "{}/other/lakehouse", "'{}/venv/bin/lakehouse'"),
        ("{}/jobs/run.py", None, "lakehouse"),
    ],
)
def test_advises_the_command_as_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, on_path: str | None, command: str
) -> None:
    place = tmp_path / "a place"
    for name in ("venv/bin/lakehouse", "other/lakehouse"):
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text("")
    monkeypatch.setattr(sys, "argv", [called.format(place)])
    monkeypatch.setattr(console.shutil, "which", lambda _: on_path and on_path.format(place))
    assert console.command() == command.format(place)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "No such command"),
        (["run", "--fast"], "No such option"),
        (["run", "--from", "2024-02-01", "--to", "2024-01-01"], "--from 2024-02-01 is not before --to 2024-01-01"),
        (["run", "--from", "2024-02-01", "--to", "2024-02-01"], "--from 2024-02-01 is not before --to 2024-02-01"),
        (["bronze", "--from", "yesterday"], "--from is 'yesterday': write a UTC day such as 2024-01-31"),
        (["bronze", "--from", "2024-02-30"], "--from is '2024-02-30'"),
        (["run", "--stages", "bronze,iron"], "--stages takes some of bronze,silver,gold,export, not 'bronze,iron'"),
        (["--env", "moon", "status"], "LAKEHOUSE_ENV is 'moon', but"),
        (["history", "tin"], "There is no table 'tin'; known: bronze.regional_intensity,"),
        (["history", "gold.carbon_intensity_daily"], "gold.carbon_intensity_daily does not exist yet in"),
        (["sql", "DELETE FROM gold.dim_region"], "`lakehouse sql` only looks: begin with SELECT"),
        (["sql", ""], "`lakehouse sql` only looks"),
        (["simulate", "--now", "noon"], "'noon' is not a time; write it as"),
        (["simulate", "--faults", "/does/not/exist.toml"], "/does/not/exist.toml"),
    ],
)
def test_refuses_a_wrong_call_in_one_sentence(call: Call, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    root = tmp_path / "lake"
    code, out, err = call(*arguments, LAKEHOUSE_ROOT=str(root))
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not root.exists()


def test_refuses_a_wrong_setting(call: Call, tmp_path: Path) -> None:
    code, _, err = call("status", LAKEHOUSE_ROOT=str(tmp_path), LAKEHOUSE_API__CONCURRENCY="no")
    assert code == 2
    assert err.startswith("error: The setting api.concurrency is wrong")


def test_says_that_there_is_no_lake_yet(call: Call, tmp_path: Path) -> None:
    code, _, err = call("sql", "SELECT 1", LAKEHOUSE_ROOT=str(tmp_path / "lake"))
    assert (code, err) == (1, f"error: There is no lake at {tmp_path}/lake yet; `lakehouse run` makes one.\n")


def test_shows_an_empty_lake(call: Call, tmp_path: Path) -> None:
    code, out, err = call("status", LAKEHOUSE_ROOT=str(tmp_path / "lake"))
    assert code == 0
    assert out.startswith("table\tversion\t")
    assert "no run yet; begin with: `lakehouse run`" in err


def test_waits_for_no_other_writer(call: Call, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"):
        code, _, err = call("silver", LAKEHOUSE_ROOT=str(tmp_path))
    assert code == 5
    assert err == f"error: Another run is writing to the lake at {tmp_path}; try again when it is done.\n"


def test_says_that_java_home_is_wrong(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakehouse.spark import jvm

    monkeypatch.setattr(jvm, "process", None)
    code, _, err = call("silver", LAKEHOUSE_ROOT=str(tmp_path / "lake"), JAVA_HOME=str(tmp_path))
    assert code == 1
    assert err == f"error: JAVA_HOME is {tmp_path}, but there is no Java in it; correct or unset it.\n"
    assert not (tmp_path / "lake").exists()


def test_says_that_the_root_cannot_be_made(call: Call, tmp_path: Path, spark: SparkSession) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = call("silver", LAKEHOUSE_ROOT=str(tmp_path / "file" / "lake"))
    assert code == 1
    assert err == f"error: The lake's root {tmp_path}/file/lake cannot be written: Not a directory.\n"


def test_says_that_the_api_cannot_be_reached(call: Call, empty_root: str, spark: SparkSession) -> None:
    variables = {"LAKEHOUSE_ROOT": empty_root, "LAKEHOUSE_API__URL": "http://127.0.0.1:9"}
    code, _, err = call("bronze", "--from", "2024-01-01", "--to", "2024-01-02", **variables)
    assert code == 4
    assert "error: The API at http://127.0.0.1:9 cannot be asked" in err
    assert "Traceback" not in err
    assert spark.read.format("delta").load(f"{empty_root}/bronze/regional_intensity").count() == 0


def test_says_that_postgresql_cannot_be_reached(call: Call, empty_root: str, spark: SparkSession) -> None:
    variables = {"LAKEHOUSE_ROOT": empty_root, "LAKEHOUSE_POSTGRES__URL": "postgresql://me:hush@127.0.0.1:9/db"}
    code, _, err = call("export", **variables)
    assert code == 1
    assert re.search(r"^error: .*127\.0\.0\.1:9", err, re.MULTILINE)
    assert "hush" not in err
    assert "Traceback" not in err


def test_gives_one_json_document_and_keeps_stdout_clean(
    call: Call, empty_root: str, spark: SparkSession, simulator: ThreadedSimulator
) -> None:
    variables = {"LAKEHOUSE_ROOT": empty_root, "LAKEHOUSE_API__URL": simulator.url}
    code, out, err = call("bronze", "--from", "2024-01-03", "--to", "2024-01-04", "--json", **variables)
    document = json.loads(out)
    assert code == 0
    assert [stage["stage"] for stage in document["stages"]] == ["bronze"]
    assert document["stages"][0]["counts"] == {"received": 1, "duplicates": 0, "inserted": 1, "empty": 0}
    assert "bronze: 1 request (" in err
    code, out, _ = call("status", "--json")
    assert json.loads(out)["tables"][0] == {
        **{"table": "bronze.regional_intensity", "version": 1, "files": 1, "rows": 1},
        "bytes": json.loads(out)["tables"][0]["bytes"],
        "lost_files": [],
    }
    code, out, _ = call("history", "bronze.regional_intensity", "--json")
    assert [(row["version"], row["stage"], row["landing"]) for row in json.loads(out)] == [
        (1, "bronze", 1),
        (0, None, None),
    ]


def test_names_a_mistake_in_a_query(call: Call, empty_root: str, spark: SparkSession) -> None:
    assert call("silver", LAKEHOUSE_ROOT=empty_root)[0] == 0
    code, _, err = call("sql", "SELECT nothing FROM gold.dim_region")
    assert code == 2
    assert "nothing" in err
    assert "Traceback" not in err
    code, _, err = call("sql", "SELECT * FROM gold.dim_region VERSION AS OF 99")
    assert code == 2
    assert "99" in err
    code, out, _ = call("sql", "SELECT count(*) AS n FROM gold.dim_region", "--json")
    assert (code, json.loads(out)) == (0, [{"n": 0}])


def test_documents_every_setting() -> None:
    from lakehouse.settings import Settings

    text = (PROJECT / "docs" / "settings.md").read_text()
    names = []
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        names += [f"LAKEHOUSE_{name}__{key}".upper() for key in inner] if inner else [f"LAKEHOUSE_{name}".upper()]
    assert [name for name in names if name not in text] == []
