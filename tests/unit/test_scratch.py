"""Rows that memory may not hold: kept in files, raised as they end, and gone with their process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.errors import LakehouseError
from lakehouse.lake import scratch
from lakehouse.lake.scratch import Scratch


@pytest.mark.parametrize("raised", [LakehouseError("a file is gone."), KeyboardInterrupt(), OSError(28, "No space")])
def test_what_ends_the_rows_is_raised_as_it_is(raised: BaseException) -> None:
    """DuckDB makes an error of its own of it, which no sentence is known for, not even for Ctrl-C."""
    schema = pa.schema([("a", pa.int64())])

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1])], schema)
        raise raised

    def passed_on() -> Iterator[pa.RecordBatch]:
        yield from pa.RecordBatchReader.from_batches(schema, batches())

    rows = pa.RecordBatchReader.from_batches(schema, passed_on())
    with closing(Scratch()) as database, pytest.raises(type(raised)) as caught:
        database.execute("CREATE TABLE held AS FROM given", given=rows)
    assert str(caught.value) == str(raised)


def test_keeps_more_rows_than_memory_holds_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "MEMORY", "60MiB")
    with closing(Scratch()) as database:
        database.execute("CREATE TABLE held AS SELECT range AS a, sha256(range::VARCHAR) AS b FROM range(1_000_000)")
        assert database.execute("SELECT sum(length(b)) FROM held").fetchone() == (64_000_000,)
        assert sum(file.stat().st_size for file in database.folder.rglob("*") if file.is_file()) > 10 * 2**20
    assert not list(tmp_path.iterdir())


KILLED = """
import os
from lakehouse.lake.scratch import Scratch

database = Scratch()
database.write("SELECT 1 AS a", "rows")
os.kill(os.getpid(), 9)
"""


def test_removes_what_a_killed_process_left_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with closing(Scratch()) as at_work:
        assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == -9
        (tmp_path / f"{scratch.FOLDER}of-mine").mkdir()  # of this name, and without a lock
        Scratch().close()
        assert len(list(tmp_path.iterdir())) == 3, "one so new may be one that is not held yet"
        monkeypatch.setattr(scratch, "NEW_SECONDS", -1)
        with closing(Scratch()) as another:
            assert set(tmp_path.iterdir()) == {at_work.folder, another.folder, tmp_path / f"{scratch.FOLDER}of-mine"}
