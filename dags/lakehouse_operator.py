"""An Airflow operator that runs a command of the lakehouse in a process of its own.

Airflow and the lakehouse live in environments of their own: nothing of the lakehouse is imported here. What a worker
has to know stands in one Airflow connection; see ``docs/airflow.md``.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, Any
from urllib.parse import quote

from airflow.sdk import Asset, AssetAlias, BaseOperator, Connection, Context
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)

CONNECTION = "carbon_lakehouse"
FOR_A_PERSON = (2, 3)
"""Exit codes that the same command would give again: usage or settings, and a quality gate."""
EXPORTED = "postgres.carbon_data"
CHANGES = ("inserted", "updated", "deleted")
MEANINGS = {
    1: "failed",
    2: "usage or settings",
    3: "stopped by a quality gate",
    4: "the API is unavailable",
    5: "another writer holds the lake",
    130: "told to end",
}
PROVIDER = "macros.OpenLineageProviderPlugin"
PARENTS = {"OPENLINEAGE_PARENT_ID": "lineage_parent_id", "OPENLINEAGE_ROOT_PARENT_ID": "lineage_root_parent_id"}
"""The macros of Airflow's OpenLineage provider that name this task's run and the DAG's, by the command's variables."""
OF_AIRFLOW = ("AIRFLOW", "_AIRFLOW", "PYTHON")
"""Variables of the worker's environment that are not the lakehouse's: secrets, and another Python's paths."""
CALLBACK_SECONDS = 30
"""A callback that takes longer is ended: a task that has failed must not hold its slot."""


class LakehouseOperator(BaseOperator):
    """Run ``lakehouse ARGUMENTS --json``, log its stderr, and return the document that it prints.

    An argument that renders to nothing is left out. The connection's extra has ``command`` (the path of ``lakehouse``)
    and ``settings`` (its environment variables, ``LAKEHOUSE_ROOT`` at least); a host, login and password in the
    connection are the PostgreSQL to publish to. Where a stage wrote a table, an event of the table's asset says so,
    with the lake version and the table's version.

    ``skip_if`` is a template; where it renders to a reason, the task is skipped for it.

    Raises:
        AirflowFailException: exit codes 2 and 3, or a connection that is missing or wrong: no retry can help.
        AirflowException: any other exit code; Airflow tries again.
    """

    template_fields: Sequence[str] = ("arguments", "parents", "skip_if")

    def __init__(
        self, *, arguments: Sequence[str], connection_id: str = CONNECTION, skip_if: str = "", **more: Any
    ) -> None:
        super().__init__(**more)
        self.arguments = arguments
        self.skip_if = skip_if
        self.parents = {variable: _if_defined(macro) for variable, macro in PARENTS.items()}
        self.connection_id = connection_id
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> Mapping[str, Any]:
        """Run the command to its end."""
        if self.skip_if:
            raise AirflowSkipException(f"Skipped: {self.skip_if}.")
        extra, variables = _read(self.connection_id)
        variables |= {name: value for name, value in self.parents.items() if value}
        command = [extra["command"], *(given for given in self.arguments if given), "--json"]
        with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
            code, last_line = self._run(command, variables, out)
            out.seek(0)
            document = _parsed(out.read())
        if code != 0:
            sentence = document.get("error") or last_line or "it said nothing"
            failure = AirflowFailException if code in FOR_A_PERSON else AirflowException
            raise failure(f"{sentence} (exit code {code}: {MEANINGS.get(code, 'ended from outside')})")
        if not document:
            raise AirflowFailException(f"{extra['command']} printed no JSON document; is it the lakehouse's command?")
        self._tell_assets(context, document)
        return document

    def on_kill(self) -> None:
        """Tell the command to end: it finishes or gives up its commit, and stops its JVM."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _run(self, command: Sequence[str], variables: Mapping[str, str], out: IO[str]) -> tuple[int, str]:
        """The exit code and the last line of stderr. No ``with``: it would wait before ``on_kill`` is called."""
        try:
            self._process = subprocess.Popen(  # noqa: S603 (no shell; the connection names the program)
                command,
                env=variables,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                start_new_session=True,
            )
        except OSError as error:
            raise AirflowFailException(
                f"{command[0]} cannot be started ({error.strerror}); the extra of the connection {self.connection_id!r}"
                " has to name the command `lakehouse` of its environment."
            ) from None
        assert self._process.stderr is not None  # noqa: S101 (it is a pipe)
        last_line = ""
        for line in self._process.stderr:
            last_line = line.strip() or last_line
            self.log.info(line.rstrip())
        return self._process.wait(), last_line

    def _tell_assets(self, context: Context, document: Mapping[str, Any]) -> None:
        """An event for each table that was written, through the alias among the outlets."""
        for alias in (outlet for outlet in self.outlets if isinstance(outlet, AssetAlias)):
            for stage in document["stages"]:
                for asset, facts in _written(stage):
                    run = {"lake_version": document["lake_version"], "run_id": document["run_id"]}
                    context["outlet_events"][alias].add(asset, extra={**run, **facts})


def _if_defined(macro: str) -> str:
    """A template of a macro's value; it renders to nothing where the provider is not installed or switched off."""
    found = f"{PROVIDER}.{macro}"
    return f"{{{{ {found}(task_instance) if {PROVIDER} is defined and {found} is defined }}}}"


