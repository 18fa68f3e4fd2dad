"""DuckDB inside this process."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from lakehouse.lake import duck


def test_prints_nothing_however_long_a_query_takes(capfd: pytest.CaptureFixture[str]) -> None:
    with duck.connect() as database:
        database.execute("SET progress_bar_time = 1")
        total = database.execute("SELECT sum(hash(range)) FROM range(80_000_000)").fetchone()
    assert total is not None
    assert capfd.readouterr() == ("", "")


def test_joins_arrow_tables_by_their_times() -> None:
    """Which DuckDB would ask pytz for, which is not among our packages, had it its way with the join's keys."""
    moments = pa.table({"t": pa.array([datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 4)])})
    with duck.connect() as database:
        database.register("a", moments)
        database.register("b", moments.slice(1))
        assert database.execute("SELECT count(*) FROM a JOIN b USING (t)").fetchone() == (2,)
