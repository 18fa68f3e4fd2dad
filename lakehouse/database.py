"""A client on the export's database."""

import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget
from lakehouse.settings import Settings, environment


def run_psql(settings: Settings, arguments: Sequence[str]) -> int:
    """Run psql, on a terminal or with ``-c``, and give its exit code; the password goes by its environment.

    Raises:
        UsageError: the embedded database was asked for, but no export has made it yet.
        LakehouseError: no psql on this machine.
    """
    with ExitStack() as stack:
        embedded = EmbeddedPostgres(settings.embedded_data)
        if settings.postgres.url is None:
            if not settings.embedded_data.exists():
                raise UsageError(f"There is no embedded database for {settings.root} yet; `lakehouse export` makes it.")
            target = stack.enter_context(embedded)
            program = str(embedded.psql)
        else:
            url = settings.postgres.url.get_secret_value()
            password_file = settings.postgres.password_file
            target = PostgresTarget.parse(url, environ=environment(), password_file=password_file)
            program = shutil.which("psql") or str(embedded.psql)
        try:
            done = subprocess.run([program, *arguments], env=_libpq(target), check=False)  # noqa: S603 (psql itself)
        except FileNotFoundError:
            raise LakehouseError(f"{program} is not there; run `make setup`, or install a PostgreSQL client.") from None
        except KeyboardInterrupt:
            return 130
        return done.returncode


def _libpq(target: PostgresTarget) -> dict[str, str]:
    """The login as libpq's variables, so that nothing of it stands in the process list."""
    login = {
        "PGHOST": target.host,
        "PGPORT": str(target.port),
        "PGDATABASE": target.database,
        "PGUSER": target.user,
        "PGSSLMODE": target.sslmode,
        "PGOPTIONS": "-c search_path=carbon_data -c timezone=UTC",
        "PGAPPNAME": target.application_name,
    }
    if target.password is not None:
        login["PGPASSWORD"] = target.password
    if target.sslrootcert:
        login["PGSSLROOTCERT"] = target.sslrootcert
    return {**environment(), **login}
