"""What a crash or a full disk leaves of a table: told from a table, cleared away where it holds nothing, or named."""

import shutil
from pathlib import Path

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.lake import damage, delta_log
from lakehouse.lake.tables import DIM_REGION, SILVER
from tests.support.lakes import Lake

FIRST = "00000000000000000000.json"


def log_of(table: Path, **files: str) -> Path:
    """A log with files of these contents, ``_`` in a name standing for what Python does not allow there."""
    log = table / "_delta_log"
    log.mkdir(parents=True)
    for name, text in files.items():
        (log / name).write_text(text)
    return log


LEFTOVERS: list[dict[str, str]] = [
    {},
    {f".{FIRST}.0a1b.tmp": '{"commitInfo":'},
    {f".{FIRST}.crc": "x", FIRST: ""},
    {"_last_checkpoint": ""},
]


@pytest.mark.parametrize("files", LEFTOVERS)
def test_takes_a_log_without_a_commit_for_no_table(tmp_path: Path, files: dict[str, str]) -> None:
    log = log_of(tmp_path / "t", **files)
    assert delta_log.open_table(str(tmp_path / "t")) is None
    damage.clear(str(tmp_path / "t"))
    assert not log.exists()


@pytest.mark.parametrize("files", LEFTOVERS)
def test_creates_a_table_whose_creation_was_killed(empty_lake: Lake, tmp_path: Path, files: dict[str, str]) -> None:
    other = empty_lake.store.at(str(tmp_path / "other"))
    log_of(Path(other.path(DIM_REGION)), **files)
    other.prepare(DIM_REGION)
    found = delta_log.open_table(other.path(DIM_REGION))
    assert found is not None
    assert found.version == 0


def test_leaves_data_alone_that_no_log_speaks_of(tmp_path: Path) -> None:
    log = log_of(tmp_path / "t")
    (tmp_path / "t" / "part-0.parquet").write_bytes(b"rows")
    with pytest.raises(LakehouseError, match=r"holds data files, but its Delta log has no commit: bring .* back"):
        damage.clear(str(tmp_path / "t"))
    assert log.exists()


@pytest.fixture
def told(revised_once: Lake, tmp_path: Path) -> Lake:
    return revised_once.copy(tmp_path / "lake")


@pytest.fixture
def table(told: Lake) -> Path:
    """Silver with three commits, the last of which updated one row."""
    return Path(told.store.path(SILVER))


@pytest.mark.parametrize("hint", ["", "no JSON", "{}", '{"version":7,"size":8}'])
def test_reads_past_a_hint_that_leads_nowhere_or_says_what_to_do(told: Lake, table: Path, hint: str) -> None:
    place = table / "_delta_log" / "_last_checkpoint"
    place.write_text(hint)
    try:
        found = delta_log.open_table(str(table))
    except LakehouseError as error:
        assert f"remove {place}, a hint to a checkpoint that is not there" in str(error)  # noqa: PT017 (only some raise)
    else:
        assert found is not None
    told.store.prepare(SILVER)
    assert not place.exists()
    found = delta_log.open_table(str(table))
    assert found is not None
    assert found.version == 2
    assert damage.checkpoint_hinted_at(str(table)) is None


@pytest.mark.parametrize("keep", [0, 200])
def test_names_a_torn_commit_and_what_to_do(told: Lake, table: Path, keep: int) -> None:
    commit = table / "_delta_log" / "00000000000000000002.json"
    commit.write_bytes(commit.read_bytes()[:keep])
    with pytest.raises(
        LakehouseError, match=f"newest commit {commit} is torn, as after a power loss: remove the files"
    ):
        delta_log.open_table(str(table))
    for file in (table / "_delta_log").glob("*00000000000000000002*"):
        file.unlink()
    assert told.silver().counts["updated"] == 1  # as the sentence promises


def test_names_the_cure_of_a_log_with_a_hole(table: Path) -> None:
    shutil.copy(table / "_delta_log" / "00000000000000000002.json", table / "_delta_log" / "00000000000000000004.json")
    with pytest.raises(LakehouseError, match=r"bring .* back from a backup; a table that is derived can be moved away"):
        delta_log.open_table(str(table))
