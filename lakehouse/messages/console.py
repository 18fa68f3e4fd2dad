"""What is printed: tables and sentences at a terminal, tab-separated lines in a pipe, one JSON document for a program.

The one place that writes text of others: what a terminal would obey, or a person could not see, is spelt out here.
"""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate, product
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lakehouse.messages import loudness
from lakehouse.messages.loudness import Loudness
from lakehouse.messages.text import is_unseen, visible

OK, WARNING, FAILURE, ASIDE = "green", "yellow", "red", "dim"
"""Styles at a terminal; words say the same. ``NO_COLOR`` switches the colours off."""
BARE_WIDTH = 400
"""Columns when the output is no terminal: a table in a file is never wrapped."""
GAP = 2
"""Columns between two columns of a table."""
PROSE_WIDTH = 16
"""A column of sentences is at least so wide, if that is possible: narrower ones are hard to read."""
HELD = "\ue000"
"""Stands for a space that no line is broken at; no text of others holds it, for ``visible`` spells it out."""
SECONDS, MINUTES = "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def is_hushed(out: TextIO) -> bool:
    """Whether only warnings and errors are wanted there (``--quiet``)."""
    return loudness.wanted() is Loudness.QUIET and out is sys.stderr


def say(*lines: str, out: TextIO | None = None, style: str = "", to: Console | None = None) -> None:
    """Lines of text for a person, by default on stdout; a line break within one is spelt out.

    At a terminal a line is broken at its width, between words and never within a command in backquotes. ``to``: the
    console that draws on that terminal just now. With ``--quiet`` stderr gets what has the style of warnings
    and failures alone.
    """
    out = out or sys.stdout
    if is_hushed(out) and style not in (WARNING, FAILURE):
        return
    for line in lines:
        shown = _fit(line, out)
        if not out.isatty():
            print(shown, file=out, flush=True)
            continue
        at = to or console(out)
        for part in _broken(shown, at.width):
            at.print(Text(part, style), soft_wrap=True)


def remark(*lines: str, style: str = "") -> None:
    """What is to be said of rows that stand on stdout: there too at a terminal, else on stderr, away from the data."""
    say(*lines, out=sys.stdout if sys.stdout.isatty() else sys.stderr, style=style)


def command() -> str:
    """How the command was called, to be called again in the same shell: by its name where the PATH leads to it."""
    called, on_path = Path(sys.argv[0]), shutil.which("lakehouse")
    if called.name != "lakehouse" or (on_path and called.exists() and called.samefile(on_path)):
        return "lakehouse"
    return shlex.quote(str(called))


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool = False,
    out: TextIO | None = None,
    counts: Sequence[str] = (),
    sizes: Sequence[str] = (),
    least: Sequence[str] = (),
    marks: Mapping[str, str] | None = None,
) -> None:
    """Rows for who reads them: a table at a terminal, tab-separated lines after a line of names in a pipe, or JSON.

    In a pipe and in JSON values are exact. At a terminal the columns ``counts`` have thousands separators and ``sizes``
    (bytes) a unit. Where it is too narrow, empty columns and then ``least`` are left out, in their order, which is
    told; where that is not enough, each row is a block of lines. Lines are broken between words alone. ``marks``: the
    styles of values.
    """
    out = out or sys.stdout
    if as_json:
        print_json(list(rows), out=out)
    elif not rows:
        say("(no rows)", out=out if out.isatty() else sys.stderr)
    elif out.isatty():
        _print_table(rows, out, counts, sizes, least, marks or {})
    else:
        for fields in (rows[0], *(row.values() for row in rows)):
            print("\t".join(_fit(text(field), out) for field in fields), file=out)


