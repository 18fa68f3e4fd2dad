"""An Airflow with a database of its own in a temporary folder: it does runs of the project's DAG when it is told to."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import PATIENCE_SECONDS, PROJECT

PYTHON = PROJECT / ".venv-airflow" / "bin" / "python"
DAGS = PROJECT / "dags"
ANSWER = "ANSWER "


class Airflow:
    """Gives orders to a process that runs ``airflow_runs``, and keeps what it logs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []

    def __call__(self, order: str, **more: Any) -> Any:
        """Do something and give what came of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.log.clear()
        self.process.stdin.write(json.dumps({"order": order, "folder": str(DAGS), **more}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(ANSWER):
                return json.loads(line.removeprefix(ANSWER))
            self.log.append(line)
        raise AssertionError("Airflow ended: " + "".join(self.log[-30:]))

    def meanwhile(self, work: Callable[[], object], order: str, **more: Any) -> Any:
        """Do something while ``work`` goes on in a thread; what that raises is raised here."""
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(work)
            outcome = self(order, **more)
            beside.result(PATIENCE_SECONDS)
        return outcome


@contextmanager
def running(home: Path) -> Iterator[Airflow]:
    """An Airflow at ``home``: SQLite, no examples, no setting of the user's; its own lineage events go nowhere."""
    ours = ("AIRFLOW", "LAKEHOUSE", "OPENLINEAGE")
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = subprocess.Popen(
        [PYTHON, "-P", PROJECT / "tests" / "support" / "airflow_runs.py"],
        env={
            **theirs,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__OPENLINEAGE__NAMESPACE": "airflow",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": '{"type": "noop"}',
        },
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Airflow(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its provider of lineage has processes of its own
        process.communicate()
