"""The stage Silver: what to read of Bronze, what is refused, what is written. One commit a table at most.

Bodies are read and judged once; everything that is counted is counted of the records, before anything is written.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa
from pyspark.sql import DataFrame

from lakehouse.lake import watermarks
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.rule_results import RuleResult
from lakehouse.lake.store import Rows
from lakehouse.lake.tables import BRONZE, QUARANTINE, SILVER
from lakehouse.messages.wording import counted
from lakehouse.run_context import GateError, RunContext, StageReport
from lakehouse.transform import merge, silver
from lakehouse.transform.batch import Batch, plan_batch
from lakehouse.transform.changeset import ChangeCounts
from lakehouse.transform.local_records import LocalRecords
from lakehouse.transform.quality import DRIFT, FAIL, RULES, Rules
from lakehouse.transform.spark_records import SparkRecords

WRITES_NOTHING = {SILVER.name: None, QUARANTINE.name: None}
"""What a stage says of its tables that stops, or has nothing to do."""


@dataclass(frozen=True)
class Contract:
    """What a record has to be like: the rules, and whether fields that nobody knew before stop the stage."""

    rules: Rules = RULES
    is_frozen: bool = False


class CheckedRecords(Protocol):
    """The checked records of a batch, in this process or on a cluster; held until ``close``."""

    def query(self, text: str) -> pa.Table:
        """The answer to a query over ``{records}``, here: for counts."""

    def rows(self, text: str) -> Rows:
        """The answer to a query over ``{records}``, where the records are."""

    def rows_by_key(self, text: str) -> Rows:
        """As ``rows``, for a query whose rows rest on the good records of their own key alone."""

    def in_even_parts(self, text: str) -> AbstractContextManager[DataFrame]:
        """Silver's rows as a query gives them, for Spark to write in files of about a month.

        A later day's MERGE then copies one file and not years.
        """

    def close(self) -> None:
        """Let go of what is held."""


@dataclass(frozen=True)
class ValidationSummary:
    """What the records are, counted: all of it about pending ones but ``refused``, which is of all that were read.

    ``results``: every rule's, and what the API said that it did not say before, with the number of records of each.
    """

    received: int
    quarantined: int
    refused: int
    results: tuple[RuleResult, ...]

    def counts(self, changes: ChangeCounts, keys: int | None = None) -> dict[str, int]:
        """A stage's counts: received = quarantined + duplicates + ``keys`` that pending records speak of.

        By default these are all that should be there.
        """
        rows = changes.counts()
        if keys is None:
            keys = rows["inserted"] + rows["updated"] + rows["unchanged"]
        duplicates = self.received - self.quarantined - keys
        return {"received": self.received, "duplicates": duplicates, **rows, "quarantined": self.quarantined}


def build_silver(
    context: RunContext, *, full: bool = False, replay: bool = False, contract: Contract | None = None
) -> StageReport:
    """Silver from Bronze: read, judge, let the newest win, write what differs.

    ``full`` computes everything anew. ``replay`` judges the responses that have records in quarantine once more, by
    the rules of now: their half-hours become what a full computation would make of them.

    Raises:
        GateError: a rule of level ``fail`` was broken, or the contract is frozen and the API has changed.
    """
    contract = contract or Contract()
    bronze, table, quarantine = (context.snapshot(each) for each in (BRONZE, SILVER, QUARANTINE))
    newest_landing = int(bronze.highest("landing") or 0)
    damaged = [merge.is_damaged(table, SILVER), merge.is_damaged(quarantine, QUARANTINE)]
    watermark = None if full or any(damaged) else watermarks.landing(context.store, table, bronze, quarantine)
    replay = replay and not any(damaged) and quarantine.totals()["rows"] > 0
    reads = {BRONZE.name: bronze.version}

    def commit(quarantine: Snapshot) -> Commit:
        sources = {BRONZE.name: bronze, QUARANTINE.name: quarantine}
        return context.commit("silver", sources, newest_landing, writes=(SILVER, table))

    if watermark == newest_landing and not replay:
        counts = {"received": 0, "duplicates": 0, **merge.nothing(table), "quarantined": 0}
        account = merge.record_unchanged(commit(quarantine), table)
        results = contract.rules.results({}, 0)
        return StageReport("silver", None, counts, reads, results, account=account, writes=WRITES_NOTHING)

    context.store.begin_session()  # it starts while bodies are read
    batch = plan_batch(context, bronze, watermark, _quarantined_responses(quarantine) if replay else [])
    records = _checked(context, batch, contract.rules)
    try:
        context.on_progress("silver: counts")
        summary = summarised(records, contract.rules)
        if sentence := _reason_to_stop(summary.results, contract):
            seen = _seen(records, summary)
            raise GateError(sentence, StageReport("silver", None, seen, reads, summary.results, writes=WRITES_NOTHING))
        context.on_progress("silver: writes")
        context.open_session()
        before, quarantine = quarantine.version, _write_quarantine(context, records, summary, batch, quarantine)
        version, account, counts = _write_silver(context, records, summary, batch, table, commit(quarantine))
    finally:
        records.close()
    writes = {SILVER.name: version, QUARANTINE.name: quarantine.version if quarantine.version != before else None}
    return StageReport("silver", version, counts, reads, summary.results, account=account, writes=writes)


def summarised(records: CheckedRecords, rules: Rules) -> ValidationSummary:
    """The counts of checked records."""
    (row,) = records.query(silver.summary(rules)).to_pylist()
    row[rules.repeated.name] = int(records.query(silver.REPEATED)["n"][0].as_py())
    received = int(row["received"])
    unknown: dict[str, int] = {}
    for group in records.query(silver.UNKNOWN).to_pylist():
        for name in group["unknown"]:
            unknown[name] = unknown.get(name, 0) + int(group["n"])
    drifted = (RuleResult(name, DRIFT, unknown[name], received) for name in sorted(unknown))
    results = (*rules.results(row, received), *drifted)
    return ValidationSummary(received, int(row["quarantined"]), int(row["refused"]), results)


def _checked(context: RunContext, batch: Batch, rules: Rules) -> CheckedRecords:
    """The batch's records, read and judged where Spark works: in this process, or on a cluster."""
    if context.is_local:
        return LocalRecords(context.store, batch, rules, context.on_progress)
    return SparkRecords(context.store, batch, rules)


