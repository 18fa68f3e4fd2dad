"""What a person sees on stdout: tables as aligned text, or one JSON document for a program."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

BARE_WIDTH = 400
"""Columns when the output is no terminal: a table in a file is never wrapped."""


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, out: TextIO | None = None) -> None:
    """Rows as aligned text, or as one JSON list."""
    out = out or sys.stdout
    if as_json:
        print_json(list(rows), out=out)
        return
    if not rows:
        print("(no rows)", file=out)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, value in rows[0].items():
        numeric = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(text(value) for value in row.values()))
    console(out).print(table)


def print_json(document: object, *, out: TextIO | None = None) -> None:
    """One JSON document; decimals as numbers in plain notation, times in ISO form."""
    print(json.dumps(document, default=_plain, ensure_ascii=False), file=out or sys.stdout)


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


def said(counts: Mapping[str, int]) -> str:
    """Counts as words: ``0 inserted, 0 updated, 19,710 unchanged``."""
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


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
