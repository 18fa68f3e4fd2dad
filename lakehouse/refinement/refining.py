"""The stage Silver: what to read of Bronze, what is refused, what is written. One commit a table at most.

The pieces are parsed once and kept; everything that is counted is counted of them, before anything is written.
"""

from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakehouse.lake import cursors
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import FEW_ROWS
from lakehouse.lake.tables import BRONZE, QUARANTINE, REGIONS, SILVER
from lakehouse.refinement import silver, stages
from lakehouse.refinement.quality import DRIFT, FAIL, RULES, RuleResult, Rules
from lakehouse.refinement.scope import Scope, pieces_of, scope_of
from lakehouse.refinement.stages import GateError, StageReport, Tally, Work
from lakehouse.windows import HALF_HOUR

KEPT = ("position", "is_pending", "is_plain", "landing", "region", "period_from", "unknown", "broken")
"""What is kept of a piece beside Silver's columns."""
MANY_PERIODS = 200_000
"""Half-hours from which on pieces are kept compressed: slower, for a fraction of the memory (0.3 kB each)."""
COMPRESSED = "spark.sql.inMemoryColumnarStorage.compressed"
MONTH = "_month"
"""Column of a first load: which month of it a piece belongs to, from 0."""


@dataclass(frozen=True)
class Contract:
    """What a piece has to be like: the rules, and whether fields that nobody knew before stop the stage."""

    rules: Rules = RULES
    is_frozen: bool = False


def refine(work: Work, *, full: bool = False, again: bool = False, contract: Contract | None = None) -> StageReport:
    """Silver from Bronze: parse, judge, let the newest win, write what differs.

    ``full`` computes everything anew. ``again`` judges the responses that have pieces in quarantine once more, by
    the rules of now: their half-hours become what a full computation would make of them.

    Raises:
        GateError: a rule of level ``fail`` was broken, or the contract is frozen and the API has changed.
    """
    contract = contract or Contract()
    bronze, table, refusals = (work.snapshot(each) for each in (BRONZE, SILVER, QUARANTINE))
    newest_landing = int(bronze.highest("landing") or 0)
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

    scope = scope_of(work, bronze, cursor, _held(refusals) if again else [])
    kept: list[DataFrame] = []

    def judge(pieces: DataFrame) -> DataFrame:
        judged = pieces.transform(silver.judged, rules=contract.rules).select(*SILVER.column_names, *KEPT)
        if scope.are_few:
            kept.append(work.store.frame(judged.toArrow()))
        else:
            work.store.spark.conf.set(COMPRESSED, str(scope.n_periods > MANY_PERIODS).lower())
            kept.append(judged.persist())
        return kept[-1]

    judged = judge(pieces_of(work, bronze, scope))
    try:
        found = _count(judged, contract.rules)
        if found.unread:
            unread = judged.where("position IS NULL").select("response_id").collect()
            odd = scope.responses().where(F.col("response_id").isin([row[0] for row in unread]))
            judged = judged.where("position IS NOT NULL").unionByName(judge(silver.odd_pieces(odd)))
            found = _count(judged, contract.rules)
        _stop_if_told_to(StageReport("silver", None, found.counts(Tally()), reads, found.results), contract)
        refusals = _quarantine(work, judged, scope, bronze, refusals, contract.rules, found)
        version, account, counts = _write(work, judged, scope, table, contract.rules, commit(refusals), found)
    finally:
        for frame in kept:
            frame.unpersist()
    return StageReport("silver", version, counts, reads, found.results, account=account)


def _held(refusals: Snapshot) -> list[str]:
    return sorted(set(refusals.rows(["response_id"]).column("response_id").to_pylist()))


def _current(work: Work, scope: Scope, table: Snapshot) -> DataFrame:
    """The part of Silver that the scope may change: all of it, or the half-hours that its windows hold."""
    if scope.is_whole or scope.low is None or scope.high is None:
        rows, where = int(table.totals()["rows"]), None
    else:
        rows = len(REGIONS) * (int((scope.high - scope.low) / HALF_HOUR) + 1)
        where = f"timestamp BETWEEN TIMESTAMP '{scope.low:%FT%TZ}' AND TIMESTAMP '{scope.high:%FT%TZ}'"
    if scope.are_few and rows <= FEW_ROWS:
        return work.store.few(table, SILVER.column_names, where)
    current = work.store.read(SILVER, table.version)
    return current if where is None else current.where(F.col("timestamp").between(F.lit(scope.low), F.lit(scope.high)))


