"""How regions and times are named in Python, and what a notebook is shown. No lake."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import lakehouse
from lakehouse.dataset import display, moments, regions
from lakehouse.errors import UsageError
from lakehouse.lake.regions import REGIONS
from lakehouse.lake.tables import TABLES

ROWS = [{"regionid": each.regionid, "shortname": each.shortname, "dno": each.dno} for each in REGIONS]


@pytest.mark.parametrize(
    ("wanted", "regionid"),
    [(13, 13), ("13", 13), ("London", 13), ("lonDON ", 13), ("ukpn  london", 13), ("gb", 18), ("WPD South Wales", 7)],
)
def test_finds_a_region_by_id_and_by_either_name(wanted: int | str, regionid: int) -> None:
    assert regions.find(wanted, ROWS, "a lake") == regionid


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("Lodnon", r"There is no region 'Lodnon' in a lake; the nearest are London \(13\), .+ \(\d+\), .+ \(\d+\)\."),
        ("Yorks", r"There is no region 'Yorks' in a lake; the nearest are Yorkshire \(5\), "),
        (0, "There is no region 0: ids are 1 to 18."),
        ("19", "There is no region 19: ids are 1 to 18."),
        (None, "There is no region None: give an id, 1 to 18, or a name."),
    ],
)
def test_names_what_is_near_an_unknown_region(wanted: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{sentence}"):
        regions.find(wanted, ROWS, "a lake")


def test_says_that_a_lake_without_regions_knows_no_name() -> None:
    assert regions.find(13, [], "a lake") == 13
    with pytest.raises(UsageError, match="'London' in a lake, which holds no region yet: give an id"):
        regions.find("London", [], "a lake")


NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2024-01-31", NOON - timedelta(hours=12)),
        ("2024-01-31T12:00Z", NOON),
        ("2024-01-31T13:00+01:00", NOON),
        (date(2024, 1, 31), NOON - timedelta(hours=12)),
        (datetime(2024, 1, 31, 12), NOON),
        (datetime(2024, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))), NOON),
    ],
)
def test_reads_days_and_times_as_utc(given: Any, moment: datetime) -> None:
    assert moments.parsed(given, "since") == moment


@pytest.mark.parametrize("given", ["yesterday", "", "2024-13-01", 2024, 1.5])
def test_refuses_what_is_no_time_by_the_arguments_name(given: Any) -> None:
    with pytest.raises(UsageError, match=r"^until is .+: write a UTC day such as '2024-01-31' or a time such as"):
        moments.span(None, given)


def test_refuses_a_range_without_a_moment() -> None:
    assert moments.span(None, None) == (None, None)
    with pytest.raises(UsageError, match=r"^since is 2024-01-31T12:00Z, which is not before until, 2024-01-31T12:00Z"):
        moments.span(NOON, NOON)


@pytest.mark.parametrize(
    ("type_", "start", "end", "conditions"),
    [
        ("DATE", "2024-01-01", "2024-02-01", ["t >= DATE '2024-01-01'", "t < DATE '2024-02-01'"]),
        ("DATE", "2024-01-01T00:30Z", "2024-02-01T00:30Z", ["t > DATE '2024-01-01'", "t <= DATE '2024-02-01'"]),
        ("TIMESTAMP", "2024-01-01T00:30Z", None, ["t >= TIMESTAMP '2024-01-01T00:30:00.000000Z'"]),
        ("TIMESTAMP", None, "9999-12-31", ["t < TIMESTAMP '9999-12-31T00:00:00.000000Z'"]),
    ],
)
def test_counts_a_day_by_its_midnight(type_: str, start: str | None, end: str | None, conditions: list[str]) -> None:
    assert moments.within("t", type_, *moments.span(start, end)) == conditions


def test_escapes_what_a_notebook_is_shown() -> None:
    schema = pa.schema(
        [
            pa.field("<b>", pa.string(), metadata={"meaning": "a & b", "unit": "<gCO2>"}),
            pa.field("mean", pa.decimal128(10, 2)),
            pa.field("body", pa.binary()),
        ]
    )
    head = pa.table([["<script>x</script>"], [Decimal("1.50")], [b"1234"]], schema=schema)
    shown = display.of_relation("t <where>", "a & b", 1, schema, head)
    assert "<script>" not in shown
    assert "<td>&lt;script&gt;x&lt;/script&gt;</td><td>1.50</td><td>4 bytes</td>" in shown
    assert "<td>&lt;b&gt;</td><td>string</td><td>&lt;gCO2&gt;</td><td>a &amp; b</td>" in shown
    assert shown.removeprefix(display.STYLE).startswith("<p><b>t &lt;where&gt;</b><br>a &amp; b; 1 row</p>")
    assert "<code>/tmp/&lt;x&gt;</code>" in display.of_lake("lake version 1", "/tmp/<x>", NOON, [])


def test_every_quantity_declares_a_unit_that_its_meaning_is_in() -> None:
    columns = [(table, column) for table in TABLES for column in table.columns]
    quantities = [
        (table, column)
        for table, column in columns
        if column.name.startswith(("intensity_", "fuel_", "n_")) and column.type != "STRING"
    ]
    assert len(quantities) == 44
    for table, column in quantities:
        word = {"half-hours": "half-hour", "days": "day"}.get(column.unit, column.unit)
        assert word, (table.name, column.name)
        assert word in column.comment.lower() or word in column.comment, (table.name, column.name)


def test_every_table_has_a_time_or_none_and_no_two_share_a_name() -> None:
    for table in TABLES:
        assert table.time in {"", *(c.name for c in table.columns if c.type in ("DATE", "TIMESTAMP"))}
    names = [
        f"{table.name.split('.')[0]}.{name}" for table in TABLES for name in (table.short_name, table.alias) if name
    ]
    assert len(set(names)) == len(names)


def test_the_package_gives_open_lake_and_says_so() -> None:
    assert callable(lakehouse.open_lake)
    assert {"open_lake", "__version__"} <= set(dir(lakehouse))
    with pytest.raises(AttributeError, match="module 'lakehouse' has no attribute 'open_lak'"):
        _ = lakehouse.open_lak
