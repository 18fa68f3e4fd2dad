"""Where the files that are not Python stand: ``sql/``, ``conf/``, ``spark-defaults.conf``.

In a checkout they stand at its top level; an installed wheel carries them inside the package.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """The absolute path of a top-level resource such as ``sql`` or ``spark-defaults.conf``."""
    for base in (PACKAGE.parent, PACKAGE / "resources"):
        if (base / "spark-defaults.conf").exists() and (base / name).exists():
            return base / name
    raise FileNotFoundError(f"{name} is neither beside nor inside the package at {PACKAGE}")
