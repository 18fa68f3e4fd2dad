"""Recorded responses landed in Bronze: every shape to the byte, bad ones named, the same ones once."""

import gc
import hashlib
import json
import os
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame

from lakehouse import settings
from lakehouse.errors import LakehouseError
from lakehouse.ingestion.ingest import BadFile, BronzeWriter, ReceivedAt, write_from_files
from lakehouse.lake.commits import Commit
from lakehouse.lake.store import Store, Written
from lakehouse.lake.tables import Table
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator import CarbonIntensityApi
from tests.support.archives import zipped
from tests.support.lake_rows import bronze_rows, landing_in
from tests.support.times import at

MIB = 1024 * 1024


def body(path: str, now: str = "2024-02-01") -> bytes:
    return "".join(CarbonIntensityApi(42).answer(path, now=at(now)).pieces).encode()


PERIODS = body("/regional/intensity/2024-01-01T00:30Z/2024-01-01T02:00Z")
REGION = body("/regional/intensity/2024-01-01T00:30Z/2024-01-01T02:00Z/regionid/13")
POSTCODE = body("/regional/intensity/2024-01-01T00:30Z/2024-01-01T02:00Z/postcode/SW1")
CURRENT = body("/regional", "2024-01-01T12:10")
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


def take_in(lake: Settings, *paths: Path, batch_bytes: int = 1 << 26) -> tuple[BronzeWriter, list[BadFile]]:
    landing = landing_in(lake, batch_bytes=batch_bytes)
    left_out = list(write_from_files(paths, landing, ReceivedAt(NOON), largest=MIB))
    return landing, left_out


def test_lands_every_regional_shape_to_the_byte(
    lake: Settings, folder: Path, run_with: Callable[..., RunReport]
) -> None:
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
    lake_root: str, folder: Path, run_with: Callable[..., RunReport], monkeypatch: pytest.MonkeyPatch
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
        assert list(write_from_files([folder], landing, ReceivedAt(moment), largest=MIB)) == []
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
    assert list(write_from_files([folder], landing, ReceivedAt(None, NOON), largest=MIB)) == []
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
    lake: Settings, folder: Path, run_with: Callable[..., RunReport]
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
    assert list(write_from_files([file], landing, ReceivedAt(None), largest=MIB)) == []
    (row,) = bronze_rows(lake)
    assert f"{row['ingestion_timestamp']:%Y-%m-%dT%H:%M:%S}" == "2020-09-13T12:26:40"
    assert (row["source"], row["ingest_date"].isoformat()) == ("https://api.carbonintensity.org.uk", "2020-09-13")
