"""Airflow's side of the tests: run by the Python of ``.venv-airflow``, it does what it is told, a line of JSON each.

Every line on stdin is one order, every line on stdout that begins with ``ANSWER`` its outcome; other lines are logs.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

ANSWER = "ANSWER "
DAG_ID = "carbon_lakehouse"


def parse(folder: str) -> dict[str, Any]:
    """What importing the DAG files gives, and how long it takes once Airflow itself is imported."""
    import airflow.sdk  # noqa: F401
    from airflow.dag_processing.dagbag import BundleDagBag

    bag = BundleDagBag(dag_folder=folder, bundle_path=Path(folder), bundle_name="dags-folder")
    (statistics,) = bag.dagbag_stats
    return {
        "errors": bag.import_errors,
        "dags": sorted(bag.dags),
        "seconds": statistics.duration.total_seconds(),
        "pools": {task.task_id: [task.pool, task.pool_slots] for task in bag.dags[DAG_ID].tasks},
        "retries": {task.task_id: task.retries for task in bag.dags[DAG_ID].tasks},
        "foreign": sorted(name for name in ("pyspark", "lakehouse", "deltalake") if name in sys.modules),
    }


def run(
    folder: str, connection: dict[str, Any] | None, conf: dict[str, Any], retries: int, seconds: float | None = None
) -> dict[str, Any]:
    """One run that somebody triggers with ``conf``. ``seconds``: a task that takes longer is killed."""
    dag = _dag(folder, connection, retries)
    for task in dag.tasks:
        task.execution_timeout = None if seconds is None else timedelta(seconds=seconds)
    return _outcome(_tested(dag, run_conf=conf))


def backfill(folder: str, connection: dict[str, Any], first: str, last: str) -> list[dict[str, Any]]:
    """Airflow's own backfill: one run for each day from ``first`` to ``last``, as the scheduler would start them."""
    from airflow.models.backfill import Backfill, BackfillDagRun, ReprocessBehavior, _create_backfill
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    dag = _dag(folder, connection, 0)
    made = _create_backfill(
        dag_id=DAG_ID,
        from_date=datetime.fromisoformat(first),
        to_date=datetime.fromisoformat(last),
        max_active_runs=10,
        reverse=False,
        dag_run_conf={},
        triggering_user_name="test",
        reprocess_behavior=ReprocessBehavior.COMPLETED,
    )
    with create_session() as session:
        query = select(BackfillDagRun.dag_run_id).where(BackfillDagRun.backfill_id == made.id)
        ids = [number for number in session.scalars(query.order_by(BackfillDagRun.sort_ordinal)) if number]
    outcomes = []
    for number in ids:

        def started(*, dag: Any, session: Any, number: int = number, **_: Any) -> DagRun:
            found = session.get(DagRun, number)
            found.dag, found.state = dag, DagRunState.RUNNING
            session.commit()
            return found

        with patch("airflow.models.dagrun.get_or_create_dagrun", started):
            outcomes.append(_outcome(_tested(dag)))
    with create_session() as session:  # as the scheduler ends it; a DAG has one at a time
        session.get(Backfill, made.id).completed_at = datetime.now(UTC)
    return outcomes


def _dag(folder: str, connection: dict[str, Any] | None, retries: int) -> Any:
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    os.environ.pop("AIRFLOW_CONN_CARBON_LAKEHOUSE", None)
    if connection is not None:
        os.environ["AIRFLOW_CONN_CARBON_LAKEHOUSE"] = json.dumps(connection)
    bag = BundleDagBag(dag_folder=folder, bundle_path=Path(folder), bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    dag = bag.dags[DAG_ID]
    for task in dag.tasks:
        task.retries, task.retry_delay, task.retry_exponential_backoff = retries, timedelta(seconds=0.2), False
    return dag


def _tested(dag: Any, **more: Any) -> Any:
    """Do a run in this process. It waits a second whenever no task can start, which is not worth a test's time."""
    sleep = time.sleep
    with patch("time.sleep", lambda seconds: sleep(min(seconds, 0.1))):
        return dag.test(**more)


def _outcome(done: Any) -> dict[str, Any]:
    from airflow.models.asset import AssetEvent
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        tasks = done.get_task_instances(session=session)
        rendered = session.scalars(
            select(RenderedTaskInstanceFields).where(RenderedTaskInstanceFields.run_id == done.run_id)
        )
        values = session.execute(
            select(XComModel.task_id, XComModel.value).where(
                XComModel.run_id == done.run_id, XComModel.key == "return_value"
            )
        )
        events = session.scalars(
            select(AssetEvent).where(AssetEvent.source_run_id == done.run_id).order_by(AssetEvent.id)
        )
        return {
            "type": str(done.run_type),
            "state": str(done.state),
            "tasks": {task.task_id: [str(task.state), task.try_number] for task in tasks},
            "arguments": {fields.task_id: fields.rendered_fields["arguments"] for fields in rendered},
            "documents": {task: json.loads(value) if isinstance(value, str) else value for task, value in values},
            "events": [{"asset": event.asset.name, "uri": event.asset.uri, **event.extra} for event in events],
        }


def main() -> None:
    """Make Airflow's database, then do one order after the other."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    orders = {"parse": parse, "run": run, "backfill": backfill}
    for line in sys.stdin:
        order = json.loads(line)
        answer = orders[order.pop("order")](**order)
        sys.stdout.write(f"\n{ANSWER}{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
