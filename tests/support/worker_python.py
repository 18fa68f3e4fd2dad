"""Pythons for Spark's workers: bare environments with the named packages of this one, and nothing else of it."""

import sysconfig
import venv
from pathlib import Path

NEEDED = ("pyarrow", "duckdb")
"""What a worker's Python has of its own; PySpark comes with Spark, our package with the wheel."""


def bare_python(folder: Path, packages: tuple[str, ...] = NEEDED) -> Path:
    """The program of a new environment in ``folder``, whose packages are links to those of this environment."""
    venv.create(folder, symlinks=True, with_pip=False)
    (into,) = folder.glob("lib/python*/site-packages")
    for name in packages:
        for found in Path(sysconfig.get_path("platlib")).glob(f"*{name}*"):
            (into / found.name).symlink_to(found)
    return folder / "bin" / "python"
