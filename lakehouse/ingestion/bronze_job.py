"""The stage Bronze of a run: from the API what is missing or may have changed, or recorded responses from files."""

import gc
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.clock import machine_clock
from lakehouse.errors import LakehouseError
from lakehouse.ingestion import fetch_history, ingest, planning
from lakehouse.ingestion.api import Client, Failure, Observer
from lakehouse.ingestion.coverage import Reason
from lakehouse.ingestion.fetch_history import FetchHistory
from lakehouse.ingestion.fetching import unreachable
from lakehouse.ingestion.ingest import BadFile, BronzeWriter, ReceivedAt
from lakehouse.ingestion.source import check_source
from lakehouse.lake.commits import Commit
from lakehouse.lake.tables import BRONZE
from lakehouse.messages.wording import counted
from lakehouse.run_context import RunContext, StageReport
from lakehouse.settings import Settings
from lakehouse.settings.sections import PUBLIC_API
from lakehouse.windows import Span, Window

JITTER_SECONDS = 0.5
"""Retries of several tasks must not come back in step."""
MIB = 2**20


class LoadObserver(Observer):
    """Notified of what a load of Bronze does; the base does nothing."""

    def windows_planned(self, windows: Sequence[Window], reasons: dict[Reason, list[Span]]) -> None:
        """The requests of the fetch are known."""

    def left_out(self, file: BadFile) -> None:
        """A file of an import holds nothing to load."""

    def progress(self, what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
        """How far a stage is; see ``progress.OnProgress``."""


@dataclass
class BronzeLoad:
    """One load of Bronze by a run, and what it has come to so far, whatever ends it."""

    context: RunContext
    settings: Settings
    stage: str
    observer: LoadObserver
    lake_clock: datetime | None = None
    failures: list[Failure] = field(default_factory=list)
    bad_files: list[BadFile] = field(default_factory=list)
    _writer: BronzeWriter | None = None
    _read_version: int = 0

    def open_writer(self, source: str, history: FetchHistory) -> BronzeWriter:
        """The writer of this load's responses, all of them of one source."""
        self._read_version = self.context.snapshot(BRONZE).version
        self._writer = BronzeWriter(
            self._append,
            source,
            fetch_history.known_responses(self.settings),
            history.landing,
            self.context.commit(self.stage),
            int(self.settings.fetch.landing_mib * MIB),
        )
        return self._writer

    def report(self) -> StageReport | None:
        """What has been written by now; None when there was nothing to write with yet."""
        if self._writer is None:
            return None
        reads, version = {BRONZE.name: self._read_version}, self._writer.version
        return StageReport(self.stage, version, self._writer.counts(), reads, writes={BRONZE.name: version})

    def _append(self, responses: pa.Table, commit: Commit) -> int:
        """One commit of Bronze rows, in one file.

        py4j's objects refer to themselves: until they are collected, the JVM holds the batches before this one, too.
        """
        gc.collect()
        frame = self.context.store.spark.createDataFrame(responses).coalesce(1)
        return self.context.store.append(frame, BRONZE, commit).version


@dataclass(frozen=True)
class FetchRequest:
    """What of ``[start, end)`` to ask for: what is missing or may have changed, or all of it (``force``)."""

    start: datetime | None = None
    end: datetime | None = None
    force: bool = False


async def fetch(
    load: BronzeLoad,
    request: FetchRequest,
    on_windows: Callable[[], object] = lambda: None,
    clock: Callable[[], datetime] = machine_clock,
    client_options: Mapping[str, Any] | None = None,
) -> StageReport:
    """Bronze from the API. ``on_windows`` is called before the first request, if there is one to make.

    Raises:
        ApiUnavailableError: some windows did not come; ``load.failures`` names them, what came is written.
        LakehouseError: as before, but waiting does not cure it; or the lake was filled from another API.
    """
    settings = load.settings
    history = fetch_history.read(settings)
    options = {"jitter": _jitter, **(client_options or {})}
    async with Client(settings.api, clock, load.observer, **options) as client:
        source = await client.identify()
        load.lake_clock = source.now
        check_source(history.source, source.identity, settings.root)
        reasons = planning.reasons_to_fetch(history, request.start, request.end, source, settings, force=request.force)
        windows = planning.windows_for(reasons, settings)
        load.observer.windows_planned(windows, reasons)
        if windows:
            on_windows()
        writer = load.open_writer(source.identity, history)
        load.failures = await ingest.write_from_api(client, windows, writer)
    if load.failures:
        raise unreachable(load.failures)
    return _finished(load)


def _jitter() -> float:
    return random.uniform(0, JITTER_SECONDS)  # noqa: S311 (no secret)


def import_files(load: BronzeLoad, paths: Sequence[Path], source: str | None, received_at: ReceivedAt) -> StageReport:
    """Bronze from files of one source; by default the lake's own, in an empty lake the public API.

    Raises:
        LakehouseError: some files are no responses; ``load.bad_files`` names them, all others are written.
        UsageError: a path does not exist, a folder holds no file to import, or the source cannot be one.
    """
    settings = load.settings
    history = fetch_history.read(settings)
    source = source or history.source or PUBLIC_API
    check_source(history.source, source, settings.root)
    writer = load.open_writer(source, history)
    largest = int(settings.api.max_body_mib * MIB)
    for file in ingest.write_from_files(
        paths, writer, received_at, largest=largest, on_progress=load.observer.progress
    ):
        load.observer.left_out(file)
        if not file.is_empty:
            load.bad_files.append(file)
    if load.bad_files:
        first = load.bad_files[0]
        others = f" and {len(load.bad_files) - 1} more" if len(load.bad_files) > 1 else ""
        raise LakehouseError(
            f"{first.name}{others} left out because it is not a response of the API that can be read: "
            f"{first.reason}; {counted(writer.inserted, 'response')} went in."
        )
    return _finished(load)


def _finished(load: BronzeLoad) -> StageReport:
    report = load.report()
    assert report is not None  # noqa: S101 (its writer is open)
    return report
