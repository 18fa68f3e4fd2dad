"""The stages Gold and the regions: which days to look at, what is written. One commit each at most."""

from datetime import timedelta

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake import commits, delta_log, losses, watermarks
from lakehouse.lake.delta_log import FeedError, Snapshot
from lakehouse.lake.store import FEW_ROWS, Rows
from lakehouse.lake.tables import DIM_REGION, GOLD, SILVER
from lakehouse.run_context import RunContext, StageReport
from lakehouse.transform import gold, merge

FEW_DAYS = timedelta(days=31)
"""Days up to which this process reads the half-hours itself (27,000 at most)."""
DESCRIBING = ("regionid", "date_recorded", "shortname", "dno")
NEWEST_DAYS = f"""
    SELECT {", ".join(DESCRIBING)} FROM days
    JOIN (SELECT regionid, max(date_recorded) AS date_recorded FROM days GROUP BY regionid) AS newest
    USING (regionid, date_recorded)"""
"""The newest day of every region, which names it; in DataFusion's SQL."""
DAYS = pa.schema([("regionid", pa.int32()), ("date_recorded", pa.date32())])
"""Gold's key as Arrow, for handing keys to Spark without its Python workers."""


def aggregate(context: RunContext, *, full: bool = False, silver: StageReport | None = None) -> StageReport:
    """Gold from Silver: only the days that changed since Gold last looked, or all when it cannot say.

    ``silver``: what Silver's stage did in this run, which ``ops.runs`` does not tell yet.

    Raises:
        LossError: Silver holds less than Gold was made of, or Gold would lose more than the share that is set.
    """
    half_hours, table = context.snapshot(SILVER), context.snapshot(GOLD)
    done = commits.parse(silver.account) if silver else None
    landing = done.landing if done else watermarks.consumed(context.store, SILVER, half_hours, "silver")
    losses.check_silver(context.store, half_hours, table, landing, accept_loss=context.accept_loss)
    reads = {SILVER.name: half_hours.version}
    commit = context.commit("gold", {SILVER.name: half_hours}, landing, writes=(GOLD, table))
    since = (
        None
        if full or merge.is_damaged(table, GOLD)
        else watermarks.version_of_silver(context.store, table, half_hours)
    )
    touched = None if since is None else _touched(since, half_hours)
    if touched is not None and not touched.num_rows:
        account = merge.record_unchanged(commit, table)
        return StageReport("gold", None, merge.nothing(table), reads, account=account)
    context.open_session()
    source, current = _to_look_at(context, half_hours, table, touched)
    wanted = source.transform(gold.daily)
    version, account, counted = merge.merge_changes(
        context, wanted, current, GOLD, table, commit, is_whole=touched is None
    )
    return StageReport("gold", version, counted.counts(), reads, account=account)


def describe_regions(context: RunContext, *, full: bool = False) -> StageReport:
    """``dim_region`` from Gold, when Gold has moved on since."""
    days, table = context.snapshot(GOLD), context.snapshot(DIM_REGION)
    losses.check_files(days, GOLD, "run `lakehouse gold`, which builds the table anew from Silver")
    reads = {GOLD.name: days.version}
    commit = context.commit("dim_region", {GOLD.name: days}, writes=(DIM_REGION, table))
    full = full or merge.is_damaged(table, DIM_REGION)
    if not full and watermarks.reflects(context.store, DIM_REGION, table, "dim_region", GOLD, days):
        account = merge.record_unchanged(commit, table)
        return StageReport("dim_region", None, merge.nothing(table), reads, account=account)
    context.open_session()
    newest = days.cast_to_schema(delta_log.query_datafusion(NEWEST_DAYS, days=days))
    wanted = context.store.frame(newest).coalesce(1).transform(gold.regions)
    names = DIM_REGION.column_names
    current = table.no_rows(names) if merge.is_void(table) else table.read_arrow(names)
    version, account, counted = merge.merge_changes(context, wanted, current, DIM_REGION, table, commit, is_whole=True)
    return StageReport("dim_region", version, counted.counts(), reads, account=account)


def _touched(since: int, half_hours: Snapshot) -> pa.Table | None:
    """The (regionid, date_recorded) groups that changed after ``since``; None if the feed cannot say."""
    if since == half_hours.version:
        return DAYS.empty_table()
    try:
        return gold.touched_days(half_hours.changes(since, SILVER.key)).cast(DAYS)
    except FeedError:
        return None


def _all_of(context: RunContext, table: Snapshot) -> DataFrame:
    """Gold as it is."""
    if merge.is_void(table):
        return context.store.frame(table.no_rows(GOLD.column_names))
    if table.totals()["rows"] <= FEW_ROWS:
        return context.store.frame(table.read_arrow(GOLD.column_names))
    return context.store.read(GOLD, table.version)


def _to_look_at(
    context: RunContext, half_hours: Snapshot, table: Snapshot, touched: pa.Table | None
) -> tuple[DataFrame, Rows]:
    """The half-hours of the touched days, or all, and what Gold has of these days: of few days, the rows themselves."""
    if touched is None:
        return context.store.read(SILVER, half_hours.version), _all_of(context, table)
    first, last = (pick(touched["date_recorded"].to_pylist()) for pick in (min, max))
    end = last + timedelta(days=1)
    if end - first <= FEW_DAYS:
        hours = f"timestamp >= TIMESTAMP '{first}T00:00:00Z' AND timestamp < TIMESTAMP '{end}T00:00:00Z'"
        rows = half_hours.read_arrow(SILVER.column_names, hours)
        rows = _of_days(rows.append_column("date_recorded", rows["timestamp"].cast(pa.date32())), touched)
        days = table.read_arrow(GOLD.column_names, f"date_recorded BETWEEN DATE '{first}' AND DATE '{last}'")
        return context.store.frame(rows).coalesce(1), _of_days(days, touched)  # in one part nothing has to be shuffled
    source = context.store.read(SILVER, half_hours.version)  # Delta leaves out the files of other days
    source = source.where((F.col("timestamp") >= F.lit(first)) & (F.col("timestamp") < F.lit(end)))
    current = context.store.read(GOLD, table.version)
    current = current.where(F.col("date_recorded").between(F.lit(first), F.lit(last)))
    days = F.broadcast(context.store.frame(touched))
    source = source.withColumn("date_recorded", F.to_date("timestamp")).join(days, list(GOLD.key), "left_semi")
    return source, current.join(days, list(GOLD.key), "left_semi")


def _of_days(rows: pa.Table, touched: pa.Table) -> pa.Table:
    return rows.join(touched, list(GOLD.key), join_type="left semi")
