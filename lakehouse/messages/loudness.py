"""How much a command says on stderr: one choice for the process, made on the command line."""

from enum import Enum


class Loudness(Enum):
    """``QUIET``: warnings and errors alone; ``VERBOSE``: also notes that otherwise only the log file has."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


_wanted = Loudness.NORMAL


def choose(loudness: Loudness) -> None:
    """From now on."""
    global _wanted
    _wanted = loudness


def wanted() -> Loudness:
    """What was chosen last."""
    return _wanted
