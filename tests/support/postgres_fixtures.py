"""Real PostgreSQL servers for tests: started once a session, a template migrated once, a fresh clone per test.

``database`` is a clone on the embedded server; ``any_database`` runs its test on a system PostgreSQL as well, and
skips that one by name where there is none.
"""

import lzma
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, cluster, connect
from lakehouse.postgres.binaries import system_binaries
from lakehouse.publishing import migrations

TEMPLATE = "template_carbon"
FORMER_DATABASE = Path(__file__).resolve().parents[1] / "data" / "former_database.sql.xz"


@dataclass(frozen=True)
class Server:
    """A running server that hands out databases."""

    target: PostgresTarget
    psql: Path

    def create(self, template: str = "template0") -> PostgresTarget:
        """A new database with a name of its own, as its superuser."""
        name = f"test_{secrets.token_hex(4)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        return replace(self.target, database=name)

    def drop(self, database: PostgresTarget) -> None:
        """Drop a database, ending whatever session is left in it."""
        self._administer(f"DROP DATABASE IF EXISTS {database.database} WITH (FORCE)")

    def migrate_template(self) -> None:
        """Make the template that clones come from."""
        self._administer(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
        migrations.migrate(replace(self.target, database=TEMPLATE))

    def _administer(self, statement: str) -> None:
        with connect(self.target) as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(statement)


def _running(home: Path, binaries: Path | None = None) -> Iterator[Server]:
    server = EmbeddedPostgres(home, binaries=binaries)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as settings:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):  # no test cuts this server's power
                settings.setitem(cluster.SETTINGS, name, "off")
            started = Server(stack.enter_context(server), server.psql)
        started.migrate_template()
        yield started


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="session")
def system_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    binaries = system_binaries(minimum=15)
    if binaries is None:
        pytest.skip("no system PostgreSQL of version 15 or later was found")
    yield from _running(tmp_path_factory.mktemp("system"), binaries)


@pytest.fixture(scope="session", params=["embedded", "system"])
def any_server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def database(embedded_server: Server) -> Iterator[PostgresTarget]:
    """A migrated database of the embedded server, as its superuser."""
    clone = embedded_server.create(TEMPLATE)
    yield clone
    embedded_server.drop(clone)


@pytest.fixture
def fresh_database(embedded_server: Server) -> Iterator[PostgresTarget]:
    """A database of the embedded server without any schema of ours."""
    fresh = embedded_server.create()
    yield fresh
    embedded_server.drop(fresh)


@pytest.fixture
def former_database(embedded_server: Server, fresh_database: PostgresTarget) -> PostgresTarget:
    """What the release before migration 0005 left of its lake (``tests/data``), restored by psql."""
    target = fresh_database
    subprocess.run(
        [embedded_server.psql, "-qX", "-v", "ON_ERROR_STOP=1", "-d", target.database],
        input=lzma.decompress(FORMER_DATABASE.read_bytes()),
        env={
            "PGHOST": target.host,
            "PGPORT": str(target.port),
            "PGUSER": target.user,
            "PGPASSWORD": str(target.password),
        },
        check=True,
    )
    return target


@pytest.fixture
def any_database(any_server: Server) -> Iterator[PostgresTarget]:
    """A migrated database of each server, as its superuser."""
    clone = any_server.create(TEMPLATE)
    yield clone
    any_server.drop(clone)


@pytest.fixture
def empty_database(any_server: Server) -> Iterator[PostgresTarget]:
    """A database of each server without any schema of ours."""
    fresh = any_server.create()
    yield fresh
    any_server.drop(fresh)


@pytest.fixture
def new_login() -> Iterator[Callable[..., PostgresTarget]]:
    """Make a login in a database's server, a member of ``group``; gone with the test."""
    made: list[tuple[PostgresTarget, str]] = []

    def make(database: PostgresTarget, group: str | None = None, options: str = "") -> PostgresTarget:
        name, password = f"login_{secrets.token_hex(4)}", secrets.token_hex(8)
        with connect(database) as connection, connection.begin():
            connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' {options}")
            if group:
                connection.exec_driver_sql(f"GRANT {group} TO {name}")
        made.append((database, name))
        return replace(database, user=name, password=password)

    yield make
    for database, name in made:
        with connect(database) as connection, connection.begin():
            connection.exec_driver_sql(f"DROP OWNED BY {name} CASCADE")
            connection.exec_driver_sql(f"DROP ROLE {name}")
