"""The lakehouse as an Airflow DAG: every day what is new, or a range of days that is asked for.

Nothing of the lakehouse is imported, so that the file is parsed in milliseconds; see ``docs/airflow.md``.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, AssetAlias, CronDataIntervalTimetable, Param, chain
from lakehouse_operator import LakehouseOperator, tell_failure

ONE_WRITER = "carbon_lakehouse"
"""A pool of one slot: backfills do not heed ``max_active_runs``, and a lake has one writer."""
IS_BACKFILL = "dag_run.run_type == 'backfill'"
# Days that were asked for, else those of a backfill's interval, else none: what is missing or may have been revised.
FIRST = f"{{% set day = params['from'] or (data_interval_start | ds if {IS_BACKFILL} else none) %}}"
LAST = f"{{% set day = params['to'] or (data_interval_end | ds if {IS_BACKFILL} else none) %}}"
RANGE = (FIRST + "{{ '--from=' ~ day if day else '' }}", LAST + "{{ '--to=' ~ day if day else '' }}")
OF_PAST = f"{{{{ 'a run of days that were asked for' if params['from'] or params['to'] or {IS_BACKFILL} }}}}"
"""Whether the newest half-hours are there is no matter of such a run."""

with DAG(
    "carbon_lakehouse",
    description="Carbon intensity from the API to PostgreSQL, through bronze, silver and gold",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2018, 5, 11, tzinfo=UTC),  # the first day that the API has
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
        "on_failure_callback": tell_failure,
    },
    params={
        "from": Param(None, type=["null", "string"], format="date", description="First UTC day; empty: what is new"),
        "to": Param(None, type=["null", "string"], format="date", description="UTC day after the last one"),
    },
    tags=["lakehouse"],
) as dag:

    def stage(name: str, *options: str) -> LakehouseOperator:
        """A stage, which writes: its tables' assets are told through an alias, only where it wrote something."""
        return LakehouseOperator(
            task_id=name,
            arguments=(name, *options),
            pool=ONE_WRITER,
            outlets=[AssetAlias(f"carbon_lakehouse.{name}")],
        )

    verify = LakehouseOperator(task_id="verify", arguments=("export", "--verify"))
    freshness = LakehouseOperator(task_id="freshness", arguments=("status", "--check"), skip_if=OF_PAST)
    chain(stage("bronze", *RANGE), stage("silver"), stage("gold"), stage("export"), verify, freshness)