def _quarantined_responses(quarantine: Snapshot) -> list[str]:
    return sorted(set(quarantine.rows(["response_id"]).column("response_id").to_pylist()))


def _pending_keys(records: CheckedRecords) -> int:
    return int(records.query(silver.PENDING_KEYS)["n"][0].as_py())


def _seen(records: CheckedRecords, summary: ValidationSummary) -> dict[str, int]:
    """The counts of a stage that stops after it has judged: nothing was compared with the table, or written.

    received = quarantined + duplicates + the keys that the records speak of.
    """
    counts = summary.counts(ChangeCounts(), _pending_keys(records))
    return {name: counts[name] for name in ("received", "duplicates", "quarantined")}


def _reason_to_stop(results: Sequence[RuleResult], contract: Contract) -> str | None:
    def named(level: str) -> str:
        at_fault = [result for result in results if result.level == level and result.failed]
        return ", ".join(
            f"{result.rule} ({result.failed:,} of {counted(result.checked, 'record')})" for result in at_fault
        )

    if broken := named(FAIL):
        return f"Silver stopped before it wrote anything: rules of level fail are broken: {broken}."
    if contract.is_frozen and (new := named(DRIFT)):
        return (
            f"Silver stopped before it wrote anything: the API's answers hold what was not known before: {new}. "
            'With contract = "evolve" under [quality] the rows go on and the rest is kept beside them.'
        )
    return None


def _write_silver(
    context: RunContext,
    records: CheckedRecords,
    summary: ValidationSummary,
    batch: Batch,
    table: Snapshot,
    commit: Commit,
) -> tuple[int | None, str, dict[str, int]]:
    """Bring Silver to what the good records say: all of it, or the part that follows from the batch."""
    newest = silver.newest(only_pending_keys=bool(batch.overlapping) and not batch.is_replay)
    if batch.is_whole and merge.is_void(table):
        with records.in_even_parts(newest) as rows:
            version, account, changes = merge.initial_load(context, rows, SILVER, table, commit)
        return version, account, summary.counts(changes)
    rows, current = records.rows_by_key(newest), merge.current_rows(context, SILVER, table, _part_of_silver(batch))
    if batch.is_replay:
        slots = pa.table({"timestamp": pa.array(batch.slots(), pa.timestamp("us", "UTC"))})
        rows, current = (merge.matching(context, part, slots) for part in (rows, current))
    version, account, changes = merge.merge_changes(
        context,
        rows,
        current,
        SILVER,
        table,
        commit,
        is_whole=batch.is_whole,
        deleting=batch.is_whole or batch.is_replay,
    )
    return version, account, summary.counts(changes, _pending_keys(records) if batch.is_replay else None)


def _part_of_silver(batch: Batch) -> str | None:
    """The condition of the rows that the batch may change: None for all, else what its windows hold."""
    if batch.is_whole:
        return None
    if batch.half_hours is None:
        return "false"
    low, high = batch.half_hours
    return f"timestamp BETWEEN TIMESTAMP '{low:%FT%TZ}' AND TIMESTAMP '{high:%FT%TZ}'"


def _write_quarantine(
    context: RunContext, records: CheckedRecords, summary: ValidationSummary, batch: Batch, table: Snapshot
) -> Snapshot:
    """Let the quarantine hold what the responses read now have refused, before Silver says that it has read them.

    Of an incremental run's responses it holds nothing yet, unless a run died here before.
    """
    is_renewing = batch.is_whole or batch.is_replay
    if not summary.refused and not (is_renewing and table.totals()["files"]):
        return table
    rows = records.rows(silver.refused(with_consumed=is_renewing))
    current = merge.current_rows(context, QUARANTINE, table)
    if not batch.is_whole:
        condition = batch.condition if is_renewing else f"n_periods > 0 AND ({batch.pending})"
        current = merge.matching(context, current, batch.bronze.read_arrow(["response_id"], condition))
    context = replace(context, max_deleted_share=1.0)  # what leaves the quarantine is good, or gone with its response
    commit = context.commit("quarantine", {BRONZE.name: batch.bronze}, writes=(QUARANTINE, table))
    is_whole = batch.is_whole or merge.is_void(table)
    merge.merge_changes(context, rows, current, QUARANTINE, table, commit, is_whole=is_whole)
    return context.snapshot(QUARANTINE)
