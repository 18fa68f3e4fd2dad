"""Folders that are made once for all workers of a test run, and only copied by the tests."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name: whichever worker needs it first makes it while the others wait."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    shared.mkdir(exist_ok=True)
    place = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not place.exists():
            unfinished = shared / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)  # of a worker that failed before
            make(unfinished)
            unfinished.rename(place)
    return place
