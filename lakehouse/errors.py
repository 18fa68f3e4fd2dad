"""What can go wrong, as a small tree ordered by what the caller can do about it.

Each class carries the process exit code it stands for. A message is one sentence that names the
thing and says what to do; the command line prints it as it is, without a stack trace.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of every command and job, also through ``spark-submit``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    QUALITY = 3
    UNAVAILABLE = 4
    LOCKED = 5


class LakehouseError(Exception):
    """Something failed that a person has to look at (exit code 1)."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class UsageError(LakehouseError):
    """The command, its arguments or the settings are wrong: correct them and call again (exit code 2)."""

    exit_code = ExitCode.USAGE


class QualityError(LakehouseError):
    """A quality gate stopped the stage before anything was published (exit code 3)."""

    exit_code = ExitCode.QUALITY


class LossError(QualityError):
    """A table holds less than others were made of, or a run would delete much: nothing was touched (exit code 3)."""


class ApiUnavailableError(LakehouseError):
    """The API could not be asked or did not give everything: run again later (exit code 4)."""

    exit_code = ExitCode.UNAVAILABLE


class LakeLockedError(LakehouseError):
    """Another writer holds the lake or the export: run again later (exit code 5)."""

    exit_code = ExitCode.LOCKED


class SourceMismatchError(UsageError):
    """The lake was filled from another API; a separate lake is needed (code 2)."""


class PostgresError(LakehouseError):
    """PostgreSQL refused or could not be reached (exit code 1)."""
