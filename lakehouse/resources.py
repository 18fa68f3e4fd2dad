"""Where the files that are not Python stand: ``sql/``, ``conf/``, ``spark-defaults.conf``.

In a checkout they stand at its top level; an installed wheel carries them inside the package. A wheel that
``spark-submit --py-files`` is given is not installed: Python imports from the file, and what it carries is unpacked.
"""

import atexit
import tempfile
import zipfile
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSIDE = "resources"


def path(name: str) -> Path:
    """The absolute path of a top-level resource such as ``sql`` or ``spark-defaults.conf``."""
    inside = _unpacked() if zipfile.is_zipfile(PACKAGE.parent) else PACKAGE / INSIDE
    for base in (PACKAGE.parent, inside):
        if (base / "spark-defaults.conf").exists() and (base / name).exists():
            return base / name
    raise FileNotFoundError(f"{name} is neither beside nor inside the package at {PACKAGE}")


@cache
def _unpacked() -> Path:
    """The resources of the wheel that this package is imported from, in a folder that goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="lakehouse-")
    atexit.register(folder.cleanup)
    with zipfile.ZipFile(PACKAGE.parent) as wheel:
        inside = f"{PACKAGE.name}/{INSIDE}/"
        wheel.extractall(folder.name, [name for name in wheel.namelist() if name.startswith(inside)])
    return Path(folder.name) / PACKAGE.name / INSIDE
