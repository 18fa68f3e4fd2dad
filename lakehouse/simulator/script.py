"""The script of faults: which requests go wrong, how often, and in what way.

A script is a list of rules, in JSON (a list, or ``{"rules": [...]}``) or TOML (``[[rules]]``). A rule has
``match`` (which requests; absent: all), ``times`` (how many of them; absent: 1; null or TOML ``"forever"``:
all of them), ``fault`` (a name from :data:`KINDS`) and the fault's own settings, which are the fields of its
class::

    {"match": {"nth": 3, "path_contains": "fw48h"}, "times": 2,
     "fault": "status", "status": 429, "retry_after_s": 7}
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast, get_type_hints

from lakehouse.errors import UsageError
from lakehouse.simulator.calendar import parse_datetime
from lakehouse.simulator.kinds import KINDS, Fault

_FOREVER = "forever"
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a rule is for: those that meet every condition given here.

    Among the requests that meet ``path_contains`` and ``window_start``, ``nth`` (from 1) skips those before
    it, and ``every`` keeps one in so many (the nth, the nth + every, ...).
    """

    nth: int = 1
    every: int = 1
    path_contains: str | None = None
    window_start: str | None = None
    """``YYYY-MM-DDThh:mmZ``; for ``pt24h`` this is 24 h before the datetime in the path."""

    def __post_init__(self) -> None:
        if self.nth < 1 or self.every < 1:
            raise UsageError("In a fault's match, 'nth' and 'every' count from 1.")
        if self.window_start is not None and parse_datetime(self.window_start) is None:
            raise UsageError(
                f"In a fault's match, 'window_start' is a datetime like 2024-01-02T00:30Z, not {self.window_start!r}."
            )

    def is_about(self, path: str, window_start: datetime | None) -> bool:
        """Tell whether a request meets the conditions that do not count requests."""
        if self.path_contains is not None and self.path_contains not in path:
            return False
        return self.window_start is None or parse_datetime(self.window_start) == window_start


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault, the requests it is for, and how many of them it spoils (None: all)."""

    fault: Fault
    match: Match = field(default_factory=Match)
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise UsageError("A fault's 'times' is at least 1, or null for ever.")


class RunningScript:
    """A script while a server follows it: it remembers what each rule has seen and spoiled."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._entries = [DueFault(rule) for rule in rules]

    def add(self, *rules: Rule) -> None:
        """Put rules behind those that are here."""
        self._entries += [DueFault(rule) for rule in rules]

    def clear(self) -> None:
        """Forget all rules: from now on every answer is good."""
        self._entries.clear()

    def due(self, path: str, window_start: datetime | None) -> "DueFault | None":
        """Count a request with every rule, and give the first rule's fault that is due for it, if any."""
        found = None
        for entry in self._entries:
            if entry.count(path, window_start) and found is None:
                found = entry
        if found is not None:
            found.take()
        return found


class DueFault:
    """A rule with the requests it has seen and the answers it has spoiled."""

    def __init__(self, rule: Rule) -> None:
        self.fault = rule.fault
        self._rule = rule
        self._seen = 0
        self._spoiled = 0

    def count(self, path: str, window_start: datetime | None) -> bool:
        """Count a request; True if it is this rule's turn."""
        match = self._rule.match
        if not match.is_about(path, window_start):
            return False
        self._seen += 1
        late = self._seen - match.nth
        used_up = self._rule.times is not None and self._spoiled >= self._rule.times
        return late >= 0 and late % match.every == 0 and not used_up

    def take(self) -> None:
        """Count an answer as spoiled, before it is sent: the next request may come meanwhile."""
        self._spoiled += 1

    def give_back(self) -> None:
        """Undo :meth:`take`: the answer had nothing that the fault could change."""
        self._spoiled -= 1


def load_script(path: Path) -> tuple[Rule, ...]:
    """Read a script from a ``.toml`` or JSON file; raise :class:`UsageError` that names what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        document: object = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise UsageError(f"The fault script {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"The fault script {path} is not valid: {error}.") from error
    try:
        return parse_script(document)
    except UsageError as error:
        raise UsageError(f"The fault script {path} is not valid: {error}") from error


def parse_script(document: object) -> tuple[Rule, ...]:
    """Turn a script's decoded JSON or TOML into rules; raise :class:`UsageError` that names what is wrong."""
    if isinstance(document, dict):
        if set(document) != {"rules"}:
            raise UsageError("Around the list of rules there is only the key 'rules'.")
        document = document["rules"]
    if not isinstance(document, list):
        raise UsageError("A script is a list of rules.")
    return tuple(_rule(number, entry) for number, entry in enumerate(document, start=1))


def _rule(number: int, entry: object) -> Rule:
    if not isinstance(entry, dict):
        raise UsageError(f"Rule {number} is not a table of keys and values.")
    settings = dict(entry)
    match, times, name = settings.pop("match", {}), settings.pop("times", 1), settings.pop("fault", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UsageError(f"Rule {number}: no fault is called {name!r}; there are {', '.join(sorted(KINDS))}.")
    if not isinstance(match, dict):
        raise UsageError(f"Rule {number}: 'match' is not a table of keys and values.")
    times = None if times == _FOREVER else times
    if times is not None and (not isinstance(times, int) or isinstance(times, bool)):
        raise UsageError(f"Rule {number}: 'times' is a whole number, or null for ever, not {times!r}.")
    try:
        return Rule(_made(f"fault {name!r}", kind, settings), _made("'match'", Match, match), times)
    except UsageError as error:
        raise UsageError(f"Rule {number}: {error}") from error


def _made(what: str, kind: type[_Made], settings: Mapping[str, object]) -> _Made:
    """Make a dataclass from a script's keys, whose names and types are checked against its fields."""
    hints = get_type_hints(kind)
    for name, value in settings.items():
        if name not in hints:
            raise UsageError(f"{what} has no key {name!r}; it knows {', '.join(hints) or 'none'}.")
        if not _fits(value, hints[name]):
            raise UsageError(f"{what}: {name!r} cannot be {value!r}.")
    try:
        return cast("Callable[..., _Made]", kind)(**settings)
    except TypeError as error:
        needed = [name for name in hints if name not in settings]
        raise UsageError(f"{what} needs more keys, out of {', '.join(needed)}.") from error


def _fits(value: object, hint: object) -> bool:
    if hint == Mapping[str, str]:
        return isinstance(value, dict) and all(isinstance(part, str) for part in value.values())
    if isinstance(value, bool):
        return hint in (bool, object)
    return isinstance(value, hint)  # type: ignore[arg-type]  # a hint of a field is a class or a union of them
