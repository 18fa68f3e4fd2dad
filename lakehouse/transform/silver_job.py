"""The stage Silver: what to read of Bronze, what is refused, what is written. One commit a table at most.

The pieces are parsed once and kept; everything that is counted is counted of them, before anything is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake import watermarks
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import FEW_ROWS, Rows
from lakehouse.lake.tables import BRONZE, QUARANTINE, REGIONS, SILVER
from lakehouse.run_context import GateError, RuleResult, RunContext, StageReport
from lakehouse.spark import session
from lakehouse.transform import merge, silver
from lakehouse.transform.batch import NEAR_PERIODS, ODD_PERIODS, Batch, plan_batch
from lakehouse.transform.far import FarPieces
from lakehouse.transform.judgement import Judged
from lakehouse.transform.merge import ChangeCounts
from lakehouse.transform.near import NearPieces
from lakehouse.transform.quality import DRIFT, FAIL, RULES, Rules
from lakehouse.windows import HALF_HOUR
from lakehouse.wording import counted


@dataclass(frozen=True)
class Contract:
    """What a piece has to be like: the rules, and whether fields that nobody knew before stop the stage."""

    rules: Rules = RULES
    is_frozen: bool = False


def refine(
    context: RunContext, *, full: bool = False, again: bool = False, contract: Contract | None = None
) -> StageReport:
    """Silver from Bronze: parse, judge, let the newest win, write what differs.

    ``full`` computes everything anew. ``again`` judges the responses that have pieces in quarantine once more, by
    the rules of now: their half-hours become what a full computation would make of them.

    Raises:
        GateError: a rule of level ``fail`` was broken, or the contract is frozen and the API has changed.
    """
    contract = contract or Contract()
    bronze, table, refusals = (context.snapshot(each) for each in (BRONZE, SILVER, QUARANTINE))
    newest_landing = int(bronze.highest("landing") or 0)
    damaged = [merge.is_damaged(table, SILVER), merge.is_damaged(refusals, QUARANTINE)]
    cursor = None if full or any(damaged) else watermarks.landing(context.store, table, bronze, refusals)
    again = again and not any(damaged) and refusals.totals()["rows"] > 0
    reads = {BRONZE.name: bronze.version}

    def commit(beside: Snapshot) -> Commit:
        sources = {BRONZE.name: bronze, QUARANTINE.name: beside}
        return context.commit("silver", sources, newest_landing, writes=(SILVER, table))

    if cursor == newest_landing and not again:
        counts = {"received": 0, "duplicates": 0, **merge.nothing(table), "quarantined": 0}
        account = merge.record_unchanged(commit(refusals), table)
        return StageReport("silver", None, counts, reads, contract.rules.results({}, 0), account=account)

    scope = plan_batch(context, bronze, cursor, _held(refusals) if again else [])
    judged = _judged(context, scope, bronze, contract.rules)
    try:
        context.open_session()
        found = judged.found
        if sentence := _reason_to_stop(found.results, contract):
            raise GateError(sentence, StageReport("silver", None, _seen(judged), reads, found.results))
        refusals = _quarantine(context, judged, scope, bronze, refusals, contract.rules)
        version, account, counts = _write(context, judged, scope, table, commit(refusals))
    finally:
        judged.close()
    return StageReport("silver", version, counts, reads, found.results, account=account)


def _judged(context: RunContext, scope: Batch, bronze: Snapshot, rules: Rules) -> Judged:
    """The scope's pieces: here, unless a cluster is there for so many, or most bodies are for Spark to read anyway."""
    if not scope.again and (scope.n_periods <= NEAR_PERIODS or session.is_local()):
        near = NearPieces(context.store, bronze, scope, rules)
        try:
            if near.read(most_odd=ODD_PERIODS):
                return near
        except BaseException:
            near.close()
            raise
        near.close()
    return FarPieces(scope, rules)


def _held(refusals: Snapshot) -> list[str]:
    return sorted(set(refusals.rows(["response_id"]).column("response_id").to_pylist()))


