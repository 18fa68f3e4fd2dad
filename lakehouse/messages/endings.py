"""What ended a command, as one sentence: the one place that tells a lack of room, files or memory by its error.

Python, Delta, DuckDB and the JVM each raise their own errors for the same few causes, so these are told by what they
say; each sentence says what to do, and after each of them the same command goes on from what was committed.
"""

import re
import sys
from collections.abc import Iterator

from lakehouse.errors import ExitCode, LakehouseError
from lakehouse.messages.wording import in_one_line

LACKS = (
    (
        r"NoSuchBucket|UnknownStoreException",
        "The bucket that the root names is not there; make it, or correct LAKEHOUSE_ROOT",
    ),
    (
        r"ExpiredToken|token (included in the request|provided) (is|has) expired",
        "The credentials for the object store have expired; renew them and run the same command again",
    ),
    (
        r"Unable to locate credentials|Unable to load credentials|NoAuthWithAWSException|CredentialsNotLoaded",
        "There are no credentials for the object store where AWS' chain looks (AWS_ACCESS_KEY_ID, a profile, a role)",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch",
        "The object store does not take the credentials that AWS' usual chain gives; correct them",
    ),
    (
        r"AccessDenied",
        "The object store does not allow this with the credentials that AWS' usual chain gives; ask for the right, or "
        "take others",
    ),
    (
        r"SlowDown|reduce your request rate",
        "The object store is asked too much (503); run the same command again later",
    ),
    (
        r"RequestTimeTooSkewed",
        "The clock of this machine is off, so the object store takes no request; set it and run the same command again",
    ),
    (
        r'Could not connect to the endpoint URL(: "[^"]*")?|SSL validation failed|error sending request'
        r"|SdkClientException: Unable to execute HTTP request",
        "The object store cannot be reached; are LAKEHOUSE_S3__ENDPOINT and, for certificates of your own, "
        "LAKEHOUSE_S3__CA_FILE right, and is the store up",
    ),
    (
        r"S3AFileSystem not found|NoClassDefFoundError: software/amazon",
        "Spark lacks the jars for an object store; give spark-submit `--jars` with the line that "
        "`python -m lakehouse.spark.jars s3` prints last",
    ),
    (
        r"No space left on device|os error 28\b|Disk quota exceeded|Errno 28\b|disk is full",
        "The disk is full; make room (`df -h` shows where, /tmp and TMPDIR too) and run the same command again",
    ),
    (
        r"Too many open files|os error 24\b|Errno 24\b",
        "Too few files may be open at once; allow more (`ulimit -n 4096`) and run the same command again",
    ),
    (
        r"Java heap space|GC overhead limit exceeded|OutOfMemoryError: (Metaspace|Direct)|INVALID_DRIVER_MEMORY",
        "Spark's JVM has too little memory; raise spark.driver.memory, in spark-defaults.conf or where your own Spark "
        "configuration sets it, and run the same command again",
    ),
    (
        r"MemoryError|Cannot allocate memory|unable to create (new )?native thread|can't start new thread"
        r"|Resource temporarily unavailable|os error 1[12]\b|malloc of size|Out of Memory Error",
        "The machine has too little memory or too few processes left (`free -m`, `ulimit -v`, `ulimit -u`); "
        "give it more and run the same command again",
    ),
)


def known(error: BaseException) -> str | None:
    """The sentence for an error whose cause is known and no mistake in the code; None for any other."""
    loaded = sys.modules.get("lakehouse.spark.failures")
    for each in _chain(error):
        if loaded is not None and (cause := loaded.known(each)):
            return str(cause)
        text = f"{type(each).__name__}: {_text(each)}"
        for pattern, sentence in LACKS:
            if re.search(pattern, text):
                return f"{sentence} ({_shortened(_text(each), pattern) or type(each).__name__})."
    return None


def sentence(error: BaseException) -> str:
    """What an error says: its known cause, else its own text or, of one without a text, its class."""
    if is_interruption(error):
        return "interrupted"
    if isinstance(error, LakehouseError):
        return advised(str(error))
    return known(error) or _text(error) or type(error).__name__


def is_interruption(error: BaseException) -> bool:
    """Whether Ctrl-C ended the work: it did, too, where the tidying up after it failed for want of an answer."""
    return isinstance(error, KeyboardInterrupt) or any(
        is_interruption(earlier) for earlier in (error.__cause__, error.__context__) if earlier is not None
    )


INTERRUPTED = 130
"""The exit code of a command that was told to end, as a shell gives it after Ctrl-C."""


def exit_code(error: BaseException) -> int:
    """The exit code of a command that an error ends."""
    if is_interruption(error):
        return INTERRUPTED
    if isinstance(error, LakehouseError):
        return error.exit_code
    stopped = stopped_by_us(error)
    return int(stopped.exit_code if stopped else ExitCode.FAILED)


def stopped_by_us(error: BaseException) -> LakehouseError | None:
    """The gate that a query of ours raised while Spark worked; None: it was something else."""
    loaded = sys.modules.get("lakehouse.spark.failures")
    stopped: LakehouseError | None = loaded.stopped_by_us(error) if loaded else None
    return stopped


def advised(text: str) -> str:
    """What an error of ours says, and what to do where it is one of the same lacks and that is not said yet."""
    for pattern, sentence in LACKS:
        if re.search(pattern, text) and sentence not in text:
            return f"{text.rstrip('.')}. {sentence}."
    return text


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__


def _text(error: BaseException) -> str:
    """What an error says, on one line; of one that came from the JVM, what its innermost cause says."""
    loaded = sys.modules.get("lakehouse.spark.failures")
    return str(loaded.reason(error)) if loaded else in_one_line(str(error))


def _shortened(text: str, pattern: str) -> str:
    """The part of a long line that names the cause."""
    within = r"(?:(?![:;]\s).)"  # one sentence
    found = re.search(rf"(?<!\S){within}{{0,160}}({pattern}){within}{{0,160}}(?!\w)", text)
    return (found[0] if found else text[:200]).strip()
