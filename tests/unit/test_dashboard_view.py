"""What a link to the dashboard says, and what it is refused for; the files that it hands out."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from lakehouse.dashboard import downloads, queries
from lakehouse.dashboard.queries import Export, Region
from lakehouse.dashboard.view import View, from_parameters
from lakehouse.errors import UsageError
from lakehouse.lake.tables import FUELS

REGIONS = [Region(12, "South England", "dno_region"), Region(13, "London", "dno_region"), Region(18, "GB", "gb")]
FIRST, LAST = date(2022, 1, 1), date(2024, 3, 1)


def test_reads_back_the_link_that_it_writes() -> None:
    view = View(region=13, compare=18, first=date(2023, 5, 1), last=date(2023, 5, 1))
    parameters = view.as_parameters()
    assert parameters == {"region": "13", "compare": "18", "first": "2023-05-01", "last": "2023-05-01"}
    assert from_parameters(parameters, REGIONS, FIRST, LAST) == view


def test_shows_the_first_region_and_a_year_where_the_link_says_nothing() -> None:
    view = from_parameters({}, REGIONS, FIRST, LAST)
    assert view == View(region=12, compare=None, first=date(2023, 3, 3), last=LAST)
    assert "compare" not in view.as_parameters()


def test_shows_what_there_is_of_a_year() -> None:
    assert from_parameters({}, REGIONS, date(2024, 2, 28), LAST).first == date(2024, 2, 28)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"region": "99"}, "The link names the region '99'; there are 12, 13, 18."),
        ({"compare": "London"}, "The link names the region 'London'; there are 12, 13, 18."),
        ({"region": "١٣"}, "The link names the region '١٣'; there are 12, 13, 18."),
        ({"first": "2024-02-30"}, "The link's first day '2024-02-30' is not a day; write it as 2024-03-01."),
        (
            {"last": "2024-03-02"},
            "The link's last day 2024-03-02 is not there; the database has 2022-01-01 to 2024-03-01.",
        ),
        ({"first": "2024-02-02", "last": "2024-02-01"}, "The first day 2024-02-02 is after the last one, 2024-02-01."),
        ({"region": "13", "compare": "13"}, "Region 13 is compared with itself; choose two regions."),
        ({"regoin": "13"}, "The link has a parameter 'regoin'; it takes region, compare, first, last."),
    ],
)
def test_refuses_a_link_in_one_sentence(parameters: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        from_parameters(parameters, REGIONS, FIRST, LAST)
    assert str(refused.value) == sentence


def test_knows_every_fuel() -> None:
    assert {*queries.FUELS} == {*FUELS}


def test_hands_out_every_digit() -> None:
    table = pa.table(
        {
            "date_recorded": [date(2024, 2, 29), date(2024, 3, 1)],
            "region": ['North "Wales", Merseyside', "London"],
            "intensity_avg": pa.array([Decimal("100.10"), None], pa.decimal128(10, 2)),
        }
    )
    export = Export(datetime(2024, 3, 2, tzinfo=UTC), 7, "run-7")
    assert downloads.as_csv(table).decode() == (
        '"date_recorded","region","intensity_avg"\n'
        '2024-02-29,"North ""Wales"", Merseyside",100.10\n'
        '2024-03-01,"London",\n'
    )
    read = parquet.read_table(io.BytesIO(downloads.as_parquet(table, export)))
    assert read.equals(table)
    assert read.schema.metadata == {
        b"source": b"Carbon Intensity API (NESO), CC BY 4.0",
        b"lake_version": b"7",
        b"run_id": b"run-7",
    }
