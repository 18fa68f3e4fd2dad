"""Recorded responses from files: every packing and shape, bad ones named, the same ones once."""

import errno
import gc
import gzip
import hashlib
import io
import json
import os
import random
import socket
import tracemalloc
import warnings
import weakref
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame

from lakehouse import settings
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.ingestion import recordings
from lakehouse.ingestion.ingest import BadFile, Landing, ReceivedAt, land_from_files
from lakehouse.ingestion.receipts import FetchHistory
from lakehouse.ingestion.reception import received_at
from lakehouse.ingestion.recordings import UnreadableError
from lakehouse.lake.commits import Commit
from lakehouse.lake.store import Store, Written
from lakehouse.lake.tables import Table
from lakehouse.pipeline import Report
from lakehouse.settings import Settings
from lakehouse.simulator import CarbonIntensityApi
from lakehouse.windows import EPOCH
from tests.support.lake_rows import bronze_rows, landing_in
from tests.support.times import at

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


def test_names_what_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.json").write_bytes(b"one")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c.json").symlink_to("nowhere.json")
    (tmp_path / "d.json").symlink_to("d.json")
    (tmp_path / "e.json").symlink_to("a/1.json")
    os.mkfifo(tmp_path / "f.json")  # opened, it would wait for ever
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "g.json"))
    (tmp_path / "h.zip").mkdir()
    (tmp_path / "h.zip" / "2.json").write_bytes(b"two")
    not_regular = "! it is not a regular file, so it was not opened"
    assert read_all(tmp_path) == [
        ("a/1.json", b"one"),
        ("b", "! it is a link to a folder, which is not followed; name that folder itself"),
        ("c.json", "! it is a link that points nowhere"),
        ("d.json", "! it cannot be read (Too many levels of symbolic links)"),
        ("e.json", b"one"),
        ("f.json", not_regular),
        ("g.json", not_regular),
        ("h.zip/2.json", b"two"),
    ]
    assert read_all(tmp_path / "pipe", tmp_path / "c.json", Path("/dev/null"), tmp_path / "b") == [
        ("pipe", not_regular),
        ("c.json", "! it is a link that points nowhere"),
        ("null", not_regular),
        ("1.json", b"one"),
    ]


def test_names_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "b/c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.json").write_bytes(b"one")
    listed = os.scandir

    def scandir(path: str) -> Any:  # root may read what nobody may
        if str(path).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refused = "! the folder cannot be read (Permission denied)"
    assert read_all(tmp_path) == [("a/1.json", b"one"), ("b", refused)]
    assert read_all(tmp_path / "b", tmp_path / "a") == [("b", refused), ("1.json", b"one")]


def test_names_what_it_leaves_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second one
        for name, data in (("x.json", b"1"), ("in.zip", zipped({"y.json": b"3"})), ("x.json", b"2"), (".z.zip", b"")):
            archive.writestr(name, data)
    assert read_all(tmp_path) == [
        ("a.zip/in.zip", "! it is a zip archive inside a zip archive; unpack the outer one"),
        ("a.zip/x.json", "! the archive holds another member of the same name after it"),
        ("a.zip/x.json", b"2"),
    ]


def test_takes_names_that_are_no_text(tmp_path: Path) -> None:
    for name in (b"caf\xe9.json", b"\xff.json.gz", "日本.json".encode()):
        data = gzip.compress(b"x") if name.endswith(b".gz") else b"x"
        (tmp_path / os.fsdecode(name)).write_bytes(data)
    assert read_all(tmp_path) == [("caf\\xe9.json", b"x"), ("日本.json", b"x"), ("\\xff.json.gz", b"x")]


def test_reads_on_after_any_broken_archive(tmp_path: Path) -> None:
    whole = zipped({"x.json": b"x" * 300, "d/é.json": b"y" * 300, "z.gz": gzip.compress(b"z" * 300)})
    chance = random.Random(1)
    for number in range(400):
        broken = bytearray(whole[: chance.choice((len(whole), chance.randrange(len(whole))))])
        for _ in range(chance.randrange(1, 6)):
            if broken:
                broken[chance.randrange(len(broken))] = chance.randrange(256)
        (tmp_path / f"{number:03}.zip").write_bytes(bytes(broken))
    (tmp_path / "last.json").write_bytes(b"good")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_all(tmp_path)
    assert found[-1] == ("last.json", b"good")
    assert {name.split("/")[0] for name, _ in found} >= {f"{number:03}.zip" for number in range(10)}


