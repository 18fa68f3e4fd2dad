"""A release as a folder that others can read and check without this package: Parquet, CSV, and hashes of all files."""

import csv
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse import data_dictionary
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history import manifests, states
from lakehouse.lake import delta_log
from lakehouse.lake.tables import PUBLISHED, Table
from lakehouse.messages.wording import counted
from lakehouse.settings import Settings

SUMS = "SHA256SUMS"
_README = """\
# {title}, release {release}

{citation}

| file | what |
|---|---|
{tables}
| `release.json` | what the release was made of: versions, rules, checksums of all tables |
| `data-dictionary.md` | every column with its unit |
| `SHA256SUMS` | the hash of every file: `sha256sum -c SHA256SUMS` checks them |

CSV: UTF-8, a header, an empty field is null, times and days are UTC. The data come from the {attribution}; name the
source and this release when you use them.
"""


def export(settings: Settings, name: str, into: Path) -> list[str]:
    """Write a release into a new folder; gives the files' names. The same release gives the same bytes. No JVM.

    Raises:
        UsageError: there is no such release, or the folder is there already.
        LakehouseError: the folder cannot be written.
    """
    state, manifest = states.of_release(settings, name), manifests.read(settings, name)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} is there already and not an empty folder; choose another place.")
    into = into.resolve()  # "." has no name of its own
    part = into.with_name(f".{into.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        tables = [table for table in PUBLISHED if state.holds(table)]
        for table in tables:
            _write(_sorted(state.snapshot(table), table), part / table.short_name)
        (part / manifests.FILE).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (part / "data-dictionary.md").write_text(data_dictionary.text(), encoding="utf-8")
        (part / "README.md").write_text(_README.format(**{**manifest, "tables": _listed(tables)}), encoding="utf-8")
        names = sorted(file.name for file in part.iterdir())
        sums = "".join(f"{hashlib.sha256((part / file).read_bytes()).hexdigest()}  {file}\n" for file in names)
        (part / SUMS).write_text(sums, encoding="utf-8")
        if into.exists():
            into.rmdir()
        part.rename(into)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise LakehouseError(f"{into} cannot be written: {error.strerror or error}.") from error
    return [*names, SUMS]


def _listed(tables: Sequence[Table]) -> str:
    return "\n".join(f"| `{table.short_name}.parquet`, `.csv` | {table.comment} |" for table in tables)


def _sorted(snapshot: delta_log.Snapshot, table: Table) -> pa.Table:
    names = ", ".join(f'"{name}"' for name in table.column_names)
    order = ", ".join(f'"{name}"' for name in table.key)
    return delta_log.query_datafusion(f"SELECT {names} FROM rows ORDER BY {order}", rows=snapshot)  # noqa: S608 (our own names)


def _write(rows: pa.Table, stem: Path) -> None:
    pq.write_table(rows, stem.with_suffix(".parquet"), compression="zstd")
    with stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows.column_names)
        writer.writerows([_plain(value) for value in row.values()] for row in rows.to_pylist())


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def describe(manifest: Mapping[str, Any]) -> str:
    """A release for a person, in lines."""
    tables = "\n".join(
        f"  {name}: {counted(about['rows'], 'row')} of version {about['source_version']}, checksum {about['checksum']}"
        for name, about in manifest["tables"].items()
    )
    note = f"\n{manifest['note']}" if manifest["note"] else ""
    head = f"release {manifest['release']} of {manifest['created_at']}{note}"
    return f"{head}\n{tables}\n\nCite it as:\n  {manifest['citation']}"
