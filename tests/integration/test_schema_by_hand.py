"""Schemas that somebody made beforehand or dropped later: adopted, made again, or refused with what helps."""

from collections.abc import Callable

import pytest

from lakehouse import resources
from lakehouse.errors import PostgresError
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import migrations, schema
from lakehouse.publishing.database import Database
from lakehouse.publishing.schema import SchemaError
from tests.support.export_fixtures import edit
from tests.support.mirror_rows import BEFORE, export, published, query

FIRST_FILE = "0001_regions_and_days.sql"
AWAY = (
    r"put what is there out of the way \(ALTER SCHEMA carbon_data RENAME TO carbon_data_old\), and `lakehouse export`"
)
NewLogin = Callable[..., PostgresTarget]


def prepare(target: PostgresTarget) -> None:
    """As an export does, by a login that is its own owner."""
    Database(target, target).prepare()


def works(target: PostgresTarget) -> bool:
    migrations.check(target)
    export(target, days=BEFORE["days"])
    return len(published(target)) == 3 and len(query(target, "SELECT * FROM carbon_data.latest")) == 2


def making_schemas(database: PostgresTarget, new_login: NewLogin) -> PostgresTarget:
    """A login that may make schemas in its database, and nothing else."""
    made = new_login(database)
    edit(database, f"GRANT CREATE ON DATABASE {made.database} TO {made.user}")
    return made


@pytest.fixture
def login(fresh_database: PostgresTarget, new_login: NewLogin) -> PostgresTarget:
    return making_schemas(fresh_database, new_login)


@pytest.fixture
def any_login(empty_database: PostgresTarget, new_login: NewLogin) -> PostgresTarget:
    return making_schemas(empty_database, new_login)


def test_knows_the_tables_that_the_migrations_make(any_database: PostgresTarget):
    files = (resources.path("sql") / "migrations").glob("*.sql")
    tables = query(
        any_database, "SELECT relname FROM pg_class WHERE relnamespace = 'carbon_data'::regnamespace AND relkind = 'r'"
    )
    assert schema.tables_of(file.read_text() for file in files) == {name for (name,) in tables}


@pytest.mark.parametrize("name", ["carbon_data", "carbon_migrations"])
def test_adopts_an_empty_schema_with_what_was_granted_on_it(any_login: PostgresTarget, name: str):
    login = any_login
    edit(login, f"CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO PUBLIC")
    prepare(login)
    assert works(login)
    assert query(login, f"SELECT nspacl::text ~ '[{{,]=U/' FROM pg_namespace WHERE nspname = '{name}'") == [(True,)]


def test_adopts_both_schemas_without_the_right_to_make_any(empty_database: PostgresTarget, new_login: NewLogin):
    login = new_login(empty_database)
    for name in ("carbon_data", "carbon_migrations"):
        edit(empty_database, f"CREATE SCHEMA {name} AUTHORIZATION {login.user}")
    prepare(login)
    assert works(login)


def test_tells_the_administrator_what_to_run(empty_database: PostgresTarget, new_login: NewLogin):
    login = new_login(empty_database)
    edit(empty_database, f"CREATE SCHEMA carbon_data; GRANT ALL ON SCHEMA carbon_data TO {login.user}")
    with pytest.raises(SchemaError) as refused:
        prepare(login)
    sentence = str(refused.value)
    assert f"lacks {FIRST_FILE}" in sentence
    assert sentence.endswith("; or name a login that may with LAKEHOUSE_POSTGRES__OWNER_URL.")
    advice = sentence.partition("run there: ")[2].partition("; or name")[0]
    assert advice == (
        f"GRANT CREATE ON DATABASE {login.database} TO {login.user}; ALTER SCHEMA carbon_data OWNER TO {login.user}"
    )
    edit(empty_database, advice)
    prepare(login)
    assert works(login)


