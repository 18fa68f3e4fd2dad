"""One run as ``watch`` does it: the same :class:`~lakehouse.pipeline.Run` as the commands', its end told by a value."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lakehouse import lineage
from lakehouse.console_reporter import ConsoleReporter
from lakehouse.errors import ExitCode
from lakehouse.ingestion.api import Failure
from lakehouse.ingestion.bronze import Response
from lakehouse.messages import endings
from lakehouse.messages.text import without_logins
from lakehouse.pipeline import STAGES, Run
from lakehouse.run_context import StageReport
from lakehouse.settings import Settings
from lakehouse.spark import failures, jvm, session


@dataclass(frozen=True)
class Cycle:
    """How a run ended: ``outcome`` is the exit code that the command would have had, ``error`` its sentence.

    ``seconds`` from its start to the end of its last stage. ``latency``: seconds from the API's last answer to
    PostgreSQL; None where the API was asked for nothing or the export was not reached.
    """

    outcome: int
    seconds: float
    error: str | None = None
    lake_version: int | None = None
    lake_clock: datetime | None = None
    latency: float | None = None
    has_lost_jvm: bool = False


class CycleReporter(ConsoleReporter):
    """Tells a run on stderr, and calls ``on_progress`` with a line whenever something was done."""

    def __init__(self, on_progress: Callable[[str], None], timer: Callable[[], float] = time.monotonic) -> None:
        super().__init__(timer=timer)
        self._on_progress = on_progress
        self._now = timer
        self._answered: float | None = None
        self.latency: float | None = None

    def stage_began(self, stage: str) -> None:
        """Tell the stage, and progress."""
        super().stage_began(stage)
        self._on_progress(f"{stage}: begins")

    def received(self, response: Response) -> None:
        """Note when the last answer came."""
        super().received(response)
        self._answered = self._now()
        self._on_progress("bronze: answers come in")

    def failed(self, failure: Failure) -> None:
        """A window that was given up is progress, too."""
        super().failed(failure)
        self._on_progress("bronze: windows fail")

    def retried(self, what: str, error: str, wait: float) -> None:
        """So is a retry."""
        super().retried(what, error, wait)
        self._on_progress("bronze: retries")

    def stage_ended(self, report: StageReport) -> None:
        """Note when PostgreSQL had the last answer."""
        super().stage_ended(report)
        self._on_progress(f"{report.stage}: done")
        if report.stage == "export" and self._answered is not None:
            self.latency = self._now() - self._answered


def perform(settings: Settings, command: str, on_progress: Callable[[str], None]) -> Cycle:
    """Do one run (``watch``: all stages; ``maintain``: every table kept small) and say how it ended.

    Raises:
        KeyboardInterrupt: it was told to end.
    """
    session.forget_lost()
    reporter = CycleReporter(on_progress)
    run = Run(settings, command, lineage.observed(settings, reporter))
    began = time.perf_counter()
    outcome, error, has_lost_jvm = int(ExitCode.OK), None, False
    try:
        with run.recorded():
            if command == "maintain":
                run.maintain()
            else:
                run.fetch(None, None)
                run.transform(STAGES)
            seconds = time.perf_counter() - began
    except Exception as failure:
        if endings.is_interruption(failure):
            raise KeyboardInterrupt from failure
        seconds = time.perf_counter() - began
        outcome, error = endings.exit_code(failure), without_logins(endings.sentence(failure))
        has_lost_jvm = _has_lost_jvm(failure)
    finally:
        reporter.close()
    report = run.report
    latency = None if outcome else reporter.latency
    return Cycle(outcome, seconds, error, report.lake_version, report.lake_clock, latency, has_lost_jvm)


def _has_lost_jvm(failure: BaseException) -> bool:
    """Whether Spark is gone; one that is there but does not answer is ended, so that the next run starts another."""
    each: BaseException | None = failure
    while each is not None:
        if failures.lost(each):
            jvm.end()
            return session.forget_lost()
        each = each.__cause__ or each.__context__
    return False
