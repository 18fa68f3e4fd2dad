"""Silver, Gold and the regions: what to read, the pure transformation, what to write. One commit each at most.

A stage first asks the tables how far they are (``commits``); where they cannot say, it recomputes in full. Either
way the same comparison decides what is written, so the result is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from lakehouse import commits, delta_log, gold, quality, silver
from lakehouse.commits import Commit, Pin
from lakehouse.delta_log import Snapshot
from lakehouse.difference import CHANGE, DELETE, INSERT, UPDATE, difference, insertions
from lakehouse.errors import LakehouseError
from lakehouse.store import Store
from lakehouse.tables import BRONZE, DIM_REGION, GOLD, QUARANTINE, SILVER, Table

LANDING_STAGES = frozenset({"bronze", "import"})
"""The stages whose commits may stand in Bronze; anything else makes Silver look at all of it again."""


@dataclass(frozen=True)
class StageReport:
    """What a stage did. ``version`` is the one it wrote, None when there was nothing to write."""

    stage: str
    version: int | None
    counts: Mapping[str, int]
    reads: Mapping[str, int] = field(default_factory=dict)
    quality: tuple[tuple[str, str, int], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Work:
    """What every stage needs: the tables, and what its commits say about the run."""

    store: Store
    run_id: str
    code_version: str
    settings_hash: str

    def commit(self, stage: str, reads: Mapping[str, Snapshot] | None = None, landing: int | None = None) -> Commit:
        """What a commit of this run says about itself; ``reads`` are the tables read, by name."""
        pins = {name: snapshot.pin for name, snapshot in (reads or {}).items()}
        return Commit(stage, self.run_id, self.code_version, self.settings_hash, pins, landing)

    def snapshot(self, table: Table) -> Snapshot:
        """The table's newest version.

        Raises:
            LakehouseError: it does not exist.
        """
        found = delta_log.open_table(self.store.path(table))
        if found is None:
            raise LakehouseError(f"There is no table at {self.store.path(table)}; run the stage before this one first.")
        return found


@dataclass(frozen=True)
class Tally:
    """How many rows have to be written, by kind, and the range of ``along`` they lie in."""

    rows: Mapping[str, int]
    low: object | None
    high: object | None

    @property
    def total(self) -> int:
        """All rows that have to be written."""
        return sum(self.rows.values())

    def counts(self, wanted: int) -> dict[str, int]:
        """Idea 6's counts, of ``wanted`` rows that should be there."""
        inserted, updated, deleted = (self.rows.get(kind, 0) for kind in (INSERT, UPDATE, DELETE))
        return {
            "inserted": inserted,
            "updated": updated,
            "deleted": deleted,
            "unchanged": wanted - inserted - updated,
        }


def refine(work: Work, *, full: bool = False) -> StageReport:
    """Silver from Bronze: parse, judge, let the newest win, write what differs."""
    bronze, table = work.snapshot(BRONZE), work.snapshot(SILVER)
    newest_landing = _newest_landing(bronze)
    cursor = None if full else _silver_cursor(table, bronze, newest_landing)
    if cursor == newest_landing:
        return StageReport("silver", None, _nothing(table), {BRONZE.name: bronze.version})

    responses = work.store.read(BRONZE, bronze.version)
    if cursor is not None:
        pending = responses.where(F.col("landing") > cursor)
        responses = pending.unionByName(silver.overlapping(responses.where(F.col("landing") <= cursor), pending))

    seen, kept = Observation(), Observation()
    judged = responses.transform(silver.pieces).transform(silver.typed).transform(silver.judged)
    wanted = (
        judged.observe(
            seen,
            F.count(F.lit(1)).alias("received"),
            F.count_if(quality.refuses(F.col("broken"))).alias("quarantined"),
            *quality.counts(F.col("broken")),
        )
        .transform(silver.good)
        .transform(silver.newest)
        .observe(kept, F.count(F.lit(1)).alias("wanted"))
    )
    current = work.store.read(SILVER, table.version)
    if cursor is not None:
        low, high = _reach(pending)
        current = current.where(F.col("timestamp").between(F.lit(low), F.lit(high)))
    changes = _changes(wanted, current, table, SILVER, deleting=cursor is None).persist()
    try:
        tally = _tally(changes, "timestamp")
        received, quarantined = int(seen.get["received"]), int(seen.get["quarantined"])
        keys = int(kept.get["wanted"])
        if quarantined:
            _quarantine(work, judged.transform(silver.refused, bronze=responses), bronze)
        commit = work.commit("silver", {BRONZE.name: bronze}, newest_landing)
        version = _write(work, changes, tally, table, SILVER, commit, "timestamp")
    finally:
        changes.unpersist()
    counts = {
        "received": received,
        "duplicates": received - quarantined - keys,
        **tally.counts(keys),
        "quarantined": quarantined,
    }
    broken = tuple((rule.name, rule.level, int(seen.get[rule.name])) for rule in quality.RULES)
    return StageReport("silver", version, counts, {BRONZE.name: bronze.version}, broken)


