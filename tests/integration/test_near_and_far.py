"""The two ways to Silver's rows, in this process and on Spark's executors: the same rows, counts and refusals."""

import copy
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chispa import assert_df_equality
from deltalake import write_deltalake
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.store import Rows, Store
from lakehouse.lake.tables import KNOWN_FUELS, LABELS, SILVER
from lakehouse.spark import session
from lakehouse.transform import near, plain_bodies
from lakehouse.transform.batch import Batch
from lakehouse.transform.far import FarPieces
from lakehouse.transform.near import NearPieces
from lakehouse.transform.quality import BANDS, RULES
from tests.support.lakes import period, periods, region
from tests.support.times import at

NOON = "2024-01-02T12:00"
REFUSED = ["response_id", "landing", "ingestion_timestamp", "is_pending", "position", *SILVER.key]
REFUSED += ["region", "period_from", "broken"]
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
Scene = tuple[NearPieces, FarPieces]


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


@pytest.fixture
def both(spark: SparkSession, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """The pieces of responses, judged in both ways."""
    made: list[NearPieces | FarPieces] = []

    def judged(rows: list[dict[str, Any]], **scope: Any) -> Scene:
        looked_at, bronze = bronze_of(spark, tmp_path, rows, **scope)
        here = NearPieces(Store(spark, ""), bronze, looked_at, RULES)
        made.append(here)
        assert here.read(most_odd=100)
        there = FarPieces(looked_at, RULES)
        made.append(there)
        return here, there

    yield judged
    for each in made:
        each.close()


def bronze_of(spark: SparkSession, place: Path, rows: list[dict[str, Any]], **scope: Any) -> tuple[Batch, Snapshot]:
    write_deltalake(str(place / "bronze"), pa.Table.from_pylist(rows, SCHEMA))
    bronze = delta_log.open_table(str(place / "bronze"))
    assert bronze is not None
    frame = spark.createDataFrame(pa.Table.from_pylist(rows, SCHEMA))
    return Batch(bronze=lambda: frame, windows=(), n_periods=len(rows), **scope), bronze


def assert_same(here: Rows, there: DataFrame) -> None:
    if isinstance(here, pa.Table):
        here = there.sparkSession.createDataFrame(here)
    assert_df_equality(here, there, ignore_row_order=True, ignore_nullable=True)


def assert_agree(scene: Scene) -> None:
    here, there = scene
    assert here.found == there.found
    assert_same(here.newest(), there.newest())
    assert here.pending_keys() == there.pending_keys()
    for with_consumed in (False, True):
        refused = [each.refused(with_consumed=with_consumed).select(REFUSED) for each in scene]
        assert_same(*refused)


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


def test_finds_the_same_in_whatever_comes(both: Callable[..., Scene]) -> None:
    here, there = both(responses(*BODIES))
    assert_agree((here, there))
    failed = {result.rule: result.failed for result in here.found.results}
    assert all(failed.values())
    assert failed["key_once_in_response"] == 3
    assert failed["generationmix.storage"] == failed["note"] == 1


@pytest.mark.parametrize(
    "scope",
    [
        {"where": "landing > 3"},
        {"where": "landing > 1 AND landing < 4", "beside": ("r0004", "r0005")},
        {"where": "landing = 2", "beside": ("r0001", "r0003", "r0004", "r0005")},
    ],
)
def test_lets_the_newest_of_all_win_whether_consumed_or_not(
    spark: SparkSession, tmp_path: Path, scope: dict[str, Any]
) -> None:
    bodies = [said(80), said(90), {"data": periods(NOON, [95, 96])}, changed(said(70), regionid=19), said(60)]
    rows = responses(*bodies)
    rows[4]["ingestion_timestamp"] = rows[1]["ingestion_timestamp"]  # then the higher id counts
    rows[1]["ingestion_timestamp"] += timedelta(seconds=0 if "beside" in scope else 30)
    looked_at, bronze = bronze_of(spark, tmp_path, rows, **scope)
    with judged_here(spark, looked_at, bronze) as here:
        there = FarPieces(looked_at, RULES)
        assert_agree((here, there))
        there.close()


def test_speaks_of_no_key_that_no_pending_response_speaks_of(both: Callable[..., Scene]) -> None:
    beside = {"data": periods(NOON, [95, 96])}
    here, there = both(responses(said(90), beside), where="landing = 1", beside=("r0002",))
    rows = here.newest().select(["regionid", "intensity_forecast", "response_id"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == [(12, 95, "r0002"), (13, 95, "r0002")]
    assert_agree((here, there))


@pytest.mark.parametrize("bodies", [[], [{"data": []}], [b"not JSON"]])
def test_finds_nothing_where_there_is_nothing(both: Callable[..., Scene], bodies: list[Any]) -> None:
    assert_agree(both(responses(*bodies)))


def test_lays_rows_out_in_order_of_time(
    both: Callable[..., Scene], spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near, "GROUP", 2048)
    half_hours = [at("2024-01-02") + timedelta(minutes=30 * number) for number in range(1500)]
    bodies = ({"data": [period(start, *(region(n) for n in (11, 12, 13)))]} for start in reversed(half_hours))
    here, there = both([{**one, "landing": 1} for one in responses(*bodies)])
    cost = spark.conf.get("spark.sql.files.openCostInBytes")
    with here.laid_out() as rows:
        parts = rows.groupBy(F.spark_partition_id().alias("part")).agg(F.min("timestamp"), F.max("timestamp"))
        found = sorted(tuple(row)[1:] for row in parts.collect())
        assert len(found) == spark.sparkContext.defaultParallelism
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(found))
        assert_same(rows, there.newest())
    assert spark.conf.get("spark.sql.files.openCostInBytes") == cost
    monkeypatch.setattr(session, "is_local", lambda: False)
    with here.laid_out() as rows:
        assert rows.count() == len(half_hours) * 3
        assert not rows.inputFiles()


def test_hands_over_many_rows_in_a_file(both: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = both(responses(*(said(start=f"2024-01-02T{hour:02}:00") for hour in range(9))))
    few = here.newest()
    monkeypatch.setattr(near, "FEW_ROWS", 1)
    many = here.newest()
    assert len(many.inputFiles()) == 1
    assert_same(few, many)


def test_leaves_to_spark_what_is_mostly_odd(spark: SparkSession, tmp_path: Path) -> None:
    looked_at, bronze = bronze_of(spark, tmp_path, responses(said(), b"not JSON", {"data": [], "meta": 1}))
    for most_odd, is_done in ((2, True), (1, False)):
        here = NearPieces(Store(spark, ""), bronze, looked_at, RULES)
        assert here.read(most_odd) is is_done
        here.close()


def test_reads_in_parts_what_is_much(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.transform.batch.PART_PERIODS", 2)
    looked_at, bronze = bronze_of(spark, tmp_path, responses(*BODIES))
    with judged_here(spark, looked_at, bronze) as here:
        there = FarPieces(looked_at, RULES)
        assert_agree((here, there))
        there.close()


def test_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_deltalake(str(tmp_path / "bronze"), pa.Table.from_pylist(responses(said()), SCHEMA))
    bronze = delta_log.open_table(str(tmp_path / "bronze"))
    assert bronze is not None
    here = NearPieces(Store(not_needed, ""), bronze, Batch(bronze=not_needed, windows=(), n_periods=1), RULES)
    assert here.read(most_odd=0)
    assert here.found.received == 2
    assert list((tmp_path / "temporary").iterdir())
    here.close()
    assert not list((tmp_path / "temporary").iterdir())


def test_says_where_there_is_no_room(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "bronze"), pa.Table.from_pylist(responses(said()), SCHEMA))
    bronze = delta_log.open_table(str(tmp_path / "bronze"))
    assert bronze is not None
    here = NearPieces(Store(not_needed, ""), bronze, Batch(bronze=not_needed, windows=(), n_periods=1), RULES)
    assert here.read(most_odd=0)
    shutil.rmtree(here._folder.name)
    with pytest.raises(
        LakehouseError, match=r"cannot be held in \S+/lakehouse-\S+: IO Error: .*; make room there, or .* TMPDIR"
    ):
        here._file()
    here.close()


GOOD: dict[str, Any] = {
    "position": 0,
    "regionid": 13,
    "timestamp": at(NOON),
    "stop": at("2024-01-02T12:30"),
    "shortname": "London",
    "dno": "UKPN London",
    "intensity_forecast": 150,
    "intensity_index": "moderate",
    **dict.fromkeys((f"fuel_{fuel}" for fuel in KNOWN_FUELS), Decimal("1.00")),
    "share_sum": Decimal("100.00"),
    "lowest_share": Decimal("0.00"),
    "highest_share": Decimal("60.00"),
}
BOUNDS: dict[str, list[Any]] = {
    "regionid": [0, 1, 6, 18, 19, -(2**31), 2**31 - 1],
    "timestamp": [at("2024-01-02T12:00:01"), at("2024-01-02T12:15"), at("1969-12-31T23:30"), at("2050-01-01")],
    "stop": [at(NOON), at("2024-01-02T13:00"), at("2024-03-01"), at("2023-12-01")],
    "shortname": ["", " ", "london", "Löndon", "North Wales and Merseyside", "London\0", "L" * 101],
    "dno": ["", "WPD East Midlands", "\0", "ö" * 100, "ö" * 101],
    "intensity_forecast": [-51, -50, 0, 1000, 1001, 2**31 - 1],
    "intensity_index": ["", "Moderate", "extreme", *LABELS],
    "share_sum": [Decimal(text) for text in ("99.49", "99.50", "100.50", "100.51", "-100.00", "99999999.99")],
    "lowest_share": [Decimal("-0.01"), Decimal("100.00")],
    "highest_share": [Decimal("100.00"), Decimal("100.01")],
}


def variants() -> Iterator[dict[str, Any]]:
    """A good piece, the same with each bound and each null, and each label at the bounds of each year."""
    yield GOOD
    for name, values in BOUNDS.items():
        yield from ({**GOOD, name: value} for value in [None, *values])
    yield {**GOOD, "regionid": 6, "shortname": "North Wales and Merseyside", "dno": "SP Manweb"}
    for year in range(min(BANDS) - 2, max(BANDS) + 3):
        start = datetime(year, 7, 1, tzinfo=UTC)
        when = {"timestamp": start, "stop": start + timedelta(minutes=30)}
        bounds = {bound + step for bound in BANDS.get(year, (100,)) for step in (0, 1)}
        for label in [None, "extreme", *LABELS]:
            for bound in sorted(bounds):
                yield {**GOOD, **when, "intensity_index": label, "intensity_forecast": bound}


def test_judges_the_same_by_both_engines(spark: SparkSession, tmp_path: Path) -> None:
    types = pa.schema(plain_bodies._FIELDS)
    given = pa.Table.from_pylist([{**row, "position": number} for number, row in enumerate(variants())], types)
    window = {"window_start": at("2023-12-31"), "window_end": at("2024-02-29")}
    bronze = [{**responses(said())[0], **window}]
    write_deltalake(str(tmp_path / "bronze"), pa.Table.from_pylist(bronze, SCHEMA))
    snapshot = delta_log.open_table(str(tmp_path / "bronze"))
    assert snapshot is not None
    here = NearPieces(Store(not_needed, ""), snapshot, Batch(bronze=not_needed, windows=(), n_periods=1), RULES)
    assert here.read(most_odd=0)
    here._do("DELETE FROM pieces")
    here._take_in(given.append_column("number", pa.array([1] * given.num_rows, pa.int32())))
    duckdb = dict(here._ask("SELECT position, broken FROM pieces"))
    here.close()

    facts = [F.expr(text).alias(name) for name, text in plain_bodies.FACTS.items()]
    times = [F.lit(moment).alias(name) for name, moment in window.items()]
    frame = Store(spark, "").frame(given).select("*", *facts, *times).select("position", F.expr(RULES.broken))
    assert {row[0]: row[1] for row in frame.collect()} == duckdb
    broken = {name for bits in duckdb.values() for name in RULES.names(bits)}
    of_facts = {"readable", "forecast_is_integer", "fuels_complete", "fuels_once", "shares_exact", "fuels_known"}
    assert broken == {rule.name for rule in RULES.pieces} - of_facts
    assert duckdb[0] == 0
    assert len(duckdb) > 400


@contextmanager
def judged_here(spark: SparkSession, looked_at: Batch, bronze: Snapshot) -> Iterator[NearPieces]:
    here = NearPieces(Store(spark, ""), bronze, looked_at, RULES)
    assert here.read(most_odd=100)
    yield here
    here.close()


def not_needed() -> Any:
    raise AssertionError("Spark is not needed for this")
