"""The SQL files of the schema, read and sent to PostgreSQL as they are."""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy import Connection

from lakehouse import resources
from lakehouse.errors import LakehouseError, PostgresError
from lakehouse.postgres import PostgresTarget, translate

_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SqlFile:
    """A SQL file: its name under ``sql/`` and its text, line ends made ``\\n``."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Hash of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def bootstrap(sql: Path | None) -> SqlFile:
    """What the record of migrations needs."""
    return _read(_folder(sql) / "bootstrap.sql", "bootstrap.sql")


def migrations(sql: Path | None) -> list[SqlFile]:
    """The numbered migrations, in order.

    Raises:
        LakehouseError: a number is missing, or there twice.
    """
    folder = _folder(sql) / "migrations"
    files = [_read(path, path.name) for path in sorted(folder.glob("*.sql"))]
    for number, file in enumerate(files, start=1):
        if not _NAME.fullmatch(file.name) or int(file.name[:4]) != number:
            raise LakehouseError(
                f"{folder / file.name} is out of line: migrations are called 0001_name.sql, "
                f"0002_name.sql and so on, without a gap."
            )
    return files


def definitions(sql: Path | None) -> list[SqlFile]:
    """The views, then the grants, which speak of the views."""
    return [
        _read(path, f"{kind}/{path.name}")
        for kind in ("views", "roles")
        for path in sorted((_folder(sql) / kind).glob("*.sql"))
    ]


def execute(connection: Connection, file: SqlFile, target: PostgresTarget) -> None:
    """Send a file past SQLAlchemy, for which ``:name`` means something and notices do not.

    Raises:
        PostgresError: a statement failed; the sentence names the file.
    """
    driver_connection = connection.connection.driver_connection
    if driver_connection is None:  # closed by somebody in between
        raise PostgresError("The connection of the migrations is closed.")
    try:
        with driver_connection.cursor() as cursor:
            cursor.execute(file.text)
    except psycopg2.Error as error:
        meaning = translate(error, target)
        raise type(meaning)(f"sql/{file.name} could not be applied. {meaning}") from error
    for notice in driver_connection.notices:
        log.warning("sql/%s: %s", file.name, notice.strip())
    driver_connection.notices.clear()


def _folder(sql: Path | None) -> Path:
    return sql or resources.path("sql")


def _read(path: Path, name: str) -> SqlFile:
    return SqlFile(name, path.read_text(encoding="utf-8"))
