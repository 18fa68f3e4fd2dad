"""`lakehouse dashboard` as a process of its own: what it serves, to whom, how it ends, and what it refuses."""

import signal
import socket
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse.cli import exit_code
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget
from lakehouse.publishing import migrations
from tests.support.dashboards import dashboard, of, publish
from tests.support.export_fixtures import url_of

pytest.importorskip("streamlit", reason="needs `make setup EXTRAS=dashboard`")


def addresses_listened_on(port: int) -> set[str]:
    """The local addresses of IPv4 sockets that listen on a port, as Linux lists them, and those of IPv6."""
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as lines:
            for line in list(lines)[1:]:
                address, state = line.split()[1], line.split()[3]
                if state == "0A" and int(address.split(":")[1], 16) == port:
                    found.add(address.split(":")[0])
    return found


def test_serves_this_machine_until_it_is_told_to_stop(database: PostgresTarget) -> None:
    publish(database)
    with dashboard(**of(database)) as (url, process):
        with urllib.request.urlopen(f"{url}/_stcore/health") as answer:
            assert answer.read() == b"ok"
        assert addresses_listened_on(int(url.rsplit(":", 1)[1])) == {"0100007F"}
        process.send_signal(signal.SIGTERM)
        rest, complaints = process.communicate(timeout=60)
    assert (process.returncode, rest, complaints) == (0, "", "")


def test_runs_the_embedded_server_meanwhile(lake_root: str) -> None:
    server = EmbeddedPostgres(Path(f"{lake_root}.postgres"))
    with server as target:
        migrations.migrate(target)
        publish(target)
    with dashboard(lake_root) as (_, process):
        assert server.cluster.postmaster() is not None
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=60)
    assert (process.returncode, rest, complaints) == (0, "", "")
    assert server.cluster.postmaster() is None


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Call for the dashboard of a database, which must not begin: the exit code and the sentence."""

    def called(target: PostgresTarget, port: int = 0) -> tuple[int, str]:
        monkeypatch.setenv("LAKEHOUSE_POSTGRES__URL", url_of(target))
        code = exit_code(["dashboard", "--port", str(port)])
        said = capsys.readouterr()
        assert said.out == ""
        return code, said.err

    return called


def test_refuses_a_port_that_is_taken(database: PostgresTarget, refused: Callable[..., tuple[int, str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = f"The dashboard cannot listen on 127.0.0.1:{port} (Address already in use); choose another --port."
        assert refused(database, port) == (2, f"error: {sentence}\n")


def test_refuses_a_database_that_is_not_there(
    database: PostgresTarget, refused: Callable[..., tuple[int, str]]
) -> None:
    sentence = f"PostgreSQL at {database.address} has no database 'nowhere'; create it first."
    assert refused(replace(database, database="nowhere")) == (1, f"error: {sentence}\n")


def test_refuses_a_database_without_the_tables(
    fresh_database: PostgresTarget, refused: Callable[..., tuple[int, str]]
) -> None:
    sentence = f"The database {fresh_database.safe} has no table carbon_data.dim_region; `lakehouse export` makes it."
    assert refused(fresh_database) == (1, f"error: {sentence}\n")


def test_makes_no_embedded_database_of_its_own(lake_root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--root", lake_root, "dashboard", "--port", "0"]) == 2
    sentence = f"There is no embedded database for {lake_root} yet; `lakehouse export` makes it."
    assert capsys.readouterr() == ("", f"error: {sentence}\n")