def _current(context: RunContext, scope: Batch, table: Snapshot) -> Rows:
    """The part of Silver that the scope may change: all of it, or the half-hours that its windows hold."""
    if merge.is_void(table):
        return table.no_rows(SILVER.column_names)
    if scope.is_whole or scope.low is None or scope.high is None:
        rows, where = int(table.totals()["rows"]), None
    else:
        rows = len(REGIONS) * (int((scope.high - scope.low) / HALF_HOUR) + 1)
        where = f"timestamp BETWEEN TIMESTAMP '{scope.low:%FT%TZ}' AND TIMESTAMP '{scope.high:%FT%TZ}'"
    if scope.are_few and rows <= FEW_ROWS:
        return table.read_arrow(SILVER.column_names, where)
    current = context.store.read(SILVER, table.version)
    return current if where is None else current.where(F.col("timestamp").between(F.lit(scope.low), F.lit(scope.high)))


def _seen(judged: Judged) -> dict[str, int]:
    """The counts of a stage that stops after it has judged the pieces: nothing was compared with the table, or written.

    received = quarantined + duplicates + the keys that the pieces speak of.
    """
    counts = judged.found.counts(ChangeCounts(), judged.pending_keys())
    return {name: counts[name] for name in ("received", "duplicates", "quarantined")}


def _reason_to_stop(results: Sequence[RuleResult], contract: Contract) -> str | None:
    def named(level: str) -> str:
        at_fault = [result for result in results if result.level == level and result.failed]
        return ", ".join(
            f"{result.rule} ({result.failed:,} of {counted(result.checked, 'piece')})" for result in at_fault
        )

    if broken := named(FAIL):
        return f"Silver stopped before it wrote anything: rules of level fail are broken: {broken}."
    if contract.is_frozen and (new := named(DRIFT)):
        return (
            f"Silver stopped before it wrote anything: the API's answers hold what was not known before: {new}. "
            'With contract = "evolve" under [quality] the rows go on and the rest is kept beside them.'
        )
    return None


def _write(
    context: RunContext, judged: Judged, scope: Batch, table: Snapshot, commit: Commit
) -> tuple[int | None, str, dict[str, int]]:
    """Bring Silver to what the good pieces say: all of it, or the part that follows from the scope."""
    found = judged.found
    if scope.is_whole and merge.is_void(table) and not scope.are_few:
        with judged.laid_out() as wanted:
            version, account, counted = merge.initial_load(context, wanted, SILVER, table, commit)
        return version, account, found.counts(counted)
    wanted, keys, current = judged.newest(), None, _current(context, scope, table)
    if scope.again:
        slots = F.broadcast(silver.slots(scope.pending()).distinct())
        frames = (context.store.to_spark(rows) for rows in (wanted, current))
        wanted, current = (frame.join(slots, "timestamp", "left_semi") for frame in frames)
        keys = judged.pending_keys()
    version, account, counted = merge.merge_changes(
        context,
        wanted,
        current,
        SILVER,
        table,
        commit,
        is_whole=scope.is_whole,
        deleting=scope.is_whole or scope.again,
    )
    return version, account, found.counts(counted, keys)


def _quarantine(
    context: RunContext, judged: Judged, scope: Batch, bronze: Snapshot, now: Snapshot, rules: Rules
) -> Snapshot:
    """Let the quarantine hold what the responses read now have refused, before Silver says that it has read them.

    Of an incremental run's responses it holds nothing yet, unless a run died here before.
    """
    is_renewing = scope.is_whole or scope.again
    if not judged.found.refused and not (is_renewing and now.totals()["files"]):
        return now
    responses = scope.responses() if is_renewing else scope.pending()
    refused = judged.refused(with_consumed=is_renewing)
    wanted: DataFrame = refused.transform(silver.refused, bronze=responses, rules=rules)
    current = context.store.read(QUARANTINE, now.version)
    context = replace(context, max_deleted_share=1.0)  # what leaves the quarantine is good, or gone with its response
    if not scope.is_whole:
        ids = F.broadcast(responses.select("response_id"))
        current = current.join(ids, "response_id", "left_semi")
    commit = context.commit("quarantine", {BRONZE.name: bronze}, writes=(QUARANTINE, now))
    is_whole = scope.is_whole or merge.is_void(now)
    merge.merge_changes(context, wanted, current, QUARANTINE, now, commit, is_whole=is_whole)
    return context.snapshot(QUARANTINE)
