"""Which code and which settings made something: what every commit, run and release says of itself."""

import hashlib
import subprocess

from lakehouse import __version__, resources
from lakehouse.settings import Settings


def code_version() -> str:
    """The package's version and, in a checkout, the commit, with ``-dirty`` when files differ from it."""
    place = resources.path("spark-defaults.conf").parent
    if not (place / ".git").exists():
        return __version__
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 (the user's git)
            cwd=place,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return __version__
    return f"{__version__}+{described.stdout.strip()}" if described.returncode == 0 else __version__


def settings_hash(settings: Settings) -> str:
    """SHA-256 of the settings that data can depend on, without secrets, 16 digits: the same settings, the same hash."""
    plain = settings.model_dump_json(exclude=dict.fromkeys(("postgres", "lineage", "hook", "log"), True))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
