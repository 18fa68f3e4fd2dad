"""`lakehouse export --verify` looks and says so; `--repair` puts right."""

import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from lakehouse import cli
from lakehouse.lake.tables import DIM_REGION, PUBLISHED
from lakehouse.postgres import PostgresTarget
from lakehouse.publishing.verification import Difference, compared
from lakehouse.spark import session
from tests.support.export_fixtures import edit, url_of
from tests.support.gold_rows import GoldLake
from tests.support.mirror_rows import FIRST, marks, published, query

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    database: PostgresTarget,
    lake_root: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Call:
    """Run a command on the test's lake and database: ``(exit code, stdout, stderr)``."""
    monkeypatch.setenv("LAKEHOUSE_ROOT", lake_root)
    monkeypatch.setenv("LAKEHOUSE_POSTGRES__URL", url_of(database))

    def made(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.exit_code(list(arguments))
        said = capfd.readouterr()
        return code, said.out, said.err

    return made


def test_tells_rows_apart_by_key_and_column():
    gold = {(1,): (1, "a", "b", "gb", None), (2,): (2, "a", "b", "gb", 3), (4,): (4, "a", "b", "gb", None)}
    ours = {(1,): (1, "a", "c", "gb", 2), (3,): (3, "a", "b", "gb", 3), (4,): (4, "a", "b", "gb", None)}
    assert compared(DIM_REGION, gold, ours) == [
        Difference("dim_region", {"regionid": 1}, "different", {"dno": ("b", "c"), "parent_regionid": (None, 2)}),
        Difference("dim_region", {"regionid": 2}, "missing"),
        Difference("dim_region", {"regionid": 3}, "extra"),
    ]


def test_proves_without_spark_that_postgresql_equals_gold(
    call: Call, database: PostgresTarget, publish, monkeypatch: pytest.MonkeyPatch
):
    publish(database)
    before = marks(database)
    monkeypatch.setattr(session, "open_session", lambda *_, **__: pytest.fail("Spark is not needed"))
    assert call("export", "--verify") == (
        0,
        "",
        "PostgreSQL equals Gold version 1: 3 rows of carbon_intensity_daily and 3 more tables, "
        "proven by a checksum for every month (1)\n",
    )
    assert marks(database) == before


def test_says_that_gold_has_moved_on(call: Call, database: PostgresTarget, gold_lake: GoldLake, publish):
    publish(database)
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    code, _, said = call("export", "--verify")
    assert code == 0
    assert said.endswith("; the lake's Gold is at version 2, `lakehouse export` brings it\n")
    code, out, said = call("export", "--verify", "--version", "2")
    assert (code, said.split(";")[0]) == (3, "error: PostgreSQL differs from Gold version 2 in 1 row")
    assert "; `lakehouse export --version 2` makes it equal, `lakehouse export` brings the newest." in said
    assert "intensity_avg: 123.45 instead of 90.00" in out
    assert call("export", "--version", "2")[0] == 0
    assert call("export", "--verify", "--version", "2")[0] == 0


def test_shows_each_difference_and_repairs_it(call: Call, database: PostgresTarget, publish):
    publish(database)
    right = published(database)
    edit(database)
    wrong = marks(database)
    code, out, said = call("export", "--verify", "--json")
    assert code == 3
    assert "error: PostgreSQL differs from Gold version 1 in 5 rows; `lakehouse export --repair` makes it equal" in said
    found = json.loads(out)
    assert (found["is_equal"], found["rows"], found["months"]) == (False, 3, 2)
    assert found["tables"] == {
        **{"dim_region": 3, "carbon_intensity_daily": 3, "intensity_profile": 2, "carbon_intensity_monthly": 2}
    }
    assert [(row["table"], row["key"], row["row"]) for row in found["differences"]] == [
        ("carbon_intensity_daily", {"regionid": 13, "date_recorded": "1999-01-01"}, "extra"),
        ("carbon_intensity_daily", {"regionid": 13, "date_recorded": "2024-02-29"}, "missing"),
        ("carbon_intensity_daily", {"regionid": 18, "date_recorded": "2024-02-28"}, "different"),
        ("dim_region", {"regionid": 13}, "different"),
        ("intensity_profile", {"regionid": 13, "month": "2024-02-01", "half_hour": 0}, "different"),
    ]
    assert found["differences"][2]["columns"] == {
        "intensity_avg": {"gold": 123.45, "postgresql": 100.0},
        "index_mode": {"gold": "moderate", "postgresql": "höher"},
    }
    code, out, _ = call("export", "--verify")
    assert code == 3
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["carbon_intensity_daily", "13"],
        ["carbon_intensity_daily", "13"],
        ["carbon_intensity_daily", "18"],
        ["dim_region", "13"],
        ["intensity_profile", "13"],
    ]
    assert marks(database) == wrong
    code, _, said = call("export", "--repair")
    assert code == 0
    counted = "1 inserted, 1 updated, 1 deleted, 1 unchanged, 1 regions_updated, 1 intensity_profile_updated"
    assert f"{counted} (PostgreSQL equals Gold version 1" in said
    assert published(database) == right
    assert call("export", "--verify")[0] == 0


def test_exports_a_version_and_refuses_one_that_is_not_there(call: Call, database: PostgresTarget, gold_lake: GoldLake):
    gold_lake.change(13, FIRST, intensity_avg=Decimal("90.00"))
    code, out, _ = call("export", "--version", "1", "--json")
    assert code == 0
    stage = json.loads(out)["stages"][0]
    assert stage["reads"] == {table.name: 1 for table in PUBLISHED}
    assert published(database)[0] == (13, FIRST, Decimal("123.45"))
    code, _, said = call("export", "--version", "9")
    assert (code, said.splitlines()[-1]) == (2, "error: gold.carbon_intensity_daily has the versions 0 to 2, not 9.")
    assert query(database, "SELECT gold_version FROM carbon_data.export_log") == [(1,)]


def test_says_that_there_is_nothing_to_verify_yet(
    call: Call, database: PostgresTarget, gold_lake: GoldLake, monkeypatch: pytest.MonkeyPatch
):
    code, _, said = call("export", "--verify")
    assert (code, said.split(" to ")[0]) == (1, "error: Nothing has been exported")
    monkeypatch.delenv("LAKEHOUSE_POSTGRES__URL")
    code, _, said = call("export", "--verify")
    assert (code, said.split(" for ")[0]) == (2, "error: There is no embedded database")
