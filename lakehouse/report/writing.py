"""The report written to a file: whole or not at all."""

import os
from datetime import date, timedelta
from pathlib import Path

from lakehouse.errors import LakehouseError, UsageError
from lakehouse.history.states import LakeVersion
from lakehouse.report import evidence, figures, page
from lakehouse.report.figures import Selection


def write(state: LakeVersion, selection: Selection, out: Path) -> int:
    """Write the report of a state; gives its size in bytes.

    Raises:
        UsageError: ``out`` is a folder, or stands in none; the selection names no region, or no day.
        LakehouseError: there is nothing to show, or the file cannot be written.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(
            f"{out} is {'a folder' if out.is_dir() else 'in no folder that is there'}; name a file with --out."
        )
    found = figures.collect(state, selection)
    first = date.fromisoformat(found["days"]["first"])
    missing = evidence.missing(state, first, first + timedelta(days=found["days"]["count"] - 1))
    shown = {region["id"] for region in found["regions"]}
    missing = [gap for gap in missing if not gap["regions"] or shown & set(gap["regions"])]
    found["revised"] = evidence.revised(state)
    text = page.render(found, missing, evidence.provenance(state)).encode()
    try:
        _replace(out, text)
    except OSError as error:
        raise LakehouseError(f"{out} cannot be written: {error.strerror or error}.") from error
    return len(text)


def _replace(out: Path, text: bytes) -> None:
    """Write the text beside the file first, so that the file is never half of it."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.write_bytes(text)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
