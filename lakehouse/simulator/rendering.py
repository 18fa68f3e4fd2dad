"""Readings as the API's JSON text: compact, keys in its order, whole percentages without a decimal point.

Text comes from templates filled in one step: three years of answers are 370 MB of it, and a general JSON
encoder would take most of the simulator's time.
"""

import json
from collections.abc import Sequence

from lakehouse.simulator.calendar import FIRST_RENAMED_SLOT, slot_text
from lakehouse.simulator.regions import OLD_SHORTNAME, REGIONS, RENAMED_REGIONID
from lakehouse.simulator.values import FUELS, MAX_FORECAST, Reading

_FIRST_YEAR, _LAST_YEAR = 2018, 2030


def _bands(year: int) -> tuple[int, int, int, int]:
    """Give a year's last forecast (gCO2/kWh) of very low, low and moderate, and the first of very high."""
    if year < 2020:
        fallen = 20 * (year - 2018)
        return 79 - fallen, 179 - fallen, 279 - fallen, 380 - fallen
    years = year - 2020
    return 54 - 5 * years, 149 - 10 * years, 229 - 10 * years, 350 - 20 * years


def label(forecast: int, year: int) -> str:
    """Give the index label of a forecast (gCO2/kWh) by a year's bands; 2018 and 2030 hold before and after.

    A value equal to the top of "high" is already "very high".
    """
    return _LABELS[min(max(year, _FIRST_YEAR), _LAST_YEAR)][forecast]


def _labels(year: int) -> tuple[str, ...]:
    """Give the labels of all forecasts from 0 on."""
    very_low, low, moderate, high = _bands(year)
    return tuple(
        "very low" if forecast <= very_low
        else "low" if forecast <= low
        else "moderate" if forecast <= moderate
        else "high" if forecast < high
        else "very high"
        for forecast in range(MAX_FORECAST + 1)
    )  # fmt: skip


_LABELS = {year: _labels(year) for year in range(_FIRST_YEAR, _LAST_YEAR + 1)}
_PERCENTAGES = tuple(str(tenths // 10) if tenths % 10 == 0 else f"{tenths / 10:.1f}" for tenths in range(1003))

# Each reading fills eleven places: forecast, label and nine percentages.
_READING = (
    '"intensity":{"forecast":%d,"index":"%s"},"generationmix":['
    + ",".join(f'{{"fuel":"{fuel}","perc":%s}}' for fuel in FUELS)
    + "]"
)


def shortname(regionid: int, slot: int) -> str:
    """Give a region's short name as a half-hour carries it."""
    if regionid == RENAMED_REGIONID and slot < FIRST_RENAMED_SLOT:
        return OLD_SHORTNAME
    return REGIONS[regionid - 1].shortname


def _names(regionid: int, slot: int) -> str:
    """Write a region's three identifying keys."""
    names = f'"regionid":{regionid},"dnoregion":{json.dumps(REGIONS[regionid - 1].dnoregion)}'
    return f'{names},"shortname":{json.dumps(shortname(regionid, slot))}'


def _period_template(slot: int) -> str:
    regions = ",".join(f"{{{_names(region.regionid, slot)},{_READING}}}" for region in REGIONS)
    return f'{{"from":"%s","to":"%s","regions":[{regions}]}}'


_OLD_PERIOD = _period_template(FIRST_RENAMED_SLOT - 1)
_PERIOD = _period_template(FIRST_RENAMED_SLOT)
_REGION_PERIOD = f'{{"from":"%s","to":"%s",{_READING}}}'


def period_json(slot: int, readings: Sequence[Reading], label_year: int) -> str:
    """Write one half-hour of all 18 regions, labelled by the bands of ``label_year``."""
    labels = _LABELS[min(max(label_year, _FIRST_YEAR), _LAST_YEAR)]
    values: list[str | int] = [slot_text(slot), slot_text(slot + 1)]
    for forecast, tenths in readings:
        values.append(forecast)
        values.append(labels[forecast])
        values += [_PERCENTAGES[share] for share in tenths]
    return (_OLD_PERIOD if slot < FIRST_RENAMED_SLOT else _PERIOD) % tuple(values)


def region_period_json(slot: int, reading: Reading, label_year: int) -> str:
    """Write one half-hour of one region, as the routes for a single region do."""
    percentages = [_PERCENTAGES[share] for share in reading.tenths]
    return _REGION_PERIOD % (
        slot_text(slot),
        slot_text(slot + 1),
        reading.forecast,
        label(reading.forecast, label_year),
        *percentages,
    )


def region_head_json(regionid: int, slot: int, *, postcode: str | None, with_dnoregion: bool) -> str:
    """Write the keys before ``data`` of an answer for one region, without braces."""
    names = _names(regionid, slot)
    if not with_dnoregion:
        names = f'"regionid":{regionid},"shortname":{json.dumps(shortname(regionid, slot))}'
    return names if postcode is None else f'{names},"postcode":{json.dumps(postcode)}'


def error_json(status: int, message: str) -> str:
    """Write an error body of the API, which knows the statuses 400 and 500."""
    code = "400 Bad Request" if status == 400 else "500 Internal Server Error"
    return json.dumps({"error": {"code": code, "message": message}}, separators=(",", ":"))
