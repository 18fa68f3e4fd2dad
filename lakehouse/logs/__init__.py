"""The log: warnings for a person on stderr and, where a file is set, everything as lines of JSON in it.

Modules log through Python's own ``logging``; structlog makes the lines of the file. Without a file it is not loaded.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse.messages import loudness
from lakehouse.messages.loudness import Loudness
from lakehouse.messages.text import VisibleFormatter, without_logins

if TYPE_CHECKING:
    from lakehouse.settings.sections import LogSettings

OURS = logging.getLogger("lakehouse")
"""The logger above those of all our modules. The root logger stays at WARNING: others' notes may hold secrets."""
TOLD: Mapping[str, Any] = {"is_told": True}
"""``extra`` of what a person is told in another way, or is not to be told: it goes into the file alone."""


class _Terminal(logging.Handler):
    """Prints on stderr, harmlessly and coloured at a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one, above the bar where one is drawn."""
        if getattr(record, "is_told", False):
            return
        from lakehouse.messages import console  # with rich: not for a command that warns of nothing

        is_warning = record.levelno >= logging.WARNING
        form = "warning: %(message)s" if is_warning else "%(message)s"
        for line in without_logins(VisibleFormatter(form).format(record)).split("\n"):
            console.say(line, out=sys.stderr, style=console.WARNING if is_warning else console.ASIDE)


_terminal = _Terminal(logging.WARNING)
_in_file: logging.Handler | None = None
_opened: "LogSettings | None" = None
_run: dict[str, str | None] = {"run_id": None, "command": None, "stage": None}
"""The run that goes on: a process has one at a time, and what its threads log is of it, so it is no contextvar."""


def to_terminal() -> None:
    """Print on stderr what is logged from now on."""
    logging.getLogger().addHandler(_terminal)  # the second time nothing
    say_as_wanted()


def say_as_wanted() -> None:
    """Print as much as was chosen (``loudness.choose``)."""
    _terminal.setLevel(logging.INFO if loudness.wanted() is Loudness.VERBOSE else logging.WARNING)
    _set_level()


def open_file(settings: "LogSettings") -> None:
    """Write what is logged from now on into the file that is set, if one is; called again, into another one.

    Raises:
        UsageError: the file cannot be written.
    """
    global _in_file, _opened
    if settings == _opened:
        return
    fresh = None
    if settings.file is not None:
        from lakehouse.logs import json_lines  # with structlog

        fresh = json_lines.handler(settings.file, settings, current)
        logging.getLogger().addHandler(fresh)
    if _in_file is not None:
        logging.getLogger().removeHandler(_in_file)
        _in_file.close()
    _in_file, _opened = fresh, settings
    _set_level()


def _set_level() -> None:
    is_wanted = _in_file is not None or _terminal.level <= logging.INFO
    OURS.setLevel(logging.INFO if is_wanted else logging.NOTSET)


def has_file() -> bool:
    """Whether there is a file that gets everything."""
    return _in_file is not None


def current() -> Mapping[str, str | None]:
    """The run that goes on: ``run_id``, ``command`` and ``stage``, each None where there is none."""
    return _run


@contextmanager
def run(run_id: str, command: str) -> Iterator[None]:
    """Mark every line that is logged in the block, in any thread, as of this run."""
    before = dict(_run)
    _run.update(run_id=run_id, command=command, stage=None)
    try:
        yield
    finally:
        _run.update(before)


def command(name: str) -> None:
    """Mark what is logged from now on as of this command."""
    _run["command"] = name


def stage(name: str) -> None:
    """Mark what is logged from now on as of this stage, until the next one begins or the run ends."""
    _run["stage"] = name
