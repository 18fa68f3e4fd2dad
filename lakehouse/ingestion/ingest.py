"""Responses into Bronze: from the API or from files, in few commits and bounded memory."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from lakehouse.ingestion import file_source
from lakehouse.ingestion.api import Client, Failure
from lakehouse.ingestion.bronze import NOT_UNDERSTOOD, NotAResponseError, Response, inspect_payload, window_of
from lakehouse.ingestion.fetch_history import KnownResponses, Version
from lakehouse.ingestion.fetching import Result, fetch_all
from lakehouse.ingestion.file_source import UnreadableError
from lakehouse.ingestion.reception import ReceivedAt as ReceivedAt
from lakehouse.lake.commits import Commit
from lakehouse.messages.progress import OnProgress, unheard
from lakehouse.messages.wording import counted
from lakehouse.windows import Window

Done = TypeVar("Done")

log = logging.getLogger(__name__)

ARROW = pa.schema(
    [
        ("response_id", pa.string()),
        ("source", pa.string()),
        ("source_url", pa.string()),
        ("source_file", pa.string()),
        ("window_start", pa.timestamp("us", tz="UTC")),
        ("window_end", pa.timestamp("us", tz="UTC")),
        ("regionid", pa.int32()),
        ("http_status", pa.int32()),
        ("headers", pa.map_(pa.string(), pa.string())),
        ("attempts", pa.int32()),
        ("body", pa.binary()),
        ("body_sha256", pa.string()),
        ("n_periods", pa.int32()),
        ("absent", pa.list_(pa.timestamp("us", tz="UTC"))),
        ("ingestion_timestamp", pa.timestamp("us", tz="UTC")),
        ("landing", pa.int64()),
        ("run_id", pa.string()),
        ("ingest_date", pa.date32()),
    ]
)
"""Bronze as Arrow, for handing rows to Spark without going through Python objects."""


@dataclass
class BronzeWriter:
    """Collects responses, up to ``batch_bytes`` of bodies a commit, and commits them to Bronze.

    ``append`` makes one commit of rows and gives its version. One thread adds and takes; ``commit`` may run in
    another, one batch after the other.
    """

    append: Callable[[pa.Table, Commit], int]
    source: str
    known: KnownResponses
    last_landing: int
    commit_info: Commit
    batch_bytes: int
    received: int = 0
    duplicates: int = 0
    inserted: int = 0
    empty: int = 0
    version: int | None = None
    _batch: list[Response] = field(default_factory=list)
    _bytes: int = 0
    _ids: set[str] = field(default_factory=set)
    _files: dict[str, Version] = field(default_factory=dict)
    _not_understood: set[tuple[Window, str]] = field(default_factory=set)
    _committing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._ids = set(self.known.response_ids)
        self._files = dict(self.known.files)
        self._not_understood = set(self.known.not_understood)

    def add(self, response: Response) -> None:
        """Hold one response; what would add nothing is counted and left out.

        That is the same response again, the newest content of a file's name under that name, and the same answer to
        a request that was not understood the last time.
        """
        self.received += 1
        if self._is_known(response):
            self.duplicates += 1
            return
        self.empty += not response.contents.periods
        self._batch.append(response)
        self._bytes += len(response.body)

    def _is_known(self, response: Response) -> bool:
        identity = response.response_id(self.source)
        if identity in self._ids:
            return True
        if response.file is not None:
            version = Version(response.received_at, identity, response.sha256)
            newest = self._files.get(response.file)
            if newest is not None and newest.body_sha256 == version.body_sha256:
                return True
            self._files[response.file] = max(version, newest or version)
        elif response.contents == NOT_UNDERSTOOD:
            answer = (response.window, response.sha256)
            if answer in self._not_understood:
                return True
            self._not_understood.add(answer)
        self._ids.add(identity)
        return False

    @property
    def is_full(self) -> bool:
        """Whether it is time to commit."""
        return self._bytes >= self.batch_bytes

    def take(self) -> list[Response]:
        """What is held, for ``commit``; nothing is held afterwards."""
        batch, self._batch, self._bytes = self._batch, [], 0
        return batch

    def commit(self, batch: Sequence[Response]) -> None:
        """Append a batch to Bronze in window order, in one commit; none for an empty batch."""
        if not batch:
            return
        with self._committing:
            landing = self.last_landing + 1
            ordered = sorted(batch, key=lambda response: (response.window, response.received_at))
            rows = [row.row(source=self.source, landing=landing, run_id=self.commit_info.run_id) for row in ordered]
            commit = replace(self.commit_info, landing=landing)
            self.version = self.append(pa.Table.from_pylist(rows, ARROW), commit)
            self.last_landing = landing
            self.inserted += len(batch)

    def flush(self) -> None:
        """Commit what is held, after a commit that is under way in another thread."""
        self.commit(self.take())

    def counts(self) -> dict[str, int]:
        """The stage's counts: responses, not half-hours."""
        return {
            "received": self.received,
            "duplicates": self.duplicates,
            "inserted": self.inserted,
            "empty": self.empty,
        }