def aggregate(work: Work, *, full: bool = False) -> StageReport:
    """Gold from Silver: only the days that changed since Gold last looked, or all when it cannot say."""
    half_hours, table = work.snapshot(SILVER), work.snapshot(GOLD)
    reads = {SILVER.name: half_hours.version}
    since = None if full else _gold_cursor(table, half_hours)
    if since == half_hours.version:
        return StageReport("gold", None, _nothing(table), reads)

    source = work.store.read(SILVER, half_hours.version)
    current = work.store.read(GOLD, table.version)
    if since is not None:
        touched = work.store.changes(SILVER, since, half_hours.version).transform(gold.touched_days).persist()
        reach = touched.agg(F.min("date_recorded"), F.max("date_recorded")).first()
        if reach is None or reach[0] is None:
            touched.unpersist()
            return StageReport("gold", None, _nothing(table), reads)
        days = F.lit(reach[0]), F.lit(reach[1])
        on_days = source.where((F.col("timestamp") >= days[0]) & (F.col("timestamp") < F.date_add(days[1], 1)))
        source = (
            on_days.withColumn("date_recorded", F.to_date("timestamp"))
            .join(F.broadcast(touched), list(GOLD.key), "left_semi")
            .select(*SILVER.column_names)
        )
        current = current.where(F.col("date_recorded").between(*days)).join(
            F.broadcast(touched), list(GOLD.key), "left_semi"
        )
    kept = Observation()
    wanted = source.transform(gold.daily).observe(kept, F.count(F.lit(1)).alias("wanted"))
    changes = _changes(wanted, current, table, GOLD, deleting=True).persist()
    try:
        tally = _tally(changes, "date_recorded")
        keys = int(kept.get["wanted"])
        version = _write(
            work, changes, tally, table, GOLD, work.commit("gold", {SILVER.name: half_hours}), "date_recorded"
        )
    finally:
        changes.unpersist()
    return StageReport("gold", version, tally.counts(keys), reads)


def describe_regions(work: Work, *, full: bool = False) -> StageReport:
    """``dim_region`` from Gold, when Gold has moved on since."""
    days, table = work.snapshot(GOLD), work.snapshot(DIM_REGION)
    reads = {GOLD.name: days.version}
    cursor = None if full else commits.newest_data_commit(table.newest_commits(), "dim_region")
    if cursor is not None and cursor.reads.get(GOLD.name) == days.pin:
        return StageReport("dim_region", None, _nothing(table), reads)
    wanted = work.store.read(GOLD, days.version).transform(gold.regions)
    current = work.store.read(DIM_REGION, table.version)
    changes = _changes(wanted, current, table, DIM_REGION, deleting=True).persist()
    try:
        tally = _tally(changes, "regionid")
        version = _write(
            work, changes, tally, table, DIM_REGION, work.commit("dim_region", {GOLD.name: days}), "regionid"
        )
    finally:
        changes.unpersist()
    there = int(table.totals()["rows"]) + tally.rows.get(INSERT, 0) - tally.rows.get(DELETE, 0)
    return StageReport("dim_region", version, tally.counts(there), reads)


