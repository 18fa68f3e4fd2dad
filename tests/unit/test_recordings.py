"""Recorded responses are found and read in every packing; what is wrong with the others is said."""

import errno
import gzip
import os
import random
import socket
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import UsageError
from lakehouse.ingestion import file_source
from lakehouse.ingestion.file_source import UnreadableError
from lakehouse.windows import EPOCH
from tests.support.archives import zipped
from tests.support.times import at

MIB = 1024 * 1024


def read_all(*paths: Path, largest: int = MIB) -> list[tuple[str, bytes | str]]:
    found: list[tuple[str, bytes | str]] = []
    for recording in file_source.discover(paths, largest):
        try:
            found.append((recording.name, recording.read()))
        except UnreadableError as error:
            found.append((recording.name, f"! {error}"))
    return found


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
    assert file_source._moment(-1e18) == file_source._moment(-1.0) == EPOCH
    assert file_source._moment(1e18) == file_source.FOREVER
    assert file_source._moment(1_600_000_000) == at("2020-09-13T12:26:40")


def test_refuses_before_it_gives_anything(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"one")
    (tmp_path / "empty").mkdir()
    for wrong in ("gone", "a.json/b", "empty"):
        with pytest.raises(UsageError):
            next(file_source.discover([tmp_path / "a.json", tmp_path / wrong], MIB))


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


def test_an_import_counts_bytes(tmp_path: Path) -> None:
    for name, size in (("a.json", 5), ("b.json", 7)):
        (tmp_path / name).write_bytes(b"x" * size)
    told: list[object] = []
    found = [each.read() for each in file_source.discover([tmp_path], 100, lambda *how_far: told.append(how_far))]
    assert found == [b"x" * 5, b"x" * 7]
    assert told == [("import", done, 12, "bytes") for done in (0, 5, 12)]
