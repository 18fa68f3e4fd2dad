"""What Silver lacks, told from its files' statistics where these suffice: the same as from its rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import settings as rate
from hypothesis import strategies as st

from lakehouse import settings
from lakehouse.ingestion import silver_coverage
from lakehouse.ingestion.silver_coverage import ALL
from lakehouse.lake import delta_log
from lakehouse.lake.pinned import Tables
from lakehouse.lake.tables import SILVER
from lakehouse.settings import Settings
from lakehouse.windows import Span
from tests.support.lake_rows import refine
from tests.support.times import at, slots

REGIONS = tuple(sorted(ALL))
DAY = Span(at("2024-01-01"), at("2024-01-02"))


@pytest.fixture
def lake(tmp_path: Path) -> Settings:
    return settings.load({"root": str(tmp_path)})


def missing(lake: Settings, span: Span = DAY) -> dict[datetime, frozenset[int]]:
    return dict(silver_coverage.read(Tables(lake.root), span).missing([span]))


def expected(files: Sequence[Mapping[datetime, Sequence[int]]], span: Span = DAY) -> dict[datetime, frozenset[int]]:
    there = {slot: ALL - {r for file in files for r in file.get(slot, ())} for slot in span.slots()}
    return {slot: lacked for slot, lacked in there.items() if lacked}


def of_days(start: str, end: str) -> dict[datetime, Sequence[int]]:
    return dict.fromkeys(slots(start, end), REGIONS)


def test_reads_no_row_of_files_that_have_them_all(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for start, end in (("2023-12-31T12:00", "2024-01-01T12:00"), ("2024-01-01T12:00", "2024-01-02T12:00")):
        refine(lake, of_days(start, end), landing=1)
    monkeypatch.setattr(delta_log, "query_datafusion", lambda *_, **__: pytest.fail("no row has to be read"))
    assert missing(lake) == {}


def test_reads_the_rows_of_files_that_lack_some(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [of_days("2024-01-01", "2024-01-01T12:00"), of_days("2024-01-01T12:00", "2024-01-02")]
    hole, some = at("2024-01-01T13:00"), at("2024-01-01T14:00")
    del files[1][hole]
    files[1][some] = REGIONS[3:]
    for file in files:
        refine(lake, file, landing=1)
    asked, ask = [], delta_log.query_datafusion
    monkeypatch.setattr(
        delta_log, "query_datafusion", lambda query, **tables: [asked.append(query), ask(query, **tables)][1]
    )
    assert missing(lake) == {hole: ALL, some: frozenset(REGIONS[:3])}
    assert all("2024-01-01T12:00:00Z' AND TIMESTAMP '2024-01-01T23:30:00Z'" in query for query in asked)


def test_takes_a_half_hour_that_two_files_share_for_what_it_is(lake: Settings) -> None:
    shared, later = at("2024-01-01T12:00"), at("2024-01-01T18:00")
    files = [of_days("2024-01-01", "2024-01-01T12:30"), of_days("2024-01-01T12:00", "2024-01-02")]
    files[0][shared], files[1][shared] = REGIONS[:7], REGIONS[7:]
    for file in files:
        refine(lake, file, landing=1)
    assert missing(lake) == {}
    refine(lake, {later + timedelta(days=1): REGIONS}, landing=1)
    assert missing(lake, Span(DAY.start, at("2024-01-03"))) == expected(
        [*files, {later + timedelta(days=1): REGIONS}], Span(DAY.start, at("2024-01-03"))
    )


def test_reads_the_rows_where_files_say_nothing(lake: Settings) -> None:
    rows = pa.table(
        {
            "regionid": pa.array(REGIONS, pa.int32()),
            "timestamp": pa.array([DAY.start] * len(REGIONS), pa.timestamp("us", "UTC")),
        }
    )
    path = lake.path(SILVER.path)
    DeltaTable.create(path, rows.schema, configuration={"delta.dataSkippingNumIndexedCols": "0"})
    write_deltalake(path, rows, mode="append")
    table = delta_log.open_table(path)
    assert table is not None
    assert table.extents("timestamp") is None
    assert missing(lake) == expected([{DAY.start: REGIONS}])


def test_asks_for_a_few_ranges_however_many_files_lack_rows(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    span = Span(DAY.start, DAY.start + timedelta(days=30))
    files = [{slot: REGIONS, slot + timedelta(hours=3): REGIONS[1:]} for slot in list(span.slots())[:: 48 // 2]]
    for file in files:
        refine(lake, file, landing=1)
    asked, ask = [], delta_log.query_datafusion
    monkeypatch.setattr(
        delta_log, "query_datafusion", lambda query, **tables: [asked.append(query), ask(query, **tables)][1]
    )
    assert missing(lake, span) == expected(files, span)
    assert asked[0].count("BETWEEN") == silver_coverage.RANGES


half_hours = st.sampled_from(list(Span(at("2023-12-31T22:00"), at("2024-01-01T04:00")).slots()))
kept = st.sampled_from([REGIONS, REGIONS, REGIONS, REGIONS[1:], REGIONS[:2]])


@rate(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(half_hours, kept, max_size=8), max_size=4))
def test_tells_what_the_rows_tell(
    tmp_path_factory: pytest.TempPathFactory, files: list[dict[datetime, Sequence[int]]]
) -> None:
    lake = settings.load({"root": str(tmp_path_factory.mktemp("lake"))})
    span = Span(at("2023-12-31T23:00"), at("2024-01-01T05:00"))
    seen: set[datetime] = set()
    for file in files:
        for slot in seen & set(file):  # a key is in Silver once
            del file[slot]
        seen |= set(file)
        if file:
            refine(lake, file, landing=1)
    assert missing(lake, span) == expected(files, span)