def _silver_cursor(table: Snapshot, bronze: Snapshot, newest_landing: int) -> int | None:
    """The last landing that Silver surely contains, None when all of Bronze has to be looked at."""
    commit = commits.newest_data_commit(table.newest_commits(), "silver")
    pin = commit.reads.get(BRONZE.name) if commit else None
    if commit is None or pin is None or commit.landing is None or pin.table_id != bronze.pin.table_id:
        return None
    if pin.version > bronze.version or commit.landing > newest_landing:
        return None
    history = bronze.history(since=pin.version)
    added = commits.only_added_to(history, pin.version, bronze.version, LANDING_STAGES)
    return commit.landing if added else None


def _gold_cursor(table: Snapshot, half_hours: Snapshot) -> int | None:
    """The Silver version that Gold surely reflects, None when it has to be computed in full."""
    commit = commits.newest_data_commit(table.newest_commits(), "gold")
    pin: Pin | None = commit.reads.get(SILVER.name) if commit else None
    if pin is None or pin.table_id != half_hours.pin.table_id or pin.version > half_hours.version:
        return None
    there = {int(entry["version"]) for entry in half_hours.history(since=pin.version)}
    return pin.version if there >= set(range(pin.version + 1, half_hours.version + 1)) else None


def _newest_landing(bronze: Snapshot) -> int:
    return max(bronze.rows(["landing"]).column("landing").to_pylist(), default=0)


def _nothing(table: Snapshot) -> dict[str, int]:
    return Tally({}, None, None).counts(int(table.totals()["rows"]))


def _reach(pending: DataFrame) -> tuple[datetime, datetime]:
    """First and last half-hour that the pending responses may speak of."""
    half = F.expr("INTERVAL 30 MINUTES")
    row = pending.agg(F.min(F.col("window_start") - half), F.max("window_end")).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    return row[0], row[1]


def _changes(wanted: DataFrame, current: DataFrame, now: Snapshot, table: Table, *, deleting: bool) -> DataFrame:
    if now.totals()["files"] == 0:
        return insertions(wanted)
    return difference(wanted, current, key=table.key, values=table.values, deleting=deleting)


def _tally(changes: DataFrame, along: str) -> Tally:
    rows = changes.groupBy(CHANGE).agg(F.count(F.lit(1)), F.min(along), F.max(along)).collect()
    return Tally(
        {row[0]: int(row[1]) for row in rows},
        min((row[2] for row in rows), default=None),
        max((row[3] for row in rows), default=None),
    )


def _write(
    work: Work, changes: DataFrame, tally: Tally, now: Snapshot, table: Table, commit: Commit, along: str
) -> int | None:
    """Append to an empty table, MERGE into another; nothing at all when nothing differs."""
    if tally.total == 0:
        return None
    if now.totals()["files"] == 0:
        ordered = changes.drop(CHANGE).repartitionByRange(along).sortWithinPartitions(along, *_others(table.key, along))
        return work.store.append(ordered, table, commit).version
    bounds = F.col(f"t.{along}").between(F.lit(tally.low), F.lit(tally.high))
    return work.store.merge(changes, table, commit, bounds).version


def _others(key: Sequence[str], along: str) -> list[str]:
    return [name for name in key if name != along]


def _quarantine(work: Work, refused: DataFrame, bronze: Snapshot) -> None:
    """Append the refused pieces that are not there yet, before Silver says that it has consumed them."""
    there = work.store.read(QUARANTINE).select(*QUARANTINE.key)
    new = refused.join(there, list(QUARANTINE.key), "left_anti").persist()
    try:
        if not new.isEmpty():
            work.store.append(new, QUARANTINE, work.commit("quarantine", {BRONZE.name: bronze}))
    finally:
        new.unpersist()
