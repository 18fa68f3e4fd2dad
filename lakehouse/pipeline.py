"""A run: which stages, in which order, under which clock and name.

Joins the edges (API, files, PostgreSQL, Delta) to the pure layers, and hands the clock to them.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from lakehouse import logs, run_record
from lakehouse.clock import machine_clock
from lakehouse.history import restore, states
from lakehouse.ingestion import bronze_job, ingest
from lakehouse.ingestion.bronze_job import BronzeLoad, FetchRequest
from lakehouse.ingestion.reception import ReceivedAt
from lakehouse.lake import maintenance
from lakehouse.lake.locking import locked
from lakehouse.lake.tables import SILVER, TABLES, Table
from lakehouse.messages import endings
from lakehouse.messages.progress import each
from lakehouse.run_context import GateError, RunContext, StageReport
from lakehouse.run_record import RunObserver, RunReport
from lakehouse.settings import Settings
from lakehouse.spark import session
from lakehouse.spark.opening import SessionOpener
from lakehouse.transform import gold_job, quarantine, silver_job
from lakehouse.transform.models import MODELS

STAGES = ("bronze", "silver", "gold", "export")

log = logging.getLogger(__name__)


@dataclass
class Run:
    """One run in the making. ``clock`` is given so that tests own time.

    ``accept_loss``: what Bronze no longer holds may be deleted from all that was made of it.
    """

    settings: Settings
    command: str
    observer: RunObserver = field(default_factory=RunObserver)
    accept_loss: bool = False
    clock: Callable[[], datetime] = machine_clock
    client_options: dict[str, Any] = field(default_factory=dict)
    report: RunReport = field(init=False)
    context: RunContext = field(init=False)

    def __post_init__(self) -> None:
        self._started_at = self.clock()
        self._spark = SessionOpener()
        self.report = RunReport(run_record.new_run_id(self._started_at), self.command)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """The lake locked and its tables there; afterwards, whatever happened, one row in ``ops.runs``.

        A call that is refused before its first stage has done anything leaves none.
        """
        session.check()
        with logs.run(self.report.run_id, self.command), self._logged(), locked(self.settings) as hold, self._spark:
            self.context = run_record.prepare(
                self.settings, self._spark, hold, self.report.run_id, self.observer, accept_loss=self.accept_loss
            )
            self.observer.run_began(self.report, self._started_at)
            try:
                with run_record.kept(self.context, self.report, self._started_at, self.clock):
                    yield
            finally:
                self.observer.run_ended(self.report)

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """The run's begin and end in the log."""
        log.info("run %s begins in %s", self.report.run_id, self.settings.root)
        try:
            yield
        except BaseException as error:
            code = int(endings.exit_code(error))
            said = {"error": endings.sentence(error), "exit_code": code, "lake_version": self.report.lake_version}
            log.error("run failed", extra={**logs.TOLD, **said})
            raise
        log.info("run ended", extra={**logs.TOLD, "exit_code": 0, "lake_version": self.report.lake_version})

    def stage(
        self, name: str, work: Callable[[], StageReport], so_far: Callable[[], StageReport | None] = lambda: None
    ) -> StageReport:
        """Do one stage, timed and reported; of one that stops, what it has come to ``so_far``."""
        self.observer.stage_started(name)
        logs.stage(name)
        log.info("stage begins", extra=logs.TOLD)
        began = time.perf_counter()
        try:
            done = work()
        except BaseException as stopped:
            reached = stopped.report if isinstance(stopped, GateError) else so_far()
            if reached is not None:
                seconds = time.perf_counter() - began
                reached = replace(reached, status="failed", seconds=seconds)
                self.report.stages.append(reached)
            self.observer.stage_failed(name, reached, stopped)
            raise
        done = replace(done, seconds=time.perf_counter() - began)
        self.report.stages.append(done)
        self.observer.stage_ended(done)
        said = {"table_version": done.version, "counts": dict(done.counts), "seconds": round(done.seconds, 3)}
        log.info("stage ended", extra={**logs.TOLD, **said})
        return done

    def fetch(self, start: datetime | None, end: datetime | None, *, force: bool = False) -> StageReport:
        """Bronze from the API: what of ``[start, end)`` is missing or may have changed. Spark opens meanwhile."""
        self.observer.stage_began("bronze")
        load, request = self._bronze_load("bronze"), FetchRequest(start, end, force)

        def work() -> StageReport:
            return ingest.until_interrupted(
                bronze_job.fetch(load, request, self._spark.begin, self.clock, self.client_options)
            )

        try:
            return self.stage("bronze", work, load.report)
        finally:
            self.report.lake_clock, self.report.failures = load.lake_clock, load.failures

    def import_files(self, paths: Sequence[Path], source: str | None, received_at: ReceivedAt) -> StageReport:
        """Bronze from files."""
        self.observer.stage_began("import")
        load = self._bronze_load("import")
        try:
            return self.stage("import", lambda: bronze_job.import_files(load, paths, source, received_at), load.report)
        finally:
            self.report.bad_files = load.bad_files

    def _bronze_load(self, stage: str) -> BronzeLoad:
        return BronzeLoad(self.context, self.settings, stage, self.observer)

    def transform(self, wanted: Sequence[str], *, full: bool = False) -> None:
        """Silver, every Gold table, and the export, as far as wanted, in this order."""
        if not full and (tables := restore.set_back(self.context)):
            log.warning(
                "%s had been restored to an older state; this run rolls forward from Bronze.", " and ".join(tables)
            )
        done: dict[str, StageReport] = {}
        if "silver" in wanted:
            self.observer.stage_began("silver")
            done[SILVER.name] = self.stage(
                "silver",
                lambda: silver_job.build_silver(self.context, full=full, contract=quarantine.contract(self.settings)),
            )
        if "gold" in wanted:
            self.observer.stage_began("gold")
            for model in MODELS:
                upstream = done.get(model.source.name)
                build = partial(gold_job.build_model, self.context, model, full=full, upstream=upstream)
                done[model.table.name] = self.stage(model.stage, build)
        if "export" in wanted:
            self.publish(full=full)

    def publish(
        self, version: int | None = None, state: str | None = None, *, full: bool = False, repair: bool = False
    ) -> StageReport:
        """PostgreSQL from Gold: at a version, at a state (lake version or release), or its newest."""
        from lakehouse.publishing import export  # with SQLAlchemy: half a second

        self.observer.stage_began("export")
        resolved = None if state is None else states.resolve_version(self.settings, state)
        return self.stage(
            "export",
            lambda: export.publish(
                self.context, self.settings, version=version, state=resolved, full=full, repair=repair
            ),
        )

    def restore(self, name: str) -> None:
        """The derived tables as a lake version or a release has them."""
        self.observer.stage_began("restore")
        state = restore.checked(self.settings, name)
        for table in each(restore.restored(state), self.observer.progress, "restore", "table"):
            self.stage(f"{restore.STAGE} {table.name}", partial(restore.restore_table, self.context, state, table))

    def maintain(self) -> None:
        """Every table compacted and vacuumed inside the retention that is set."""
        days = self.settings.retention.days
        if days is not None:
            log.warning("Versions older than %d days are given up (retention.days); releases stay.", days)
        for table in each(TABLES, self.observer.progress, "maintain", "table"):
            self.stage(f"maintain {table.name}", partial(self._maintained, table))

    def _maintained(self, table: Table) -> StageReport:
        before = self.context.snapshot(table)
        done = maintenance.maintain(self.context.store, self.settings, table, self.context.commit("maintain"))
        now = self.context.snapshot(table)
        counts = {
            "files": done.files,
            "files_now": now.totals()["files"],
            "bytes_kept": done.kept,
            "bytes_removed": done.goes,
        }
        version = now.version if now.version != before.version else None
        reads = {table.name: before.version}
        return StageReport(f"maintain {table.name}", version, counts, reads, writes={table.name: version})

    def replay_quarantine(self) -> StageReport:
        """Silver once more for the responses that have records in quarantine, by the rules of now."""
        self.observer.stage_began("silver")
        contract = quarantine.contract(self.settings)
        return self.stage("silver", lambda: silver_job.build_silver(self.context, replay=True, contract=contract))
