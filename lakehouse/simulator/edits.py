"""Faults of content: a good answer's body in, a wrong one's out."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, assert_never

from lakehouse.simulator.kinds import (
    Edit,
    ForecastValue,
    FuelExtra,
    FuelMissing,
    HalfHourTwice,
    IndexValue,
    KeysReordered,
    OutsideWindow,
    PercValue,
    RegionExtra,
    RegionMissing,
    RegionsValue,
)

_Object = dict[str, Any]  # one JSON object of our own rendering, whose shape the routes fix


def edited(body: bytes, fault: Edit) -> bytes | None:
    """Give the body with the fault in it; None if the answer has nothing that the fault could change."""
    document: _Object = json.loads(body or b"{}")
    periods = _periods(document)
    if not periods:
        return None
    found = _edit(periods, fault)
    return json.dumps(document, separators=(",", ":")).encode() if found else None


def _periods(document: _Object) -> list[_Object]:
    """Find the list of periods, which a single region's answers hold one level deeper."""
    data = document.get("data", [])
    if isinstance(data, list) and data and "data" in data[0]:
        data = data[0]
    periods: list[_Object] = data["data"] if isinstance(data, dict) else data
    return periods


def _edit(periods: list[_Object], fault: Edit) -> bool:
    """Change the periods in place; False if nothing fits."""
    match fault:
        case ForecastValue() | IndexValue() | PercValue():
            return _edit_reading(periods[0], fault)
        case RegionsValue() | RegionMissing() | RegionExtra():
            return _edit_regions(periods, fault)
        case FuelMissing(fuel):
            return _drop_fuel(periods, fuel)
        case FuelExtra(fuel, perc):
            for reading in _readings(periods):
                reading["generationmix"].append({"fuel": fuel, "perc": perc})
        case HalfHourTwice(add):
            again = _copy(periods[0])
            for reading in _readings([again]):
                reading["intensity"]["forecast"] += add
            periods.insert(1, again)
        case OutsideWindow(hours):
            before, after = _copy(periods[0]), _copy(periods[-1])
            _move(before, -hours)
            _move(after, hours)
            periods[:] = [before, *periods, after]
        case KeysReordered():
            _reorder_keys(periods)
        case _:
            assert_never(fault)
    return True


def _edit_reading(period: _Object, fault: ForecastValue | IndexValue | PercValue) -> bool:
    for reading in _readings([period]):
        if fault.regionid not in (None, reading.get("regionid")):
            continue
        match fault:
            case ForecastValue():
                reading["intensity"]["forecast"] = fault.value
                return True
            case IndexValue():
                reading["intensity"]["index"] = fault.value
                return True
            case PercValue():
                for entry in reading["generationmix"]:
                    if entry["fuel"] == fault.fuel:
                        entry["perc"] = fault.value
                        return True
    return False


def _edit_regions(periods: list[_Object], fault: RegionsValue | RegionMissing | RegionExtra) -> bool:
    if "regions" not in periods[0]:
        return False
    if isinstance(fault, RegionsValue):
        periods[0]["regions"] = fault.value
        return True
    changed = False
    for period in periods:
        regions: list[_Object] = period["regions"]
        count = len(regions)
        if isinstance(fault, RegionMissing):
            regions[:] = [region for region in regions if region["regionid"] != fault.regionid]
        else:
            names = {"regionid": fault.regionid, "dnoregion": "Nowhere", "shortname": "Nowhere"}
            regions.append(_copy(regions[-1]) | names)
        changed = changed or len(regions) != count
    return changed


def _drop_fuel(periods: list[_Object], fuel: str) -> bool:
    changed = False
    for reading in _readings(periods):
        mix = reading["generationmix"]
        kept = [entry for entry in mix if entry["fuel"] != fuel]
        changed = changed or len(kept) != len(mix)
        reading["generationmix"] = kept
    return changed


def _reorder_keys(periods: list[_Object]) -> None:
    for number, reading in enumerate(_readings(periods)):
        mix = reading["generationmix"]
        mix[1::2] = [dict(reversed(entry.items())) for entry in mix[1::2]]
        if number % 2:
            turned = dict(reversed(reading.items()))
            reading.clear()
            reading.update(turned)


def _readings(periods: list[_Object]) -> Iterator[_Object]:
    """Give every object that has an intensity and a mix: a region, or a single region's period."""
    for period in periods:
        yield from period.get("regions", [period])


def _copy(part: _Object) -> _Object:
    copied: _Object = json.loads(json.dumps(part))
    return copied


def _move(period: _Object, hours: int) -> None:
    for key in ("from", "to"):
        moved = datetime.fromisoformat(period[key]) + timedelta(hours=hours)
        period[key] = moved.strftime("%Y-%m-%dT%H:%MZ")
