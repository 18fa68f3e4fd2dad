"""Text of others (headers, file names, messages) made fit for a table and for a terminal. Pure."""

import logging
import re
import unicodedata

_LOGIN = re.compile(r"(?<![^\s/'\"(=<])(?!USER:PASSWORD@)[^\s/:@'\"(=<]*:(?!//)\S+@")
"""``user:password@``, whether or not a scheme stands before it; not the form that our own advice shows."""


def decoded(text: str) -> str:
    """What a header or a status line says: its bytes as UTF-8, or else as Latin-1, which knows every byte.

    aiohttp hands bytes that are not UTF-8 on as lone surrogates, which no table and no terminal takes.
    """
    if is_storable(text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def is_storable(text: str) -> bool:
    """Whether a text can be written as UTF-8: it holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> str:
    """The text with its lone surrogates, if any, spelt out as ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode()


def visible(text: str) -> str:
    """One line for a person: what a terminal would obey or not show is spelt out, as ``\\x1b`` or ``\\u202e``.

    These are controls (line breaks too), marks of direction and of width zero, lone surrogates, and what Unicode
    has not assigned.
    """
    return "".join(map(_visible, text)) if is_unseen(text) else text


def is_unseen(text: str) -> bool:
    """Whether a text holds anything that :func:`visible` spells out."""
    return not text.isprintable() and any(map(_is_unseen, text))


def _is_unseen(character: str) -> bool:
    return not character.isprintable() and unicodedata.category(character) != "Zs"  # other spaces than U+0020


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode() if _is_unseen(character) else character


def brief(text: str, longest: int = 200) -> str:
    """The first line, without more than ``longest`` characters of it."""
    line = (text.strip().splitlines() or [""])[0]
    return line if len(line) <= longest else f"{line[:longest]}…"


def without_logins(text: str) -> str:
    """The text with every ``user:password@`` of an address replaced by ``***@``."""
    return _LOGIN.sub("***@", text)


class VisibleFormatter(logging.Formatter):
    """Log messages as :func:`visible` shows them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        """The message; a stack trace after it keeps its lines."""
        return visible(super().formatMessage(record))
