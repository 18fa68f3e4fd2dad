"""Lineage of real runs, in a file and at a server; a server that is gone or silent costs a run next to nothing."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import cli, settings
from lakehouse.lineage.observer import LineageObserver, run_uuid
from lakehouse.postgres import PostgresTarget
from lakehouse.run_context import StageReport
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator import ThreadedSimulator
from lakehouse.watching import cycle
from tests.support.export_fixtures import url_of
from tests.support.lakes import Lake
from tests.support.mirror_rows import query
from tests.support.openlineage_schema import faults
from tests.support.times import at

Events = list[dict[str, Any]]
RUN = "20240105T000000Z-0a1b2c3d"


class Backend:
    """A lineage server: what it was sent, and with which answer it answers."""

    def __init__(self) -> None:
        self.events: Events = []
        self.asked: set[tuple[str, str | None]] = set()
        self.status = 201


@pytest.fixture
def backend() -> Iterator[tuple[Backend, str]]:
    kept = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.asked.add((self.path, self.headers["Authorization"]))
            kept.events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(kept.status)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing on the tests' stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def of_stage(events: Events, stage: str) -> dict[str, Any]:
    """How a stage ended."""
    _, ended = [each for each in events if each["job"]["name"].partition(".")[2] == stage]
    return ended


def written(events: Events) -> dict[str, tuple[int, str | None]]:
    """Rows and version by dataset, of every one that has a number of rows."""
    return {
        each["name"].rpartition("/")[2].rpartition(".")[2]: (
            each["outputFacets"]["outputStatistics"]["rowCount"],
            each["facets"].get("version", {}).get("datasetVersion"),
        )
        for event in events
        for each in event["outputs"]
        if each["outputFacets"] and each["namespace"] == "file"
    }


def test_tells_a_run_of_the_command_in_a_file_and_a_run_of_watch_to_a_server(
    spark: SparkSession,
    lake: Lake,
    simulator: ThreadedSimulator,
    database: PostgresTarget,
    backend: tuple[Backend, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, file, key = lake.store.root, tmp_path / "events.jsonl", tmp_path / "key"
    key.write_text("a-key\n")
    given = {
        "LAKEHOUSE_API__URL": simulator.url,
        "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
        "LAKEHOUSE_POSTGRES__URL": url_of(database),
        "LAKEHOUSE_LINEAGE__TRANSPORT": "file",
        "LAKEHOUSE_LINEAGE__FILE": str(file),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    simulator.now = at("2024-01-03T00:00")
    assert cli.exit_code(["--root", root, "run", "--from", "2024-01-02", "--to", "2024-01-03", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [fault for event in events for fault in faults(event)] == []

    names = [stage["stage"] for stage in report["stages"]]
    jobs = ["run", *(f"run.{name}" for name in names for _ in range(2)), "run"]
    assert [event["job"]["name"] for event in events] == jobs
    assert [event["eventType"] for event in events] == ["START", *["START", "COMPLETE"] * len(names), "COMPLETE"]
    assert {event["run"]["runId"] for event in events} == {run_uuid(report["run_id"], name) for name in ["", *names]}
    versions = report["versions"]
    assert written(events)["regional_half_hourly"] == (18 * 48, str(versions["silver.regional_half_hourly"]))
    assert written(events)["carbon_intensity_daily"] == (18, str(versions["gold.carbon_intensity_daily"]))
    silver = of_stage(events, "silver")
    (bronze,) = [each for each in silver["inputs"] if each["name"].startswith(f"{root}/bronze")]
    assert bronze["facets"]["version"]["datasetVersion"] == str(versions["bronze.regional_intensity"])
    assert {each["actual"] for each in bronze["inputFacets"]["dataQualityAssertions"]["assertions"]} == {"0"}
    exported = {
        each["name"]: each["outputFacets"]["outputStatistics"]["rowCount"]
        for each in of_stage(events, "export")["outputs"]
    }
    for name, rows in exported.items():
        assert query(database, f"SELECT count(*) FROM {name.partition('.')[2]}") == [(rows,)], name
    assert exported[f"{database.database}.carbon_data.intensity_profile"] == 18 * 48

    kept, url = backend
    http = {"transport": "http", "url": f"{url}/lineage", "api_key_file": str(key)}
    again = settings.load({"root": root, "lineage": http})
    done = cycle.perform(again, "watch", lambda line: None)
    assert (done.outcome, done.error) == (0, None)
    assert kept.asked == {("/lineage/api/v1/lineage", "Bearer a-key")}
    assert [fault for event in kept.events for fault in faults(event)] == []
    assert [event["job"]["name"] for event in kept.events] == [name.replace("run", "watch") for name in jobs]
    idle = {name: rows for name, rows in written(kept.events).items() if name != "regional_intensity"}
    assert set(idle.values()) == {(0, None)}


def tell(chosen: Settings, stages: int = 7) -> float:
    """A run of so many stages with nothing in them; gives how many seconds its events took it."""
    observer, report = LineageObserver(chosen), RunReport(RUN, "run")
    began = time.monotonic()
    observer.run_began(report, at("2024-01-05T00:00"))
    for number in range(stages):
        observer.stage_started(f"stage {number}")
        observer.stage_ended(StageReport(f"stage {number}", None, {}))
    observer.run_ended(report)
    return time.monotonic() - began


@contextmanager
def silent() -> Iterator[int]:
    """A server that takes connections and never says a word; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def at_server(url: str, seconds: float = 0.5) -> Settings:
    return settings.load({"lineage": {"transport": "http", "url": url, "timeout_seconds": seconds}})


def test_a_server_that_is_silent_costs_the_timeout_once_and_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with silent() as port:
        took = tell(at_server(f"http://127.0.0.1:{port}"))
        assert 0.5 <= took < 1.5
        (told,) = caplog.messages
        assert told.startswith("16 of 16 lineage events could not be sent: ")
        (sender,) = [thread for thread in threading.enumerate() if thread.name == "lineage"]
        sender.join(2)
        assert not sender.is_alive()  # the rest is given up


def test_a_server_that_is_down_costs_nothing_but_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with silent() as port:
        pass
    assert tell(at_server(f"http://127.0.0.1:{port}", 5)) < 2
    (told,) = caplog.messages
    assert told.startswith("16 of 16 lineage events could not be sent: ")
    assert "refused" in told


def test_a_server_that_refuses_is_told_with_its_answer_and_gets_the_next_event_all_the_same(
    backend: tuple[Backend, str], caplog: pytest.LogCaptureFixture
) -> None:
    kept, url = backend
    kept.status = 500
    tell(at_server(url, 5), stages=1)
    assert len(kept.events) == 4
    (told,) = caplog.messages
    assert told.startswith("4 of 4 lineage events could not be sent: 500 Server Error")


def test_a_file_that_cannot_be_written_fails_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "missing" / "events.jsonl"
    tell(settings.load({"lineage": {"transport": "file", "file": str(file)}}), stages=1)
    (told,) = caplog.messages
    assert told.startswith("4 of 4 lineage events could not be sent: ")
    assert str(file) in told


def test_an_event_that_cannot_be_made_fails_no_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("it is broken")

    monkeypatch.setattr("lakehouse.lineage.datasets.outputs", broken)
    file = tmp_path / "events.jsonl"
    tell(settings.load({"lineage": {"transport": "file", "file": str(file)}}), stages=1)
    assert len(file.read_text().splitlines()) == 3
    assert caplog.messages == ["A lineage event could not be made: it is broken."]
