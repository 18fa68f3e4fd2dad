"""Recorded responses from files: every packing and shape, bad ones named, the same ones once."""

import gc
import gzip
import hashlib
import io
import json
import os
import tracemalloc
import weakref
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame

from lakehouse import settings
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.ingestion import recordings
from lakehouse.ingestion.ingest import BadFile, Landing, ReceivedAt, land_from_files
from lakehouse.ingestion.recordings import UnreadableError
from lakehouse.lake.commits import Commit
from lakehouse.lake.store import Store, Written
from lakehouse.lake.tables import Table
from lakehouse.pipeline import Report
from lakehouse.settings import Settings
from lakehouse.simulator import CarbonIntensityApi
from tests.lake_rows import at, bronze_rows, landing_in

MIB = 1024 * 1024


def body(path: str, now: str = "2024-02-01") -> bytes:
    return "".join(CarbonIntensityApi(42).answer(path, now=at(now)).pieces).encode()


PERIODS = body("/regional/intensity/2024-01-01T00:30Z/2024-01-01T02:00Z")
REGION = body("/regional/intensity/2024-01-01T00:30Z/2024-01-01T02:00Z/regionid/13")
POSTCODE = body("/regional/intensity/2024-01-01T00:30Z/2024-01-01T02:00Z/postcode/SW1")
CURRENT = body("/regional", "2024-01-01T12:10")


# --- finding and reading them


def read_all(*paths: Path, largest: int = MIB) -> list[tuple[str, bytes | str]]:
    found: list[tuple[str, bytes | str]] = []
    for recording in recordings.find(paths, largest):
        try:
            found.append((recording.name, recording.read()))
        except UnreadableError as error:
            found.append((recording.name, f"! {error}"))
    return found


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_reads_plain_and_packed_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.json").write_bytes(b"two")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"one"))
    (tmp_path / "c.zip").write_bytes(
        zipped({"z.json": b"four", "d/y.json": b"three", "d/x.gz": gzip.compress(b"3"), "n.txt": b"no"})
    )
    (tmp_path / "notes.txt").write_bytes(b"no")
    (tmp_path / "._a.json").write_bytes(b"no")
    assert read_all(tmp_path) == [
        ("a.json.gz", b"one"),
        ("b/2.json", b"two"),
        ("c.zip/d/x.gz", b"3"),
        ("c.zip/d/y.json", b"three"),
        ("c.zip/z.json", b"four"),
    ]


def test_reads_a_file_that_is_named_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(b"{}")
    assert read_all(tmp_path / "answer") == [("answer", b"{}")]


def test_refuses_a_path_that_is_not_there_and_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone does not exist"):
        read_all(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"holds no file that ends in \.json, \.gz, \.zip"):
        read_all(tmp_path)


def test_says_what_is_wrong_with_a_packed_file(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 1000)[:-10])
    (tmp_path / "b.gz").write_bytes(b"no gzip at all")
    (tmp_path / "c.zip").write_bytes(b"no zip at all")
    broken = bytearray(zipped({"x.json": b"x" * 1000}))
    broken[40] ^= 0xFF
    (tmp_path / "d.zip").write_bytes(bytes(broken))
    reasons = dict(read_all(tmp_path))
    assert str(reasons["a.gz"]).startswith("! it cannot be read (Compressed file ended before")
    assert reasons["b.gz"] == "! it cannot be read (Not a gzipped file (b'no'))"
    assert reasons["c.zip"] == "! it is not a readable zip archive (File is not a zip file)"
    assert str(reasons["d.zip/x.json"]).startswith("! it cannot be read (")


def test_never_unpacks_more_than_is_allowed(tmp_path: Path) -> None:
    huge = b" " * (64 * MIB)
    (tmp_path / "a.gz").write_bytes(gzip.compress(huge, 1))
    (tmp_path / "b.zip").write_bytes(zipped({"x.json": huge, "y.gz": gzip.compress(huge, 1)}))
    (tmp_path / "c.json").write_bytes(huge)
    del huge
    tracemalloc.start()
    try:
        reasons = read_all(tmp_path, largest=MIB)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert {reason for _, reason in reasons} == {"! it is larger than 1 MiB"}
    assert len(reasons) == 4


