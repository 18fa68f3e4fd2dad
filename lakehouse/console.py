"""What a person sees: sentences and tables as aligned text, or one JSON document for a program.

The one place that writes text of others: what a terminal would obey, or a person could not see, is spelt out here.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from lakehouse.text import is_unseen, visible

BARE_WIDTH = 400
"""Columns when the output is no terminal: a table in a file is never wrapped."""


def say(*lines: str, out: TextIO | None = None) -> None:
    """Lines of text for a person, by default on stdout; a line break within one is spelt out."""
    out = out or sys.stdout
    for line in lines:
        print(_fit(line, out), file=out, flush=True)


def command() -> str:
    """How the command was called, to be called again in the same shell: by its name where the PATH leads to it."""
    called, on_path = Path(sys.argv[0]), shutil.which("lakehouse")
    if called.name != "lakehouse" or (on_path and called.exists() and called.samefile(on_path)):
        return "lakehouse"
    return shlex.quote(str(called))


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, out: TextIO | None = None) -> None:
    """Rows as aligned text, one line each unless the terminal is narrow; or as one JSON list."""
    out = out or sys.stdout
    if as_json:
        print_json(list(rows), out=out)
        return
    if not rows:
        say("(no rows)", out=out)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, value in rows[0].items():
        numeric = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        table.add_column(_fit(name, out), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_fit(text(value), out) for value in row.values()))
    console(out).print(table)


def print_json(document: object, *, out: TextIO | None = None) -> None:
    """One JSON document; decimals as numbers in plain notation, times in ISO form.

    Exact, and harmless to a terminal: what it would obey stands as ``\\u009b``, which JSON reads as the same text.
    """
    out = out or sys.stdout
    plain = json.dumps(document, default=_plain, ensure_ascii=False)
    if is_unseen(plain) or not _takes(plain, out):
        plain = json.dumps(document, default=_plain)
    print(plain, file=out)


def text(value: object) -> str:
    """A value as a person reads it; nothing is shortened."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={text(item)}" for key, item in value.items())
    return str(value)


def console(out: TextIO) -> Console:
    """A console that never wraps what goes to a file and never reads markup in data."""
    width = None if out.isatty() else BARE_WIDTH
    return Console(file=out, width=width, markup=False, highlight=False, emoji=False)


def described(counts: Mapping[str, int]) -> str:
    """Counts as words: ``0 inserted, 0 updated, 19,710 unchanged``."""
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _fit(line: str, out: TextIO) -> str:
    """The line as ``visible`` shows it, and with what the output's encoding lacks spelt out as well."""
    shown = visible(line)
    return shown if _takes(shown, out) else shown.encode(out.encoding, "backslashreplace").decode(out.encoding)


def _takes(line: str, out: TextIO) -> bool:
    try:
        line.encode(getattr(out, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    if isinstance(value, time | timedelta):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
