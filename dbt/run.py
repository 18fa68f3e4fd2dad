"""Run dbt on the database that the lakehouse exports to: ``.venv/bin/python dbt/run.py build``.

The embedded server runs while dbt does. dbt stands in an environment of its own, ``.venv-dbt``, which `make dbt` makes.
"""

import subprocess
import sys
from pathlib import Path

from lakehouse import settings
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.postgres import probe
from lakehouse.publishing.database import database, libpq_variables

HERE = Path(__file__).resolve().parent
DBT = HERE.parent / ".venv-dbt" / "bin" / "dbt"
WORK = HERE.parent / ".cache" / "dbt"


def run(arguments: list[str]) -> int:
    """Run a dbt command on this project; its exit code.

    Raises:
        UsageError: dbt is not installed, or no export has made the embedded database yet.
        PostgresError: the database cannot be reached.
    """
    if not DBT.exists():
        raise UsageError(f"{DBT} is not there; `make dbt` installs it.")
    with database(settings.load(), must_exist=True) as at:
        target = probe(at.target)
        variables = libpq_variables(target)
        del variables["PGOPTIONS"]
        variables |= {
            "DBT_ENV_SECRET_PASSWORD": variables.pop("PGPASSWORD", ""),
            "DBT_PROJECT_DIR": str(HERE),
            "DBT_PROFILES_DIR": str(HERE),
            "DBT_TARGET_PATH": str(WORK / "target"),
            "DBT_LOG_PATH": str(WORK / "logs"),
        }
        return subprocess.run([DBT, *arguments], env=variables, check=False).returncode  # noqa: S603 (dbt itself)


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except LakehouseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
