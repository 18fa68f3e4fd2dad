"""Silver's rows among checked records: one query text, in DuckDB and in Spark, as literal tables."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from lakehouse.lake import duck
from lakehouse.lake.tables import QUARANTINE, SILVER
from lakehouse.transform import silver
from lakehouse.transform.quality import RULES
from lakehouse.transform.validation import checked
from tests.support.lakes import at, period, region

NOON = "2024-01-02T12:00"
Answer = Callable[[str, pa.Table], DataFrame]


def records(*bodies: Any, is_pending: list[bool] | None = None) -> pa.Table:
    """The checked records of bodies, each response received a minute after the one before, pending unless told."""
    pending = is_pending or [True] * len(bodies)
    window = {"window_start": at("2024-01-02T00:30"), "window_end": at("2024-01-03T00:00")}
    responses = pa.Table.from_pylist([{"body": json.dumps(body).encode(), **window} for body in bodies])
    found = checked(responses, RULES)
    numbers = found["response"].to_pylist()
    received = pa.array([datetime(2024, 1, 3, 0, number + 1, tzinfo=UTC) for number in numbers])
    return (
        found.append_column("response_id", pa.array([f"r{number + 1:02}" for number in numbers]))
        .append_column("landing", pa.array([number + 1 for number in numbers]))
        .append_column("ingestion_timestamp", received)
        .append_column("is_pending", pa.array([pending[number] for number in numbers]))
    )


@pytest.fixture(params=["duckdb", "spark"])
def answer(request: pytest.FixtureRequest, spark: SparkSession) -> Answer:
    """One engine's answer to a query over records."""

    def answered(query: str, table: pa.Table) -> DataFrame:
        if request.param == "spark":
            return spark.sql(query, records=spark.createDataFrame(table))
        with closing(duck.connect()) as database:
            database.register("given", table)
            database.execute("CREATE TABLE records AS FROM given")
            return spark.createDataFrame(database.execute(query.format(records="records")).to_arrow_table())

    return answered


def forecasts(rows: DataFrame) -> list[tuple[int, str, int, str]]:
    """Region, half-hour, forecast and response of each row."""
    found = rows.select("regionid", "timestamp", "intensity_forecast", "response_id").toArrow().to_pylist()
    return sorted((r["regionid"], f"{r['timestamp']:%H:%M}", r["intensity_forecast"], r["response_id"]) for r in found)


def test_gives_every_value_of_a_record_exactly(answer: Answer, spark: SparkSession) -> None:
    table = records({"data": [period(NOON, region(13, 181, note=1.50))]})
    expected = spark.createDataFrame(
        [
            (
                *(13, at(NOON), "London", "UKPN London", 181, "moderate"),
                *map(Decimal, ("1.20", "0.00", "40.30", "0.50", "10.00", "20.00", "0.00", "8.00", "20.00")),
                *('{"note":1.5}', "r01", at("2024-01-03T00:01")),
            )
        ],
        SILVER.ddl,
    )
    assert_df_equality(answer(silver.newest(only_pending_keys=False), table), expected, ignore_nullable=True)


def test_takes_the_newest_good_record_of_a_key(answer: Answer) -> None:
    table = records(
        {"data": [period(NOON, region(12, 100), region(13, 100))]},
        {"data": [period(NOON, region(12, 110), region(13, "n/a"))]},
        {"data": [period("2024-01-02T12:30", region(13, 120)), period("2024-01-02T12:30", region(13, 121))]},
    )
    assert forecasts(answer(silver.newest(only_pending_keys=False), table)) == [
        (12, "12:00", 110, "r02"),
        (13, "12:00", 100, "r01"),  # the newer one is refused
        (13, "12:30", 121, "r03"),  # of one body the later place counts
    ]


def test_takes_the_higher_id_of_responses_received_at_once(answer: Answer) -> None:
    table = records({"data": [period(NOON, region(13, 100))]}, {"data": [period(NOON, region(13, 110))]})
    at_once = pa.array([at("2024-01-03")] * 2)
    table = table.set_column(table.schema.get_field_index("ingestion_timestamp"), "ingestion_timestamp", at_once)
    assert forecasts(answer(silver.newest(only_pending_keys=False), table)) == [(13, "12:00", 110, "r02")]


def test_gives_no_key_that_no_pending_response_speaks_of(answer: Answer) -> None:
    table = records(
        {"data": [period(NOON, region(12, 90))]},
        {"data": [period(NOON, region(12, 95), region(13, 96))]},
        {"data": [period(NOON, region(13, "n/a"))]},
        is_pending=[True, False, True],
    )
    assert forecasts(answer(silver.newest(only_pending_keys=True), table)) == [(12, "12:00", 95, "r02")]
    assert answer(silver.PENDING_KEYS, table).collect()[0].n == 1


def test_quarantines_what_is_refused(answer: Answer, spark: SparkSession) -> None:
    table = records(
        {"data": [period(NOON, {"regionid": 12}, region(13, 100))]},
        {"data": [7]},
        is_pending=[True, False],
    )
    first = "readable", "names_present", "forecast_is_integer", "forecast_plausible", "label_known"
    times = "on_half_hour_grid", "lasts_half_an_hour", "inside_window"
    mix = "fuels_complete", "fuels_once", "shares_exact", "shares_in_range", "mix_is_whole"
    expected = [
        ("r01", 0, 1, at("2024-01-03T00:01"), "12", "2024-01-02T12:00Z", [*first, *mix], '{"regionid":12}'),
        (
            *("r02", 0, 2, at("2024-01-03T00:02"), None, None),
            ["readable", "key_present", "region_known", "names_present", *times, *first[2:], *mix],
            "7",
        ),
    ]
    found = answer(silver.refused(with_consumed=True), table).orderBy("response_id")
    assert_df_equality(found, spark.createDataFrame(expected, QUARANTINE.ddl), ignore_nullable=True)
    pending = answer(silver.refused(with_consumed=False), table)
    assert_df_equality(pending, spark.createDataFrame(expected[:1], QUARANTINE.ddl), ignore_nullable=True)


def test_counts_what_pending_records_are(answer: Answer) -> None:
    twice = [period(NOON, region(13, 100)), period(NOON, region(13, 100)), period(NOON, region(13, 100, note=1))]
    table = records(
        {"data": [*twice, period(NOON, region(19, 100, colour="red", note=None))]},
        {"data": [period(NOON, region(19, 100))]},
        is_pending=[True, False],
    )
    (row,) = answer(silver.summary(RULES), table).toArrow().to_pylist()
    assert {name: row[name] for name in ("received", "quarantined", "refused", "region_known", "label_known")} == {
        "received": 4,
        "quarantined": 1,
        "refused": 2,
        "region_known": 1,
        "label_known": 0,
    }
    assert answer(silver.REPEATED, table).collect()[0].n == 2
    unknown = {tuple(row.unknown): row.n for row in answer(silver.UNKNOWN, table).collect()}
    assert unknown == {("note",): 1, ("colour", "note"): 1}
