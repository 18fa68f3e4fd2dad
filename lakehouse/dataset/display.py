"""What a notebook shows of a lake and of a relation: HTML, every text of the data escaped."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

import pyarrow as pa

from lakehouse.messages.text import brief, visible
from lakehouse.messages.wording import counted

LONGEST = 60
"""Characters of a value that are shown."""
STYLE = "<style>.lakehouse th, .lakehouse td { padding: 0.15em 0.8em; text-align: left; vertical-align: top }</style>"


def of_lake(name: str, root: str, ended_at: datetime, tables: Iterable[Sequence[object]]) -> str:
    """A lake: which state it is, and a row for each table: how to reach it, name, version, meaning."""
    head = f"<p><b>{_text(name)}</b>, ended {ended_at:%Y-%m-%d %H:%M} UTC, at <code>{_text(root)}</code></p>"
    return STYLE + head + _table(("in Python", "table", "version", "meaning"), tables)


def of_relation(title: str, comment: str, rows: int, schema: pa.Schema, head: pa.Table) -> str:
    """A relation: what it is, its columns with units, and its first rows."""
    about = [
        (field.name, field.type, *((field.metadata or {}).get(key, b"").decode() for key in (b"unit", b"meaning")))
        for field in schema
    ]
    return (
        f"{STYLE}<p><b>{_text(title)}</b><br>{_text(comment)}; {counted(rows, 'row')}</p>"
        f"<details><summary>{counted(len(about), 'column')}</summary>"
        f"{_table(('column', 'type', 'unit', 'meaning'), about)}</details>"
        f"{_table(schema.names, ((_short(value) for value in row.values()) for row in head.to_pylist()))}"
    )


def _table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>" for row in rows)
    return f'<table class="lakehouse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _short(value: object) -> str:
    """A value of a row; of long ones the beginning."""
    if value is None:
        return ""
    return f"{len(value):,} bytes" if isinstance(value, bytes) else brief(str(value), LONGEST)


def _text(value: object) -> str:
    return escape(visible(str(value)))
