"""The stages Gold and the regions: which days to look at, what is written. One commit each at most."""

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse import cursors, gold, stages
from lakehouse.delta_log import Snapshot
from lakehouse.stages import Layout, StageReport, Work
from lakehouse.tables import DIM_REGION, GOLD, SILVER

DAYS = pa.schema([("regionid", pa.int32()), ("date_recorded", pa.date32())])
"""Gold's key as Arrow, for handing keys to Spark without its Python workers."""


def aggregate(work: Work, *, full: bool = False) -> StageReport:
    """Gold from Silver: only the days that changed since Gold last looked, or all when it cannot say."""
    half_hours, table = work.snapshot(SILVER), work.snapshot(GOLD)
    reads = {SILVER.name: half_hours.version}
    commit = work.commit("gold", {SILVER.name: half_hours}, writes=(GOLD, table))
    since = None if full else cursors.version_of_silver(work.store, table, half_hours)
    source = work.store.read(SILVER, half_hours.version)
    current = work.store.read(GOLD, table.version)
    days = None if since is None else _touched(work, since, half_hours)
    if days is not None:
        reach = days.agg(F.min("date_recorded"), F.max("date_recorded")).first()
        if reach is None or reach[0] is None:
            account = stages.stands(commit, table)
            return StageReport("gold", None, stages.nothing(table), reads, account=account)
        first, last = F.lit(reach[0]), F.lit(reach[1])
        on_days = source.where((F.col("timestamp") >= first) & (F.col("timestamp") < F.date_add(last, 1)))
        on_days = on_days.withColumn("date_recorded", F.to_date("timestamp"))
        source = on_days.join(F.broadcast(days), list(GOLD.key), "left_semi").select(*SILVER.column_names)
        current = current.where(F.col("date_recorded").between(first, last))
        current = current.join(F.broadcast(days), list(GOLD.key), "left_semi")
    wanted = source.transform(gold.daily)
    version, account, counts = stages.bring(work, wanted, current, GOLD, table, commit, Layout("date_recorded"))
    return StageReport("gold", version, counts, reads, account=account)


def describe_regions(work: Work, *, full: bool = False) -> StageReport:
    """``dim_region`` from Gold, when Gold has moved on since."""
    days, table = work.snapshot(GOLD), work.snapshot(DIM_REGION)
    reads = {GOLD.name: days.version}
    commit = work.commit("dim_region", {GOLD.name: days}, writes=(DIM_REGION, table))
    if not full and cursors.reflects(work.store, DIM_REGION, table, "dim_region", GOLD, days):
        account = stages.stands(commit, table)
        return StageReport("dim_region", None, stages.nothing(table), reads, account=account)
    wanted = work.store.read(GOLD, days.version).transform(gold.regions)
    current = work.store.read(DIM_REGION, table.version)
    version, account, counts = stages.bring(work, wanted, current, DIM_REGION, table, commit, Layout("regionid"))
    return StageReport("dim_region", version, counts, reads, account=account)


def _touched(work: Work, since: int, half_hours: Snapshot) -> DataFrame | None:
    """The (regionid, date_recorded) groups that changed after ``since``; None if the feed cannot say.

    They are few and are taken here, so that a feed which cannot be read is noticed before anything rests on it.
    """
    if since == half_hours.version:
        rows = []
    else:
        try:
            rows = work.store.changes(SILVER, since, half_hours.version).transform(gold.touched_days).collect()
        except PySparkException:
            return None
    return work.store.spark.createDataFrame(pa.Table.from_pylist([row.asDict() for row in rows], DAYS)).coalesce(1)
