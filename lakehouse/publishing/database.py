"""The export's database: which one, its schema, and a client on it."""

import logging
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, PrivilegeError, probe
from lakehouse.postgres.target import LIBPQ_PREFIX
from lakehouse.publishing import migrations
from lakehouse.settings import Settings, environment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """The login that exports, and the one that migrates; often the same."""

    target: PostgresTarget
    owner: PostgresTarget

    def prepare(self) -> None:
        """Bring the schema up to this code.

        Raises:
            PostgresError: it is behind or damaged, and the login may not mend it; the sentence says what helps.
            LakehouseError: an applied migration was edited, or the database is newer than this code.
        """
        try:
            migrations.migrate(self.owner)
        except PrivilegeError:
            migrations.check(self.target)  # where something is missing, this names it
            raise


@contextmanager
def database(settings: Settings, *, must_exist: bool = False) -> Iterator[Database]:
    """The export's database; the embedded server runs while the block lasts.

    Raises:
        UsageError: a URL that cannot be used, or with ``must_exist`` an embedded database that no export has made.
        LakehouseError: the embedded server cannot be started.
    """
    stated = settings.postgres
    if stated.url is None:
        if must_exist and not settings.embedded_data.exists():
            raise UsageError(f"There is no embedded database for {settings.root} yet; `lakehouse export` makes it.")
        with EmbeddedPostgres(settings.embedded_data) as target:
            yield Database(target, target)
        return
    environ = environment()
    target = PostgresTarget.parse(stated.url.get_secret_value(), environ=environ, password_file=stated.password_file)
    owner = target
    if stated.owner_url is not None:
        owner = PostgresTarget.parse(stated.owner_url.get_secret_value(), environ=environ)
    yield Database(target, owner)


def run_psql(settings: Settings, arguments: Sequence[str]) -> int:
    """Run psql, on a terminal or with ``-c``, and give its exit code; the password goes by its environment.

    psql's codes are not ours: 1 it or a statement of -c failed, 2 the connection was lost, 3 an error in a script that
    was to stop there.

    Raises:
        UsageError: the embedded database was asked for, but no export has made it yet.
        PostgresError: the database cannot be reached or used.
        LakehouseError: no psql on this machine.
    """
    with database(settings, must_exist=True) as at:
        shipped = str(EmbeddedPostgres(settings.embedded_data).psql)
        program = shipped if settings.postgres.url is None else shutil.which("psql") or shipped
        target = probe(at.target)
        variables = libpq_variables(target)
        if not target.takes_options:
            log.warning("This server takes no settings with a login; write carbon_data. before a table's name.")
            del variables["PGOPTIONS"]
        try:
            done = subprocess.run([program, *arguments], env=variables, check=False)  # noqa: S603 (psql itself)
        except FileNotFoundError:
            raise LakehouseError(f"{program} is not there; install a PostgreSQL client.") from None
        except KeyboardInterrupt:
            return 130
        return done.returncode


def libpq_variables(target: PostgresTarget) -> dict[str, str]:
    """The environment for a program that logs in through libpq: the user's, but for libpq's variables, and the login.

    So nothing of the login stands in the process list, and no variable of the user's own sends it elsewhere.
    """
    login = {
        "PGHOST": target.host,
        "PGPORT": str(target.port),
        "PGDATABASE": target.database,
        "PGUSER": target.user,
        "PGSSLMODE": target.sslmode,
        "PGOPTIONS": "-c search_path=carbon_data",
        "PGTZ": "UTC",
        "PGAPPNAME": target.application_name,
        "PGCONNECT_TIMEOUT": str(target.connect_timeout),
    }
    if target.password is not None:
        login["PGPASSWORD"] = target.password
    if target.sslrootcert:
        login["PGSSLROOTCERT"] = target.sslrootcert
    return {name: value for name, value in environment().items() if not name.startswith(LIBPQ_PREFIX)} | login
