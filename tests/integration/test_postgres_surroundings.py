"""What stands around a database and a login never decides: libpq's variables, defaults of roles, and a pooler."""

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.errors import PostgresError
from lakehouse.lake.tables import DIM_REGION, GOLD
from lakehouse.postgres import PostgresTarget, connect, probe
from lakehouse.publishing import database as databases
from lakehouse.publishing.checksums import Checksum, Part
from tests.support.export_fixtures import edit, url_of
from tests.support.mirror_rows import (
    BEFORE,
    LONDON,
    LONDON_NUMBER,
    ODD_DAY,
    ODD_DAY_NUMBER,
    ODD_REGION,
    ODD_REGION_NUMBER,
    export,
    query,
)

PROJECT = Path(__file__).resolve().parents[2]
HOSTILE = {
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "127.0.0.9",
    "PGPORT": "1",
    "PGDATABASE": "nowhere",
    "PGUSER": "nobody",
    "PGSERVICE": "nowhere",
    "PGSERVICEFILE": "/nowhere",
    "PGSYSCONFDIR": "/nowhere",
    "PGREQUIREAUTH": "none",
    "PGREQUIREPEER": "nobody",
    "PGSSLMODE": "verify-full",
    "PGREQUIRESSL": "1",
    "PGSSLCERT": "/nowhere",
    "PGSSLKEY": "/nowhere",
    "PGSSLROOTCERT": "/nowhere",
    "PGSSLCRL": "/nowhere",
    "PGSSLMINPROTOCOLVERSION": "nonsense",
    "PGCHANNELBINDING": "require",
    "PGGSSENCMODE": "require",
    "PGOPTIONS": "-c search_path=pg_catalog -c default_transaction_read_only=on",
    "PGAPPNAME": "hostile",
    "PGCONNECT_TIMEOUT": "nonsense",
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "German",
    "PGTZ": "Asia/Tokyo",
    "PGGEQO": "nonsense",
    "PGTARGETSESSIONATTRS": "standby",
    "PGLOADBALANCEHOSTS": "nonsense",
}
"""A value of each variable that would lead a session astray or make it fail."""
SESSION = """
    SELECT current_database(), current_user::text, current_setting('search_path'), current_setting('timezone'),
        current_setting('application_name'), current_setting('client_encoding'), current_setting('DateStyle'),
        current_setting('default_transaction_read_only')
"""


def expected(target: PostgresTarget) -> tuple[object, ...]:
    return target.database, target.user, "carbon_data", "UTC", "lakehouse", "UTF8", "ISO, MDY", "off"


