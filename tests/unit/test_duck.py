"""DuckDB inside this process."""

import pytest

from lakehouse.lake import duck


def test_prints_nothing_however_long_a_query_takes(capfd: pytest.CaptureFixture[str]) -> None:
    with duck.connect() as database:
        database.execute("SET progress_bar_time = 1")
        total = database.execute("SELECT sum(hash(range)) FROM range(80_000_000)").fetchone()
    assert total is not None
    assert capfd.readouterr() == ("", "")
