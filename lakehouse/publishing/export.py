"""Gold into PostgreSQL: stage by JDBC what changed, then one transaction that commits only what is proven equal.

Which rows are staged is a matter of speed alone. Before its COMMIT the transaction compares the checksums of the
result with those of Gold; where they differ, all of Gold is staged instead.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
from sqlalchemy import Connection

from lakehouse.history import restore
from lakehouse.history.states import LakeVersion
from lakehouse.lake import commits
from lakehouse.lake.delta_log import FeedError
from lakehouse.lake.tables import DIM_REGION, GOLD
from lakehouse.postgres import PostgresTarget, probe
from lakehouse.publishing import export_log, gold_versions, mirror, staging, verification
from lakehouse.publishing.database import database
from lakehouse.publishing.export_log import Checksum, Exported, ExportRecord
from lakehouse.publishing.gold_versions import ExportSource
from lakehouse.publishing.mirror import ProofError
from lakehouse.run_context import RunContext, StageReport
from lakehouse.settings import Settings

LOCK_WAIT_SECONDS = 30.0
"""For another export into the same database; one of three years takes 2 s."""
SHOWN = 5
"""Rows named in a warning; `lakehouse export --verify` names all."""

log = logging.getLogger(__name__)


def publish(
    context: RunContext,
    settings: Settings,
    *,
    version: int | None = None,
    state: LakeVersion | None = None,
    full: bool = False,
    repair: bool = False,
) -> StageReport:
    """Make PostgreSQL equal to Gold at ``version`` or in ``state``, by default its newest; equal rows are not touched.

    Rows that somebody changed in PostgreSQL are named and put right, whatever the flags. With ``repair`` the default
    version is the one exported last. ``full`` stages all of Gold.

    Raises:
        UsageError: Gold has no such version.
        PostgresError: the server refuses or is gone; what was published before stays whole.
        LakeLockedError: another export is at work.
        LossError: the newest Gold would delete more of PostgreSQL's days than a run may.
    """
    with database(settings) as where:
        where.prepare()
        with mirror.export_lock(where.target, wait=LOCK_WAIT_SECONDS) as connection:
            mirror.clear_staging(connection)
            last = export_log.last_export(connection)
            if state is not None:
                wanted = gold_versions.of_state(context.store, state, since=last.gold if last else None)
                wanted = replace(wanted, lake_version=state.lake_version)
            elif repair and version is None and last is not None:
                wanted = gold_versions.exported(context.store, settings, last.gold)
            else:
                wanted = gold_versions.at(context.store, version, since=last.gold if last else None)
                wanted = replace(wanted, lake_version=context.lake_version if version is None else None)
                if version is None and commits.newest_stage(wanted.days.newest_commits()) != restore.STAGE:
                    wanted = replace(wanted, may_delete=context.max_deleted_share)  # nobody has named this Gold
            done = _bring(wanted, last, connection, where.target, context.run_id, full=full)
    reads = {GOLD.name: wanted.days.version, DIM_REGION.name: wanted.regions.version}
    return StageReport("export", None, _counts(done), reads, outcome=f"PostgreSQL equals {wanted.title}")


def _bring(
    wanted: ExportSource,
    last: ExportRecord | None,
    connection: Connection,
    target: PostgresTarget,
    run_id: str,
    *,
    full: bool,
) -> Exported:
    """Find out what has to be staged, at least; stage it and apply it."""
    is_new = full or last is None or not last.is_proven or replace(last.gold, lake_version=None) != wanted.gold
    with ThreadPoolExecutor(1) as beside:
        proof = beside.submit(wanted.checksums) if is_new else None  # while PostgreSQL sums its rows up
        found = mirror.checksums(connection)
        is_known = False
        if last is not None and last.is_proven:
            if not last.is_whole(found):
                _warn(wanted, last, connection, found)
            elif not is_new:
                return last.counts.untouched()
            else:
                is_known = wanted.reaches(last.gold)
        expected = proof.result() if proof is not None else wanted.checksums()
    if last is not None and is_known and not full:
        try:
            days = staging.changed(wanted.rows(GOLD), wanted.changed_since(last.gold))
            return _replace(days, wanted, connection, target, run_id, expected)
        except (ProofError, FeedError) as error:
            log.info("The changes alone do not do (%s); all of Gold is staged.", error)
    return _replace(staging.everything(wanted.rows(GOLD)), wanted, connection, target, run_id, expected, full=True)


def _replace(
    days: pa.Table,
    wanted: ExportSource,
    connection: Connection,
    target: PostgresTarget,
    run_id: str,
    proof: Mapping[str, Checksum],
    *,
    full: bool = False,
) -> Exported:
    staging.refuse_unstorable(GOLD, days)
    staging.refuse_unstorable(DIM_REGION, wanted.rows(DIM_REGION))
    mirror.clear_staging(connection)
    staging.stage_days(wanted.store.frame(days), run_id, probe(target))
    with connection.begin():
        staging.stage_regions(connection, wanted.regions, run_id)
        return mirror.apply_staged(
            connection,
            run_id=run_id,
            gold=replace(wanted.gold, lake_version=wanted.lake_version),
            full=full,
            staged_rows=len(days) if full else None,
            proof=proof,
            may_delete=wanted.may_delete,
        )


def _warn(wanted: ExportSource, last: ExportRecord, connection: Connection, found: Mapping[str, Checksum]) -> None:
    """Name rows that somebody changed in PostgreSQL since the last export, before they are put right."""
    named: list[str] = []
    if wanted.knows(last.gold):
        then = gold_versions.at(wanted.store, last.gold.version)
        differing = verification.differences(connection, then, then.checksums(), found)
        named = [str(difference) for difference in differing[:SHOWN]]
        if len(differing) > SHOWN:
            named.append(f"and {len(differing) - SHOWN:,} more")
    log.warning(
        "Rows were changed in PostgreSQL since the export of Gold version %d; they are put right%s",
        last.gold.version,
        "".join(f"\n  {line}" for line in named),
    )


def _counts(done: Exported) -> dict[str, int]:
    """The days' counts, and those of the regions that are not zero."""
    names = ("inserted", "updated", "deleted")
    counts = {name: getattr(done.days, name) for name in (*names, "unchanged")}
    return counts | {f"regions_{name}": n for name in names if (n := getattr(done.regions, name))}