def test_refuses_what_somebody_else_made(login: PostgresTarget):
    edit(login, "CREATE SCHEMA carbon_data; CREATE TABLE carbon_data.carbon_intensity_daily (regionid int)")
    with pytest.raises(SchemaError, match=f"holds table .*carbon_intensity_daily, but carbon_migrations .*; {AWAY}"):
        prepare(login)
    assert query(login, "SELECT to_regnamespace('carbon_migrations')::text") == [(None,)]
    edit(login, "ALTER SCHEMA carbon_data RENAME TO carbon_data_old")
    prepare(login)
    assert works(login)


DROPPED = [
    "DROP SCHEMA carbon_data CASCADE",
    "DROP SCHEMA carbon_data CASCADE; CREATE SCHEMA carbon_data",
    "DROP SCHEMA carbon_data, carbon_migrations CASCADE",
    "DROP VIEW carbon_data.monthly",
    "DROP VIEW carbon_data.latest, carbon_data.low_carbon_share, carbon_data.regions_ranked_by_day",
    "DROP TABLE carbon_migrations.applied_definitions",
]


@pytest.mark.parametrize("statements", DROPPED)
def test_makes_again_what_was_dropped(login: PostgresTarget, statements: str):
    prepare(login)
    assert works(login)
    edit(login, statements)
    if "carbon_data" in statements:
        with pytest.raises(PostgresError, match=r"lacks .*; `lakehouse export` applies migrations"):
            migrations.check(login)
    prepare(login)
    assert works(login)
    assert migrations.migrate(login) == []


TORN = {
    "DROP TABLE carbon_data.dim_region CASCADE": "lacks carbon_data.dim_region, made by",
    "DROP TABLE carbon_data.carbon_intensity_daily CASCADE": "lacks carbon_data.carbon_intensity_daily, made by",
    "DROP TABLE carbon_data.intensity_profile": "lacks carbon_data.intensity_profile, made by",
    "DROP TABLE carbon_data.export_log CASCADE": "lacks carbon_data.export_log, made by",
    "DROP TABLE carbon_data.staging_dim_region": "lacks carbon_data.staging_dim_region, made by",
    "ALTER TABLE carbon_data.export_log RENAME TO log": "lacks carbon_data.export_log, made by",
    "DROP SCHEMA carbon_migrations CASCADE": "holds .* and \\d+ more, but carbon_migrations knows of no migration",
    "DROP TABLE carbon_migrations.applied_migration": "holds .* but carbon_migrations knows of no migration",
}


@pytest.mark.parametrize("statements", TORN)
def test_says_what_to_do_where_a_part_is_gone_and_it_helps(login: PostgresTarget, statements: str):
    prepare(login)
    assert works(login)
    edit(login, statements)
    with pytest.raises(SchemaError, match=f"{TORN[statements]}.*; {AWAY}"):
        prepare(login)
    edit(login, "ALTER SCHEMA carbon_data RENAME TO carbon_data_old")
    prepare(login)
    assert works(login)


def test_says_what_to_do_where_a_column_is_gone(any_database: PostgresTarget):
    edit(any_database, "ALTER TABLE carbon_data.export_log DROP COLUMN checksum")
    prepare(any_database)
    with pytest.raises(PostgresError, match=f"dropped, renamed or changed by hand; {AWAY}.*42703"):
        export(any_database, days=BEFORE["days"])


def test_says_what_a_migration_failed_of_and_not_that_another_login_is_needed(login: PostgresTarget):
    prepare(login)
    edit(login, "DROP VIEW carbon_data.latest, carbon_data.monthly; CREATE VIEW carbon_data.latest AS SELECT 1 AS a")
    with pytest.raises(PostgresError, match=r"^sql/views/latest\.sql could not .* drop it \(DROP VIEW\).*42P16"):
        prepare(login)
    edit(login, "DROP VIEW carbon_data.latest")
    prepare(login)
    assert works(login)


def test_publishes_again_after_the_schema_was_dropped(database: PostgresTarget, gold_lake, publish):
    publish(database)
    edit(database, "DROP SCHEMA carbon_data CASCADE")
    assert publish(database)["inserted"] == 3
    with connect(database) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM carbon_data.monthly").scalar_one() == 2
