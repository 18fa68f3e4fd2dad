"""A run: which stages, in which order, under which clock and name, and the row in ``ops.runs`` that it leaves.

Joins the edges (API, files, PostgreSQL, Delta) to the pure layers, and hands the clock to them.
"""

import gc
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from lakehouse import endings
from lakehouse.clock import machine_clock
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import restore, states
from lakehouse.ingestion import ingest, planning, receipts
from lakehouse.ingestion.api import Client, Failure, Observer
from lakehouse.ingestion.coverage import Reason
from lakehouse.ingestion.fetching import unreachable
from lakehouse.ingestion.ingest import BadFile, Landing, ReceivedAt
from lakehouse.ingestion.receipts import FetchHistory
from lakehouse.ingestion.source import check_source
from lakehouse.lake import damage, delta_log, losses, maintenance
from lakehouse.lake.commits import Commit
from lakehouse.lake.locking import locked
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, GOLD, RUNS, SILVER, TABLES, Table
from lakehouse.provenance import code_version, settings_hash
from lakehouse.run_context import GateError, RunContext, StageReport
from lakehouse.settings import PUBLIC_API, Settings
from lakehouse.spark import session
from lakehouse.text import without_logins
from lakehouse.transform import batch, gold_job, quarantine, silver_job
from lakehouse.transform.models import MODELS
from lakehouse.windows import Span, Window
from lakehouse.wording import counted

STAGES = ("bronze", "silver", "gold", "export")
JITTER_SECONDS = 0.5
"""Retries of several tasks must not come back in step."""
MIB = 2**20

log = logging.getLogger(__name__)


@dataclass
class Report:
    """What a run did, for people (``cli``) and programs (``--json``)."""

    run_id: str
    command: str
    status: str = "ok"
    error: str | None = None
    lake_version: int | None = None
    lake_clock: datetime | None = None
    stages: list[StageReport] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    bad_files: list[BadFile] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def is_untouched(self) -> bool:
        """Whether no stage has ended well or written anything."""
        return all(stage.status == "failed" and stage.version is None for stage in self.stages)

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {
            "run_id": self.run_id,
            "command": self.command,
            "status": self.status,
            "error": self.error,
            "lake_version": self.lake_version,
            "lake_clock": self.lake_clock.isoformat() if self.lake_clock else None,
            "stages": [
                {
                    "stage": stage.stage,
                    "version": stage.version,
                    "counts": dict(stage.counts),
                    "reads": dict(stage.reads),
                    "seconds": round(stage.seconds, 3),
                }
                for stage in self.stages
            ],
            "failed_windows": [
                {
                    "window_start": failure.window.start.isoformat(),
                    "window_end": failure.window.end.isoformat(),
                    "error": failure.error,
                }
                for failure in self.failures
            ],
            "bad_files": [{"file": bad.name, "reason": bad.reason} for bad in self.bad_files],
            "versions": self.versions,
        }


class RunObserver(Observer):
    """Told what a run does; the base hears and says nothing."""

    def tables_missing(self, root: str, count: int) -> None:
        """The lake lacks this many tables, which are going to be created."""

    def stage_began(self, stage: str) -> None:
        """A stage begins."""

    def windows_planned(self, windows: Sequence[Window], reasons: dict[Reason, list[Span]]) -> None:
        """The requests of the fetch are known."""

    def left_out(self, file: BadFile) -> None:
        """A file of an import holds nothing to land."""

    def stage_ended(self, report: StageReport) -> None:
        """A stage ended well."""


