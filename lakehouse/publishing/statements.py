"""The export's SQL files under ``sql/export``, ready to be executed."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from sqlalchemy import Connection, TextClause, text

from lakehouse import resources


@cache
def load(name: str) -> TextClause:
    """The statement ``sql/export/<name>.sql``; ``:name`` in it is a parameter."""
    return text((resources.path("sql") / "export" / f"{name}.sql").read_text(encoding="utf-8"))


def transaction(connection: Connection) -> AbstractContextManager[Any]:
    """The caller's transaction, or one of our own, so that reading leaves none open."""
    return nullcontext() if connection.in_transaction() else connection.begin()
