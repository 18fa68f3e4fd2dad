"""Gold into PostgreSQL: stage by JDBC what changed, then one transaction that commits only what is proven equal.

Which rows are staged is a matter of speed alone. Before its COMMIT the transaction compares the checksums of every
published table with those of Gold; where they differ, all rows of all tables are staged instead.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
from sqlalchemy import Connection

from lakehouse.history import restore
from lakehouse.history.states import LakeVersion
from lakehouse.lake import commits
from lakehouse.lake.delta_log import FeedError
from lakehouse.lake.tables import GOLD
from lakehouse.postgres import PostgresTarget, probe
from lakehouse.publishing import checksums, export_log, export_source, mirror, staging, verification
from lakehouse.publishing.checksums import Checksums
from lakehouse.publishing.database import database
from lakehouse.publishing.export_log import Exported, ExportRecord
from lakehouse.publishing.export_source import ExportSource, PublishedTable
from lakehouse.publishing.mirror import ProofError, Staged
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
        LossError: the newest Gold would delete more of a table's rows in PostgreSQL than a run may.
    """
    with database(settings) as where:
        where.prepare()
        with mirror.export_lock(where.target, wait=LOCK_WAIT_SECONDS) as connection:
            mirror.clear_staging(connection)
            last = export_log.last_export(connection)
            if state is not None:
                source = export_source.of_state(context.store, state, since=last.state if last else None)
            elif repair and version is None and last is not None:
                source = export_source.exported(context.store, settings, last.state)
            else:
                source = _of_lake(context, last, version)
            if source.missing:
                log.warning("%s comes without %s: PostgreSQL's are empty", source.title, ", ".join(source.missing))
            counts = _Export(context, connection, where.target, source, last).run(full=full)
    reads = {published.table.name: published.pin.version for published in source.tables if published.pin}
    return StageReport("export", None, _report(counts), reads, outcome=f"PostgreSQL equals {source.title}")


def _of_lake(context: RunContext, last: ExportRecord | None, version: int | None) -> ExportSource:
    """The lake's own Gold. Of one that nobody has named, a run may delete no more than its share."""
    source = export_source.at(context.store, version, since=last.state if last else None)
    if version is not None:
        return source
    source = replace(source, lake_version=context.lake_version)
    gold = source.gold.snapshot
    is_restored = gold is not None and commits.newest_stage(gold.newest_commits()) == restore.STAGE
    return source if is_restored else replace(source, may_delete=context.max_deleted_share)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is to be staged of a table: rows with ``is_deleted``, all of them or those that may have changed."""

    published: PublishedTable
    rows: pa.Table
    is_full: bool


@dataclass(frozen=True)
class _Export:
    """One export of ``source``, on the connection that holds the exporters' lock."""

    context: RunContext
    connection: Connection
    target: PostgresTarget
    source: ExportSource
    last: ExportRecord | None

    def run(self, *, full: bool) -> Exported:
        """Find out which tables differ from Gold; stage what may have changed in them, and apply it."""
        tables = self.source.tables
        proven = self.last if self.last is not None and self.last.is_proven else None
        moved = [each for each in tables if full or proven is None or not _is_as_in(proven, each)]
        with ThreadPoolExecutor(1) as background:
            reading = background.submit(lambda: [each.checksums for each in moved])  # while PostgreSQL sums its rows up
            found = mirror.read_checksums(self.connection)
            edited = [each for each in tables if proven is not None and not proven.is_whole(each.table, found)]
            if proven is not None and edited:
                self._warn(proven, found)
            elif proven is not None and not full and proven.is_of(self.source.state):
                return {name: counts.untouched() for name, counts in proven.counts.items()}
            reading.result()
        in_postgres = {each: checksums.of_table(found, each.table) for each in tables}
        in_gold = {each: each.checksums if each in moved or each in edited else in_postgres[each] for each in tables}
        proof = {part: checksum for each in tables for part, checksum in in_gold[each].items()}
        if not full:
            try:
                different = [each for each in tables if in_postgres[each] != in_gold[each]]
                return self._replace([_changes(each, None if each in edited else proven) for each in different], proof)
            except (ProofError, FeedError) as error:
                log.info("The changes alone do not do (%s); all of Gold is staged.", error)
        return self._replace([_everything(each) for each in tables], proof)

    def _replace(self, staged: Sequence[_Rows], proof: Checksums) -> Exported:
        """Stage these rows and make PostgreSQL equal to Gold with them."""
        with_rows = [each for each in staged if len(each.rows)]
        for each in with_rows:
            staging.refuse_unstorable(each.published.table, each.rows)
        mirror.clear_staging(self.connection)
        self.context.on_progress("export: stages", sum(len(each.rows) for each in with_rows), unit="row")
        if with_rows:
            target = probe(self.target)
            for each in with_rows:
                frame, count = self.context.store.to_spark(each.rows), len(each.rows)
                staging.stage_rows(frame, each.published.table, self.context.run_id, target, count=count)
        self.context.on_progress("export: proves")
        with self.connection.begin():
            return mirror.apply_staged(
                self.connection,
                run_id=self.context.run_id,
                state=self.source.state,
                staged=[Staged(each.published.table, each.is_full, len(each.rows)) for each in staged],
                proof=proof,
                may_delete=self.source.may_delete,
            )

    def _warn(self, last: ExportRecord, found: Checksums) -> None:
        """Name rows that somebody changed in PostgreSQL since the last export, before they are put right."""
        named: list[str] = []
        exported = self.source.as_exported(last.state)
        if exported is not None:
            differing = verification.differences(self.connection, exported, found)
            named = [str(difference) for difference in differing[:SHOWN]]
            if len(differing) > SHOWN:
                named.append(f"and {len(differing) - SHOWN:,} more")
        log.warning(
            "Rows were changed in PostgreSQL since the export of Gold version %d; they are put right%s",
            last.state.gold.version,
            "".join(f"\n  {line}" for line in named),
        )


def _is_as_in(last: ExportRecord, published: PublishedTable) -> bool:
    """Whether the last export brought this very version of a table, or none where the lake held none."""
    return last.state.tables.get(published.table.short_name) == published.pin


def _everything(published: PublishedTable) -> _Rows:
    return _Rows(published, staging.everything(published.rows), is_full=True)


def _changes(published: PublishedTable, last: ExportRecord | None) -> _Rows:
    """The rows that changed since the last export; all of them where it cannot be told.

    Raises:
        FeedError: the change feed cannot be read.
    """
    pin = last.state.tables.get(published.table.short_name) if last is not None else None
    if pin is None or not published.reaches(pin):
        return _everything(published)
    rows = staging.changed(published.table, published.rows, published.changed_since(pin))
    return _Rows(published, rows, is_full=False)


def _report(exported: Exported) -> dict[str, int]:
    """The days' counts, then those of the other tables that are not zero."""
    counts: dict[str, int] = {}
    for name, done in sorted(exported.items(), key=lambda item: item[0] != GOLD.short_name):
        prefix = export_log.prefix_of(name)
        shown = {
            what: number for what, number in done.as_dict().items() if not prefix or (number and what != "unchanged")
        }
        counts |= {f"{prefix}{what}": number for what, number in shown.items()}
    return counts
