"""`lakehouse sql` only looks at tables of the lake: whatever a statement begins with, Spark's own parse decides."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse import cli
from lakehouse.errors import UsageError
from lakehouse.history import query
from lakehouse.lake.tables import GOLD
from lakehouse.settings import Settings
from tests.support.lakes import Lake

DAYS = GOLD.name
WRITES = (
    f"WITH x AS (SELECT 1) DELETE FROM {DAYS} WHERE regionid = 13",
    f"WITH x AS (SELECT 1) UPDATE {DAYS} SET regionid = 13",
    f"WITH x AS (SELECT 13 AS r) MERGE INTO {DAYS} USING x ON regionid = r WHEN MATCHED THEN DELETE",
    f"WITH x AS (SELECT * FROM {DAYS}) INSERT INTO {DAYS} SELECT * FROM x",
    f"FROM {DAYS} INSERT INTO {DAYS} SELECT * INSERT OVERWRITE {DAYS} SELECT *",
    f"FROM {DAYS} INSERT OVERWRITE DIRECTORY '{{place}}' USING csv SELECT *",
    f"/* SELECT */ DELETE FROM {DAYS}",
    f"-- SELECT\nTRUNCATE TABLE {DAYS}",
    f"/**/ BEGIN DELETE FROM {DAYS}; END",
    f"/**/ EXECUTE IMMEDIATE 'DELETE FROM {DAYS}'",
    "/**/ CREATE TABLE gold.more USING csv LOCATION '{place}' AS SELECT 1 AS one",
    "/**/ CREATE TEMPORARY VIEW v AS SELECT 1",
    "/**/ SET spark.sql.ansi.enabled = false",
    "/**/ ADD JAR '/tmp/x.jar'",
    "/**/ CALL system.anything(1)",
    f"/**/ VACUUM {DAYS}",
    f"/**/ CACHE TABLE {DAYS}",
    f"EXPLAIN DELETE FROM {DAYS}",
    f"EXPLAIN EXECUTE IMMEDIATE 'DELETE FROM {DAYS}'",
    f"SELECT TRANSFORM(regionid) USING 'touch {{place}}' FROM {DAYS}",
)
OUTSIDE = (
    "SELECT * FROM text.`{file}`",
    "SELECT * FROM csv.`{file}`",
    "SELECT * FROM json.`{file}`",
    "SELECT * FROM binaryFile.`{file}`",
    "SELECT * FROM `org.apache.spark.sql.execution.datasources.v2.text.TextDataSourceV2`.`{file}`",
    "SELECT * FROM parquet.`{lake}/gold/carbon_intensity_daily`",
    "SELECT * FROM delta.`{other}`",
    "SELECT * FROM delta.`{lake}/../other` VERSION AS OF 0",
    "SELECT * FROM table_changes_by_path('{other}', 0)",
    "SELECT * FROM table_changes('delta.`{other}`', 0)",
    "SELECT * FROM IDENTIFIER('text.`{file}`')",
    "SELECT * FROM IDENTIFIER('te' || 'xt.`{file}`')",
    "SELECT (SELECT max(value) FROM text.`{file}`)",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM text.`{file}`)",
    "WITH x AS (SELECT * FROM text.`{file}`) SELECT count(*) FROM x",
    f"SELECT * FROM {DAYS} TIMESTAMP AS OF (SELECT max(value) FROM text.`{{file}}`)",
    f"SELECT * FROM STREAM {DAYS}",
    "EXPLAIN SELECT * FROM text.`{file}`",
    "DESCRIBE QUERY SELECT * FROM text.`{file}`",
    "DESCRIBE HISTORY '{other}'",
    "DESCRIBE DETAIL delta.`{other}`",
    "SELECT reflect('java.lang.System', 'getenv', 'PATH')",
    "SELECT `system`.builtin.java_method('java.lang.System', 'getenv', 'PATH')",
    "SELECT transform(array('PATH'), x -> try_reflect('java.lang.System', 'getenv', x))",
    "SELECT IDENTIFIER('re' || 'flect')('java.lang.System', 'getenv', 'PATH')",
    "SELECT from_protobuf(CAST('a' AS BINARY), 'Message', '{file}')",
)
LOOKS = (
    (f"-- the days\nSELECT count(*) FROM {DAYS};", 2),
    (f"SELECT count(*) FROM {DAYS} VERSION AS OF 0", 0),
    (f"SELECT count(*) FROM spark_catalog.{DAYS} d WHERE EXISTS (SELECT 1 FROM gold.dim_region r)", 2),
    ("SELECT count(*) FROM delta.`{lake}/gold/carbon_intensity_daily` VERSION AS OF 1", 2),
    ("SELECT count(*) FROM table_changes('silver.regional_half_hourly', 2)", 2),
    ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT max(n) FROM t", 5),
    ("SELECT max(x) OVER () FROM VALUES (1), (2) AS t(x) LIMIT 1", 2),
    (f"FROM {DAYS} |> WHERE regionid = 13 |> AGGREGATE count(*) AS n", 1),
    ("SELECT count(*) FROM range(3) JOIN LATERAL explode(array(1, 2))", 6),
)


@pytest.fixture(scope="module")
def asked(
    revised_once: Lake, settings_of: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """A lake with two days of Gold, another Delta table beside it, and a file; nothing may change any of them."""
    base = tmp_path_factory.mktemp("asked")
    made = revised_once.copy(base / "lake")
    made.copy(base / "elsewhere")
    (base / "elsewhere" / "gold" / "carbon_intensity_daily").rename(base / "other")
    (base / "file").write_text("secret\n")
    return settings_of(made.store.root)


def put(statement: str, settings: Settings) -> str:
    base = Path(settings.root).parent
    return statement.format(lake=settings.root, other=base / "other", file=base / "file", place=base / "written")


def ask(settings: Settings, statement: str, at: str | None = None) -> list[dict[str, Any]]:
    return query.select(settings, put(statement, settings), 100, at)[0]


def files(settings: Settings) -> list[str]:
    return sorted(map(str, Path(settings.root).parent.rglob("*")))


@pytest.mark.parametrize("statement", WRITES)
def test_refuses_a_statement_that_would_do_something(asked: Settings, statement: str) -> None:
    before = files(asked)
    with pytest.raises(UsageError, match="`lakehouse sql` only looks"):
        ask(asked, statement)
    assert files(asked) == before


@pytest.mark.parametrize("statement", OUTSIDE)
def test_refuses_to_read_what_is_not_of_the_lake(asked: Settings, statement: str) -> None:
    with pytest.raises(UsageError, match=r"`lakehouse sql` (reads|only looks at) tables of the lake|only looks, and"):
        ask(asked, statement)


@pytest.mark.parametrize(("statement", "expected"), LOOKS)
def test_answers_a_query_of_any_form(asked: Settings, statement: str, expected: int) -> None:
    assert [next(iter(row.values())) for row in ask(asked, statement)] == [expected]


def test_tells_about_tables(asked: Settings) -> None:
    assert [row["version"] for row in ask(asked, f"DESCRIBE HISTORY {DAYS}")] == [2, 1, 0]
    assert [row["version"] for row in ask(asked, "DESCRIBE HISTORY '{lake}/gold/dim_region' LIMIT 1")] == [1]
    assert {"tableName": "dim_region", "isTemporary": False} in [
        {name: row[name] for name in ("tableName", "isTemporary")} for row in ask(asked, "SHOW TABLES IN gold")
    ]
    assert ask(asked, f"DESCRIBE {DAYS}")[0]["col_name"] == "regionid"
    assert "Physical Plan" in ask(asked, f"EXPLAIN SELECT * FROM {DAYS}")[0]["plan"]


def test_refuses_two_statements(asked: Settings) -> None:
    with pytest.raises(UsageError, match="Syntax error at or near 'DELETE'"):
        ask(asked, f"SELECT 1; DELETE FROM {DAYS}")


def test_refuses_to_write_into_a_lake_version(asked: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    before = files(asked)
    assert cli.exit_code(["--root", asked.root, "sql", WRITES[0], "--at", "1"]) == 2
    assert capfd.readouterr() == (
        "",
        "error: `lakehouse sql` only looks, and this statement would do more (DeleteFromTable): ask with SELECT, SHOW, "
        "DESCRIBE or EXPLAIN.\n",
    )
    assert files(asked) == before
    assert ask(asked, f"SELECT count(*) AS n FROM {DAYS}", "1") == [{"n": 2}]


def test_shows_all_columns_of_one_name(asked: Settings, caplog: pytest.LogCaptureFixture) -> None:
    both = f"""
        SELECT n.intensity_avg, o.intensity_avg, 1 AS intensity_avg_2
        FROM {DAYS} n JOIN {DAYS} VERSION AS OF 1 o USING (regionid, date_recorded) WHERE regionid = 13"""
    assert ask(asked, both) == [
        {"intensity_avg": Decimal("117.67"), "intensity_avg_3": Decimal("101.33"), "intensity_avg_2": 1}
    ]
    assert "shown as intensity_avg, intensity_avg_3, intensity_avg_2; AS names them" in caplog.text
    caplog.clear()
    assert ask(asked, "SELECT 1 AS a, 2 AS b") == [{"a": 1, "b": 2}]
    assert not caplog.text


def test_says_all_of_what_spark_says_and_nothing_behind_it(asked: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    for statement, said in (
        (
            f"SELECT * FROM {DAYS} TIMESTAMP AS OF '2020-01-01'",
            r"is before the earliest version available to this table \(.*\)\. Please use a timestamp after 20.*\.",
        ),
        ("SELECT nothing FROM gold.dim_region", r".*`nothing` cannot be resolved\..*SQLSTATE: 42703; line 1 pos 7"),
        ("SELECT * FROM gold.nothing", r"`gold`\.`nothing` cannot be found\..*Search path.*SQLSTATE: 42P01; line .*"),
        ("SELECT 1 +", r".*Syntax error at or near end of input\. SQLSTATE: 42601 \(line 1, pos 10\)"),
    ):
        with pytest.raises(UsageError, match=f"{said}$"):
            ask(asked, statement)
    assert capfd.readouterr().err == ""


def test_gives_json_of_values_that_json_has_not(asked: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    statement = "SELECT double('NaN') AS a, TIME'10:00:00' AS b, INTERVAL '26' HOUR AS c, -double('Infinity') AS d"
    assert cli.exit_code(["--root", asked.root, "sql", statement, "--json"]) == 0
    found = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)
    assert found == [{"a": "nan", "b": "10:00:00", "c": "1 day, 2:00:00", "d": "-inf"}]


def test_says_what_to_do_about_a_value_that_python_cannot_hold(asked: Settings) -> None:
    with pytest.raises(UsageError, match=r"A value cannot be shown \(.*\): cast its column to STRING\."):
        ask(asked, "SELECT DATE'10000-01-01' AS day")
