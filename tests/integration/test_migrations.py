"""The schema from zero, upgraded with data, refused when edited, and described to the last column."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse import resources
from lakehouse.errors import LakehouseError, LakeLockedError, PostgresError
from lakehouse.lake.commits import Pin
from lakehouse.lake.tables import PUBLISHED, Table
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, connect
from lakehouse.publishing import export_log, migrations
from lakehouse.publishing.export_log import ExportCounts, PublishedState

FILES = [
    "0001_regions_and_days.sql",
    "0002_export_log.sql",
    "0003_staging.sql",
    "0004_export_log_by_table.sql",
    "0005_profile_and_months.sql",
]
NAMES = "SELECT name FROM carbon_migrations.applied_migration ORDER BY 1"
REGION = "INSERT INTO carbon_data.dim_region VALUES (13, 'London', 'UKPN London', 'dno_region', NULL)"
DAY = """
    INSERT INTO carbon_data.carbon_intensity_daily VALUES
    (13, '2024-02-29', 'London', 'UKPN London', 123.45, 'moderate', 1, 0, 40, 0, 20, 15, 0, 4, 20,
    48, 48, TRUE, 90, 160)
"""


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    """A copy of the SQL files that a test may edit."""
    return Path(shutil.copytree(resources.path("sql"), tmp_path / "sql"))


def query(target: PostgresTarget, statement: str) -> list[tuple[object, ...]]:
    with connect(target) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def test_builds_everything_from_zero_and_then_has_nothing_to_do(empty_database: PostgresTarget):
    applied = migrations.migrate(empty_database)
    assert [name for name in applied if "/" not in name] == FILES
    assert "views/monthly.sql" in applied
    assert applied[-1] == "roles/grants.sql"
    migrations.check(empty_database)
    before = query(empty_database, "SELECT relname, xmin::text FROM pg_class ORDER BY 1")
    assert migrations.migrate(empty_database) == []
    assert query(empty_database, "SELECT relname, xmin::text FROM pg_class ORDER BY 1") == before
    assert query(empty_database, NAMES) == [(name,) for name in FILES]


def test_has_the_columns_of_the_contract(any_database: PostgresTarget):
    columns = query(
        any_database,
        """
        SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
        WHERE attrelid = 'carbon_data.carbon_intensity_daily'::regclass AND attnum > 0 ORDER BY attnum
        """,
    )
    fuels = ("biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind")
    assert columns == [
        ("regionid", "integer", True),
        ("date_recorded", "date", True),
        ("shortname", "character varying(100)", True),
        ("dno", "character varying(100)", True),
        ("intensity_avg", "numeric(10,2)", True),
        ("index_mode", "character varying(50)", True),
        *((f"fuel_{fuel}", "numeric(10,2)", True) for fuel in fuels),
        ("n_periods", "integer", True),
        ("n_expected", "integer", True),
        ("is_complete", "boolean", True),
        ("intensity_min", "integer", True),
        ("intensity_max", "integer", True),
    ]
    constraints = query(
        any_database,
        """
        SELECT pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid = 'carbon_data.carbon_intensity_daily'::regclass AND contype IN ('p', 'f') ORDER BY contype
        """,
    )
    assert constraints == [
        ("FOREIGN KEY (regionid) REFERENCES dim_region(regionid)",),
        ("PRIMARY KEY (regionid, date_recorded)",),
    ]


TYPES = {
    "INT": ("integer",),
    "SMALLINT": ("smallint",),
    "DATE": ("date",),
    "BOOLEAN": ("boolean",),
    "DECIMAL(10,2)": ("numeric(10,2)",),
    "STRING": ("character varying(100)", "character varying(50)", "character varying(20)"),
}


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.short_name)
def test_publishes_and_stages_the_declared_columns(database: PostgresTarget, table: Table):
    columns, staged = (
        query(
            database,
            f"""
            SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute
            WHERE attrelid = 'carbon_data.{name}'::regclass AND attnum > 0 ORDER BY attnum
            """,
        )
        for name in (table.short_name, f"staging_{table.short_name}")
    )
    assert [(name, nullable) for name, _, nullable in columns] == [(c.name, c.nullable) for c in table.columns]
    assert [
        name for (name, found, _), c in zip(columns, table.columns, strict=True) if found not in TYPES[c.type]
    ] == []
    nullable = [(name, type_, True) for name, type_, _ in columns]
    assert staged == [*nullable, ("is_deleted", "boolean", True), ("run_id", "text", True)]
    kind = f"SELECT relpersistence::text FROM pg_class WHERE oid = 'carbon_data.staging_{table.short_name}'::regclass"
    assert query(database, kind) == [("u",)]
    key = f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '{table.short_name}_pkey'"
    assert query(database, key) == [(f"PRIMARY KEY ({', '.join(table.key)})",)]


@pytest.mark.parametrize(
    ("table", "values", "check"),
    [
        ("intensity_profile", "13, '2024-02-02', 0, 1, 5, 4, 6", "month_begins"),
        ("intensity_profile", "13, '2024-02-01', 48, 1, 5, 4, 6", "half_hour_of_day"),
        ("intensity_profile", "13, '2024-02-01', 0, 0, 5, 4, 6", "days_counted"),
        ("intensity_profile", "13, '2024-02-01', 0, 1, 7, 4, 6", "mean_within_range"),
        ("intensity_profile", "19, '2024-02-01', 0, 1, 5, 4, 6", "region_known"),
        ("intensity_profile", "1, '2024-02-01', 0, 1, 5, 4, 6", "regionid_fkey"),
        ("carbon_intensity_monthly", f"13, '2024-02-02', 1, 1, 48, 5, 4, 6{', 1' * 9}", "month_begins"),
        ("carbon_intensity_monthly", f"13, '2024-02-01', 1, 2, 48, 5, 4, 6{', 1' * 9}", "days_counted"),
        ("carbon_intensity_monthly", f"13, '2024-02-01', 1, 1, 49, 5, 4, 6{', 1' * 9}", "periods_counted"),
        ("carbon_intensity_monthly", f"13, '2024-02-01', 1, 1, 48, 7, 4, 6{', 1' * 9}", "mean_within_range"),
    ],
)
def test_refuses_a_row_that_breaks_a_declared_check(database: PostgresTarget, table: str, values: str, check: str):
    row = f"{REGION}; INSERT INTO carbon_data.{table} VALUES ({values})"
    with pytest.raises(PostgresError, match=r"23514|23503") as refused, connect(database) as connection:
        connection.exec_driver_sql(row)
    assert f"{table}_{check}" in str(refused.value)


def test_describes_every_schema_table_view_and_column(any_database: PostgresTarget):
    described = query(
        any_database,
        """
        SELECT nspname, NULL, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname LIKE 'carbon%'
        UNION ALL
        SELECT relname, attname, col_description(c.oid, attnum)
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = relnamespace
        JOIN (SELECT attrelid, attname, attnum FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
            UNION ALL SELECT oid, NULL, 0 FROM pg_class) AS a ON attrelid = c.oid
        WHERE nspname LIKE 'carbon%' AND relkind IN ('r', 'v')
        """.replace("%", "%%"),
    )
    assert len(described) > 120
    assert [(table, column) for table, column, comment in described if not comment] == []


def test_upgrades_an_older_schema_and_keeps_its_data(empty_database: PostgresTarget, sql: Path):
    whole = sql.with_name("whole")
    shutil.copytree(sql, whole)
    for later in FILES[1:]:
        (sql / "migrations" / later).unlink()
    shutil.rmtree(sql / "views")
    shutil.rmtree(sql / "roles")
    assert migrations.migrate(empty_database, sql=sql)[0] == FILES[0]
    with connect(empty_database) as connection, connection.begin():
        connection.exec_driver_sql(REGION)
        connection.exec_driver_sql(DAY)
    (whole / "migrations" / "0006_note.sql").write_text(
        "ALTER TABLE carbon_data.carbon_intensity_daily ADD COLUMN note TEXT NOT NULL DEFAULT '100% :old';"
    )
    with pytest.raises(PostgresError, match=r"lacks 0002_export_log\.sql, .*, 0006_note\.sql;"):
        migrations.check(empty_database, sql=whole)
    applied = migrations.migrate(empty_database, sql=whole)
    assert applied[:5] == [*FILES[1:], "0006_note.sql"]
    rows = query(
        empty_database,
        "SELECT regionid, date_recorded::text, intensity_avg::text, note FROM carbon_data.carbon_intensity_daily",
    )
    assert rows == [(13, "2024-02-29", "123.45", "100% :old")]


def test_upgrades_a_log_that_did_not_tell_the_tables_apart(empty_database: PostgresTarget, sql: Path):
    later = {path: path.read_text() for path in (sql / "migrations" / name for name in FILES[3:])}
    for path in later:
        path.unlink()
    shutil.rmtree(sql / "views")
    shutil.rmtree(sql / "roles")
    migrations.migrate(empty_database, sql=sql)
    with connect(empty_database) as connection, connection.begin():
        connection.exec_driver_sql("""
            INSERT INTO carbon_data.export_log (
                run_id, gold_version, gold_table_id, inserted, updated, deleted, unchanged, rows_total
            ) VALUES ('old-run', 7, 'gold-id', 54, 2, 1, 16, 72)
        """)
    for path, text in later.items():
        path.write_text(text)
    migrations.migrate(empty_database)
    with connect(empty_database) as connection:
        kept = export_log.last_export(connection)
    assert kept is not None
    assert (kept.run_id, kept.state) == ("old-run", PublishedState({"carbon_intensity_daily": Pin("gold-id", 7)}))
    assert kept.counts == {"carbon_intensity_daily": ExportCounts(54, 2, 1, 16), "dim_region": ExportCounts()}
    assert not kept.is_proven


def test_refuses_a_file_edited_after_it_was_applied(any_database: PostgresTarget, sql: Path):
    file = sql / "migrations" / FILES[1]
    file.write_text(file.read_text() + "-- a harmless remark\n")
    for act in (migrations.migrate, migrations.check):
        with pytest.raises(LakehouseError, match=r"^The migration 0002_export_log\.sql was edited after"):
            act(any_database, sql=sql)


def test_takes_other_line_ends_for_the_same_file(any_database: PostgresTarget, sql: Path):
    file = sql / "migrations" / FILES[0]
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    migrations.check(any_database, sql=sql)


def test_refuses_a_database_that_is_newer_than_the_code(any_database: PostgresTarget, sql: Path):
    (sql / "migrations" / "0006_future.sql").write_text("CREATE TABLE carbon_data.future ();")
    migrations.migrate(any_database, sql=sql)
    for act in (migrations.migrate, migrations.check):
        with pytest.raises(LakehouseError, match=r"0006_future\.sql, which this version of lakehouse does not know"):
            act(any_database)


@pytest.mark.parametrize("name", ["0007_gap.sql", "0003_twice.sql", "later.sql"])
def test_refuses_a_number_out_of_line(any_database: PostgresTarget, sql: Path, name: str):
    (sql / "migrations" / name).write_text("SELECT 1;")
    with pytest.raises(LakehouseError, match="out of line"):
        migrations.migrate(any_database, sql=sql)


def test_rolls_a_failing_migration_back_and_keeps_the_one_before(empty_database: PostgresTarget, sql: Path):
    (sql / "migrations" / "0006_breaks.sql").write_text(
        "CREATE TABLE carbon_data.half_done (); SELECT 1 / 0; CREATE TABLE carbon_data.never ();"
    )
    with pytest.raises(PostgresError, match=r"sql/0006_breaks\.sql could not be applied\. .*division by zero"):
        migrations.migrate(empty_database, sql=sql)
    assert query(empty_database, NAMES) == [(name,) for name in FILES]
    assert query(empty_database, "SELECT to_regclass('carbon_data.half_done')::text") == [(None,)]
    (sql / "migrations" / "0006_breaks.sql").unlink()
    migrations.migrate(empty_database, sql=sql)
    migrations.check(empty_database, sql=sql)


def test_applies_the_views_again_when_a_view_changed(any_database: PostgresTarget, sql: Path):
    view = sql / "views" / "latest.sql"
    view.write_text(view.read_text().replace("its newest day", "its very newest day"))
    with pytest.raises(PostgresError, match="lacks the newest views and grants"):
        migrations.check(any_database, sql=sql)
    applied = migrations.migrate(any_database, sql=sql)
    assert "views/latest.sql" in applied
    assert all("/" in name for name in applied)
    assert query(any_database, "SELECT obj_description('carbon_data.latest'::regclass)") == [
        ("One row per region: its very newest day, which may still be incomplete",)
    ]
    assert migrations.migrate(any_database, sql=sql) == []


def test_applies_the_views_again_when_a_migration_had_to_drop_one(any_database: PostgresTarget, sql: Path):
    (sql / "migrations" / "0006_wider.sql").write_text(
        "DROP VIEW carbon_data.latest, carbon_data.monthly, carbon_data.low_carbon_share, "
        "carbon_data.regions_ranked_by_day;"
        "ALTER TABLE carbon_data.dim_region ALTER COLUMN kind TYPE VARCHAR(30);"
    )
    migrations.migrate(any_database, sql=sql)
    assert query(any_database, "SELECT count(*) FROM carbon_data.latest") == [(0,)]


def test_lets_two_migrators_take_turns(empty_database: PostgresTarget):
    results: list[list[str] | Exception] = []

    def run() -> None:
        try:
            results.append(migrations.migrate(empty_database))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, results)) == [0, 0, 10]  # type: ignore[arg-type]  # what a failed one gave has no length


def test_gives_up_when_another_migrator_does_not_end(any_database: PostgresTarget, monkeypatch):
    monkeypatch.setattr(migrations, "LOCK_WAIT_SECONDS", 1)
    with connect(any_database) as other:
        other.exec_driver_sql("SELECT pg_advisory_lock(%s, %s)", migrations.LOCK)
        with pytest.raises(LakeLockedError, match="Another process migrates"):
            migrations.migrate(any_database)


def test_needs_no_right_to_make_roles(empty_database: PostgresTarget, new_login, caplog):
    owner = new_login(empty_database)
    with connect(empty_database) as connection, connection.begin():
        connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {owner.database} TO {owner.user}")
    migrations.migrate(owner)
    assert f"{owner.user} stays the owner" in caplog.text
    migrations.check(owner)
    assert migrations.migrate(owner) == []
    assert query(empty_database, "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'dim_region'") == [
        (owner.user,)
    ]


def test_makes_the_groups_with_nothing_but_createrole(tmp_path: Path):
    with EmbeddedPostgres(tmp_path / "postgres") as admin:
        with connect(admin) as connection, connection.begin():
            connection.exec_driver_sql("CREATE ROLE plain LOGIN CREATEROLE PASSWORD 'pw'")
            connection.exec_driver_sql(f"ALTER DATABASE {admin.database} OWNER TO plain")
        owner = replace(admin, user="plain", password="pw")
        migrations.migrate(owner)
        assert migrations.migrate(owner) == []
        owned = query(admin, "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'dim_region'")
        assert owned == [("lakehouse_owner",)]
        with connect(admin) as connection, connection.begin():
            connection.exec_driver_sql("CREATE ROLE colleague LOGIN PASSWORD 'pw' IN ROLE lakehouse_owner")
        with connect(replace(owner, user="colleague")) as connection, connection.begin():
            connection.exec_driver_sql("ALTER TABLE carbon_data.dim_region ADD COLUMN note TEXT")


def test_grants_again_once_an_administrator_has_made_the_groups(tmp_path: Path):
    with EmbeddedPostgres(tmp_path / "postgres") as admin:
        with connect(admin) as connection, connection.begin():
            connection.exec_driver_sql("CREATE ROLE plain LOGIN PASSWORD 'pw'")
            connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {admin.database} TO plain")
        owner = replace(admin, user="plain", password="pw")
        migrations.migrate(owner)
        with connect(admin) as connection, connection.begin():
            connection.exec_driver_sql("CREATE ROLE lakehouse_reader")
        assert "roles/grants.sql" in migrations.migrate(owner)
        assert query(admin, "SELECT has_table_privilege('lakehouse_reader', 'carbon_data.monthly', 'SELECT')") == [
            (True,)
        ]


def test_leaves_a_database_of_an_earlier_release_as_one_from_zero(
    database: PostgresTarget, former_database: PostgresTarget
):
    migrations.check(database)
    with pytest.raises(PostgresError, match=r"lacks 0005_profile_and_months\.sql; `lakehouse export` applies"):
        migrations.check(former_database)
    applied = migrations.migrate(former_database)
    assert applied[0] == "0005_profile_and_months.sql"
    assert all("/" in name for name in applied[1:])
    migrations.check(former_database)
    assert migrations.migrate(former_database) == []
    columns = """
        SELECT n.nspname, relname, relkind::text, attname, format_type(atttypid, atttypmod), attnotnull,
            col_description(c.oid, attnum), relacl::text
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace JOIN pg_attribute ON attrelid = c.oid
        WHERE nspname IN ('carbon_data', 'carbon_migrations') AND relkind IN ('r', 'v') AND attnum > 0
            AND NOT attisdropped AND relname <> 'alembic_version'  -- another tool's, which stays where it is
        ORDER BY 1, 2, attnum
    """
    assert query(former_database, columns) == query(database, columns)
    constraints = """
        SELECT conrelid::regclass::text, conname, contype::text, conkey::text FROM pg_constraint
        WHERE connamespace = 'carbon_data'::regnamespace AND contype <> 'n' ORDER BY 1, 2
    """
    assert query(former_database, constraints) == query(database, constraints)
    logged = (
        "SELECT export_id, table_name, version, rows_total, checksum FROM carbon_data.export_log_table ORDER BY 1, 2"
    )
    assert [(*row[:4], str(row[4])) for row in query(former_database, logged)] == [
        (1, "carbon_intensity_daily", 1, 36, "17423297462069340192"),
        (1, "dim_region", 1, 18, "11103433468655296664"),
        (2, "carbon_intensity_daily", 2, 36, "21172455739539391263"),
        (2, "dim_region", 1, 18, "11103433468655296664"),
    ]