def test_gives_the_nearest_time_that_can_be_written(tmp_path: Path) -> None:
    assert recordings._moment(-1e18) == recordings._moment(-1.0) == EPOCH
    assert recordings._moment(1e18) == recordings.FOREVER
    assert recordings._moment(1_600_000_000) == at("2020-09-13T12:26:40")


def test_refuses_before_it_gives_anything(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"one")
    (tmp_path / "empty").mkdir()
    for wrong in ("gone", "a.json/b", "empty"):
        with pytest.raises(UsageError):
            next(recordings.find([tmp_path / "a.json", tmp_path / wrong], MIB))


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


def test_counts_no_file_as_received_after_the_lakes_clock() -> None:
    now = at("2024-01-05")
    by_file = ReceivedAt(None, now)
    assert by_file.of(1, at("2099-01-01")) == by_file.of(1, recordings.FOREVER) == now + timedelta(microseconds=1)
    assert (by_file.is_clamped(at("2099-01-01")), by_file.is_clamped(at("2020-01-01"))) == (True, False)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("2099-01-01", "2099-01-01T00:00:00Z is after the lake's clock, which says 2024-01-05T00:00:00Z"),
        ("2024-01-05T00:00:01", "is after the lake's clock"),
        ("9999-12-31", "is after the lake's clock"),
        ("1969-12-31", "1969-12-31T00:00:00Z is before 1970-01-01T00:00:00Z"),
        ("0001-01-01", "is before 1970-01-01T00:00:00Z"),
    ],
)
def test_refuses_a_time_of_reception_that_cannot_be(said: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"--received-at .*{why}"):
        received_at(at(said), FetchHistory(), at("2024-01-05"))


def test_goes_by_the_clock_of_a_simulated_lake() -> None:
    machine, clock, microsecond = at("2026-01-01"), at("2024-01-05"), timedelta(microseconds=1)
    lake = FetchHistory(source="simulator:seed=1", last_clock=clock, last_received=clock + 3 * microsecond)
    assert received_at(None, lake, machine) == ReceivedAt(clock + 4 * microsecond, clock)  # after the import before
    assert received_at(at("2024-01-04"), lake, machine).moment == at("2024-01-04")
    with pytest.raises(UsageError):
        received_at(at("2024-01-06"), lake, machine)
    assert received_at(None, replace(lake, last_received=machine), machine) == ReceivedAt(clock, clock)
    assert received_at(None, FetchHistory(), machine) == ReceivedAt(machine, machine)
    assert received_at(None, lake, machine, by_file=True) == ReceivedAt(None, clock)


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


def test_lands_every_regional_shape_to_the_byte(lake: Settings, folder: Path, run_with: Callable[..., Report]) -> None:
    odd = json.dumps(json.loads(PERIODS), indent=1).replace("GB", "G\\u0042").encode() + b" \r\n"
    strange = '{"data":[{"from":"2024-01-01T00:00Z","regions":[],"é":"日本 \\/"}]}'.encode()
    for number, data in enumerate((PERIODS, REGION, POSTCODE, CURRENT, odd, strange)):
        (folder / f"{number}.json").write_bytes(data)
    report = run_with(lake, lambda run: run.import_files([folder], "simulator:seed=7", ReceivedAt(NOON)), "import")
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
        run_with(lake, lambda run: run.import_files([folder], None, ReceivedAt(NOON)), "import")
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


