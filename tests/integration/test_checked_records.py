"""The records of a batch, checked in this process and on Spark's executors: the same function, so the same rows."""

import copy
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chispa import assert_df_equality
from deltalake import write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_log
from lakehouse.lake.store import Rows, Store
from lakehouse.lake.tables import BRONZE
from lakehouse.transform import local_records, silver
from lakehouse.transform.batch import Batch
from lakehouse.transform.local_records import LocalRecords
from lakehouse.transform.quality import RULES
from lakehouse.transform.silver_job import CheckedRecords, summarised
from lakehouse.transform.spark_records import SparkRecords
from tests.support.lakes import at, period, periods, region

NOON = "2024-01-02T12:00"
SCHEMA = pa.schema(
    [
        ("response_id", pa.string()),
        ("landing", pa.int64()),
        ("ingestion_timestamp", pa.timestamp("us", "UTC")),
        ("window_start", pa.timestamp("us", "UTC")),
        ("window_end", pa.timestamp("us", "UTC")),
        ("n_periods", pa.int32()),
        ("body", pa.binary()),
        ("body_sha256", pa.string()),
    ]
)
Both = tuple[CheckedRecords, CheckedRecords]


def responses(*bodies: Any) -> list[dict[str, Any]]:
    """One response for each body, received a minute after the one before, each in a landing of its own."""
    encoded = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    return [
        {
            "response_id": f"r{number:04}",
            "landing": number,
            "ingestion_timestamp": datetime(2024, 3, 1, tzinfo=UTC) + timedelta(minutes=number),
            "window_start": at("2024-01-01"),
            "window_end": at("2024-02-29"),
            "n_periods": 1,
            "body": body,
            "body_sha256": hashlib.sha256(body).hexdigest(),
        }
        for number, body in enumerate(encoded, start=1)
    ]


def said(forecast: int = 100, start: str = NOON) -> dict[str, Any]:
    """A plain body: two regions in one half-hour."""
    return {"data": periods(start, [forecast])}


def changed(body: dict[str, Any], **values: Any) -> dict[str, Any]:
    other = copy.deepcopy(body)
    other["data"][0]["regions"][0].update(values)
    return other


