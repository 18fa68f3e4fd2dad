"""The hook with real programs and a real server: told once per state, and never a reason to fail."""

import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lakehouse import hook, settings
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.watching import service
from lakehouse.watching.cycle import Cycle
from tests.support.calls import Call
from tests.support.lakes import Lake


@pytest.fixture
def heard(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The events that the program ``tmp_path/hook`` was given, with an empty list before the first one."""
    file = tmp_path / "events"
    _program(tmp_path / "hook", f"cat >> {file}; echo >> {file}")

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return read


def _program(place: Path, does: str) -> None:
    place.write_text(f"#!/bin/sh\n{does}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)


def chosen(tmp_path: Path, **more: Any) -> Settings:
    return settings.load({"root": str(tmp_path / "lake"), "hook": {"command": (str(tmp_path / "hook"),), **more}})


def test_tells_the_first_failure_and_the_first_success_after_it(
    tmp_path: Path, heard: Callable[[], list[dict[str, Any]]]
) -> None:
    for code in (0, 2, 4, 1, 130, 5, 2, 0, 0, 3):
        hook.command_ended(chosen(tmp_path), "run", code, f"it ended with {code}")
    hook.command_ended(chosen(tmp_path), "export", 1, "another command's failure is another state")
    assert [(event["event"], event["command"], event.get("exit_code")) for event in heard()] == [
        ("run_failed", "run", 4),
        ("run_recovered", "run", None),
        ("run_failed", "run", 3),
        ("run_failed", "export", 1),
    ]
    first = heard()[0]
    assert first["error"] == "it ended with 4"
    assert first["text"].startswith(f"Lake {tmp_path}/lake on ")
    assert first["text"].endswith(": `lakehouse run` failed (4): it ended with 4")
    assert first["at"].endswith("Z")


def test_tells_what_breaks_and_that_all_is_well_again(
    tmp_path: Path, heard: Callable[[], list[dict[str, Any]]]
) -> None:
    late, later = {"bronze": "bronze is 4 h old"}, {"bronze": "bronze is 5 h old", "silver": "silver is 5 h old"}
    for broken in ({}, late, {"bronze": "bronze is 5 h old"}, later, later, late, {}, {}):
        hook.checked(chosen(tmp_path), broken)
    assert [(event["event"], event.get("broken")) for event in heard()] == [
        ("check_failed", late),
        ("check_failed", later),
        ("check_recovered", None),
    ]
    assert heard()[2]["recovered"] == ["bronze"]


def test_a_program_that_hangs_is_ended_with_what_it_started_and_tried_again_after_the_next_run(
    tmp_path: Path, heard: Callable[[], list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    works = (tmp_path / "hook").read_text()
    _program(tmp_path / "hook", f"sleep 60 & echo $! >> {tmp_path}/children; wait")
    hook.command_ended(chosen(tmp_path, timeout_seconds=0.5, attempts=2), "run", 1, "no")
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"The hook could not be told: '{tmp_path}/hook' did not end within 0.5 s (2 attempts); ")
    children = (tmp_path / "children").read_text().split()
    assert len(children) == 2
    assert not any(_runs(int(child)) for child in children)
    (tmp_path / "hook").write_text(works)
    hook.command_ended(chosen(tmp_path), "run", 1, "no")
    assert [event["event"] for event in heard()] == ["run_failed"]


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("does", "sentence"),
    [
        ("echo 'no such\x1bnumber' >&2; exit 7", "ended with 7: no such\x1bnumber (1 attempt); the next run"),
        (None, "hook.command cannot start '"),
    ],
)
def test_a_program_that_fails_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, does: str | None, sentence: str
) -> None:
    if does:
        _program(tmp_path / "hook", does)
    hook.checked(chosen(tmp_path, attempts=1), {"gold": "gold is late"})
    (said,) = [record.getMessage() for record in caplog.records]
    assert sentence in said
    assert not (tmp_path / "lake.hook.json").exists()


class Webhook:
    """A server that answers with these codes in turn, and keeps what it was sent."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.requests = list(codes), list[tuple[dict[str, str], dict[str, Any]]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((dict(self.headers), body))
                self.send_response(outer.codes.pop(0))
                self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def webhook() -> Iterator[Callable[..., Webhook]]:
    made: list[Webhook] = []

    def serve(*codes: int) -> Webhook:
        made.append(Webhook(*codes))
        threading.Thread(target=made[-1].server.serve_forever, daemon=True).start()
        return made[-1]

    yield serve
    for each in made:
        each.server.shutdown()
        each.server.server_close()


def test_posts_to_a_webhook_with_secrets_from_files_until_it_takes_the_event(
    tmp_path: Path, webhook: Callable[..., Webhook]
) -> None:
    there = webhook(503, 200)
    (tmp_path / "url").write_text(f"http://127.0.0.1:{there.port}/T000/hush\n")
    (tmp_path / "token").write_text("sesame\n")
    files = {"url_file": tmp_path / "url", "token_file": tmp_path / "token"}
    read = settings.load({"root": str(tmp_path / "lake"), "hook": files})
    hook.command_ended(read, "watch", 1, "postgresql://me:hush@db is away")
    assert [headers["Authorization"] for headers, _ in there.requests] == ["Bearer sesame"] * 2
    assert there.requests[0][1] == there.requests[1][1]
    assert "hush" not in there.requests[0][1]["text"]


@pytest.mark.parametrize(
    ("code", "sentence"), [(302, "The webhook answered 302"), (404, "The webhook answered 404"), (None, "cannot be re")]
)
def test_a_webhook_that_refuses_is_one_warning_without_its_address(
    tmp_path: Path,
    webhook: Callable[..., Webhook],
    caplog: pytest.LogCaptureFixture,
    code: int | None,
    sentence: str,
) -> None:
    there = webhook(*([code] if code else []))
    port = there.port if code else 9
    address = {"url": f"http://127.0.0.1:{port}/hush", "attempts": 1}
    hook.checked(settings.load({"root": str(tmp_path / "lake"), "hook": address}), {"gold": "gold is late"})
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lakehouse.hook"]
    assert sentence in said
    assert "hush" not in said
    assert len(there.requests) == (1 if code else 0)


def test_a_secret_that_cannot_be_read_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read = settings.load({"root": str(tmp_path / "lake"), "hook": {"url_file": tmp_path / "none", "attempts": 1}})
    hook.checked(read, {"gold": "gold is late"})
    assert f"hook.url_file {tmp_path}/none cannot be read: No such file or directory (1 attempt)" in caplog.text


def test_a_state_that_cannot_be_read_is_one_warning(
    tmp_path: Path, heard: Callable[[], list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lake.hook.json").write_text("[]")
    hook.checked(chosen(tmp_path), {"gold": "gold is late"})
    assert f"{tmp_path}/lake.hook.json does not hold what the hook was told last; remove it" in caplog.text
    assert heard() == []


@pytest.mark.parametrize("works", [True, False])
def test_check_tells_the_hook_and_ends_as_it_would_without(
    call: Call, revised_once: Lake, tmp_path: Path, heard: Callable[[], list[dict[str, Any]]], works: bool
) -> None:
    lake = revised_once.copy(tmp_path / "lake")
    if not works:
        _program(tmp_path / "hook", "exit 1")
    variables = {
        "LAKEHOUSE_ROOT": lake.store.root,
        "LAKEHOUSE_HOOK__COMMAND": json.dumps([str(tmp_path / "hook")]),
        "LAKEHOUSE_HOOK__ATTEMPTS": "1",
    }
    assert call("status", **variables)[0] == 0
    assert heard() == []
    assert [call("status", "--check", **variables)[0] for _ in range(2)] == [3, 3]
    assert [set(event["broken"]) for event in heard()] == ([{"bronze", "silver", "gold"}] if works else [])
    fresh = {
        "LAKEHOUSE_FRESHNESS__BRONZE__WARN_AFTER_HOURS": "30",
        "LAKEHOUSE_FRESHNESS__BRONZE__FAIL_AFTER_HOURS": "40",
    }
    assert call("status", "--check", **fresh)[0] == 0
    assert [event["event"] for event in heard()] == (["check_failed", "check_recovered"] if works else [])


def test_a_run_that_fails_tells_the_hook_once(
    call: Call, revised_once: Lake, tmp_path: Path, heard: Callable[[], list[dict[str, Any]]]
) -> None:
    lake = revised_once.copy(tmp_path / "lake")
    variables = {
        "LAKEHOUSE_ROOT": lake.store.root,
        "LAKEHOUSE_HOOK__COMMAND": json.dumps([str(tmp_path / "hook")]),
        "LAKEHOUSE_POSTGRES__URL": "postgresql://me:hush@127.0.0.1:9/db",
    }
    found = [call("export", *more, **variables) for more in ((), ("--json",))]
    assert [code for code, _, _ in found] == [1, 1]
    assert json.loads(found[1][1])["exit_code"] == 1
    (event,) = heard()
    assert (event["event"], event["command"], event["exit_code"]) == ("run_failed", "export", 1)
    assert f"error: {event['error']}" in found[0][2]


def test_watch_tells_its_runs_and_whether_the_lake_is_fresh(
    revised_once: Lake, tmp_path: Path, heard: Callable[[], list[dict[str, Any]]]
) -> None:
    revised_once.copy(tmp_path / "lake")
    for end in (Cycle(4, 1.0, "no answer"), Cycle(4, 1.0, "no answer"), Cycle(0, 1.0)):
        service.tell_hook(chosen(tmp_path), "watch", end)
    service.tell_hook(chosen(tmp_path), "maintain", Cycle(1, 1.0, "disk full"))
    assert [event["event"] for event in heard()] == ["run_failed", "check_failed", "run_recovered", "run_failed"]
    assert heard()[3]["command"] == "maintain"


def test_watch_goes_on_where_a_table_cannot_be_read(
    tmp_path: Path, heard: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def unreadable(*of: object) -> None:
        raise LakehouseError("gold cannot be read.")

    monkeypatch.setattr(service.overview, "read", unreadable)
    service.tell_hook(chosen(tmp_path), "watch", Cycle(0, 1.0))
    assert "Whether the lake is fresh cannot be told: gold cannot be read." in caplog.text
    assert heard() == []


def test_without_a_hook_nothing_is_written(tmp_path: Path) -> None:
    hook.command_ended(settings.load({"root": str(tmp_path / "lake")}), "run", 1, "no")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"URL": "http://a", "COMMAND": '["b"]'}, "hook.command and hook.url each say who is told: give one of them"),
        ({"TOKEN_FILE": "t"}, "hook.token_file is for a webhook, but neither hook.url nor hook.url_file is set"),
        (
            {"TIMEOUT_SECONDS": "31"},
            "The setting hook.timeout_seconds is wrong in the environment variable LAKEHOUSE_H",
        ),
        (
            {"COMMAND": "page me"},
            "The environment variable LAKEHOUSE_HOOK__COMMAND is not a JSON list: write LAKEHOUSE",
        ),
    ],
)
def test_settings_that_contradict_are_one_sentence(
    call: Call, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    named = {f"LAKEHOUSE_HOOK__{name}": value for name, value in variables.items()}
    code, out, err = call("run", LAKEHOUSE_ROOT=str(tmp_path / "lake"), **named)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {sentence}")
    assert os.listdir(tmp_path) == []
