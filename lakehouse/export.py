"""Gold into PostgreSQL: Spark stages the rows by JDBC, then one transaction makes the tables equal to Gold."""

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse import migrations, mirror
from lakehouse.errors import PostgresError
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget
from lakehouse.settings import Settings, environment
from lakehouse.stages import StageReport, Work
from lakehouse.tables import DIM_REGION, GOLD

BATCH_ROWS = 10_000
"""Rows per JDBC batch; with rewritten inserts 20,000 rows take half a second, warm."""
CONNECTIONS = 2
"""JDBC connections at once: a day's table is small, and each costs a log-in."""


@contextmanager
def database(settings: Settings) -> Iterator[tuple[PostgresTarget, PostgresTarget]]:
    """The export's target and the owner's, which runs migrations; the embedded server while the block lasts.

    Raises:
        UsageError: a URL that cannot be used.
        LakehouseError: the embedded server cannot be started.
    """
    stated = settings.postgres
    if stated.url is None:
        with EmbeddedPostgres(settings.embedded_data) as target:
            yield target, target
        return
    environ = environment()
    target = PostgresTarget.parse(stated.url.get_secret_value(), environ=environ, password_file=stated.password_file)
    owner = target
    if stated.owner_url is not None:
        owner = PostgresTarget.parse(stated.owner_url.get_secret_value(), environ=environ)
    yield target, owner


def publish(work: Work, settings: Settings) -> StageReport:
    """Make PostgreSQL equal to Gold's newest version; rows that are equal already are not touched.

    Raises:
        PostgresError: the server refuses or is gone; what was published before stays whole.
        LakeLockedError: another export is at work.
    """
    days, regions = work.snapshot(GOLD), work.snapshot(DIM_REGION)
    with database(settings) as (target, owner):
        migrations.migrate(owner)
        with mirror.export_lock(target) as connection:
            mirror.clear_staging(connection)
            for table, snapshot in ((DIM_REGION, regions), (GOLD, days)):
                rows = work.store.read(table, snapshot.version)
                _stage(rows, mirror.STAGING[table.name.split(".")[1]], work.run_id, target)
            with connection.begin():
                counts = mirror.apply_staged(
                    connection,
                    run_id=work.run_id,
                    gold_version=days.version,
                    gold_table_id=days.pin.table_id,
                    dim_version=regions.version,
                    full=True,
                )
    return StageReport(
        "export",
        None,
        {
            "inserted": counts.inserted,
            "updated": counts.updated,
            "deleted": counts.deleted,
            "unchanged": counts.unchanged,
        },
        {GOLD.name: days.version, DIM_REGION.name: regions.version},
    )


def _stage(rows: DataFrame, staging: str, run_id: str, target: PostgresTarget) -> None:
    url, properties = target.jdbc()
    marked = rows.withColumn("is_deleted", F.lit(False)).withColumn("run_id", F.lit(run_id)).coalesce(CONNECTIONS)
    try:
        marked.write.jdbc(url, staging, mode="append", properties={**properties, "batchsize": str(BATCH_ROWS)})
    except Py4JJavaError as error:
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        reason = str(cause.getMessage()).splitlines()[0]
        raise PostgresError(f"Spark could not write to {staging} of {target.safe}: {reason}; export again.") from error
