"""The blocks of code in README and tutorial."""

import re
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/tutorial.md")
RUN_BY_CI = "make run"
"""The block that holds this is what .ci/run and the test of the demo do."""


def blocks(name: str, replaced: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Language and text of each block of code that a reader would run."""
    text = (PROJECT / name).read_text()
    for before, after in (replaced or {}).items():
        assert before in text, f"{name} no longer says {before}"
        text = text.replace(before, after)
    found = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(language, body) for language, body in found if RUN_BY_CI not in body]


def commands() -> list[str]:
    """What follows ``lakehouse`` wherever a block calls it."""
    texts = [text for name in DOCUMENTS for language, text in blocks(name) if language == "sh"]
    return [line for text in texts for line in re.findall(r"^lakehouse (.*)$", text, re.MULTILINE)]
