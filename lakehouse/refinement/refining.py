"""The stage Silver: what to read of Bronze, what is refused, what is written. One commit a table at most.

The pieces are parsed once and kept; everything that is counted is counted of them, before anything is written.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakehouse.lake import cursors, delta_log
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import FEW_ROWS
from lakehouse.lake.tables import BRONZE, QUARANTINE, REGIONS, SILVER
from lakehouse.refinement import silver, stages
from lakehouse.refinement.quality import DRIFT, FAIL, RULES, RuleResult, Rules
from lakehouse.refinement.stages import GateError, StageReport, Tally, Work
from lakehouse.windows import HALF_HOUR, Window

KEPT = ("position", "is_pending", "is_plain", "landing", "region", "period_from", "unknown", "broken")
"""What is kept of a piece beside Silver's columns."""
FEW_PERIODS = 1_000
"""Half-hours of pending responses (a body holds 8 kB of each) up to which this process reads them itself.

Spark's own way to them, planning by Delta and Python workers, takes seconds before the first row.
"""
NEAR_PERIODS = 60_000
"""Half-hours (3.4 years, half a gigabyte) up to which this process reads plain bodies while the JVM starts."""
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


@dataclass(frozen=True)
class Scope:
    """The part of Bronze that a run looks at, and the part of Silver that follows from it.

    ``where``: the condition that pending responses meet, None for all of Bronze. ``beside``: ids of others that speak
    of the same half-hours: the newer ones, or with ``again`` all of them. ``windows`` are those of the pending ones,
    ``low`` and ``high`` the first and last half-hour that they may speak of. ``n_periods``: what all of them hold.
    """

    bronze: Callable[[], DataFrame]
    windows: tuple[Window, ...]
    n_periods: int
    where: str | None = None
    beside: tuple[str, ...] = ()
    again: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is all of Bronze."""
        return self.where is None

    @property
    def are_few(self) -> bool:
        """Whether little has to be read: this process does it."""
        return not self.again and self.n_periods <= FEW_PERIODS

    def pending(self) -> DataFrame:
        """The responses that Silver has yet to consume."""
        everything = self.bronze()
        pending = everything if self.where is None else everything.where(self.where)
        return pending.withColumn("is_pending", F.lit(True))

    def responses(self) -> DataFrame:
        """All of the scope's responses; they say whether they are ``is_pending``."""
        if not self.beside:
            return self.pending()
        beside = self.bronze().where(F.col("response_id").isin(*self.beside))
        return self.pending().unionByName(beside.withColumn("is_pending", F.lit(False)))

    @property
    def low(self) -> datetime | None:
        """The first half-hour."""
        return min((window.start - HALF_HOUR for window in self.windows), default=None)

    @property
    def high(self) -> datetime | None:
        """The last half-hour."""
        return max((window.end for window in self.windows), default=None)


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

    scope = _scope(work, bronze, cursor, _held(refusals) if again else [])
    kept: list[DataFrame] = []

    def judge(pieces: DataFrame) -> DataFrame:
        judged = pieces.transform(silver.judged, rules=contract.rules).select(*SILVER.column_names, *KEPT)
        if scope.are_few:
            kept.append(work.store.frame(judged.toArrow()))
        else:
            work.store.spark.conf.set(COMPRESSED, str(scope.n_periods > MANY_PERIODS).lower())
            kept.append(judged.persist())
        return kept[-1]

    judged = judge(_pieces(work, bronze, scope))
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


def pending_periods(work: Work) -> int:
    """How many half-hours the responses hold that Silver has yet to consume; told without Spark."""
    bronze, table, refusals = (work.snapshot(each) for each in (BRONZE, SILVER, QUARANTINE))
    cursor = cursors.landing(work.store, table, bronze, refusals)
    late = bronze.rows(["n_periods"], None if cursor is None else f"landing > {cursor}")
    return sum(late.column("n_periods").to_pylist())


def _held(refusals: Snapshot) -> list[str]:
    return sorted(set(refusals.rows(["response_id"]).column("response_id").to_pylist()))


def _scope(work: Work, bronze: Snapshot, cursor: int | None, again: list[str]) -> Scope:
    """What to read, decided by what Bronze says of its responses; ``again``: ids of those to judge once more."""
    where = None if cursor is None else f"landing > {cursor}"
    if again and where:
        where = f"{where} OR response_id IN ({_listed(again)})"
    late = bronze.rows(["window_start", "window_end", "n_periods"], where).to_pylist()
    beside = responses_beside(bronze, where, older_too=bool(again)) if where else {}
    return Scope(
        bronze=lambda: work.store.scan(BRONZE, bronze),
        windows=tuple(Window(row["window_start"], row["window_end"]) for row in late),
        n_periods=sum(row["n_periods"] for row in late) + sum(beside.values()),
        where=where,
        beside=tuple(beside),
        again=bool(again and where),
    )


def responses_beside(bronze: Snapshot, where: str, *, older_too: bool) -> dict[str, int]:
    """The consumed responses that may hold a newer value of a half-hour that a pending one holds: n_periods by id.

    With ``older_too`` all that may hold any value of it. (``where`` tells the pending ones.)
    """
    touching = "late.window_start <= rows.window_end AND late.window_end >= rows.window_start"
    newer = "" if older_too else " AND rows.ingestion_timestamp >= late.ingestion_timestamp"
    query = f"""
        WITH late AS (SELECT window_start, window_end, ingestion_timestamp FROM rows WHERE {where})
        SELECT DISTINCT rows.response_id, rows.n_periods FROM rows JOIN late ON {touching}{newer}
        WHERE NOT ({where}) ORDER BY rows.response_id"""  # noqa: S608 (our own names)
    found = delta_log.asked(query, rows=bronze)
    return dict(zip(*(found.column(name).to_pylist() for name in ("response_id", "n_periods")), strict=True))


def _pieces(work: Work, bronze: Snapshot, scope: Scope) -> DataFrame:
    """The pieces of the scope's bodies, if they are few; else the plain ones, with marks for the rest."""
    if scope.again or scope.n_periods > NEAR_PERIODS:
        return silver.plain_pieces(scope.responses())
    names = [name for name in silver.PROVENANCE if name != "is_pending"]
    wanted = scope.where or "true"
    if scope.beside:
        wanted = f"{wanted} OR response_id IN ({_listed(scope.beside)})"
    responses = bronze.as_declared(bronze.rows([*names, "body"], f"n_periods > 0 AND ({wanted})"))
    is_pending = pc.invert(pc.is_in(responses["response_id"], pa.array(scope.beside, pa.string())))
    responses = responses.append_column("is_pending", is_pending)
    if scope.are_few:
        return silver.pieces_of_few(responses, work.store.frame)

    def frame(pieces: pa.Table) -> DataFrame:
        rows = work.store.frame(pieces)
        return rows.coalesce(rows.sparkSession.sparkContext.defaultParallelism)  # not a task for each 10,000 rows

    return silver.plain_pieces_here(responses, frame)


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(repr(each) for each in ids)


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
