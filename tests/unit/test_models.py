"""What a change of the source touches, and the list of derived tables."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from lakehouse.lake.tables import PUBLISHED, SILVER, TABLES
from lakehouse.transform.models import EVERYTHING, MODELS, Model, batches, days, everything, months, within


def changed(*moments: str) -> pa.ChunkedArray:
    times = [datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in moments]
    return pa.chunked_array([pa.array(times, pa.timestamp("us", tz="UTC"))])


def test_touches_the_days_of_changed_half_hours() -> None:
    found = days(changed("2024-02-29T23:30", "2024-02-29T00:00", "2023-12-31T12:00"))
    assert found == [(date(2023, 12, 31), date(2024, 1, 1)), (date(2024, 2, 29), date(2024, 3, 1))]


def test_touches_whole_months() -> None:
    found = months(changed("2023-12-31T23:30", "2024-02-29T23:30", "2024-02-01T00:00"))
    assert found == [(date(2023, 12, 1), date(2024, 1, 1)), (date(2024, 2, 1), date(2024, 3, 1))]


def test_touches_everything_where_all_rows_are_one_group() -> None:
    assert everything(changed("2023-12-31T23:30", "2024-02-29T23:30")) == [EVERYTHING]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stage)
def test_touches_nothing_where_nothing_changed(model: Model) -> None:
    assert model.groups(changed()) == []


def test_says_which_rows_belong_to_groups() -> None:
    found = within("month", months(changed("2023-12-31T00:00", "2024-01-01T00:00", "2024-04-01T00:00")))
    assert found == (
        "(month >= DATE '2023-12-01' AND month < DATE '2024-02-01') "
        "OR (month >= DATE '2024-04-01' AND month < DATE '2024-05-01')"
    )
    assert within("regionid", [EVERYTHING]) == "true"


def test_takes_groups_less_than_a_file_apart_together() -> None:
    near = days(changed("2024-01-01T00:00", "2024-02-01T00:00"))
    assert within("timestamp", near) == "(timestamp >= DATE '2024-01-01' AND timestamp < DATE '2024-02-02')"
    apart = days(changed("2024-01-01T00:00", "2024-02-02T00:00"))
    assert within("timestamp", apart) == (
        "(timestamp >= DATE '2024-01-01' AND timestamp < DATE '2024-01-02') "
        "OR (timestamp >= DATE '2024-02-02' AND timestamp < DATE '2024-02-03')"
    )


def test_builds_no_more_than_a_year_at_a_time() -> None:
    december, february, march = months(changed("2022-12-01T00:00", "2023-02-01T00:00", "2024-03-01T00:00"))
    assert batches([december, february, march]) == [[december, february], [march]]
    assert batches([EVERYTHING]) == [[EVERYTHING]]
    assert batches([]) == []


def test_builds_every_table_after_its_source() -> None:
    built = [SILVER]
    for model in MODELS:
        assert model.source in built
        built.append(model.table)


def test_knows_every_gold_table() -> None:
    names = {table.name for table in TABLES if table.name.startswith("gold.")}
    assert {model.table.name for model in MODELS} == names
    assert {table.name for table in PUBLISHED} == names
    assert len({model.stage for model in MODELS}) == len(MODELS)