def test_adds_a_content_again_that_another_has_replaced(lake: Settings, folder: Path) -> None:
    """A, B, A by one name: what was said last counts. Only the newest content of a name is known already."""
    old, new = PERIODS, PERIODS + b"\n"
    hour = timedelta(hours=1)

    def take(content: bytes, moment: datetime) -> int:
        (folder / "a.json").write_bytes(content)
        landing = landing_in(lake)
        assert list(land_from_files([folder], landing, ReceivedAt(moment), largest=MIB)) == []
        return landing.inserted

    assert [take(content, NOON + n * hour) for n, content in enumerate((old, old, new, new, old, old))] == [
        *(1, 0, 1, 0, 1, 0)
    ]
    assert [row["body"] for row in bronze_rows(lake)] == [old, new, old]
    assert take(new, NOON + hour) == 1  # said to have come before the newest, so that one stays
    assert take(old, NOON + 7 * hour) == 0
    one, two, three = (folder / name for name in ("one", "two", "three"))
    for place, content in ((one, new), (two, old), (three, new)):
        place.mkdir()
        (place / "b.json").write_bytes(content)
    landing, _ = take_in(lake, one, two, three, three)
    assert landing.counts() == {"received": 4, "duplicates": 1, "inserted": 3, "empty": 0}


def test_lands_the_rest_whatever_a_file_holds(lake: Settings, folder: Path) -> None:
    good = json.dumps({"data": [{"from": "2024-01-02T12:00Z", "regions": [{"intensity": {}}]}]}).encode()
    strange = {
        "a.json": good.replace(b"2024-01-02T12:00Z", b"9999-12-31T23:30Z"),
        "b.json": good.replace(b"2024-01-02T12:00Z", b"1001-01-01T00:00Z"),
        "c.json": b'{"data":{"regionid":true,"data":[{"from":"2024-01-02T12:00Z","intensity":{}}]}}',
        "d.json": b'{"data":{"regionid":99999999999,"data":[{"from":"2024-01-02T12:00Z","intensity":{}}]}}',
        "e.json": b'{"data":[{"from":"2024-05-10T00:00Z","to":"2024-05-10T00:30Z","intensity":{"forecast":150}}]}',
        "f.json": good.decode().encode("utf-16"),
        "g.json": good.replace(b"12:00Z", b"12:00"),
        "h.zip": b"PK",
    }
    for name, data in strange.items():
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(b"\xff.json")).write_bytes(good)
    years = ("2024-01-02T12:00Z", "1970-01-01T00:00Z", "2262-04-12T00:00Z", "1001-01-01T00:00Z", "9999-12-31T23:30Z")
    periods = [{"from": year, "regions": [{"intensity": {}}]} for year in years]
    (folder / "zz.json").write_bytes(json.dumps({"data": periods}).encode())
    _, left_out = take_in(lake, folder)
    assert [file.name for file in left_out] == list(strange)
    assert [row["source_file"] for row in bronze_rows(lake)] == ["zz.json", "\\xff.json"]
    row = bronze_rows(lake)[0]
    assert (row["window_start"], row["window_end"]) == (at("2024-01-02T12:30"),) * 2
    assert (row["n_periods"], row["absent"]) == (5, [])


def test_says_how_many_times_it_did_not_believe(lake: Settings, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, second in (("a.json", 1_600_000_000), ("b.json", 4_000_000_000), ("c.json", 5_000_000_000)):
        (folder / name).write_bytes(PERIODS)
        os.utime(folder / name, (second, second))
    landing = landing_in(lake)
    assert list(land_from_files([folder], landing, ReceivedAt(None, NOON), largest=MIB)) == []
    assert "modification time of 2 files is after the lake's clock (the first is b.json)" in caplog.text
    times = [row["ingestion_timestamp"] for row in bronze_rows(lake)]
    assert times == [at("2020-09-13T12:26:40"), *(NOON + timedelta(microseconds=n) for n in (1, 2))]


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


def test_ends_with_1_for_bad_files_and_not_for_empty_answers(
    lake: Settings, folder: Path, run_with: Callable[..., Report]
) -> None:
    (folder / "a.json").write_bytes(PERIODS)
    (folder / "b.json").write_bytes(b"{}")
    (folder / "c.json").write_bytes(b"<html>")
    (folder / "d.json").write_bytes(b"")
    (folder / "e.json").write_bytes(CURRENT)
    with pytest.raises(LakehouseError, match=r"c\.json and 1 more left out .*; 2 responses went in") as caught:
        run_with(lake, lambda run: run.import_files([folder], None, ReceivedAt(NOON)), "import")
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
