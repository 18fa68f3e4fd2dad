"""What the dashboard reads of a small published database: literal figures in, the same digits out."""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from lakehouse.dashboard import queries, session
from lakehouse.dashboard.queries import Region
from lakehouse.errors import LakehouseError, PostgresError
from lakehouse.postgres import PostgresTarget
from tests.support.dashboards import FIRST, publish

LAST = date(2024, 3, 2)


@pytest.fixture
def published(database: PostgresTarget) -> PostgresTarget:
    publish(database)
    return database


@pytest.fixture
def connection(published: PostgresTarget) -> Iterator[Connection]:
    with session.reading(published) as reading:
        yield reading


def columns(table, *names: str) -> list[tuple[object, ...]]:
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def test_reads_as_the_reader_and_cannot_write(connection: Connection) -> None:
    assert session.role(connection) == "lakehouse_reader"
    with pytest.raises(DBAPIError, match="read-only transaction"), connection.begin_nested():
        connection.execute(text("DELETE FROM carbon_data.dim_region"))
    with pytest.raises(DBAPIError, match="permission denied"), connection.begin_nested():
        connection.execute(text("SELECT * FROM carbon_migrations.applied_migration"))


def test_reads_as_a_login_that_is_no_member_with_its_own_rights(
    published: PostgresTarget, new_login: Callable[..., PostgresTarget]
) -> None:
    stranger = new_login(published)
    with pytest.raises(PostgresError, match="lacks the privilege"), session.reading(stranger):
        pass
    member = new_login(published, "lakehouse_reader")
    with session.reading(member) as reading:
        assert session.role(reading) == "lakehouse_reader"
        assert queries.span(reading) == (FIRST, LAST)


def test_knows_the_regions_and_the_days(connection: Connection) -> None:
    assert queries.regions(connection)[1:3] == [Region(13, "London", "dno_region"), Region(15, "England", "nation")]
    assert queries.span(connection) == (FIRST, LAST)


def test_leaves_a_gap_where_a_day_is_missing_and_marks_a_partial_one(connection: Connection) -> None:
    found = queries.days(connection, [13], FIRST, LAST)
    assert columns(found, "date_recorded", "intensity_avg", "n_periods", "is_complete") == [
        (date(2024, 2, 27), Decimal("200.05"), 48, True),
        (date(2024, 2, 28), Decimal("210.10"), 48, True),
        (date(2024, 2, 29), None, 0, False),
        (date(2024, 3, 1), Decimal("50.00"), 12, False),
        (date(2024, 3, 2), Decimal("230.18"), 48, True),
    ]
    assert columns(found, "fuel_wind", "index_mode")[1:3] == [(Decimal("11.11"), "moderate"), (None, None)]


def test_gives_the_chosen_region_first(connection: Connection) -> None:
    for found in (
        queries.days(connection, [18, 12], FIRST, FIRST),
        queries.summary(connection, [18, 12], FIRST, FIRST),
        queries.months(connection, [18, 12], FIRST, FIRST),
    ):
        assert columns(found, "regionid", "region") == [(18, "GB"), (12, "South England")]


def test_says_whether_a_month_is_complete_and_leaves_a_gap(connection: Connection) -> None:
    found = queries.months(connection, [13, 18], date(2023, 2, 28), LAST)
    assert [
        row for row in columns(found, "regionid", "month", "intensity_avg", "n_periods", "is_complete") if row[3]
    ] == [
        (13, date(2023, 2, 1), Decimal("200.25"), 1344, True),
        (13, date(2024, 2, 1), Decimal("160.50"), 96, False),
        (13, date(2024, 3, 1), Decimal("160.50"), 60, False),
        (18, date(2023, 2, 1), Decimal("200.25"), 1344, True),
        (18, date(2024, 2, 1), Decimal("160.50"), 1392, True),
    ]
    assert found.num_rows == 2 * 14


def test_gives_every_half_hour_of_the_months(connection: Connection) -> None:
    found = queries.profile(connection, [13], FIRST, LAST)
    rows = columns(found, "month", "starts_at", "intensity_avg", "n_days")
    assert len(rows) == 2 * 48
    assert rows[4:7] == [
        (date(2024, 2, 1), "02:00", Decimal("204.00"), 29),
        (date(2024, 2, 1), "02:30", None, 0),
        (date(2024, 2, 1), "03:00", Decimal("206.00"), 29),
    ]
    assert rows[48 + 27] == (date(2024, 3, 1), "13:30", Decimal("90.25"), 2)


