"""Bytes and logins of others through whole commands: into no table, onto no terminal, and never against a run."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.history import status
from lakehouse.lake import delta_log
from lakehouse.lake.tables import BRONZE, RUNS
from lakehouse.messages.text import visible
from lakehouse.pipeline import Run
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from tests.conftest import PROJECT
from tests.support.calls import Call
from tests.support.lakes import period, region
from tests.support.raw_server import Reply, answering, message

ESCAPE = "\x1b[31m\u202e"


@pytest.fixture(autouse=True)
def of_lake(monkeypatch: pytest.MonkeyPatch, lake_root: str) -> None:
    """Commands work on this test's lake, and ask the API through no proxy."""
    monkeypatch.setenv("LAKEHOUSE_ROOT", lake_root)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def server_in_thread(reply: Reply) -> Iterator[int]:
    """A server of raw bytes beside a caller without an event loop; gives its port."""
    loop, ports = asyncio.new_event_loop(), []
    ready, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with answering(reply) as port:
            ports.append(port)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


@pytest.mark.parametrize("command", ["plan", "bronze", "run"])
@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"LAKEHOUSE_API__URL": "https://a..b"}, "LAKEHOUSE_API__URL"),
        ({"LAKEHOUSE_API__URL": f"https://{'x' * 64}.example"}, "LAKEHOUSE_API__URL"),
        ({"LAKEHOUSE_API__URL": "https://jo:s3cret@api.example:port"}, "LAKEHOUSE_API__URL"),
        ({"LAKEHOUSE_API__URL": "https://api.example", "HTTPS_PROXY": "socks5://jo:s3cret@proxy"}, "HTTPS_PROXY"),
    ],
)
def test_refuses_what_cannot_be_asked_before_anything_is_written(
    call: Call, lake_root: str, command: str, variables: dict[str, str], named: str
) -> None:
    code, out, err = call(command, "--from", "2024-01-01", "--to", "2024-01-02", **variables)
    assert (code, err.count("\n"), named in err) == (2, 1, True)
    assert "s3cret" not in out + err
    assert not Path(lake_root).exists()


def test_tells_a_proxy_that_wants_a_login_from_an_api_that_is_down(
    call: Call, lake_root: str, spark: SparkSession
) -> None:
    day = ("--from", "2024-01-01", "--to", "2024-01-02")
    with server_in_thread(lambda _: b"HTTP/1.1 407 Who?\xff\r\n\r\n") as port:
        code, out, err = call("bronze", *day, "--json", HTTPS_PROXY=f"jo:s3cret@127.0.0.1:{port}")
    assert code == 1
    assert "error: 1 window could not be fetched because of: the proxy said HTTP 407 Who?ÿ: a proxy" in err
    assert "http://USER:PASSWORD@HOST:PORT" in err
    told = [
        out,
        err,
        *(text for command in ("status", "gaps") for text in call(command, *(day * (command == "gaps")))[1:]),
    ]
    runs = delta_log.open_table(f"{lake_root}/{RUNS.path}")
    assert runs is not None
    assert "s3cret" not in "".join(told) + repr(runs.rows(["error", "failed_windows"]).to_pylist())


def test_records_a_run_whatever_its_error_holds(
    run_with: Callable[..., RunReport], settings_of: Callable[..., Settings], lake_root: str
) -> None:
    def fail(run: Run) -> None:
        raise RuntimeError("http://jo:s3cret@host said \udcff\ud800\x00" + ESCAPE)

    lake = settings_of(lake_root)
    with pytest.raises(RuntimeError):
        run_with(lake, fail, "b\udcff")
    last = status.last_run(lake)
    assert last is not None
    assert (last["status"], last["command"]) == ("failed", "b\\udcff")
    assert last["error"] == "http://***@host said \\udcff\\ud800\x00" + ESCAPE


def test_shows_strange_names_harmlessly_and_keeps_them(
    call: Call, lake_root: str, tmp_path: Path, spark: SparkSession
) -> None:
    name = f"London{ESCAPE}\n"
    odd = {"dnoregion": name, "shortname": name}
    good = region(13, 100, **odd)
    bad = region(12, "many", **odd)
    file = tmp_path / f"a{ESCAPE}\n.json"
    file.write_text(json.dumps({"data": [period("2024-01-01T00:00", good, bad)]}))
    (tmp_path / f"b{ESCAPE}\n.json").write_text("no JSON")
    told = "".join(call("import", str(tmp_path / part.name))[2] for part in sorted(tmp_path.glob("*.json")))
    assert r"\x1b[31m\u202e\n.json left out" in told
    for stage in ("silver", "gold"):
        assert call(stage)[0] == 0
    selected = "SELECT shortname FROM silver.regional_half_hourly"
    commands: list[tuple[str, ...]] = [
        *(("sql", selected), ("sql", selected.replace("shortname", f"1 AS `{ESCAPE}`"))),
        ("explain", "--region", "13", "--date", "2024-01-01"),
        *(("quarantine", "list"), ("status",), ("gaps",), ("history", "bronze.regional_intensity")),
        *(("diff", "gold.carbon_intensity_daily", "0", "1"), ("history", ESCAPE), ("sql", ESCAPE), (ESCAPE,)),
    ]
    told += "".join("".join(call(*command)[1:]) for command in commands)
    assert [field for field in re.split(r"[\n\t]", told) if visible(field) != field] == []
    found: list[dict[str, Any]] = json.loads(call("sql", selected, "--json")[1])
    assert found == [{"shortname": name}]
    assert visible(call("sql", selected, "--json")[1].rstrip("\n")).count("\\u202e") == 1


@pytest.mark.slow
def test_keeps_good_answers_between_bytes_of_others(lake_root: str) -> None:
    """A process of its own asks for two days: a good answer with a Latin-1 header, and a 503 in Latin-1."""
    good = json.dumps({"data": [period("2024-05-01T00:00", region(13))]}).encode()

    def reply(head: bytes) -> bytes:
        if b"/intensity/2024-05-02T" in head:
            return message(b"oops", status=b"503 Dienst nicht verf\xfcgbar")
        return message(good, b"Via: 1.1 b\xfcro-proxy (squid)")

    with server_in_thread(reply) as port:
        variables = {
            "LAKEHOUSE_ROOT": lake_root,
            "LAKEHOUSE_API__URL": f"http://127.0.0.1:{port}",
            "LAKEHOUSE_API__ATTEMPTS": "1",
            "LAKEHOUSE_API__WINDOW_HALF_HOURS": "48",
        }
        done = subprocess.run(
            [Path(sys.executable).with_name("lakehouse"), "bronze", "--from", "2024-05-01", "--to", "2024-05-03"],
            cwd=PROJECT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 4, done.stderr
    assert "because of: HTTP 503 Dienst nicht verfügbar; what came is kept" in done.stderr
    assert "unexpected" not in done.stderr
    bronze, runs = (delta_log.open_table(f"{lake_root}/{table.path}") for table in (BRONZE, RUNS))
    assert bronze is not None
    assert runs is not None
    kept = bronze.rows(["headers", "body"]).to_pylist()
    assert [(dict(row["headers"])["via"], row["body"]) for row in kept] == [("1.1 büro-proxy (squid)", good)]
    recorded = runs.rows(["status", "error"]).to_pylist()
    assert [(row["status"], "verfügbar" in row["error"]) for row in recorded] == [("failed", True)]
