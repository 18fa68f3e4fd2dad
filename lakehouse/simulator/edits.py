"""Faults of content, one function each: its name and its keywords are what a script says, and it edits the periods.

Each edits the periods of a good answer in place and tells whether they had anything that it could change.
"""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

_Object = dict[str, Any]  # one JSON object of our own rendering, whose shape the routes fix
_EMPTY: _Object = {}

Editor = Callable[..., bool]
EDITS: dict[str, Editor] = {}
"""The faults of this module by name."""


def edited(body: bytes, name: str, **settings: Any) -> bytes | None:
    """Give the body with the fault in it; None if the answer has nothing that the fault could change."""
    document: _Object = json.loads(body or b"{}")
    data = document.get("data", [])
    if isinstance(data, list) and data and "data" in data[0]:
        data = data[0]
    # A single region's answers hold their periods one level deeper.
    periods: list[_Object] = data["data"] if isinstance(data, dict) else data
    if not periods or not EDITS[name](periods, **settings):
        return None
    return json.dumps(document, separators=(",", ":")).encode()


def _fault(editor: Editor) -> Editor:
    EDITS[editor.__name__] = editor
    return editor


def _readings(periods: list[_Object], regionid: int | None = None) -> Iterator[_Object]:
    """Give what has an intensity and a mix: regions (or the one of that id), or a single region's periods."""
    for period in periods:
        for reading in period.get("regions", [period]):
            if regionid in (None, reading.get("regionid")):
                yield reading


@_fault
def forecast_value(periods: list[_Object], *, value: Any = "abc", regionid: int | None = None) -> bool:
    """Make a forecast ``value`` (any JSON), in the first period and the first or the given region."""
    reading = next(_readings(periods[:1], regionid), None)
    if reading is not None:
        reading["intensity"]["forecast"] = value
    return reading is not None


@_fault
def index_value(periods: list[_Object], *, value: Any = "extreme", regionid: int | None = None) -> bool:
    """Make an index label ``value`` (any JSON), in the first period and the first or the given region."""
    reading = next(_readings(periods[:1], regionid), None)
    if reading is not None:
        reading["intensity"]["index"] = value
    return reading is not None


@_fault
def perc_value(periods: list[_Object], *, value: Any = _EMPTY, fuel: str = "gas", regionid: int | None = None) -> bool:
    """Make a fuel's perc ``value`` (any JSON), as :func:`forecast_value` does."""
    readings = _readings(periods[:1], regionid)
    entry = next((entry for one in readings for entry in one["generationmix"] if entry["fuel"] == fuel), None)
    if entry is not None:
        entry["perc"] = value
    return entry is not None


@_fault
def regions_value(periods: list[_Object], *, value: Any = _EMPTY) -> bool:
    """Make the first period's ``regions`` ``value`` (any JSON), where a list is due."""
    found = "regions" in periods[0]
    if found:
        periods[0]["regions"] = value
    return found


@_fault
def region_missing(periods: list[_Object], *, regionid: int = 13) -> bool:
    """Leave a region out of each period: 17 in each."""
    found = False
    for period in periods:
        regions = period.get("regions", [])
        kept = [region for region in regions if region["regionid"] != regionid]
        found = found or len(kept) != len(regions)
        regions[:] = kept
    return found


@_fault
def region_extra(periods: list[_Object], *, regionid: int = 19) -> bool:
    """Put a region that does not exist last into each period: 19 in each."""
    names = {"regionid": regionid, "dnoregion": "Nowhere", "shortname": "Nowhere"}
    for period in periods:
        if "regions" in period:
            period["regions"].append(deepcopy(period["regions"][-1]) | names)
    return "regions" in periods[0]


@_fault
def fuel_missing(periods: list[_Object], *, fuel: str = "wind") -> bool:
    """Leave a fuel out of each mix: 8 in each."""
    found = False
    for reading in _readings(periods):
        kept = [entry for entry in reading["generationmix"] if entry["fuel"] != fuel]
        found = found or len(kept) != len(reading["generationmix"])
        reading["generationmix"] = kept
    return found


@_fault
def fuel_extra(periods: list[_Object], *, fuel: str = "storage", perc: float = 0) -> bool:
    """Put a tenth fuel last into each mix."""
    for reading in _readings(periods):
        reading["generationmix"].append({"fuel": fuel, "perc": perc})
    return True


@_fault
def half_hour_twice(periods: list[_Object], *, add: int = 10) -> bool:
    """Give the first period twice, the second time with every forecast ``add`` gCO2/kWh higher."""
    periods.insert(1, deepcopy(periods[0]))
    for reading in _readings(periods[1:2]):
        reading["intensity"]["forecast"] += add
    return True


@_fault
def outside_window(periods: list[_Object], *, hours: int = 24) -> bool:
    """Give two periods more: the first one moved ``hours`` back and the last one moved ``hours`` on."""
    before, after = deepcopy(periods[0]), deepcopy(periods[-1])
    for period, shift in ((before, -hours), (after, hours)):
        for key in ("from", "to"):
            moved = datetime.fromisoformat(period[key]) + timedelta(hours=shift)
            period[key] = moved.strftime("%Y-%m-%dT%H:%MZ")
    periods[:] = [before, *periods, after]
    return True


@_fault
def keys_reordered(periods: list[_Object]) -> bool:
    """Turn the keys of every second region and mix entry round: equal JSON, other bytes."""
    for number, reading in enumerate(_readings(periods)):
        mix = reading["generationmix"]
        mix[1::2] = [dict(reversed(entry.items())) for entry in mix[1::2]]
        if number % 2:
            turned = dict(reversed(reading.items()))
            reading.clear()
            reading.update(turned)
    return True
