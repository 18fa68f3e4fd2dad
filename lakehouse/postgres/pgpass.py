"""libpq's password file, for drivers that do not read it themselves (JDBC)."""

from collections.abc import Mapping
from pathlib import Path

from lakehouse.errors import UsageError

OTHERS = 0o077
"""Permission bits of group and others: libpq ignores a password file that has one of them."""


def find_password(environ: Mapping[str, str], *, host: str, port: int, database: str, user: str) -> str | None:
    """The password of the first matching line of ``PGPASSFILE``, by default ``~/.pgpass``; None without one.

    Raises:
        UsageError: the file exists, but others may read it.
    """
    home = environ.get("HOME")
    named = environ.get("PGPASSFILE") or (f"{home}/.pgpass" if home else None)
    file = Path(named) if named else None
    if file is None or not file.is_file():
        return None
    if file.stat().st_mode & OTHERS:
        raise UsageError(f"The password file {file} can be read by others; run: chmod 600 {file}")
    wanted = (host, str(port), database, user)
    for line in file.read_text(encoding="utf-8").splitlines():
        *fields, password = _split(line)
        if len(fields) == len(wanted) and all(
            raw == "*" or _unescape(raw) == value for raw, value in zip(fields, wanted, strict=True)
        ):
            return _unescape(password)
    return None


def _split(line: str) -> list[str]:
    """A line's fields, still escaped: at most four before the password, which may hold bare colons."""
    if line.startswith("#"):
        return [""]
    fields: list[str] = []
    start = position = 0
    while position < len(line) and len(fields) < 4:
        if line[position] == "\\":
            position += 1
        elif line[position] == ":":
            fields.append(line[start:position])
            start = position + 1
        position += 1
    return [*fields, line[start:]]


def _unescape(field: str) -> str:
    """``\\:`` is a colon and ``\\\\`` a backslash; any other escaped character stands for itself."""
    characters, escaped = [], False
    for character in field:
        if character == "\\" and not escaped:
            escaped = True
            continue
        characters.append(character)
        escaped = False
    return "".join(characters)
