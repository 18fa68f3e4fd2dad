"""Responses into Bronze: from the API or from files, in few commits and bounded memory."""

import asyncio
import gzip
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from lakehouse.api import Client, Failure
from lakehouse.bronze import NotAResponseError, Receipt, Response, contents, window_of
from lakehouse.commits import Commit
from lakehouse.delta_log import Snapshot
from lakehouse.errors import SourceMismatchError, UsageError
from lakehouse.store import Store
from lakehouse.tables import BRONZE
from lakehouse.windows import Window

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
JSON_ENDINGS = (".json", ".json.gz", ".zip")


@dataclass(frozen=True)
class Held:
    """What Bronze holds, without the bodies."""

    source: str | None = None
    receipts: tuple[Receipt, ...] = ()
    response_ids: frozenset[str] = frozenset()
    files: frozenset[tuple[str, str]] = frozenset()
    landing: int = 0


def held(bronze: Snapshot | None) -> Held:
    """Read what Bronze holds; an absent table holds nothing."""
    if bronze is None:
        return Held()
    columns = ["source", "window_start", "window_end", "ingestion_timestamp", "absent", "regionid", "response_id"]
    rows = bronze.rows([*columns, "source_file", "body_sha256", "landing"]).to_pylist()
    return Held(
        source=rows[0]["source"] if rows else None,
        receipts=tuple(
            Receipt(
                Window(row["window_start"], row["window_end"]).span(),
                row["ingestion_timestamp"],
                frozenset(row["absent"]),
            )
            for row in rows
            if row["regionid"] is None
        ),
        response_ids=frozenset(row["response_id"] for row in rows),
        files=frozenset((row["source_file"], row["body_sha256"]) for row in rows if row["source_file"]),
        landing=max((row["landing"] for row in rows), default=0),
    )


def check_source(known: Held, asked: str, root: str) -> None:
    """Refuse to mix two APIs in one lake.

    Raises:
        SourceMismatchError: the lake was filled from another source.
    """
    if known.source is not None and known.source != asked:
        raise SourceMismatchError(
            f"The lake at {root} was filled from {known.source}, not from {asked}: "
            "start a separate lake with LAKEHOUSE_ROOT=another/place."
        )


@dataclass
class Landing:
    """Collects responses and commits them to Bronze when ``batch_bytes`` of bodies are held, and at the end."""

    store: Store
    source: str
    known: Held
    commit: Commit
    batch_bytes: int
    received: int = 0
    duplicates: int = 0
    inserted: int = 0
    empty: int = 0
    version: int | None = None
    _batch: list[Response] = field(default_factory=list)
    _bytes: int = 0
    _seen: set[str] = field(default_factory=set)
    _landing: int = 0
    _committing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._landing = self.known.landing
        self._seen = set(self.known.response_ids)

    def add(self, response: Response) -> None:
        """Hold one response; the same response again is counted and left out."""
        self.received += 1
        identity = response.response_id(self.source)
        if identity in self._seen:
            self.duplicates += 1
            return
        self._seen.add(identity)
        self.empty += not response.contents.periods
        self._batch.append(response)
        self._bytes += len(response.body)

    @property
    def is_full(self) -> bool:
        """Whether it is time to commit."""
        return self._bytes >= self.batch_bytes

    def flush(self) -> None:
        """Commit what is held, in window order; nothing when nothing is held."""
        with self._committing:  # a cancelled caller flushes while its thread still commits
            self._commit_batch()

    def _commit_batch(self) -> None:
        if not self._batch:
            return
        landing = self._landing + 1
        batch = sorted(self._batch, key=lambda response: (response.window, response.received_at))
        rows = [row.row(source=self.source, landing=landing, run_id=self.commit.run_id) for row in batch]
        frame = self.store.spark.createDataFrame(pa.Table.from_pylist(rows, ARROW)).coalesce(1)
        commit = Commit(**{**self.commit.__dict__, "landing": landing})
        self.version = self.store.append(frame, BRONZE, commit).version
        self._landing = landing
        self.inserted += len(batch)
        self._batch, self._bytes = [], 0

    def counts(self) -> dict[str, int]:
        """The stage's counts: responses, not half-hours."""
        return {
            "received": self.received,
            "duplicates": self.duplicates,
            "inserted": self.inserted,
            "empty": self.empty,
        }


async def land_from_api(client: Client, windows: Sequence[Window], landing: Landing) -> list[Failure]:
    """Ask for every window and commit what comes; return the windows that did not.

    While a batch is committed, requests go on, up to the client's queue. Whatever ends this, even Ctrl-C, what
    was received by then is committed.
    """
    failures: list[Failure] = []
    try:
        async for result in client.fetch_all(windows):
            if isinstance(result, Failure):
                failures.append(result)
                continue
            landing.add(result)
            if landing.is_full:
                await asyncio.to_thread(landing.flush)
    except asyncio.CancelledError:
        landing.flush()
        raise
    landing.flush()
    return failures


@dataclass(frozen=True)
class BadFile:
    """A file that is not a response, and why."""

    name: str
    reason: str


def land_from_files(paths: Sequence[Path], landing: Landing, received_at: "ReceivedAt") -> list[BadFile]:
    """Commit every response found in the files and folders; return the files that hold none.

    Raises:
        UsageError: a path does not exist, or a folder holds no JSON file.
    """
    bad: list[BadFile] = []
    for number, found in enumerate(_files(paths)):
        try:
            body = found.read()
            said = contents(body)
            window = window_of(said.periods)
        except (NotAResponseError, OSError, zipfile.BadZipFile, EOFError) as error:
            bad.append(BadFile(found.name, str(error)))
            continue
        response = Response(
            body=body,
            window=window,
            received_at=received_at.of(number, found.modified),
            contents=said,
            file=found.name,
        )
        if (found.name, response.sha256) in landing.known.files:
            landing.received += 1
            landing.duplicates += 1
            continue
        landing.add(response)
        if landing.is_full:
            landing.flush()
    landing.flush()
    return bad


@dataclass(frozen=True)
class ReceivedAt:
    """When imported files count as received: a moment, in path order, or each file's own modification time."""

    moment: datetime | None

    def of(self, number: int, modified: datetime) -> datetime:
        """The time of the ``number``-th file; microseconds keep them apart."""
        return (self.moment or modified) + timedelta(microseconds=number)


@dataclass(frozen=True)
class _File:
    name: str
    path: Path
    member: str | None
    modified: datetime

    def read(self) -> bytes:
        if self.member is not None:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.member)
        data = self.path.read_bytes()
        return gzip.decompress(data) if self.path.name.endswith(".gz") else data


def _files(paths: Sequence[Path]) -> Iterator[_File]:
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.name.endswith(JSON_ENDINGS) and file.is_file())
            if not inside:
                raise UsageError(f"The folder {path} holds no file that ends in {', '.join(JSON_ENDINGS)}.")
            for file in inside:
                yield from _members(file, file.relative_to(path).as_posix())
        elif path.is_file():
            yield from _members(path, path.name)
        else:
            raise UsageError(f"{path} does not exist.")


def _members(path: Path, name: str) -> Iterator[_File]:
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if not zipfile.is_zipfile(path):
        yield _File(name, path, None, modified)
        return
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.namelist()):
            if member.endswith(".json"):
                yield _File(f"{name}/{member}", path, member, modified)
