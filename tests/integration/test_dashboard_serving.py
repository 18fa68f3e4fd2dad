"""`lakehouse dashboard` as a process of its own: what it serves, to whom, how it ends, and what it refuses."""

import signal
import socket
import urllib.request
from dataclasses import replace

import pytest

from lakehouse.postgres import PostgresTarget
from tests.support.dashboards import publish
from tests.support.export_fixtures import url_of
from tests.support.processes import lakehouse, started

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


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_serves_this_machine_until_it_is_told_to_stop(database: PostgresTarget, ended_by: signal.Signals) -> None:
    publish(database)
    with started("unused", "dashboard", "--port", "0", LAKEHOUSE_POSTGRES__URL=url_of(database)) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2].rstrip(";")
        with urllib.request.urlopen(f"{url}/_stcore/health") as answer:
            assert answer.read() == b"ok"
        assert addresses_listened_on(int(url.rsplit(":", 1)[1])) == {"0100007F"}
        process.send_signal(ended_by)
        rest, complaints = process.communicate(timeout=60)
    assert (process.returncode, rest, complaints) == (0, "", "")


def test_refuses_a_port_that_is_taken(database: PostgresTarget) -> None:
    publish(database)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lakehouse("unused", "dashboard", "--port", str(port), LAKEHOUSE_POSTGRES__URL=url_of(database))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: The dashboard cannot listen on 127.0.0.1:{port} (Address already in use); choose another --port.\n"
    )


def test_refuses_a_database_that_is_not_there(database: PostgresTarget) -> None:
    other = url_of(replace(database, database="nowhere"))
    done = lakehouse("unused", "dashboard", "--port", "0", LAKEHOUSE_POSTGRES__URL=other)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"error: PostgreSQL at {database.address} has no database 'nowhere'; create it first.\n")


def test_refuses_a_database_without_the_tables(fresh_database: PostgresTarget) -> None:
    done = lakehouse("unused", "dashboard", "--port", "0", LAKEHOUSE_POSTGRES__URL=url_of(fresh_database))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: The database {fresh_database.safe} has no table carbon_data.dim_region; `lakehouse export` makes it.\n"
    )


def test_makes_no_embedded_database_of_its_own(lake_root: str) -> None:
    done = lakehouse(lake_root, "dashboard", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"error: There is no embedded database for {lake_root} yet; `lakehouse export` makes it.\n")
