"""How messages are put: counts with their nouns, and what others say on one line that nothing is cut from."""

import re

_BEHIND = re.compile(r"\s+at \S+\(|JVM stacktrace:|Driver stacktrace:|Caused by:|== SQL\b")
"""How lines begin with which Spark and the JVM put statements and stack traces behind what they say."""
_PLAN = re.compile(r"'?[A-Z]\w*\b")
"""How a plan begins; it stands behind a semicolon."""
_BRANCH = re.compile(r"\s*\x1b\[\d+m↳\x1b\[0m\s*")
"""How delta-kernel draws what led to an error: each cause under the one before, behind an arrow in colour."""


def counted(number: int, noun: str) -> str:
    """``1 request``, ``2 requests``, ``1,509 requests``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_one_line(text: str) -> str:
    """All that a message says: every line of it, but no plan, statement or stack trace that follows it."""
    lines_kept: list[str] = []
    for line in _BRANCH.sub(" -> ", text).strip().splitlines():
        if _BEHIND.match(line) or (lines_kept and lines_kept[-1].endswith(";") and _PLAN.match(line)):
            break
        lines_kept.append(line.rstrip())
    return " ".join(" ".join(lines_kept).split()).removesuffix(";")
