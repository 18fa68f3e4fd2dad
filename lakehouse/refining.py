"""The stage Silver: what to read of Bronze, what is refused, what is written. One commit a table at most.

The pieces are parsed once and kept; everything that is counted is counted of them, before anything is written.
"""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakehouse import cursors, silver, stages
from lakehouse.commits import Commit
from lakehouse.delta_log import Snapshot
from lakehouse.difference import difference
from lakehouse.quality import DRIFT, FAIL, RULES, RuleResult, Rules
from lakehouse.stages import GateError, Layout, StageReport, Tally, Work
from lakehouse.tables import BRONZE, QUARANTINE, SILVER

KEPT = ("position", "is_pending", "is_plain", "landing", "region", "period_from", "unknown", "broken")
"""What is kept of a piece beside Silver's columns."""


@dataclass(frozen=True)
class Contract:
    """What a piece has to be like: the rules, and whether fields that nobody knew before stop the stage."""

    rules: Rules = RULES
    is_frozen: bool = False


@dataclass(frozen=True)
class Scope:
    """The part of Bronze that a run looks at, and the part of Silver that follows from it.

    ``responses`` say which of them are ``is_pending``. ``is_whole``: they are all of Bronze. ``again``: they are all
    that speak of the pending ones' half-hours. Otherwise they are the pending ones and newer ones beside them.
    """

    responses: DataFrame
    pending: DataFrame
    is_whole: bool = False
    again: bool = False


def refine(work: Work, *, full: bool = False, again: bool = False, contract: Contract | None = None) -> StageReport:
    """Silver from Bronze: parse, judge, let the newest win, write what differs.

    ``full`` computes everything anew. ``again`` judges the responses that have pieces in quarantine once more, by
    the rules of now: their half-hours become what a full computation would make of them.

    Raises:
        GateError: a rule of level ``fail`` was broken, or the contract is frozen and the API has changed.
    """
    contract = contract or Contract()
    bronze, table, refusals = (work.snapshot(each) for each in (BRONZE, SILVER, QUARANTINE))
    newest_landing = max(bronze.rows(["landing"]).column("landing").to_pylist(), default=0)
    cursor = None if full else cursors.landing(work.store, table, bronze, refusals)
    again = again and refusals.totals()["rows"] > 0
    reads = {BRONZE.name: bronze.version}

    def commit(beside: Snapshot) -> Commit:
        sources = {BRONZE.name: bronze, QUARANTINE.name: beside}
        return work.commit("silver", sources, newest_landing, writes=(SILVER, table))

    if cursor == newest_landing and not again:
        counts = {"received": 0, "duplicates": 0, **stages.nothing(table), "quarantined": 0}
        account = stages.stands(commit(refusals), table)
        return StageReport("silver", None, counts, reads, contract.rules.results({}, 0), account=account)

    scope = _scope(work, bronze, refusals, cursor, again=again)
    judged = scope.responses.transform(silver.pieces).transform(silver.typed)
    judged = judged.transform(silver.judged, rules=contract.rules).select(*SILVER.column_names, *KEPT).persist()
    try:
        found = _count(judged, contract.rules)
        _stop_if_told_to(StageReport("silver", None, found.counts(), reads, found.results), contract)
        refusals = _quarantine(work, judged, scope, bronze, refusals, contract.rules, found)
        version, account, counts = _write(work, judged, scope, table, contract.rules, commit(refusals), found)
    finally:
        judged.unpersist()
    return StageReport("silver", version, counts, reads, found.results, account=account)


def _scope(work: Work, bronze: Snapshot, refusals: Snapshot, cursor: int | None, *, again: bool) -> Scope:
    everything = work.store.read(BRONZE, bronze.version)
    if cursor is None:
        everything = everything.withColumn("is_pending", F.lit(True))
        return Scope(everything, everything, is_whole=True)
    is_new = F.col("landing") > cursor
    if again:
        held = sorted(set(refusals.rows(["response_id"]).column("response_id").to_pylist()))
        is_new |= F.col("response_id").isin(held)
    pending = everything.where(is_new).withColumn("is_pending", F.lit(True))
    beside = silver.overlapping(everything.where(~is_new), pending, older_too=again)
    return Scope(pending.unionByName(beside.withColumn("is_pending", F.lit(False))), pending, again=again)


@dataclass(frozen=True)
class Found:
    """What the pieces are, counted: all of it about pending ones but ``refused``, which is of all that were read."""

    received: int
    quarantined: int
    refused: int
    results: tuple[RuleResult, ...]

    def counts(self, keys: int | None = None, rows: dict[str, int] | None = None) -> dict[str, int]:
        """Idea 6's counts: received = quarantined + duplicates + keys that pending pieces speak of."""
        duplicates = 0 if keys is None else self.received - self.quarantined - keys
        counted = rows or Tally().counts(0)
        return {"received": self.received, "duplicates": duplicates, **counted, "quarantined": self.quarantined}