def test_counts_files_as_received_in_path_order() -> None:
    moment, modified = at("2024-01-01"), at("2020-01-01")
    assert ReceivedAt(moment).of(0, modified) == moment
    assert ReceivedAt(moment).of(2, modified) == moment + timedelta(microseconds=2)
    assert ReceivedAt(None).of(2, modified) == modified + timedelta(microseconds=2)


# --- into Bronze

NOON = at("2024-03-01T12:00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files to import, beside the lake."""
    made = tmp_path / "recorded"
    made.mkdir()
    return made


@pytest.fixture
def lake(settings_for: Callable[..., Settings], lake_root: str) -> Settings:
    return settings_for(lake_root)


def take_in(lake: Settings, *paths: Path, batch_bytes: int = 1 << 26) -> tuple[Landing, list[BadFile]]:
    landing = landing_in(lake, batch_bytes=batch_bytes)
    left_out = list(land_from_files(paths, landing, ReceivedAt(NOON), largest=MIB))
    return landing, left_out


@pytest.mark.integration
def test_lands_every_regional_shape_to_the_byte(lake: Settings, folder: Path, run_with: Callable[..., Report]) -> None:
    odd = json.dumps(json.loads(PERIODS), indent=1).replace("GB", "G\\u0042").encode() + b" \r\n"
    strange = '{"data":[{"from":"2024-01-01T00:00Z","regions":[],"é":"日本 \\/"}]}'.encode()
    for number, data in enumerate((PERIODS, REGION, POSTCODE, CURRENT, odd, strange)):
        (folder / f"{number}.json").write_bytes(data)
    report = run_with(lake, lambda run: run.take_in([folder], "simulator:seed=7", ReceivedAt(NOON)), "import")
    rows = bronze_rows(lake)
    assert [row["body"] for row in rows] == [PERIODS, REGION, POSTCODE, CURRENT, odd, strange]
    assert [row["body_sha256"] for row in rows] == [hashlib.sha256(row["body"]).hexdigest() for row in rows]
    assert [row["regionid"] for row in rows] == [None, 13, 13, None, None, None]
    assert [row["n_periods"] for row in rows] == [4, 4, 4, 1, 4, 1]
    assert [f"{row['window_start']:%H:%M} {row['window_end']:%H:%M}" for row in rows] == [
        "00:30 02:00",
        "00:30 02:00",
        "00:30 02:00",
        "12:30 12:30",
        "00:30 02:00",
        "00:30 00:30",
    ]
    assert [row["ingestion_timestamp"] - NOON for row in rows] == [timedelta(microseconds=n) for n in range(6)]
    assert {(row["source"], row["ingest_date"].isoformat()) for row in rows} == {("simulator:seed=7", "2024-03-01")}
    assert report.stages[0].counts == {"received": 6, "duplicates": 0, "inserted": 6, "empty": 0}


@pytest.mark.integration
def test_holds_one_batch_in_the_jvm(
    lake_root: str, folder: Path, run_with: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = settings.load({"root": lake_root, "fetch": {"landing_mib": 0.001}})
    held: list[int] = []
    batches: list[weakref.ref[object]] = []
    append = Store.append

    def watched(store: Store, frame: DataFrame, table: Table, commit: Commit) -> Written:
        held.append(sum(batch() is not None for batch in batches))
        batches.append(weakref.ref(frame._jdf))
        return append(store, frame, table, commit)

    for number in range(4):
        (folder / f"{number}.json").write_bytes(PERIODS + b" " * number)
    monkeypatch.setattr(Store, "append", watched)
    gc.disable()
    try:
        run_with(lake, lambda run: run.take_in([folder], None, ReceivedAt(NOON)), "import")
    finally:
        gc.enable()
    assert held[:4] == [0, 0, 0, 0]


def test_adds_nothing_for_the_same_name_and_content(lake: Settings, folder: Path) -> None:
    one, two = folder / "one", folder / "two"
    for each in (one, two):
        each.mkdir()
        (each / "a.json").write_bytes(PERIODS)
    landing, _ = take_in(lake, one, two, two / "a.json")
    assert landing.counts() == {"received": 3, "duplicates": 2, "inserted": 1, "empty": 0}
    landing, _ = take_in(lake, two)
    assert landing.counts() == {"received": 1, "duplicates": 1, "inserted": 0, "empty": 0}
    assert landing.version is None
    (two / "a.json").write_bytes(PERIODS + b"\n")
    landing, _ = take_in(lake, two)
    assert landing.counts()["inserted"] == 1
    assert {row["body"] for row in bronze_rows(lake)} == {PERIODS, PERIODS + b"\n"}


def test_names_bad_files_and_takes_the_rest(lake: Settings, folder: Path) -> None:
    for name, data in (
        ("1 cut.json", PERIODS[:1000]),
        ("2 good.json", PERIODS),
        ("3 error.json", b'{"error":{"code":"500"}}'),
        ("4 nothing.json", b""),
        ("5 empty.json", b"{}"),
        ("6 empty.json", b'{"data":[]}'),
        ("7 large.json", PERIODS + b" " * MIB),
    ):
        (folder / name).write_bytes(data)
    _, left_out = take_in(lake, folder)
    assert [(file.name[0], file.is_empty) for file in left_out] == [
        ("1", False),
        ("3", False),
        ("4", False),
        ("5", True),  # a good answer, but nobody knows to which request
        ("6", True),
        ("7", False),
    ]
    assert left_out[0].reason.startswith("it is not valid JSON (EOF while parsing")
    assert [file.reason for file in left_out[1:]] == [
        "it is an error message of the API",
        "it holds no half-hour",
        "it holds no half-hour",
        "it holds no half-hour",
        "it is larger than 1 MiB",
    ]
    assert [row["source_file"] for row in bronze_rows(lake)] == ["2 good.json"]


@pytest.mark.integration
def test_ends_with_1_for_bad_files_and_not_for_empty_answers(
    lake: Settings, folder: Path, run_with: Callable[..., Report]
) -> None:
    (folder / "a.json").write_bytes(PERIODS)
    (folder / "b.json").write_bytes(b"{}")
    (folder / "c.json").write_bytes(b"<html>")
    (folder / "d.json").write_bytes(b"")
    (folder / "e.json").write_bytes(CURRENT)
    with pytest.raises(LakehouseError, match=r"c\.json and 1 more left out .*; 2 responses went in") as caught:
        run_with(lake, lambda run: run.take_in([folder], None, ReceivedAt(NOON)), "import")
    assert caught.value.exit_code == 1
    assert [row["source_file"] for row in bronze_rows(lake)] == ["a.json", "e.json"]


def test_takes_thousands_of_files_in_one_commit(lake: Settings, folder: Path) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    members = {}
    for number in range(3000):
        slot = f"{start + timedelta(minutes=30 * number):%Y-%m-%dT%H:%MZ}"
        members[f"{number:04}.json"] = json.dumps({"data": [{"from": slot, "regions": []}]}).encode()
    (folder / "many.zip").write_bytes(zipped(members))
    landing, _ = take_in(lake, folder / "many.zip")
    assert (landing.inserted, landing.version) == (3000, 0)


def test_commits_in_batches_of_bounded_size(lake: Settings, folder: Path) -> None:
    for number in range(5):
        (folder / f"{number}.json").write_bytes(PERIODS + b" " * number)
    take_in(lake, folder, batch_bytes=2 * len(PERIODS))
    assert [row["landing"] for row in bronze_rows(lake)] == [1, 1, 2, 2, 3]


def test_counts_old_files_as_received_when_they_were_made(lake: Settings, folder: Path) -> None:
    file = folder / "a.json"
    file.write_bytes(PERIODS)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    landing = landing_in(lake)
    assert list(land_from_files([file], landing, ReceivedAt(None), largest=MIB)) == []
    (row,) = bronze_rows(lake)
    assert f"{row['ingestion_timestamp']:%Y-%m-%dT%H:%M:%S}" == "2020-09-13T12:26:40"
    assert (row["source"], row["ingest_date"].isoformat()) == ("https://api.carbonintensity.org.uk", "2020-09-13")