async def write_from_api(client: Client, windows: Sequence[Window], writer: BronzeWriter) -> list[Failure]:
    """Ask for every window and commit what comes; return the windows that failed.

    An answer that is not understood is kept, too: it is what the API said.

    Requests go on while a batch is committed, until the next one is full too, so that about two are in memory.
    Whatever ends this, even Ctrl-C, what was received by then is committed.
    """
    failures: list[Failure] = []
    committing: asyncio.Task[None] | None = None

    async def take(result: Result) -> None:
        nonlocal committing
        if isinstance(result, Failure):
            failures.append(result)
        response = result.response if isinstance(result, Failure) else result
        if response is None:
            return
        writer.add(response)
        while writer.is_full:
            if committing is not None:
                await asyncio.shield(committing)  # raises what the commit has raised
            if writer.is_full:  # of those who waited, the first one sees to it
                committing = asyncio.create_task(asyncio.to_thread(writer.commit, writer.take()))

    try:
        await fetch_all(client, windows, take)
        if committing is not None:
            await asyncio.shield(committing)
    except BaseException:
        if committing is not None:
            await asyncio.wait([committing])
        writer.flush()
        raise
    writer.flush()
    return failures


def until_interrupted(work: Coroutine[Any, Any, Done]) -> Done:
    """Run to the end; the first Ctrl-C (or SIGTERM) cancels the work, which commits what it has, and no more breaks it.

    Raises:
        KeyboardInterrupt: it was interrupted and has committed what it had, be it all.
    """
    interrupted = threading.Event()

    async def guarded() -> Done:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (this is a coroutine)
        loop = asyncio.get_running_loop()

        def interrupt(number: int, frame: object) -> None:
            if not interrupted.is_set():
                interrupted.set()
                loop.call_soon_threadsafe(task.cancel)

        with _handled(interrupt):
            return await work

    try:
        done = asyncio.run(guarded())
    except asyncio.CancelledError:
        if not interrupted.is_set():
            raise
    if interrupted.is_set():  # perhaps too late to cancel anything: while the last batch was committed
        raise KeyboardInterrupt
    return done


@contextmanager
def _handled(interrupt: Callable[[int, object], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call ``interrupt``, where they aren't ignored; who handled them before comes back.

    Python's own handler and Spark's raise in the middle of whatever is going on. Outside the main thread nothing is
    changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class BadFile:
    """A file that was left out, and why. ``is_empty``: it is a good answer of the API that holds no half-hour."""

    name: str
    reason: str
    is_empty: bool = False


def write_from_files(
    paths: Sequence[Path],
    writer: BronzeWriter,
    received_at: ReceivedAt,
    *,
    largest: int,
    on_progress: OnProgress = unheard,
) -> Iterator[BadFile]:
    """Commit every response found in the files and folders; yield those left out, as they are met.

    Nobody knows which request an empty answer belongs to, so there is nothing that it could say of any half-hour.

    Raises:
        UsageError: a path does not exist, or a folder holds no file to import.
    """
    clamped: list[str] = []
    for number, found in enumerate(file_source.discover(paths, largest, on_progress)):
        try:
            body = found.read()
            summary = inspect_payload(body)
            if not summary.periods:
                yield BadFile(found.name, "it holds no half-hour", is_empty=bool(body.strip()))
                continue
            window = window_of(summary.periods, received_at.possible_until)
        except (NotAResponseError, UnreadableError) as error:
            yield BadFile(found.name, str(error))
            continue
        if received_at.is_clamped(found.modified):
            clamped.append(found.name)
        received = received_at.of(number, found.modified)
        writer.add(Response(body=body, window=window, received_at=received, contents=summary, file=found.name))
        if writer.is_full:
            writer.flush()
    writer.flush()
    if clamped:
        log.warning(
            "The modification time of %s is after the lake's clock (the first is %s): they count as received "
            "by that clock.",
            counted(len(clamped), "file"),
            clamped[0],
        )
