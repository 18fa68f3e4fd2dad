"""A day's rows against the same weekday of the eight weeks before."""

from datetime import date, timedelta

from lakehouse.monitoring import anomalies
from lakehouse.monitoring.anomalies import Anomaly

DAY = date(2024, 3, 4)  # a Monday
BEGIN = date(2023, 1, 1)


def weeks(*counts: int) -> dict[date, int]:
    """Rows of the Mondays before, the newest first."""
    return {DAY - timedelta(weeks=back): count for back, count in enumerate(counts, start=1)}


def test_finds_a_day_whose_rows_differ_from_the_median_by_more_than_the_tolerance() -> None:
    usual = weeks(1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000)
    assert anomalies.find({**usual, DAY: 950}, [DAY], BEGIN) == []
    assert anomalies.find({**usual, DAY: 949}, [DAY], BEGIN) == [Anomaly(DAY, 949, 1000, 8)]
    assert anomalies.find({**usual, DAY: 1050}, [DAY], BEGIN) == []
    assert anomalies.find({**usual, DAY: 1051}, [DAY], BEGIN) == [Anomaly(DAY, 1051, 1000, 8)]


def test_takes_a_day_without_a_row_for_zero_rows() -> None:
    assert anomalies.find(weeks(*[864] * 8), [DAY], BEGIN) == [Anomaly(DAY, 0, 864, 8)]


def test_lets_no_odd_week_move_the_median_nor_another_weekday_count() -> None:
    counts = {**weeks(864, 0, 864, 30, 864, 864, 864, 864), DAY - timedelta(days=1): 5, DAY: 864}
    assert anomalies.find(counts, [DAY], BEGIN) == []


def test_looks_back_eight_weeks_and_no_further() -> None:
    counts = {**weeks(100, 100, 100, 100, 100, 100, 100, 100, 9000, 9000, 9000, 9000, 9000, 9000), DAY: 100}
    assert anomalies.find(counts, [DAY], BEGIN) == []


def test_judges_no_day_with_fewer_than_four_such_days_since_the_lake_began() -> None:
    counts = weeks(864, 864, 864, 864)
    begin = DAY - timedelta(weeks=4)
    assert anomalies.find(counts, [DAY], begin) == [Anomaly(DAY, 0, 864, 4)]
    assert anomalies.find(counts, [DAY], begin + timedelta(days=1)) == []


def test_says_what_is_odd() -> None:
    assert Anomaly(DAY, 700, 864, 8).describe() == (
        "Monday 2024-03-04 has 700 rows in Silver, fewer than the median of the 8 such weekdays before (864)"
    )
    assert " more than " in Anomaly(DAY, 1000, 864, 8).describe()
