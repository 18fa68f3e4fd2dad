"""What errors of Spark, Delta and the JVM say, and what is known of them: the JVM is gone, a gate stopped a query."""

import re
import subprocess
from contextlib import suppress

from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError

from lakehouse.errors import QualityError
from lakehouse.messages.wording import in_one_line
from lakehouse.spark import jvm, workers

WHY_ENDED = {
    **dict.fromkeys((3, 50, 51, 52), "its heap was full: raise spark.driver.memory in spark-defaults.conf; "),
    -9: "it was killed, mostly by the system for want of memory (`dmesg` tells); ",
}
"""What exit codes of the JVM mean: 3 is its own at the first ``OutOfMemoryError``, 50 to 52 are Spark's."""
BEYOND_RETENTION = (
    "is older than the retention that was set (retention.days), so it can no longer be read; a release of its time can."
)
RAISED = re.compile(r"\[USER_RAISED_EXCEPTION\] (.*?)\s*(?:SQLSTATE: \w+)?$", re.MULTILINE)
"""How Spark says what a query of ours has raised (``raise_error``)."""


def is_beyond_retention(error: BaseException) -> bool:
    """Whether Delta refused a version because it is older than the retention, or than the log that it left."""
    if "DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION" in str(error):
        return True
    refused = re.search(r"DELTA_VERSION_NOT_FOUND.* to version (\d+)\. Available versions: \[(\d+),", str(error))
    return refused is not None and int(refused[1]) < int(refused[2])


def stopped_by_us(error: BaseException) -> QualityError | None:
    """The gate that a query of ours raised while Spark worked, as an error of ours; None: it was something else."""
    found = RAISED.search(str(error))
    return QualityError(found[1]) if found else None


def reason(error: BaseException) -> str:
    """What an error says, on one line; of one that came from the JVM, what its innermost cause says."""
    if cause := known(error):
        return cause
    if stopped := stopped_by_us(error):
        return str(stopped)
    try:
        text = _innermost_text(error)
    except Py4JNetworkError as unanswered:  # the JVM went before it could be asked for the cause
        return lost(unanswered) or str(error)
    return in_one_line(text) or type(error).__name__


def _innermost_text(error: BaseException) -> str:
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if cause is None or not hasattr(cause, "getCause"):
        return str(error)
    while cause.getCause() is not None:
        cause = cause.getCause()
    name, message = cause.getClass().getSimpleName(), cause.getMessage()
    return f"{name}: {message}" if message else str(name)


def known(error: BaseException) -> str | None:
    """What ended the work, where it is no mistake in the code: JVM or cluster are gone, a worker's Python is unfit."""
    return lost(error) or workers.unfit(error) or workers.gone(error)


def lost(error: BaseException) -> str | None:
    """How it came that the JVM is gone, as far as this process can tell; None if that is not what ended it.

    Where the JVM has ended, whatever else failed failed for that: a socket of Arrow's says only that it was cut off.
    """
    process = jvm.process
    was_cut_off = isinstance(error, Py4JNetworkError)
    what, hint = "does not answer" if was_cut_off else None, ""
    if process is not None:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(jvm.END_SECONDS if _may_be_cut_off(error) else 0)
            what = f"ended with {code}"  # negative: by this signal
            if jvm.words is not None:
                jvm.words.join(jvm.END_SECONDS)
            hint = WHY_ENDED.get(code, "")
    if what is None:
        return None
    cause = getattr(error, "cause", None)
    why = f" ({type(cause).__name__}: {cause})" if cause else ""
    return f"Spark's JVM {what}{why}; {hint}what was committed stays, and the same command goes on from there."


def _may_be_cut_off(error: BaseException) -> bool:
    """Whether an error may come of a JVM that ends just now: py4j's own, and those of sockets."""
    if isinstance(error, OSError):
        return error.errno is None or isinstance(error, ConnectionError)
    return isinstance(error, Py4JError | EOFError) and not isinstance(error, Py4JJavaError)