def mix(**shares: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = copy.deepcopy(said()["data"][0]["regions"][0]["generationmix"])
    for entry in found:
        entry["perc"] = shares.get(entry["fuel"], entry["perc"])
    return found


BODIES: list[Any] = [
    said(),
    said(101),
    said(start="2024-01-31T23:30"),
    said(start="2024-02-01T00:00"),
    {"data": periods("2024-01-02T11:30", [100, 110, 120])},
    changed(said(), intensity={"forecast": 1001, "index": "very high"}),
    changed(said(), intensity={"forecast": 100, "index": "extreme"}),
    changed(said(), intensity={"forecast": 20, "index": "very high"}),
    changed(said(), intensity={"forecast": 1.5, "index": "low"}),
    changed(said(), regionid=19),
    changed(said(), shortname=""),
    changed(said(), shortname="Londres"),
    changed(said(), shortname="England", dnoregion="England"),
    changed(said(), shortname="London\0"),
    changed(said(), generationmix=mix(gas=99.5)),
    changed(said(), generationmix=mix(gas=-0.1)),
    changed(said(), generationmix=mix(gas=1.234)),
    changed(said(), note=1),
    changed(said(), generationmix=[*mix(gas=1), {"fuel": "storage", "perc": 39.3}]),
    said(start="2024-01-02T12:10"),
    said(start="2024-05-02T12:00"),
    {"data": [period(NOON, region(12), region(13), region(13)), 7]},
    {"data": [*periods(NOON, [90]), *periods(NOON, [91])]},
    b"not JSON",
    b"<html>caf\xe9</html>",
    b"\xff\xfe\x00",
    b"\x00",
    b"[" * 5000 + b"]" * 5000,
    b'{"data":[{"from":"2024-01-02T12:00Z","intensity":{"forecast":1}}]}',
    b'{"data":{"regionid":true,"data":[{"from":"2024-01-02T12:00Z","intensity":{"forecast":1}}]}}',
    b"\xef\xbb\xbf" + json.dumps(said(102)).encode(),
    said(103)["data"],
    *(said(start=f"{year}-01-01T00:00") for year in (1001, 1677, 1970, 2262, 9998)),
    {"data": []},
    {"data": [], "meta": 1},
]


@pytest.fixture
def both(spark: SparkSession, tmp_path: Path) -> Iterator[Callable[..., Both]]:
    """The records of responses, checked here and on the executors."""
    made: list[CheckedRecords] = []

    def checked(rows: list[dict[str, Any]], **batch: Any) -> Both:
        found = batch_of(tmp_path, rows, **batch)
        store = Store(spark, str(tmp_path))
        made.extend([LocalRecords(store, found, RULES), SparkRecords(store, found, RULES)])
        return made[-2], made[-1]

    yield checked
    for each in made:
        each.close()


def batch_of(root: Path, rows: list[dict[str, Any]], **batch: Any) -> Batch:
    """All of a Bronze that holds these rows, unless told."""
    place = str(root / BRONZE.path)
    write_deltalake(place, pa.Table.from_pylist(rows, SCHEMA))
    bronze = delta_log.open_table(place)
    assert bronze is not None
    return Batch(bronze=bronze, windows=(), **batch)


def in_arrow(rows: Rows) -> pa.Table:
    if isinstance(rows, pa.RecordBatchReader):
        return rows.read_all()
    return rows if isinstance(rows, pa.Table) else rows.toArrow()


def assert_agree(spark: SparkSession, both: Both) -> None:
    here, there = both
    assert summarised(here, RULES) == summarised(there, RULES)
    assert here.query(silver.PENDING_KEYS).to_pylist() == there.query(silver.PENDING_KEYS).to_pylist()
    queries = [silver.newest(only_pending_keys=each) for each in (False, True)]
    queries += [silver.refused(with_consumed=each) for each in (False, True)]
    for query in queries:
        by_key = query in queries[:2]
        found = [in_arrow(each.rows_by_key(query) if by_key else each.rows(query)) for each in both]
        ours, theirs = (spark.createDataFrame(rows if len(rows) else rows.schema.empty_table()) for rows in found)
        assert_df_equality(ours, theirs, ignore_row_order=True, ignore_nullable=True)


def test_finds_the_same_in_whatever_comes(spark: SparkSession, both: Callable[..., Both]) -> None:
    records = both(responses(*BODIES))
    assert_agree(spark, records)
    failed = {result.rule: result.failed for result in summarised(records[0], RULES).results}
    assert all(failed.values())
    assert failed["key_once_in_response"] == 3
    assert failed["generationmix.storage"] == failed["note"] == 1


@pytest.mark.parametrize(
    "batch",
    [
        {"pending": "landing > 3"},
        {"pending": "landing > 1 AND landing < 4", "overlapping": ("r0004", "r0005")},
        {"pending": "landing = 2", "overlapping": ("r0001", "r0003", "r0004", "r0005")},
    ],
)
def test_lets_the_newest_of_all_win_whether_consumed_or_not(
    spark: SparkSession, both: Callable[..., Both], batch: dict[str, Any]
) -> None:
    bodies = [said(80), said(90), {"data": periods(NOON, [95, 96])}, changed(said(70), regionid=19), said(60)]
    rows = responses(*bodies)
    rows[4]["ingestion_timestamp"] = rows[1]["ingestion_timestamp"]  # then the higher id counts
    rows[1]["ingestion_timestamp"] += timedelta(seconds=0 if "overlapping" in batch else 30)
    assert_agree(spark, both(rows, **batch))


@pytest.mark.parametrize("bodies", [[], [{"data": []}], [b"not JSON"]])
def test_finds_nothing_where_there_is_nothing(
    spark: SparkSession, both: Callable[..., Both], bodies: list[Any]
) -> None:
    assert_agree(spark, both(responses(*bodies)))


@pytest.mark.parametrize(("piece_rows", "pieces"), [(10_000, 1), (1_000, 2)])
def test_lays_rows_out_in_order_of_time(
    both: Callable[..., Both], spark: SparkSession, monkeypatch: pytest.MonkeyPatch, piece_rows: int, pieces: int
) -> None:
    monkeypatch.setattr("lakehouse.lake.scratch.ROW_GROUP", 2048)
    monkeypatch.setattr(local_records, "PIECE_ROWS", piece_rows)
    half_hours = [at("2024-01-02") + timedelta(minutes=30 * number) for number in range(1500)]
    bodies = ({"data": [period(start, *(region(n) for n in (11, 12, 13)))]} for start in reversed(half_hours))
    newest = silver.newest(only_pending_keys=False)
    here, there = both([{**one, "landing": 1} for one in responses(*bodies)])
    for records in (here, there):
        with records.in_even_parts(newest) as rows:
            assert records is there or len(set(rows.inputFiles())) == pieces
            parts = rows.groupBy(F.spark_partition_id().alias("part")).agg(F.min("timestamp"), F.max("timestamp"))
            found = sorted(tuple(row)[1:] for row in parts.collect())
            assert all(one[1] <= other[0] for one, other in itertools.pairwise(found))
            assert rows.count() == rows.distinct().count() == 4500


def test_reads_in_parts_what_is_much(
    spark: SparkSession, both: Callable[..., Both], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.transform.batch.PART_PERIODS", 2)
    assert_agree(spark, both(responses(*BODIES)))


def test_looks_for_the_newest_piece_by_piece(
    spark: SparkSession, both: Callable[..., Both], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records without a time stay in quarantine, and those of one key together."""
    monkeypatch.setattr(local_records, "PIECE_ROWS", 1)
    starts = ["2024-01-01T12:00", "2024-02-03T12:00", "2024-02-03T12:00", "2024-02-20T12:00"]
    records = both(responses(*BODIES, *(said(100 + number, start) for number, start in enumerate(starts))))
    assert_agree(spark, records)
    newest = in_arrow(records[0].rows_by_key(silver.newest(only_pending_keys=False)))
    assert {101, 102} & set(newest["intensity_forecast"].to_pylist()) == {102}


def test_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    temporary.mkdir()
    records = LocalRecords(Store(not_needed, ""), batch_of(tmp_path, responses(said())), RULES)
    assert summarised(records, RULES).received == 2
    assert list(temporary.iterdir())
    records.close()
    assert not list(temporary.iterdir())


def test_says_where_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    temporary.mkdir()
    records = LocalRecords(Store(not_needed, ""), batch_of(tmp_path, responses(said())), RULES)
    (folder,) = temporary.iterdir()
    shutil.rmtree(folder)
    with (
        pytest.raises(
            LakehouseError, match=r"cannot be held in \S+/lakehouse-\S+: IO Error: .*; make room there, or .* TMPDIR"
        ),
        records.in_even_parts(silver.newest(only_pending_keys=False)),
    ):
        pass
    folder.mkdir()
    records.close()


def not_needed() -> Any:
    raise AssertionError("Spark is not needed for this")
