"""libpq's password file serves both drivers: psycopg2 through libpq itself, JDBC with what libpq found."""

from pathlib import Path

import pytest

from lakehouse.errors import PostgresError
from lakehouse.postgres import PostgresTarget, connect, probe


@pytest.fixture
def passfile(tmp_path: Path) -> Path:
    file = tmp_path / "a pass file"
    file.touch(mode=0o600)
    return file


def without_password(database: PostgresTarget, passfile: Path) -> PostgresTarget:
    url = f"postgresql://{database.user}@{database.address}/{database.database}"
    return PostgresTarget.parse(url, environ={"PGPASSFILE": str(passfile)})


def test_logs_in_with_the_password_of_the_first_line_that_matches(database: PostgresTarget, passfile: Path) -> None:
    passfile.write_text(
        f"other.example.org:*:*:*:no\n*:{database.port}:*:{database.user}:{database.password}\n*:*:*:*:no\n"
    )
    target = without_password(database, passfile)
    with connect(target) as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar_one() == database.user


def test_hands_the_password_that_libpq_found_on_to_jdbc(database: PostgresTarget, passfile: Path) -> None:
    passfile.write_text(f"*:*:*:*:{database.password}\n")
    target = without_password(database, passfile)
    assert "password" not in target.jdbc()[1]
    assert probe(target).jdbc()[1]["password"] == database.password


def test_says_that_the_password_of_the_file_is_wrong(database: PostgresTarget, passfile: Path) -> None:
    passfile.write_text("*:*:*:*:wrong\n")
    with pytest.raises(PostgresError, match="did not accept the login; check user and password"):
        probe(without_password(database, passfile))


def test_says_that_no_line_of_the_file_matches(database: PostgresTarget, passfile: Path) -> None:
    passfile.write_text("other.example.org:*:*:*:no\n")
    with pytest.raises(PostgresError, match="did not accept the login; no password was given"):
        probe(without_password(database, passfile))