def asset_of(table: str) -> Asset:
    """The asset of a table of the lake, such as ``gold.carbon_intensity_daily``, or of what is exported."""
    return Asset(name=table, uri=f"lakehouse://{table.replace('.', '/')}")


def _written(stage: Mapping[str, Any]) -> list[tuple[Asset, dict[str, int]]]:
    """What a stage wrote: tables with their new versions or, of the export, PostgreSQL if a row changed."""
    if stage["stage"] == "export":
        changed = any(number for what, number in stage["counts"].items() if what.endswith(CHANGES))
        return [(asset_of(EXPORTED), {})] if changed else []
    return [
        (asset_of(table), {"table_version": version})
        for table, version in stage["writes"].items()
        if version is not None
    ]


def tell_failure(context: Context) -> None:
    """Run the command that the connection's extra names as ``on_failure``, if any, the failure as JSON on its stdin."""
    task = context["task_instance"]
    extra, variables = _read(context["task"].connection_id)
    command = extra.get("on_failure")
    if not command:
        return
    failure = {
        "dag_id": task.dag_id,
        "task_id": task.task_id,
        "run_id": task.run_id,
        "try_number": task.try_number,
        "error": str(context.get("exception") or ""),
    }
    subprocess.run(  # noqa: S603 (no shell; the connection names the program)
        command, input=json.dumps(failure), text=True, env=variables, timeout=CALLBACK_SECONDS, check=True
    )


def _read(connection_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The connection's extra, and the whole environment of a command.

    Raises:
        AirflowFailException: it is missing, or does not say what it has to.
    """
    try:
        connection = Connection.get(connection_id)
    except AirflowNotFoundException:
        raise AirflowFailException(
            f"There is no Airflow connection {connection_id!r}; make it as docs/airflow.md says."
        ) from None
    extra = connection.extra_dejson
    for needed, said in (("command", extra), ("LAKEHOUSE_ROOT", extra.get("settings") or {})):
        if not said.get(needed):
            raise AirflowFailException(
                f"The extra of the Airflow connection {connection_id!r} lacks {needed!r}; docs/airflow.md shows it."
            )
    mine = {name: value for name, value in os.environ.items() if not name.startswith(OF_AIRFLOW)}
    variables = {**mine, **{name: str(value) for name, value in extra["settings"].items()}}
    if connection.host:
        variables["LAKEHOUSE_POSTGRES__URL"] = _postgres_url(connection)
    return extra, variables


def _postgres_url(connection: Connection) -> str:
    login, password = quote(connection.login or "", safe=""), quote(connection.password or "", safe="")
    who = f"{login}:{password}@" if password else f"{login}@" if login else ""
    return f"postgresql://{who}{connection.host}:{connection.port or 5432}/{quote(connection.schema or '', safe='')}"


def _parsed(text: str) -> dict[str, Any]:
    """The document on stdout; empty if there is none, as of a process that was killed."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