@dataclass(frozen=True)
class Found:
    """What the pieces are, counted: all of it about pending ones but ``refused``, which is of all that were read.

    ``unread``: bodies that are not plain, whose pieces are not among these yet.
    """

    unread: int
    received: int
    quarantined: int
    refused: int
    results: tuple[RuleResult, ...]

    def counts(self, counted: Tally, keys: int | None = None) -> dict[str, int]:
        """Idea 6's counts: received = quarantined + duplicates + ``keys`` that pending pieces speak of.

        By default these are all that should be there.
        """
        rows = counted.counts()
        if keys is None:
            keys = rows["inserted"] + rows["updated"] + rows["unchanged"]
        duplicates = self.received - self.quarantined - keys
        return {"received": self.received, "duplicates": duplicates, **rows, "quarantined": self.quarantined}


def _count(judged: DataFrame, rules: Rules) -> Found:
    is_piece, broken = F.col("position").isNotNull(), F.col("broken")
    is_pending = is_piece & F.col("is_pending")
    row = judged.agg(
        F.count_if(~is_piece).alias("unread"),
        F.count_if(is_pending).alias("received"),
        F.count_if(is_pending & rules.refuses(broken)).alias("quarantined"),
        F.count_if(is_piece & rules.refuses(broken)).alias("refused"),
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
    return Found(int(row["unread"]), received, int(row["quarantined"]), int(row["refused"]), results)


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
    if scope.is_whole and stages.is_empty(table) and not scope.are_few:
        wanted = _by_month(good, scope).transform(silver.newest, within=(MONTH,))
        version, account, counted = stages.fill(work, wanted, SILVER, table, commit)
        return version, account, found.counts(counted)
    wanted, keys, current = silver.newest(good, with_pending=bool(scope.beside)), None, _current(work, scope, table)
    if scope.is_whole:
        wanted = wanted.select(*SILVER.column_names)
        version, account, counted = stages.bring(
            work, wanted, current, SILVER, table, commit, "timestamp", is_whole=True, are_few=scope.are_few
        )
        return version, account, found.counts(counted)
    if scope.again:
        slots = F.broadcast(silver.slots(scope.pending()).distinct())
        wanted, current = (frame.join(slots, "timestamp", "left_semi") for frame in (wanted, current))
        keys = good.where("is_pending").select(*SILVER.key).distinct().count()
    elif scope.beside:
        # A key that no pending piece speaks of may have its newest value in a response that was not read.
        wanted = wanted.where("has_pending")
    version, account, counted = stages.bring(
        work,
        wanted.select(*SILVER.column_names),
        current,
        SILVER,
        table,
        commit,
        "timestamp",
        is_whole=False,
        deleting=scope.again,
        are_few=scope.are_few,
    )
    return version, account, found.counts(counted, keys)


def _quarantine(
    work: Work, judged: DataFrame, scope: Scope, bronze: Snapshot, now: Snapshot, rules: Rules, found: Found
) -> Snapshot:
    """Let the quarantine hold what the responses read now have refused, before Silver says that it has read them.

    Of an incremental run's responses it holds nothing yet, unless a run died here before.
    """
    is_renewing = scope.is_whole or scope.again
    if not found.refused and not (is_renewing and not stages.is_empty(now)):
        return now
    responses = scope.responses() if is_renewing else scope.pending()
    wanted = judged if is_renewing else judged.where("is_pending")
    wanted = wanted.transform(silver.refused, bronze=responses, rules=rules)
    current = work.store.read(QUARANTINE, now.version)
    if not scope.is_whole:
        ids = F.broadcast(responses.select("response_id"))
        current = current.join(ids, "response_id", "left_semi")
    commit = work.commit("quarantine", {BRONZE.name: bronze}, writes=(QUARANTINE, now))
    is_whole = scope.is_whole or stages.is_empty(now)
    stages.bring(work, wanted, current, QUARANTINE, now, commit, "response_id", is_whole=is_whole)
    return work.snapshot(QUARANTINE)


def _by_month(pieces: DataFrame, scope: Scope) -> DataFrame:
    """The pieces with their ``MONTH``, every month in a partition of its own, and so later in a file of its own.

    A file holds 26,784 rows at most: a later day's MERGE copies that many and not years.
    """
    if scope.low is None or scope.high is None:
        return pieces.withColumn(MONTH, F.lit(0)).repartitionById(1, MONTH)
    month = (F.year("timestamp") - scope.low.year) * 12 + F.month("timestamp") - 1
    months = (scope.high.year - scope.low.year + 1) * 12
    return pieces.withColumn(MONTH, month.cast("int")).repartitionById(months, MONTH)
