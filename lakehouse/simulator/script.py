"""The script of faults: which requests go wrong, how often, and in what way.

A script is a list of rules, in JSON (a list, or ``{"rules": [...]}``) or TOML (``[[rules]]``). A rule has
``match`` (which requests; absent: all), ``times`` (how many of them; absent: 1; null or TOML ``"forever"``:
all of them), ``fault`` (a name from :data:`KINDS`) and the fault's own settings, which are the keywords of its
function::

    {"match": {"nth": 3, "path_contains": "fw48h"}, "times": 2,
     "fault": "status", "status": 429, "retry_after_s": 7}
"""

import inspect
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.dataclasses import dataclass

from lakehouse.errors import UsageError
from lakehouse.simulator.calendar import parse_datetime
from lakehouse.simulator.edits import EDITS
from lakehouse.simulator.faults import WIRE

KINDS: Mapping[str, Callable[..., Any]] = WIRE | EDITS
"""Every fault by the name that a script gives it."""

_FOREVER = "forever"
_Made = TypeVar("_Made")
_STRICT = ConfigDict(extra="forbid", strict=True)


def _datetime_text(text: str) -> str:
    if parse_datetime(text) is None:
        raise ValueError("it should be a datetime like 2024-01-02T00:30Z")
    return text


@dataclass(frozen=True, config=_STRICT)
class Fault:
    """A fault's name and its settings; :func:`fault` makes it and checks both."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, config=_STRICT)
class Match:
    """Which requests a rule is for: those that meet every condition given here.

    Among the requests that meet ``path_contains`` and ``window_start``, ``nth`` (from 1) skips those before
    it, and ``every`` keeps one in so many (the nth, the nth + every, ...).
    """

    nth: Annotated[int, Field(ge=1)] = 1
    every: Annotated[int, Field(ge=1)] = 1
    path_contains: str | None = None
    window_start: Annotated[str, AfterValidator(_datetime_text)] | None = None
    """``YYYY-MM-DDThh:mmZ``; for ``pt24h`` this is 24 h before the datetime in the path."""

    def is_about(self, path: str, window_start: datetime | None) -> bool:
        """Tell whether a request meets the conditions that do not count requests."""
        if self.path_contains is not None and self.path_contains not in path:
            return False
        return self.window_start is None or parse_datetime(self.window_start) == window_start


@dataclass(frozen=True, config=_STRICT)
class Rule:
    """One fault, the requests it is for, and how many of them it spoils (None: all)."""

    fault: Fault
    match: Match = Match()
    times: Annotated[int, Field(ge=1)] | None = 1


def fault(name: str, /, **settings: Any) -> Fault:
    """Order a fault; raise :class:`UsageError` that names what is wrong with it."""
    if name not in KINDS:
        raise UsageError(f"no fault is called {name!r}; there are {', '.join(sorted(KINDS))}.")
    _checked(f"the fault {name!r}", _settings_of(name), settings)
    return Fault(name, settings)


@cache
def _settings_of(name: str) -> type[BaseModel]:
    """Give the model of a fault's settings, which are the keywords of its function."""
    keywords = list(inspect.signature(KINDS[name]).parameters.values())[1:]
    fields: dict[str, Any] = {
        one.name: (one.annotation, ... if one.default is inspect.Parameter.empty else one.default) for one in keywords
    }
    return create_model(name, __config__=_STRICT, **fields)


def _checked(what: str, kind: Callable[..., _Made], settings: Mapping[str, Any]) -> _Made:
    """Make something of settings from a script; say in one sentence what is wrong with them."""
    try:
        return kind(**settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        wanted = first["msg"].replace("Input", "it").removeprefix("Value error, ")
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"
        raise UsageError(f"in {what}, {first['loc'][0]!r} is wrong: {wanted}{given}.") from error


class DueFault:
    """A rule with the requests it has seen and the answers it has spoiled."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.seen = self.spoiled = 0

    def count(self, path: str, window_start: datetime | None) -> bool:
        """Count a request; True if it is this rule's turn."""
        match = self.rule.match
        if not match.is_about(path, window_start):
            return False
        self.seen += 1
        late = self.seen - match.nth
        used_up = self.rule.times is not None and self.spoiled >= self.rule.times
        return late >= 0 and late % match.every == 0 and not used_up


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

    def due(self, path: str, window_start: datetime | None) -> DueFault | None:
        """Count a request with every rule, and give the first one that is due for it, if any.

        It counts as spoiled before it is sent, since the next request may come meanwhile.
        """
        turns = [entry for entry in self._entries if entry.count(path, window_start)]
        if not turns:
            return None
        turns[0].spoiled += 1
        return turns[0]


def load_script(path: Path) -> tuple[Rule, ...]:
    """Read a script from a ``.toml`` or JSON file; raise :class:`UsageError` that names what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        return parse_script(tomllib.loads(text) if path.suffix == ".toml" else json.loads(text))
    except OSError as error:
        raise UsageError(f"The fault script {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"The fault script {path} is not valid: {error}.") from error
    except UsageError as error:
        raise UsageError(f"The fault script {path} is not valid: {error}") from error


def parse_script(document: Any) -> tuple[Rule, ...]:
    """Turn a script's decoded JSON or TOML into rules; raise :class:`UsageError` that names what is wrong."""
    if isinstance(document, dict):
        if set(document) != {"rules"}:
            raise UsageError("Around the list of rules there is only the key 'rules'.")
        document = document["rules"]
    if not isinstance(document, list):
        raise UsageError("A script is a list of rules.")
    return tuple(_rule(number, entry) for number, entry in enumerate(document, start=1))


def _rule(number: int, entry: Any) -> Rule:
    if not isinstance(entry, dict) or not isinstance(entry.get("match", {}), dict):
        raise UsageError(f"Rule {number}, or its 'match', is not a table of keys and values.")
    settings = dict(entry)
    match, times, name = settings.pop("match", {}), settings.pop("times", 1), settings.pop("fault", None)
    try:
        how_often = {"match": _checked("'match'", Match, match), "times": None if times == _FOREVER else times}
        return _checked("it", Rule, {"fault": fault(str(name), **settings), **how_often})
    except UsageError as error:
        raise UsageError(f"Rule {number}: {error}") from error
