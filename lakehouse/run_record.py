"""The record of a run: its name, what it reports, the tables it finds, and the row that it leaves in ``ops.runs``."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from lakehouse.errors import ExitCode, UsageError
from lakehouse.ingestion.api import Failure
from lakehouse.ingestion.bronze import Response
from lakehouse.ingestion.bronze_job import LoadObserver
from lakehouse.ingestion.ingest import BadFile
from lakehouse.lake import damage, delta_log, losses
from lakehouse.lake.locking import Hold
from lakehouse.lake.store import Store
from lakehouse.lake.tables import RUNS, TABLES
from lakehouse.messages import endings
from lakehouse.messages.text import without_logins
from lakehouse.provenance import code_version, settings_hash
from lakehouse.run_context import RunContext, StageReport
from lakehouse.settings import Settings
from lakehouse.spark.opening import SessionOpener
from lakehouse.windows import Window


@dataclass
class RunReport:
    """What a run did, for people (``cli``) and programs (``--json``)."""

    run_id: str
    command: str
    status: str = "ok"
    error: str | None = None
    exit_code: int = ExitCode.OK
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
                    "writes": dict(stage.writes),
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


class RunObserver(LoadObserver):
    """Notified of what a run does; the base does nothing."""

    def received(self, response: Response) -> None:
        """A response came."""

    def failed(self, failure: Failure) -> None:
        """A window was given up."""

    def retried(self, what: str, error: str, wait: float) -> None:
        """An attempt failed; the next follows after ``wait`` seconds."""

    def split(self, window: Window) -> None:
        """A window is asked in two halves."""

    def tables_missing(self, root: str, count: int) -> None:
        """The lake lacks this many tables, which are going to be created."""

    def stage_began(self, stage: str) -> None:
        """A stage begins."""

    def stage_ended(self, report: StageReport) -> None:
        """A stage ended well."""

    def run_began(self, report: RunReport, started_at: datetime) -> None:
        """The lake is locked and its tables are there."""

    def stage_started(self, stage: str) -> None:
        """One of the stages that ``stage_began`` announced starts: Gold has one per table."""

    def stage_failed(self, stage: str, reached: StageReport | None, error: BaseException) -> None:
        """A stage stopped; ``reached`` is what it has come to, None where it cannot say."""

    def run_ended(self, report: RunReport) -> None:
        """The run is over and, unless it was refused before it did anything, recorded."""


class Observers(RunObserver):
    """Tells several observers, in the order given, whatever one is told."""

    def __init__(self, *observers: RunObserver) -> None:
        self.observers = observers


def _tell_each(method: str) -> Callable[..., None]:
    def tell(self: Observers, *arguments: Any, **named: Any) -> None:
        for observer in self.observers:
            getattr(observer, method)(*arguments, **named)

    return tell


for _method in (name for name in dir(RunObserver) if not name.startswith("_")):
    setattr(Observers, _method, _tell_each(_method))


def new_run_id(started_at: datetime) -> str:
    """A run's name: when it began, and some digits that make it unique."""
    return f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def prepare(
    settings: Settings, spark: SessionOpener, hold: Hold, run_id: str, observer: RunObserver, *, accept_loss: bool
) -> RunContext:
    """The context of a run that begins: the tables are checked and, where they are missing or old, made.

    The caller holds the lake (``hold``), which keeps the run's number its own.

    Raises:
        LossError: Bronze has lost what other tables were made of, and that is not accepted.
        LakehouseError: a table cannot be read, made or brought up to this release.
    """
    store = Store(spark, settings.root, hold=hold)
    for table in TABLES:
        damage.clear(store.path(table))
    if not accept_loss:
        losses.check_bronze(store)
    store.prepare(*TABLES, on_create=partial(observer.tables_missing, settings.root))
    return RunContext(
        store,
        run_id,
        code_version(),
        settings_hash(settings),
        _next_lake_version(store),
        accept_loss,
        1.0 if accept_loss else settings.quality.max_deleted_share,
        observer.progress,
    )


def _next_lake_version(store: Store) -> int:
    runs = delta_log.open_table(store.path(RUNS))
    return int((runs.highest("lake_version") if runs else None) or 0) + 1


@contextmanager
def kept(context: RunContext, report: RunReport, started_at: datetime, clock: Callable[[], datetime]) -> Iterator[None]:
    """Leave one row in ``ops.runs``, whatever ends the block.

    A call that is refused before its first stage has done anything leaves none.
    """
    try:
        yield
    except BaseException as error:
        report.status = "failed"
        report.error = without_logins(endings.sentence(error))
        report.exit_code = endings.exit_code(error)
        if isinstance(error, UsageError) and report.is_untouched:
            raise  # refused before anything was done: that is no run
        try:
            _append_row(context, report, started_at, clock())
        except Exception as second:  # noqa: BLE001 (whatever it is, the first error is the one to tell)
            error.add_note(f"The run could not be recorded either: {endings.sentence(second)}")
        raise
    _append_row(context, report, started_at, clock())


def _append_row(context: RunContext, report: RunReport, started_at: datetime, finished_at: datetime) -> None:
    """The row of a run: its number is the lake version."""
    report.versions = {table.name: context.snapshot(table).version for table in TABLES if table is not RUNS}
    row = {
        "lake_version": context.lake_version,
        "run_id": report.run_id,
        "command": report.command,
        "status": report.status,
        "error": report.error,
        "exit_code": report.exit_code,
        "code_version": context.code_version,
        "settings_hash": context.settings_hash,
        "lake_clock": report.lake_clock,
        "started_at": started_at,
        "finished_at": finished_at,
        "stages": [_stage_row(stage) for stage in report.stages],
        "versions": report.versions,
        "failed_windows": [
            {"window_start": failure.window.start, "window_end": failure.window.end, "error": failure.error}
            for failure in report.failures
        ],
        "quality": [{"stage": stage.stage, **asdict(result)} for stage in report.stages for result in stage.quality],
    }
    context.store.hold.check()
    delta_log.append(context.store.path(RUNS), [row], context.commit(report.command).to_json())
    report.lake_version = context.lake_version


def _stage_row(stage: StageReport) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "status": stage.status,
        "seconds": stage.seconds,
        "version": stage.version,
        "reads": dict(stage.reads),
        "counts": dict(stage.counts),
        "account": stage.account,
    }