def print_table(rows: Sequence[Mapping[str, Any]], out: TextIO, *, counts: Sequence[str], least: Sequence[str]) -> None:
    """Rows for a person alone: the table of :func:`print_rows`, also in a file, where it is as wide as it gets."""
    _print_table(rows, out, counts, (), least, {})


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
    """A value in one line; nothing is shortened."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime(SECONDS)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    return str(value)


def size(number: float) -> str:
    """A number of bytes as people write it: ``117.0 MiB``."""
    power = 0
    while abs(number) >= 1024 and power < len(UNITS) - 1:
        number, power = number / 1024, power + 1
    return f"{number:,.1f} {UNITS[power]}" if power else f"{number:,.0f} {UNITS[0]}"


def console(out: TextIO) -> Console:
    """A console that never wraps what goes to a file and never reads markup in data."""
    width = None if out.isatty() else BARE_WIDTH
    return Console(file=out, width=width, markup=False, highlight=False, emoji=False)


def described(counts: Mapping[str, int]) -> str:
    """Counts as words: ``0 inserted, 0 updated, 19,710 unchanged``."""
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _print_table(
    rows: Sequence[Mapping[str, Any]],
    out: TextIO,
    counts: Sequence[str],
    sizes: Sequence[str],
    least: Sequence[str],
    marks: Mapping[str, str],
) -> None:
    to = console(out)
    cells = {
        name: [_fit(name, out), *_cells([row[name] for row in rows], name in counts, name in sizes, out)]
        for name in rows[0]
    }
    empty = [name for name, column in cells.items() if not any(column[1:])]
    left_out = [*empty, *(name for name in least if name in cells and name not in empty)]
    for narrow, dropped in product((False, True), accumulate(([name] for name in left_out), initial=[])):
        kept = {name: column for name, column in cells.items() if name not in dropped}
        if widths := _widths(list(kept.values()), to.width, 0 if narrow else PROSE_WIDTH):
            to.print(_table(kept, widths, rows, marks))
            if dropped:
                say(f"(too narrow for {', '.join(dropped)}; --json has all)", out=out, style=ASIDE)
            return
    for number in range(1, len(rows) + 1):
        if number > 1:
            to.print()
        for head, *values in cells.values():
            for part in _field(head, values[number - 1], min(max(map(cell_len, cells)), to.width // 3), to.width):
                to.print(part)


def _broken(line: str, width: int) -> Iterator[str]:
    """A line in parts of a width, broken at spaces that stand in no backquotes; each begins as far in as the line."""
    indent = line[: len(line) - len(line.lstrip(" "))]
    held = re.sub("`[^`]*`", lambda quoted: quoted[0].replace(" ", HELD), line)
    part = ""
    for word in held.split():
        longer = f"{part} {word}" if part else f"{indent}{word}"
        if part and cell_len(longer) > width:
            yield part.replace(HELD, " ")
            longer = f"{indent}{word}"
        part = longer
    yield part.replace(HELD, " ")


def _table(
    columns: Mapping[str, Sequence[str]],
    widths: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    marks: Mapping[str, str],
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for (name, (head, *_)), width in zip(columns.items(), widths, strict=True):
        value = next((row[name] for row in rows if row[name] is not None), None)
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        table.add_column(Text(head), justify="right" if is_number else "left", width=width, overflow="fold")
    for line in zip(*(column[1:] for column in columns.values()), strict=True):
        table.add_row(*(Text(cell, marks.get(cell, "")) for cell in line))
    return table


def _field(name: str, value: str, name_width: int, available: int) -> Iterator[RenderableType]:
    """A field of a row that stands as a block: the value beside its name, or beneath it, where its words have room."""
    if any(cell_len(word) > available - name_width - GAP for word in value.split()):
        yield Text(name, ASIDE, overflow="fold")
        yield Padding(Text(value, overflow="fold"), (0, 0, 0, GAP))
        return
    beside = Table.grid(padding=(0, GAP, 0, 0))
    beside.add_column(width=name_width, overflow="fold", style=ASIDE)
    beside.add_column(overflow="fold")
    beside.add_row(Text(name), Text(value))
    yield beside


def _widths(columns: Sequence[Sequence[str]], available: int, prose_width: int) -> list[int]:
    """How wide each column is, so that all fit and no word is broken; nothing where they cannot.

    ``columns``: the texts of each, its name among them. Sentences keep a column of ``prose_width``.
    """
    widths = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
    words = [max((cell_len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    narrowest = [min(width, max(word, prose_width)) for width, word in zip(widths, words, strict=True)]
    available -= GAP * (len(columns) - 1)
    if sum(narrowest) > available:
        return []
    while (excess := sum(widths) - available) > 0:
        widest = max(range(len(widths)), key=lambda place: widths[place] - narrowest[place])
        widths[widest] -= min(excess, max(1, (widths[widest] - narrowest[widest]) // 2))
    return widths


def _cells(values: Sequence[object], is_count: bool, is_size: bool, out: TextIO) -> list[str]:
    """The values of a column as a person reads them: of a list an item a line, of whole minutes no seconds."""
    times = [value for value in values if isinstance(value, datetime)]
    form = MINUTES if not any(moment.second for moment in times) else SECONDS

    def cell(value: object) -> str:
        if isinstance(value, list | tuple):
            return "\n".join(_fit(text(item), out) for item in value)
        if isinstance(value, datetime):
            return value.strftime(form)
        if isinstance(value, int | float) and is_size:
            return size(value)
        return f"{value:,}" if isinstance(value, int | float) and is_count else _fit(text(value), out)

    return [cell(value) for value in values]


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