@pytest.mark.parametrize("name", HOSTILE)
def test_goes_where_the_url_says_whatever_a_variable_says(
    database: PostgresTarget, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(name, HOSTILE[name])
    assert query(database, SESSION) == [expected(database)]
    assert os.environ[name] == HOSTILE[name]


def test_asks_with_psql_what_the_url_says_in_a_process_of_its_own(database: PostgresTarget):
    secrets = {"LAKEHOUSE_POSTGRES__URL": f"postgresql://{database.user}@{database.address}/{database.database}"}
    done = subprocess.run(
        [sys.executable, "-c", "from lakehouse.cli import main; main()", "psql", "--", "-XAtc", SESSION],
        env={**os.environ, **HOSTILE, **secrets, "PGPASSWORD": str(database.password)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert tuple(done.stdout.strip().split("|")) == expected(database)


@pytest.mark.parametrize(
    "default",
    [
        "standard_conforming_strings = off",
        "backslash_quote = off",
        "DateStyle = 'German'",
        "TimeZone = 'Asia/Tokyo'",
        "search_path = public",
        "client_encoding = 'LATIN1'",
        "bytea_output = escape",
    ],
)
def test_exports_whatever_the_defaults_of_the_database_are(any_database: PostgresTarget, default: str):
    edit(any_database, f"ALTER DATABASE {any_database.database} SET {default}")
    proof = {
        Part(GOLD.short_name, "2024-02"): Checksum(1, ODD_DAY_NUMBER),
        Part(DIM_REGION.short_name): Checksum(2, LONDON_NUMBER + ODD_REGION_NUMBER),
    }
    for inserted in (1, 0):
        counts = export(any_database, regions=[LONDON, ODD_REGION], days=[ODD_DAY], proof=proof)
        days = counts[GOLD.short_name]
        assert (days.inserted, days.rows_total) == (inserted, 1)
    names = query(any_database, "SELECT shortname FROM carbon_data.dim_region WHERE regionid = 18")
    assert names == [(ODD_REGION["shortname"],)]


def test_stages_by_jdbc_where_strings_do_not_conform(database: PostgresTarget, gold_lake, publish):
    gold_lake.fill([ODD_DAY], [*BEFORE["regions"][:2], ODD_REGION])
    edit(database, f"ALTER DATABASE {database.database} SET standard_conforming_strings = off")
    assert publish(database)["inserted"] == 4
    assert publish(database) == {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 4}


def test_says_that_a_login_only_reads(database: PostgresTarget):
    edit(database, f"ALTER DATABASE {database.database} SET default_transaction_read_only = on")
    with pytest.raises(PostgresError, match=r"only reads .*; name the primary \(25006"):
        edit(database, "DELETE FROM carbon_data.export_log")


TRACKED = frozenset(
    ("user", "database", "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name")
)
"""Startup parameters that pgbouncer takes unless told otherwise."""


class Pooler:
    """Begins sessions as pgbouncer does by default: refuses what it does not keep track of, else passes all on."""

    def __init__(self, behind: PostgresTarget, *, takes: Collection[str] = TRACKED, drops: str = "") -> None:
        self._behind, self._takes, self._drops = behind, takes, drops
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.target = replace(behind, port=self._socket.getsockname()[1])
        self.refused: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._begin, args=(client,), daemon=True).start()

    def _begin(self, client: socket.socket) -> None:
        while True:
            head = client.recv(4)
            if not head:
                client.close()
                return
            message = client.recv(struct.unpack("!i", head)[0] - 4)
            if struct.unpack("!i", message[:4])[0] not in (80877103, 80877104):  # asks for TLS, for GSSAPI
                break
            client.sendall(b"N")
        words = [word.decode() for word in message[4:].rstrip(b"\0").split(b"\0")]
        given = dict(zip(words[::2], words[1::2], strict=True))
        for name in given:
            if name.lower() not in {*self._takes, self._drops}:
                self.refused.append(name)
                error = b"SFATAL\0C08P01\0Munsupported startup parameter: " + name.encode() + b"\0\0"
                client.sendall(b"E" + struct.pack("!i", len(error) + 4) + error)
                client.close()
                return
        kept = (f"{name}\0{value}\0" for name, value in given.items() if name != self._drops)
        message = message[:4] + "".join(kept).encode() + b"\0"
        server = socket.create_connection((self._behind.host, self._behind.port))
        server.sendall(struct.pack("!i", len(message) + 4) + message)
        threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
        self._pass(server, client)

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def pooler(database: PostgresTarget) -> Iterator[Pooler]:
    with closing(Pooler(database)) as made:
        yield made


def test_exports_through_a_pooler_that_refuses_options(pooler: Pooler, publish):
    assert publish(pooler.target)["inserted"] == 3
    assert set(pooler.refused) == {"options"}
    assert publish(pooler.target) == {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 3}
    with connect(pooler.target, statement_timeout=7) as connection:
        found = connection.exec_driver_sql("SELECT current_setting('statement_timeout'), current_setting('timezone')")
        assert tuple(found.one()) == ("7s", "UTC")


def test_knows_whether_a_session_can_begin_with_settings(database: PostgresTarget, pooler: Pooler):
    assert probe(database).takes_options
    assert not probe(pooler.target).takes_options
    with closing(Pooler(database, drops="options")) as deaf:  # ignore_startup_parameters = options
        assert not probe(deaf.target).takes_options
    with pytest.raises(PostgresError, match="did not accept the login"):
        probe(replace(database, password="wrong"))


def test_opens_psql_behind_a_pooler_and_says_what_differs(
    pooler: Pooler, lake_root: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    chosen = settings.load({"root": lake_root, "postgres": {"url": url_of(pooler.target)}})
    assert databases.run_psql(chosen, ["-XAtc", "SELECT count(*) FROM carbon_data.export_log"]) == 0
    assert capfd.readouterr().out == "0\n"
    assert caplog.messages == ["This server takes no settings with a login; write carbon_data. before a table's name."]


def test_names_the_parameter_that_a_pooler_refuses(database: PostgresTarget):
    with (
        closing(Pooler(database, takes=TRACKED - {"client_encoding"})) as strict,
        pytest.raises(PostgresError, match="unsupported startup parameter: client_encoding"),
        connect(strict.target),
    ):
        pass