def test_means_are_of_complete_days(connection: Connection) -> None:
    found = queries.summary(connection, [13, 16], FIRST, LAST)
    # (200.05 + 210.10 + 230.18) / 3 = 213.443...; (30 + 31 + 32 + 33 + 34) / 5
    assert found.to_pylist() == [
        {
            **{"regionid": 13, "region": "London", "intensity_avg": Decimal("213.44"), "n_complete": 3, "n_partial": 1},
            **{"lowest_day": Decimal("200.05"), "highest_day": Decimal("230.18"), "n_missing": 1},
        },
        {
            **{
                "regionid": 16,
                "region": "Scotland",
                "intensity_avg": Decimal("32.00"),
                "n_complete": 5,
                "n_partial": 0,
            },
            **{"lowest_day": Decimal("30.00"), "highest_day": Decimal("34.00"), "n_missing": 0},
        },
    ]


def test_has_no_mean_where_no_day_is_complete(connection: Connection) -> None:
    (row,) = queries.summary(connection, [13], date(2024, 2, 29), date(2024, 3, 1)).to_pylist()
    assert (row["intensity_avg"], row["n_complete"], row["n_partial"], row["n_missing"]) == (None, 0, 1, 1)


def test_compares_two_regions_on_their_common_days(connection: Connection) -> None:
    # (200.05 - 100.10 + 210.10 - 120.20 + 230.18 - 150.00) / 3 = 90.01
    assert queries.difference(connection, 13, 12, FIRST, LAST) == (Decimal("90.01"), 3)
    assert queries.difference(connection, 12, 13, FIRST, LAST) == (Decimal("-90.01"), 3)
    assert queries.difference(connection, 12, 13, date(2024, 3, 1), date(2024, 3, 1)) == (None, 0)


def test_ranks_regions_of_one_kind_over_the_same_days(connection: Connection) -> None:
    found = queries.ranking(connection, "dno_region", FIRST, LAST)
    # South England on London's three complete days: (100.10 + 120.20 + 150.00) / 3 = 123.433...
    assert columns(found, "rank", "regionid", "intensity_avg", "n_days", "newest", "newest_avg", "newest_label") == [
        (1, 12, Decimal("123.43"), 3, LAST, Decimal("150.00"), "moderate"),
        (2, 13, Decimal("213.44"), 3, LAST, Decimal("230.18"), "moderate"),
    ]
    nations = queries.ranking(connection, "nation", FIRST, LAST)
    assert columns(nations, "rank", "region", "intensity_avg", "n_days") == [
        (1, "Scotland", Decimal("32.00"), 5),
        (2, "England", Decimal("170.01"), 5),
    ]
    assert queries.ranking(connection, "dno_region", date(2024, 2, 29), date(2024, 3, 1)).num_rows == 0


def test_joins_days_that_lack_something_into_holes(connection: Connection) -> None:
    assert columns(
        queries.holes(connection, [18, 13], FIRST, LAST),
        *("regionid", "first_day", "last_day", "n_days", "half_hours_missing"),
    ) == [(13, date(2024, 2, 29), date(2024, 3, 1), 2, 48 + 36)]


def test_counts_half_hours_by_day_and_by_month(connection: Connection) -> None:
    days = queries.coverage(connection, "day", FIRST, LAST)
    assert columns(days, "regionid", "n_periods", "n_expected")[5:10] == [
        *((13, there, 48) for there in (48, 48, 0, 12, 48)),
    ]
    months = queries.coverage(connection, "month", FIRST, LAST)
    assert [row for row in columns(months, "regionid", "starts", "n_periods", "n_expected") if row[0] == 13] == [
        (13, date(2024, 2, 1), 96, 144),
        (13, date(2024, 3, 1), 60, 96),
    ]


def test_says_which_export_it_is_and_of_which_versions(connection: Connection) -> None:
    newest = queries.newest_export(connection)
    assert newest is not None
    assert newest.run_id == "run-1"
    assert columns(queries.exported_tables(connection), "table_name", "version", "rows_total") == [
        ("carbon_intensity_daily", 7, 24),
        ("carbon_intensity_monthly", None, 11),
        ("dim_region", None, 5),
        ("intensity_profile", None, 96),
    ]
    assert columns(queries.exports(connection), "inserted", "run_id") == [(24, "run-1")]


def test_is_empty_before_the_first_export(database: PostgresTarget) -> None:
    with session.reading(database) as reading:
        assert queries.span(reading) is None
        assert queries.regions(reading) == []
        assert queries.newest_export(reading) is None


def test_refuses_a_database_without_the_tables(fresh_database: PostgresTarget) -> None:
    sentence = r"has no table carbon_data\.dim_region; `lakehouse export` makes it\.$"
    with pytest.raises(LakehouseError, match=sentence), session.reading(fresh_database):
        pass


def test_refuses_the_database_of_a_former_release(former_database: PostgresTarget) -> None:
    sentence = r"has no table carbon_data\.carbon_intensity_monthly; `lakehouse export` makes it\.$"
    with pytest.raises(LakehouseError, match=sentence), session.reading(former_database):
        pass
