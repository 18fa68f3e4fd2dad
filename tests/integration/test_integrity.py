"""Bodies whose bytes are not those that were received: nothing is made of them, wherever they are read."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from lakehouse import cli
from lakehouse.clock import machine_clock
from lakehouse.errors import QualityError
from lakehouse.history import explanation, releases
from lakehouse.lake import integrity
from lakehouse.lake.tables import BRONZE, SILVER
from lakehouse.settings import Settings
from lakehouse.transform import silver
from lakehouse.transform.batch import plan_batch
from lakehouse.transform.quality import RULES
from lakehouse.transform.spark_records import SparkRecords
from tests.support.lakes import Lake, periods, response
from tests.support.revised_lake import derived

CODEC = "spark.sql.parquet.compression.codec"
SENTENCE = "The body of response [0-9a-f]{64} in Bronze is not what was received, for its SHA-256 differs"


def land_uncompressed(lake: Lake) -> None:
    """An answer whose bytes can be found in Bronze's file."""
    lake.store.spark.conf.set(CODEC, "uncompressed")
    try:
        lake.land(response(periods("2024-01-01T00:00", [100, 101]), "2024-01-01T03:00"))
    finally:
        lake.store.spark.conf.unset(CODEC)


def flip(lake: Lake) -> None:
    """Change a digit where it lies, as a bad disk does, without the hidden files that Hadoop checks by."""
    folder = Path(lake.store.path(BRONZE))
    (file,) = folder.glob("*.parquet")
    before = file.read_bytes()
    assert b'"forecast": 101' in before
    file.write_bytes(before.replace(b'"forecast": 101', b'"forecast": 901'))
    for hidden in folder.rglob(".*.crc"):
        hidden.unlink()


@pytest.fixture
def rotten(lake: Lake) -> Lake:
    """One answer, of which a digit has changed since."""
    land_uncompressed(lake)
    flip(lake)
    return lake


@pytest.fixture
def whole_then_rotten(lake: Lake, settings_of: Callable[..., Settings]) -> tuple[Lake, Settings]:
    """The same, changed after Silver and Gold were made of it."""
    settings = settings_of(lake.store.root)
    land_uncompressed(lake)
    derived(settings)
    flip(lake)
    return lake, settings


def test_silver_makes_nothing_of_them(rotten: Lake) -> None:
    with pytest.raises(QualityError, match=SENTENCE):
        rotten.silver()
    assert rotten.rows(SILVER) == []


def test_executors_make_nothing_of_them(rotten: Lake) -> None:
    batch = plan_batch(rotten.context, rotten.context.snapshot(BRONZE), None, [])
    with pytest.raises(Exception, match=SENTENCE):
        SparkRecords(rotten.store, batch, RULES).query(silver.newest(only_pending_keys=False))


def test_no_explanation_or_release_rests_on_them(whole_then_rotten: tuple[Lake, Settings]) -> None:
    _, settings = whole_then_rotten
    with pytest.raises(Exception, match=SENTENCE):
        explanation.explain(settings, 13, date(2024, 1, 1))
    with pytest.raises(QualityError, match=SENTENCE):
        releases.create(settings, "R1", machine_clock())
    assert releases.listed(settings) == []


def test_ends_with_one_sentence_and_the_gates_code(
    whole_then_rotten: tuple[Lake, Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    lake, _ = whole_then_rotten
    for command in (["explain", "--region", "13", "--date", "2024-01-01"], ["sql", "SELECT * FROM revisions"]):
        assert cli.exit_code(["--root", lake.store.root, *command]) == 3
        told = capsys.readouterr().err
        assert told.startswith("error: The body of response")
        assert "unexpected" not in told


def test_reads_whole_bodies_as_they_are(lake: Lake) -> None:
    lake.land(response(periods("2024-01-01T00:00", [100]), "2024-01-01T03:00"))
    bronze = lake.context.snapshot(BRONZE)
    rows = bronze.read_arrow(integrity.NEEDED)
    assert integrity.checked_rows(rows).equals(rows)
    frame = lake.store.read(BRONZE)
    assert integrity.checked(frame).select(F.col("body")).collect() == frame.select("body").collect()
