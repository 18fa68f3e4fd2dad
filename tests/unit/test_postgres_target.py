"""A URL becomes typed fields; nothing else reaches a driver, and the password never shows."""

from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse.errors import UsageError
from lakehouse.postgres import PostgresTarget

SECRET = "s3cr/et@:x"
URL = "postgresql://ann:s3cr%2Fet%40%3Ax@db.example.org:6543/carbon"


def parse(url: str, **environ: str) -> PostgresTarget:
    return PostgresTarget.parse(url, environ=environ)


def test_reads_every_field_of_a_url():
    target = parse(URL + "?sslmode=require&sslrootcert=/ca.pem&connect_timeout=3&application_name=x")
    assert (target.host, target.port, target.database, target.user) == ("db.example.org", 6543, "carbon", "ann")
    assert (target.password, target.sslmode, target.sslrootcert) == (SECRET, "require", "/ca.pem")
    assert (target.connect_timeout, target.application_name) == (3, "x")


def test_never_shows_the_password():
    target = parse(URL)
    shown = f"{target!r} {target} {target.safe} {target.engine()!r} {target.engine().url} {target.jdbc()[0]}"
    assert SECRET not in shown
    assert "s3cr" not in shown
    assert target.safe == "ann@db.example.org:6543/carbon"


@pytest.mark.parametrize(
    ("host", "sslmode", "authorities"),
    [
        ("localhost", "prefer", None),
        ("127.0.0.1", "prefer", None),
        ("[::1]", "prefer", None),
        ("db.example.org", "verify-full", "system"),
        ("10.0.0.5", "verify-full", "system"),
        ("localhost.example.org", "verify-full", "system"),
    ],
)
def test_verifies_the_server_unless_it_is_this_machine(host: str, sslmode: str, authorities: str | None):
    target = parse(f"postgresql://ann@{host}/carbon")
    assert (target.sslmode, target.sslrootcert) == (sslmode, authorities)


def test_trusts_the_root_certificate_in_libpqs_own_place(tmp_path: Path):
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert parse("postgresql://ann@db.example.org/carbon", HOME=str(tmp_path)).sslrootcert is None


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:topsecret@h/carbon",
        "postgresql+psycopg2://ann:topsecret@h/carbon",
        "jdbc:postgresql://ann:topsecret@h/carbon",
        "postgresql://ann:topsecret@h/",
        "postgresql://ann:topsecret@/carbon",
        "postgresql://:topsecret@h/carbon",
        "postgresql://ann:topsecret@h1,h2/carbon",
        "postgresql://ann:topsecret@h:port/carbon",
        "postgresql://ann:topsecret@h/carbon?socketFactory=org.example.Evil",
        "postgresql://ann:topsecret@h/carbon?sslmode=require&sslmode=disable",
        "postgresql://ann:topsecret@h/carbon?sslmode=topsecret",
        "postgresql://ann:topsecret@h/carbon?connect_timeout=topsecret",
        "postgresql://ann:topsecret@h/carbon?connect_timeout=0",
        "topsecret",
        "",
    ],
)
def test_refuses_a_url_in_one_sentence_that_quotes_nothing_of_it(url: str):
    with pytest.raises(UsageError) as refusal:
        parse(url)
    assert "topsecret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert str(refusal.value).endswith(".")


def test_builds_jdbc_from_an_allow_list_alone():
    url, properties = parse(URL + "?sslmode=verify-full").jdbc()
    assert url == "jdbc:postgresql://db.example.org:6543/carbon"
    assert properties.pop("options").startswith("-c statement_timeout=600000 -c lock_timeout=30000 ")
    assert properties == {
        "driver": "org.postgresql.Driver",
        "user": "ann",
        "password": SECRET,
        "ApplicationName": "lakehouse",
        "sslmode": "verify-full",
        "sslfactory": "org.postgresql.ssl.DefaultJavaSSLFactory",
        "connectTimeout": "10",
        "loginTimeout": "10",
        "tcpKeepAlive": "true",
        "reWriteBatchedInserts": "true",
    }


def test_lets_the_jdbc_driver_watch_the_time_where_the_session_takes_no_options():
    _, properties = replace(parse(URL), takes_options=False).jdbc()
    assert "options" not in properties
    assert properties["queryTimeout"] == "600"


def test_quotes_a_database_name_in_the_jdbc_url():
    url, _ = parse("postgresql://ann@[::1]/a%3Fsocket%26b").jdbc()
    assert url == "jdbc:postgresql://[::1]:5432/a%3Fsocket%26b"


def test_takes_the_password_from_the_first_place_that_has_one(tmp_path: Path):
    file, pgpass = tmp_path / "secret", tmp_path / ".pgpass"
    for path, text in ((file, "from-file\n"), (pgpass, "*:*:*:*:from-pgpass\n")):
        path.write_text(text)
        path.chmod(0o600)
    environ = {"HOME": str(tmp_path)}
    bare, full = "postgresql://ann@h/carbon", "postgresql://ann:from-url@h/carbon"
    assert PostgresTarget.parse(bare, environ={}).passfile is None
    left_to_libpq = PostgresTarget.parse(bare, environ=environ)
    assert (left_to_libpq.password, left_to_libpq.passfile) == (None, str(pgpass))
    environ["PGPASSWORD"] = "from-environment"
    assert PostgresTarget.parse(bare, environ=environ).password == "from-environment"
    assert PostgresTarget.parse(bare, environ=environ, password_file=file).password == "from-file"
    assert PostgresTarget.parse(full, environ=environ, password_file=file).password == "from-url"


def test_refuses_a_secret_that_others_can_read(tmp_path: Path):
    file = tmp_path / "pass"
    file.write_text("*:*:*:*:pw\n")
    file.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        parse("postgresql://ann@h/carbon", PGPASSFILE=str(file))
    with pytest.raises(UsageError, match="chmod 600"):
        PostgresTarget.parse("postgresql://ann@h/carbon", environ={}, password_file=file)


def test_names_a_password_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match="nowhere cannot be read"):
        PostgresTarget.parse("postgresql://ann@h/carbon", environ={}, password_file=tmp_path / "nowhere")
