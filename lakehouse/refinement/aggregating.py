"""The stages Gold and the regions: which days to look at, what is written. One commit each at most."""

from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from lakehouse.lake import cursors
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import DIM_REGION, GOLD, SILVER
from lakehouse.refinement import gold, stages
from lakehouse.refinement.stages import StageReport, Work

DAYS = pa.schema([("regionid", pa.int32()), ("date_recorded", pa.date32())])
"""Gold's key as Arrow, for handing keys to Spark without its Python workers."""


def aggregate(work: Work, *, full: bool = False) -> StageReport:
    """Gold from Silver: only the days that changed since Gold last looked, or all when it cannot say."""
    half_hours, table = work.snapshot(SILVER), work.snapshot(GOLD)
    reads = {SILVER.name: half_hours.version}
    commit = work.commit("gold", {SILVER.name: half_hours}, writes=(GOLD, table))
    since = None if full else cursors.version_of_silver(work.store, table, half_hours)
    touched = None if since is None else _touched(work, since, half_hours)
    if touched is not None and not touched:
        account = stages.stands(commit, table)
        return StageReport("gold", None, stages.nothing(table), reads, account=account)
    source = work.store.read(SILVER, half_hours.version)
    current = work.store.read(GOLD, table.version)
    if touched is not None:
        first, last = (F.lit(pick(row["date_recorded"] for row in touched)) for pick in (min, max))
        days = F.broadcast(work.store.spark.createDataFrame(pa.Table.from_pylist(touched, DAYS)).coalesce(1))
        source = source.where((F.col("timestamp") >= first) & (F.col("timestamp") < F.date_add(last, 1)))
        source = source.withColumn("date_recorded", F.to_date("timestamp")).join(days, list(GOLD.key), "left_semi")
        current = current.where(F.col("date_recorded").between(first, last)).join(days, list(GOLD.key), "left_semi")
    wanted = source.transform(gold.daily)
    version, account, counted = stages.bring(
        work, wanted, current, GOLD, table, commit, "date_recorded", is_whole=touched is None
    )
    return StageReport("gold", version, counted.counts(), reads, account=account)


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
    version, account, counted = stages.bring(
        work, wanted, current, DIM_REGION, table, commit, "regionid", is_whole=True
    )
    return StageReport("dim_region", version, counted.counts(), reads, account=account)


def _touched(work: Work, since: int, half_hours: Snapshot) -> list[dict[str, Any]] | None:
    """The (regionid, date_recorded) groups that changed after ``since``; None if the feed cannot say.

    They are few and are taken here, so that a feed which cannot be read is noticed before anything rests on it.
    """
    if since == half_hours.version:
        return []
    try:
        rows = work.store.changes(SILVER, since, half_hours.version).transform(gold.touched_days).collect()
    except PySparkException:
        return None
    return [row.asDict() for row in rows]
