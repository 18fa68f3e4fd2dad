"""Lakes written row by row through delta-rs, for tests of commands that only look: real tables, no JVM."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from lakehouse.ingestion import fetch_history
from lakehouse.ingestion.bronze import PayloadSummary, Response
from lakehouse.ingestion.ingest import ARROW, BronzeWriter
from lakehouse.lake import delta_log
from lakehouse.lake.commits import Commit
from lakehouse.lake.tables import BRONZE, QUARANTINE, RUNS, SILVER
from lakehouse.settings import Settings
from lakehouse.windows import Span, plan
from tests.support.times import at

REFUSALS = pa.schema(
    [*((name, pa.string()) for name in ("response_id", "regionid", "period_from")), ("reasons", pa.list_(pa.string()))]
)
UTC_TIME = pa.timestamp("us", tz="UTC")
FAILED = pa.struct([("window_start", UTC_TIME), ("window_end", UTC_TIME), ("error", pa.string())])
SOURCE = "https://api.carbonintensity.org.uk"


def quick_append(settings: Settings) -> Callable[[pa.Table, Commit], int]:
    """What a landing appends to Bronze with, without a JVM."""

    def append(responses: pa.Table, commit: Commit) -> int:
        path = settings.path(BRONZE.path)
        said = CommitProperties(custom_metadata={"userMetadata": commit.to_json()})
        write_deltalake(path, responses, mode="append", commit_properties=said)
        return DeltaTable(path).version()

    return append


def landing_in(settings: Settings, *, source: str = SOURCE, batch_bytes: int = 1 << 26) -> BronzeWriter:
    """A landing of a new run into the lake as it is."""
    commit = Commit("bronze", "run", "1", "hash")
    known, landed = fetch_history.read(settings), fetch_history.known_responses(settings)
    return BronzeWriter(quick_append(settings), source, landed, known.landing, commit, batch_bytes)


def bronze_rows(settings: Settings) -> list[dict[str, Any]]:
    """All of Bronze, in order of reception."""
    table = delta_log.open_table(settings.path(BRONZE.path))
    rows = table.rows(BRONZE.column_names).to_pylist() if table else []
    return sorted(rows, key=lambda row: (row["ingestion_timestamp"], row["window_start"]))


def receive(
    settings: Settings,
    start: str,
    end: str,
    received: str,
    *,
    absent: Iterable[datetime] = (),
    landing: int = 1,
    source: str = SOURCE,
    regionid: int | None = None,
    file: str | None = None,
) -> list[str]:
    """Bronze rows as if ``[start, end)`` had been fetched; gives their response ids."""
    lacking, rows = set(absent), []
    for window in plan([Span(at(start), at(end))]):
        held = tuple(slot for slot in window.span().slots() if slot not in lacking)
        response = Response(b"{}", window, at(received), PayloadSummary(held, regionid))
        rows.append({**response.row(source=source, landing=landing, run_id="r"), "source_file": file})
    quick_append(settings)(pa.Table.from_pylist(rows, ARROW), Commit("bronze", "r", "1", "h"))
    return [row["response_id"] for row in rows]


def refine(settings: Settings, keys: Mapping[datetime, Sequence[int]], *, landing: int) -> None:
    """Silver rows (regions by half-hour), and a commit that says it contains Bronze up to ``landing``."""
    pairs = [(region, slot) for slot, regions in keys.items() for region in regions]
    rows = pa.table(
        {
            "regionid": pa.array([region for region, _ in pairs], pa.int32()),
            "timestamp": pa.array([slot for _, slot in pairs], UTC_TIME),
        }
    )
    said = CommitProperties(custom_metadata={"userMetadata": silver_commit(settings, landing).to_json()})
    write_deltalake(settings.path(SILVER.path), rows, mode="append", commit_properties=said)


def silver_commit(settings: Settings, landing: int) -> Commit:
    """What Silver says when it contains Bronze, as it stands, up to ``landing``."""
    reads = {}
    for table, rows in ((BRONZE, ARROW), (QUARANTINE, REFUSALS)):
        path = settings.path(table.path)
        if delta_log.open_table(path) is None:
            write_deltalake(path, rows.empty_table())
        snapshot = delta_log.open_table(path)
        assert snapshot is not None
        reads[table.name] = snapshot.pin
    return Commit("silver", "r", "1", "h", reads=reads, landing=landing)


def refuse(settings: Settings, *rows: tuple[str, str | None, str | None, list[str]]) -> None:
    """Quarantine rows: response_id, region and period as they stand in the piece, reasons."""
    table = pa.Table.from_pylist([dict(zip(REFUSALS.names, row, strict=True)) for row in rows], REFUSALS)
    said = CommitProperties(custom_metadata={"userMetadata": Commit("quarantine", "r", "1", "h").to_json()})
    write_deltalake(settings.path(QUARANTINE.path), table, mode="append", commit_properties=said)


def account_of_run(settings: Settings, *, landing: int) -> None:
    """A row of ``ops.runs`` with what Silver says when it had nothing to write."""
    silver = delta_log.open_table(settings.path(SILVER.path))
    assert silver is not None
    account = replace(silver_commit(settings, landing), at=silver.pin).to_json()
    rows = pa.table(
        {
            "lake_version": pa.array([1], pa.int64()),
            "lake_clock": pa.array([None], UTC_TIME),
            "failed_windows": pa.array([[]], pa.list_(FAILED)),
            "stages": [[{"account": account}]],
        }
    )
    write_deltalake(settings.path(RUNS.path), rows, mode="append", schema_mode="merge")


def record_run(settings: Settings, number: int, clock: str | None, *failed: tuple[str, str, str]) -> None:
    """A row of ``ops.runs``: its number, the API's clock, and windows that failed with their error."""
    schema = pa.schema([("lake_version", pa.int64()), ("lake_clock", UTC_TIME), ("failed_windows", pa.list_(FAILED))])
    lost: list[dict[str, Any]] = [
        {"window_start": at(start), "window_end": at(end), "error": error} for start, end, error in failed
    ]
    row = {"lake_version": number, "lake_clock": at(clock) if clock else None, "failed_windows": lost}
    write_deltalake(settings.path(RUNS.path), pa.Table.from_pylist([row], schema), mode="append", schema_mode="merge")