@dataclass
class Run:
    """One run in the making. ``clock`` and ``sleep`` are given so that tests own time.

    ``accept_loss``: what Bronze no longer holds may be deleted from all that was made of it.
    """

    settings: Settings
    command: str
    listener: RunObserver = field(default_factory=RunObserver)
    accept_loss: bool = False
    clock: Callable[[], datetime] = machine_clock
    client_options: dict[str, Any] = field(default_factory=dict)
    spark_options: dict[str, str] = field(default_factory=dict)
    report: Report = field(init=False)
    context: RunContext = field(init=False)
    started_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._spark: SparkSession | None = None
        self._opening: Future[None] | None = None
        self._half_hours: int | None = None
        self._seen: Callable[[], StageReport] | None = None
        self.started_at = self.clock()
        run_id = f"{self.started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.report = Report(run_id, self.command)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """The lake locked and its tables there; afterwards, whatever happened, one row in ``ops.runs``.

        A call that is refused before its first stage has done anything leaves none.
        """
        session.check()
        with locked(self.settings):
            store = Store(self._opened, self.settings.root)
            for table in TABLES:
                damage.clear(store.path(table))
            if not self.accept_loss:
                losses.check_bronze(store)
            store.prepare(*TABLES, told=partial(self.listener.tables_missing, self.settings.root))
            self.context = RunContext(
                store,
                self.report.run_id,
                code_version(),
                settings_hash(self.settings),
                _next_lake_version(store),
                self.accept_loss,
                1.0 if self.accept_loss else self.settings.quality.max_deleted_share,
            )
            try:
                yield
            except BaseException as error:
                self.report.status = "failed"
                self.report.error = endings.sentence(error)
                if isinstance(error, UsageError) and self.report.is_untouched:
                    raise  # refused before anything was done: that is no run
                try:
                    self._record()
                except Exception as second:  # noqa: BLE001 (whatever it is, the first error is the one to tell)
                    error.add_note(f"The run could not be recorded either: {endings.sentence(second)}")
                raise
            self._record()

    def _begin_opening(self) -> Future[None]:
        """Let Spark start beside what this thread does; then let it look at the tables that it is going to change."""
        if self._opening is None:
            beside, is_started = ThreadPoolExecutor(1), session.is_open()
            self._opening = beside.submit(self._open)
            if not is_started:
                beside.submit(self._look)  # should it fail, the stage does, too, and says why
            beside.shutdown(wait=False)
        return self._opening

    def _open(self) -> None:
        session.open_session(self.spark_options, half_hours=self._half_hours)

    def _look(self) -> None:
        """Let Delta list the files of Silver and Gold: the session keeps what it reads of their logs."""
        store = Store(session.open_session(), self.settings.root)
        for table in (SILVER, GOLD):
            if delta_log.open_table(store.path(table)):
                store.read(table).where("regionid = 1").inputFiles()

    def _expect(self, half_hours: Callable[[], int]) -> None:
        """While Spark is yet to be opened: how much it will have to do. Begins to open it if there is anything."""
        if self._opening is None:
            self._half_hours = half_hours()
            if self._half_hours:
                self._begin_opening()

    def _opened(self) -> SparkSession:
        if self._spark is None:
            self._begin_opening().result()
            self._spark = session.open_session(self.spark_options)  # a session is active for one thread
        return self._spark

    def stage(self, work: Callable[[], StageReport]) -> StageReport:
        """Do one stage, timed and reported; of one that stops, what it has seen by then."""
        began = time.perf_counter()
        self._seen = None
        try:
            done = work()
        except BaseException as stopped:
            seen = stopped.report if isinstance(stopped, GateError) else self._seen and self._seen()
            if seen is not None:
                seconds = time.perf_counter() - began
                self.report.stages.append(replace(seen, status="failed", seconds=seconds))
            raise
        done = replace(done, seconds=time.perf_counter() - began)
        self.report.stages.append(done)
        self.listener.stage_ended(done)
        return done

    def fetch(
        self, start: datetime | None, end: datetime | None, *, force: bool = False, full: bool = False
    ) -> StageReport:
        """Bronze from the API: what of ``[start, end)`` is missing or may have changed; ``full``: all is derived."""
        self.listener.stage_began("bronze")
        return self.stage(lambda: ingest.until_interrupted(self._fetch(start, end, force=force, full=full)))

    def import_files(self, paths: Sequence[Path], source: str | None, received_at: ReceivedAt) -> StageReport:
        """Bronze from files."""
        self.listener.stage_began("import")
        return self.stage(lambda: self._take_in(paths, source, received_at))

    def transform(self, wanted: Sequence[str], *, full: bool = False) -> None:
        """Silver, every Gold table, and the export, as far as wanted, in this order."""
        self._expect(lambda: batch.pending_periods(self.context, full=full))
        if not full and (tables := restore.set_back(self.context)):
            log.warning(
                "%s had been restored to an older state; this run rolls forward from Bronze.", " and ".join(tables)
            )
        if "export" in wanted:  # imported by when it is wanted
            Thread(target=import_module, args=("lakehouse.publishing.export",)).start()
        done: dict[str, StageReport] = {}
        if "silver" in wanted:
            self.listener.stage_began("silver")
            done[SILVER.name] = self.stage(
                lambda: silver_job.refine(self.context, full=full, contract=quarantine.contract(self.settings))
            )
        if "gold" in wanted:
            self.listener.stage_began("gold")
            for model in MODELS:
                upstream = done.get(model.source.name)
                build = partial(gold_job.build_model, self.context, model, full=full, upstream=upstream)
                done[model.table.name] = self.stage(build)
        if "export" in wanted:
            self.publish(full=full)

    def publish(
        self, version: int | None = None, state: str | None = None, *, full: bool = False, repair: bool = False
    ) -> StageReport:
        """PostgreSQL from Gold: at a version, at a state (lake version or release), or its newest."""
        from lakehouse.publishing import export  # with SQLAlchemy and Alembic: half a second

        self._expect(lambda: 0)
        self.listener.stage_began("export")
        wanted = None if state is None else states.resolve_version(self.settings, state)
        return self.stage(
            lambda: export.publish(self.context, self.settings, version=version, state=wanted, full=full, repair=repair)
        )

    def restore(self, name: str) -> None:
        """The derived tables as a lake version or a release has them."""
        self.listener.stage_began("restore")
        state = restore.checked(self.settings, name)
        for table in restore.restored(state):
            self.stage(partial(restore.restore_table, self.context, state, table))

    def maintain(self) -> None:
        """Every table compacted and vacuumed inside the retention that is set."""
        days = self.settings.retention.days
        if days is not None:
            log.warning("Versions older than %d days are given up (retention.days); releases stay.", days)
        for table in TABLES:
            self.stage(partial(self._maintained, table))

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
        return StageReport(f"maintain {table.name}", version, counts, {table.name: before.version})

    def replay_quarantine(self) -> StageReport:
        """Silver once more for the responses that have pieces in quarantine, by the rules of now."""
        self.listener.stage_began("silver")
        contract = quarantine.contract(self.settings)
        return self.stage(lambda: silver_job.refine(self.context, again=True, contract=contract))

    async def _fetch(self, start: datetime | None, end: datetime | None, *, force: bool, full: bool) -> StageReport:
        bronze = self.context.snapshot(BRONZE)
        known = receipts.held(self.settings)
        options = {"jitter": lambda: random.uniform(0, JITTER_SECONDS), **self.client_options}  # noqa: S311 (no secret)
        async with Client(self.settings.api, self.clock, self.listener, **options) as client:
            source = await client.identify()
            self.report.lake_clock = source.now
            check_source(known.source, source.identity, self.settings.root)
            reasons = planning.reasons_to_fetch(known, start, end, source, self.settings, force=force)
            windows = planning.windows_for(reasons, self.settings)
            self.listener.windows_planned(windows, reasons)
            if windows:  # the JVM starts while the first answers come
                asked_for = sum(len(window.span()) for window in windows)
                self._expect(lambda: asked_for + batch.pending_periods(self.context, full=full))
            landing = self._landing("bronze", source.identity, known)
            self._seen = partial(_landed, "bronze", landing, bronze.version)
            self.report.failures = await ingest.land_from_api(client, windows, landing)
        if self.report.failures:
            raise unreachable(self.report.failures)
        return self._seen()

    def _take_in(self, paths: Sequence[Path], source: str | None, received_at: ReceivedAt) -> StageReport:
        bronze = self.context.snapshot(BRONZE)
        known = receipts.held(self.settings)
        source = source or known.source or PUBLIC_API
        check_source(known.source, source, self.settings.root)
        landing = self._landing("import", source, known)
        self._seen = partial(_landed, "import", landing, bronze.version)
        largest = int(self.settings.api.max_body_mib * MIB)
        for file in ingest.land_from_files(paths, landing, received_at, largest=largest):
            self.listener.left_out(file)
            if not file.is_empty:
                self.report.bad_files.append(file)
        if self.report.bad_files:
            first = self.report.bad_files[0]
            others = f" and {len(self.report.bad_files) - 1} more" if len(self.report.bad_files) > 1 else ""
            raise LakehouseError(
                f"{first.name}{others} left out because it is not a response of the API that can be read: "
                f"{first.reason}; {counted(landing.inserted, 'response')} went in."
            )
        return self._seen()

    def _landing(self, stage: str, source: str, known: FetchHistory) -> Landing:
        batch = int(self.settings.fetch.landing_mib * MIB)
        landed = receipts.landed(self.settings)
        return Landing(self._append, source, landed, known.landing, self.context.commit(stage), batch)

    def _append(self, responses: pa.Table, commit: Commit) -> int:
        """One commit of Bronze rows, in one file.

        py4j's objects refer to themselves: until they are collected, the JVM holds the batches before this one, too.
        """
        gc.collect()
        frame = self.context.store.spark.createDataFrame(responses).coalesce(1)
        return self.context.store.append(frame, BRONZE, commit).version

    def _record(self) -> None:
        """The row of this run: its number is the lake version."""
        store, report = self.context.store, self.report
        report.error = without_logins(report.error) if report.error else report.error
        report.versions = {table.name: self.context.snapshot(table).version for table in TABLES if table is not RUNS}
        row = {
            "lake_version": self.context.lake_version,
            "run_id": report.run_id,
            "command": report.command,
            "status": report.status,
            "error": report.error,
            "code_version": self.context.code_version,
            "settings_hash": self.context.settings_hash,
            "lake_clock": report.lake_clock,
            "started_at": self.started_at,
            "finished_at": self.clock(),
            "stages": [
                {
                    "stage": done.stage,
                    "status": done.status,
                    "seconds": done.seconds,
                    "version": done.version,
                    "reads": dict(done.reads),
                    "counts": dict(done.counts),
                    "account": done.account,
                }
                for done in report.stages
            ],
            "versions": report.versions,
            "failed_windows": [
                {"window_start": lost.window.start, "window_end": lost.window.end, "error": lost.error}
                for lost in report.failures
            ],
            "quality": [{"stage": done.stage, **asdict(result)} for done in report.stages for result in done.quality],
        }
        delta_log.append(store.path(RUNS), [row], self.context.commit(self.command).to_json())
        report.lake_version = self.context.lake_version


def _landed(stage: str, landing: Landing, read: int) -> StageReport:
    """What a stage has landed by now."""
    return StageReport(stage, landing.version, landing.counts(), {BRONZE.name: read})


def _next_lake_version(store: Store) -> int:
    """The number of the run that begins; the lake's lock keeps it ours."""
    runs = delta_log.open_table(store.path(RUNS))
    return int((runs.highest("lake_version") if runs else None) or 0) + 1
