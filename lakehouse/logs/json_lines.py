"""The log file: a JSON object a line, rotated by size, written by any number of processes at once."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog
from filelock import FileLock, Timeout

from lakehouse.errors import UsageError
from lakehouse.messages import console
from lakehouse.messages.text import storable, without_logins
from lakehouse.settings.sections import LogSettings

PATIENCE_SECONDS = 5
"""How long a line waits for other processes; each holds the lock while it writes one line."""
FIRST = ("timestamp", "level", "event", "run_id", "command", "stage")
"""The keys with which every line begins."""
Current = Callable[[], Mapping[str, str | None]]


def handler(file: Path, settings: LogSettings, current: Current) -> logging.Handler:
    """What writes the file, of the size that is set; ``current`` gives the run that goes on.

    Raises:
        UsageError: the file or its lock cannot be written.
    """
    try:
        made = SharedRotatingFile(file, round(settings.max_mib * 2**20), settings.keep)
        with made.between:
            pass
    except (OSError, Timeout) as error:
        why = getattr(error, "strerror", None) or "another process holds its lock"
        raise UsageError(f"The log {file} cannot be written: {why}; correct log.file or its folder.") from None
    made.setFormatter(_formatter(current))
    return made


class SharedRotatingFile(RotatingFileHandler):
    """A file that rotates under several processes: each line is written under a lock, into the file of that name.

    ``FILE.1`` is the newest of the ``keep`` files before it. Python's own handler knows nothing of others: it would
    go on writing into a file that another process has renamed, and rename once more.
    """

    def __init__(self, file: Path, max_bytes: int, keep: int) -> None:
        super().__init__(file, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        self.file = file
        self.between = FileLock(f"{self.baseFilename}.lock", timeout=PATIENCE_SECONDS, thread_local=False)
        self._has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            with self.between:
                self._follow()
                super().emit(record)
        except (OSError, Timeout):
            self.handleError(record)

    def _follow(self) -> None:
        """Open the file anew where another process has renamed it, or somebody has removed it."""
        if self.stream is None:
            return
        try:
            if os.path.samestat(os.stat(self.baseFilename), os.fstat(self.stream.fileno())):
                return
        except FileNotFoundError:
            pass
        old, self.stream = self.stream, self._open()
        old.close()

    def close(self) -> None:
        """Close the file; what a full disk did not take was told when it was written."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        """A log that cannot be written is told once, and is no reason to end a run."""
        if not self._has_failed:
            self._has_failed = True
            console.say(f"warning: the log {self.file} cannot be written: {sys.exc_info()[1]}", out=sys.stderr)


def _formatter(current: Current) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _in_run(current),
            structlog.processors.JSONRenderer(default=str),
        ],
    )


def _in_run(current: Current) -> structlog.typing.Processor:
    """Add the run, the process and an order of keys; take out logins and what is for the terminal's handler."""

    def processed(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event.pop("is_told", None)
        found = {**current(), "pid": os.getpid(), **event}
        cleaned = {
            name: storable(without_logins(value)) if isinstance(value, str) else value for name, value in found.items()
        }
        return {**{name: cleaned.get(name) for name in FIRST}, **cleaned}

    return processed