def _count(judged: DataFrame, rules: Rules) -> Found:
    is_pending, broken = F.col("is_pending"), F.col("broken")
    row = judged.agg(
        F.count_if(is_pending).alias("received"),
        F.count_if(is_pending & rules.refuses(broken)).alias("quarantined"),
        F.count_if(rules.refuses(broken)).alias("refused"),
        F.count_if(is_pending & (F.size("unknown") > 0)).alias("drifted"),
        F.count_if(is_pending & ~F.col("is_plain")).alias("odd"),
        *rules.counts(broken, is_pending),
    ).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    failed = {rule.name: int(row[rule.name]) for rule in rules.pieces}
    if row["odd"]:
        twice = judged.where("is_pending").transform(silver.good, rules=rules).transform(silver.repeated)
        again = twice.agg(F.sum(F.col("count") - 1)).first()
        failed[rules.repeated.name] = int((again and again[0]) or 0)
    received = int(row["received"])
    results = rules.results(failed, received)
    if row["drifted"]:
        results += _drift(judged, received)
    return Found(received, int(row["quarantined"]), int(row["refused"]), results)


def _drift(judged: DataFrame, received: int) -> tuple[RuleResult, ...]:
    """What the API said that it did not say before, each with the number of pieces that hold it."""
    names = judged.where("is_pending").select(F.explode("unknown").alias("name"))
    rows: list[Row] = names.groupBy("name").count().orderBy("name").collect()
    return tuple(RuleResult(row["name"], DRIFT, int(row["count"]), received) for row in rows)


def _stop_if_told_to(report: StageReport, contract: Contract) -> None:
    def named(level: str) -> str:
        at_fault = [result for result in report.quality if result.level == level and result.failed]
        return ", ".join(f"{result.rule} ({result.failed:,} of {result.checked:,} pieces)" for result in at_fault)

    if broken := named(FAIL):
        raise GateError(f"Silver stopped before it wrote anything: rules of level fail are broken: {broken}.", report)
    if contract.is_frozen and (new := named(DRIFT)):
        raise GateError(
            f"Silver stopped before it wrote anything: the API's answers hold what was not known before: {new}. "
            'With contract = "evolve" under [quality] the rows go on and the rest is kept beside them.',
            report,
        )


def _write(
    work: Work, judged: DataFrame, scope: Scope, table: Snapshot, rules: Rules, commit: Commit, found: Found
) -> tuple[int | None, str, dict[str, int]]:
    """Bring Silver to what the good pieces say: all of it, or the part that follows from the scope."""
    good = judged.transform(silver.good, rules=rules)
    current = work.store.read(SILVER, table.version)
    if scope.is_whole:
        wanted = silver.newest_of_all(good, scope.responses)
        layout = _months(scope.responses) if stages.is_empty(table) else Layout("timestamp")
        version, account, rows = stages.bring(work, wanted, current, SILVER, table, commit, layout)
        return version, account, found.counts(rows["inserted"] + rows["updated"] + rows["unchanged"], rows)
    keys = good.where("is_pending").select(*SILVER.key).distinct().count()
    wanted = good.transform(silver.newest)
    if scope.again:
        slots = F.broadcast(silver.slots(scope.pending).distinct())
        wanted, current = (frame.join(slots, "timestamp", "left_semi") for frame in (wanted, current))
        wanted = wanted.select(*SILVER.column_names)
        version, account, rows = stages.bring(work, wanted, current, SILVER, table, commit, Layout("timestamp"))
        return version, account, found.counts(keys, rows)
    # A key that no pending piece speaks of may have its newest value in a response that was not read.
    wanted = wanted.where("has_pending").select(*SILVER.column_names)
    low, high = _reach(scope.pending)
    current = current.where(F.col("timestamp").between(F.lit(low), F.lit(high)))
    changes = difference(wanted, current, key=SILVER.key, values=SILVER.values, deleting=False).persist()
    try:
        counted = stages.tally(changes, "timestamp")
        version, account = stages.write(work, changes, counted, SILVER, table, commit, "timestamp")
    finally:
        changes.unpersist()
    return version, account, found.counts(keys, counted.counts(keys))


def _quarantine(
    work: Work, judged: DataFrame, scope: Scope, bronze: Snapshot, now: Snapshot, rules: Rules, found: Found
) -> Snapshot:
    """Let the quarantine hold what the responses read now have refused, before Silver says that it has read them.

    Of an incremental run's responses it holds nothing yet, unless a run died here before.
    """
    is_renewing = scope.is_whole or scope.again
    if not found.refused and not (is_renewing and not stages.is_empty(now)):
        return now
    responses = scope.responses if is_renewing else scope.pending
    wanted = judged if is_renewing else judged.where("is_pending")
    wanted = wanted.transform(silver.refused, bronze=responses, rules=rules)
    current = work.store.read(QUARANTINE, now.version)
    if not scope.is_whole:
        ids = F.broadcast(responses.select("response_id"))
        current = current.join(ids, "response_id", "left_semi")
    commit = work.commit("quarantine", {BRONZE.name: bronze}, writes=(QUARANTINE, now))
    stages.bring(work, wanted, current, QUARANTINE, now, commit, Layout("response_id"))
    return work.snapshot(QUARANTINE)


def _reach(pending: DataFrame) -> tuple[datetime, datetime]:
    """First and last half-hour that the pending responses may speak of."""
    first = F.col("window_start") - F.expr("INTERVAL 30 MINUTES")
    row = pending.agg(F.min(first), F.max("window_end")).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    return row[0], row[1]


def _months(responses: DataFrame) -> Layout:
    """A file a month: 26,784 rows at most, so that a later day's MERGE copies that many and not years."""
    low, high = _reach(responses)
    if low is None:
        return Layout("timestamp")
    month = (F.year("timestamp") - low.year) * 12 + F.month("timestamp") - 1
    return Layout("timestamp", (high.year - low.year + 1) * 12, month.cast("int"))
