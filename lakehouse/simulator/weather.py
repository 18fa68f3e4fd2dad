"""The slow half of the simulated grid: what a day looks like in each distribution region.

Power is relative to the region's mean demand (1.0). Weather comes from hashed knots with smooth curves
between them, so that two neighbouring days meet without a step.
"""

import math
import struct
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

from lakehouse.simulator.calendar import SLOTS_PER_DAY


class Plant(NamedTuple):
    """What stands in one distribution region.

    ``weight`` is its share of GB demand in thousandths; the fuels are typical output (wind and solar: at
    full wind or sun) relative to the region's mean demand; ``coal`` is that of 2018; ``gas_floor`` runs
    whatever the wind does.
    """

    weight: int
    latitude: float
    longitude: float
    biomass: float
    coal: float
    imports: float
    nuclear: float
    hydro: float
    solar: float
    wind: float
    gas_floor: float


PLANTS: tuple[Plant, ...] = (
    Plant(30, 57.5, -4.5, 0.00, 0.00, 0.00, 0.00, 0.30, 0.03, 1.80, 0.00),
    Plant(55, 55.6, -3.8, 0.05, 0.00, 0.02, 0.45, 0.03, 0.03, 1.20, 0.01),
    Plant(80, 53.9, -2.7, 0.04, 0.02, 0.02, 0.50, 0.00, 0.06, 0.85, 0.04),
    Plant(45, 54.9, -1.7, 0.20, 0.00, 0.10, 0.50, 0.00, 0.05, 0.51, 0.01),
    Plant(80, 53.8, -1.3, 0.40, 0.10, 0.00, 0.00, 0.00, 0.08, 0.51, 0.10),
    Plant(60, 53.2, -3.2, 0.03, 0.15, 0.10, 0.05, 0.10, 0.06, 0.85, 0.10),
    Plant(40, 51.7, -3.5, 0.02, 0.25, 0.00, 0.00, 0.00, 0.20, 0.59, 0.35),
    Plant(95, 52.5, -2.1, 0.04, 0.05, 0.05, 0.12, 0.01, 0.20, 0.51, 0.15),
    Plant(90, 52.9, -1.0, 0.08, 0.30, 0.02, 0.00, 0.00, 0.25, 0.51, 0.25),
    Plant(110, 52.3, 0.6, 0.04, 0.00, 0.12, 0.25, 0.00, 0.30, 1.19, 0.08),
    Plant(60, 50.8, -3.8, 0.01, 0.00, 0.08, 0.40, 0.00, 0.45, 0.34, 0.08),
    Plant(110, 51.2, -1.3, 0.03, 0.02, 0.18, 0.04, 0.00, 0.35, 0.34, 0.20),
    Plant(95, 51.5, -0.1, 0.01, 0.00, 0.50, 0.02, 0.00, 0.06, 0.17, 0.20),
    Plant(50, 51.1, 0.7, 0.00, 0.00, 0.50, 0.15, 0.00, 0.30, 0.68, 0.08),
)
"""The 14 distribution regions, in id order; chosen to resemble the API's long-run means."""


class RegionDay(NamedTuple):
    """One region's day; lists hold 48 half-hours, single numbers hold all day."""

    demand: list[float]
    wind: list[float]
    solar: list[float]
    biomass: float
    coal: float
    imports: float
    nuclear: float
    other: float
    hydro: float
    steady: float
    """Biomass, coal, nuclear, other and hydro together."""
    gas_floor: float


Day = tuple[list[RegionDay], float]
"""The 14 distribution regions, and what an imported tenth of a percent emits, gCO2/kWh."""

_MIN_IMPORTS_FACTOR, _MAX_IMPORTS_FACTOR = 0.02, 0.47
"""gCO2/kWh per tenth of a percent; on record 0.2-4.7 per percent, changing daily."""

_LAST_COAL_DAY = 19_996
"""2024-09-30, when the last coal station closed, in days since 1970."""
_FIRST_DAY = 17_661
"""2018-05-10, the first day of the regional API, in days since 1970."""

_YEARLY_GROWTH = 0.08
"""How much more wind and sun the country harvests each year, as a fraction of 2018's; ends in 2030."""
_GROWTH_YEARS = 12

_WIND_KNOTS_PER_DAY = 2
"""The wind turns about every 12 hours."""
_SLOTS_PER_KNOT = SLOTS_PER_DAY // _WIND_KNOTS_PER_DAY
# Smoothstep: a curve through the knots without corners.
_BLEND = tuple((part / _SLOTS_PER_KNOT) ** 2 * (3 - 2 * part / _SLOTS_PER_KNOT) for part in range(_SLOTS_PER_KNOT))

# A GB winter weekday in outline: a night valley, a morning rise, an evening peak at 17:30.
_DAILY_DEMAND = tuple(
    1 - 0.20 * math.cos((half - 8) * math.tau / 48) + 0.10 * math.exp(-(((half - 35) / 4) ** 2))
    for half in range(SLOTS_PER_DAY)
)
_GB = 0
"""Stands for the whole country where a region's number (1-14) is expected."""


@lru_cache(maxsize=1024)
def _chances(seed: int, region: int, day: int) -> tuple[float, ...]:
    """Give 12 independent numbers in 0..1 of a region's day."""
    digest = blake2b(struct.pack("<qqq", seed, region, day), digest_size=24, person=b"weather").digest()
    return tuple(number / 65535 for number in struct.unpack("<12H", digest))


def _wind_curve(seed: int, region: int, day: int) -> list[float]:
    """Give 48 values in 0..1 that go on smoothly into the next day's."""
    knots = (*_chances(seed, region, day)[:_WIND_KNOTS_PER_DAY], _chances(seed, region, day + 1)[0])
    return [start + (end - start) * blend for start, end in pairwise(knots) for blend in _BLEND]


def _sunlight(plant: Plant, day: int) -> list[float]:
    """Give the sine of the sun's elevation in the middle of each half-hour; 0 while the sun is down."""
    declination = math.radians(-23.44) * math.cos(math.tau * ((day % 365.2425) + 10) / 365.2425)
    latitude = math.radians(plant.latitude)
    level = math.sin(latitude) * math.sin(declination)
    swing = math.cos(latitude) * math.cos(declination)
    noon = 24 - SLOTS_PER_DAY * plant.longitude / 360
    heights = [level + swing * math.cos((half + 0.5 - noon) * math.tau / 48) for half in range(SLOTS_PER_DAY)]
    return [height if height > 0 else 0.0 for height in heights]


def _region_day(seed: int, number: int, plant: Plant, day: int, front: list[float]) -> RegionDay:
    """Work out one region's day; ``front`` is the country's wind, which each region shares in part."""
    *_, cloud, inflow, outage, burn, flow, other, coal_call, _spare = _chances(seed, number, day)
    winter = math.cos(math.tau * ((day % 365.2425) - 15) / 365.2425)
    growth = 1 + _YEARLY_GROWTH * min(max((day - _FIRST_DAY) / 365.2425, 0), _GROWTH_YEARS)
    windiness = plant.wind * growth * (0.85 + 0.15 * winter)
    coal_left = max(0.0, (_LAST_COAL_DAY + 1 - day) / (_LAST_COAL_DAY + 1 - _FIRST_DAY))
    sunshine = plant.solar * growth * (0.25 + 0.75 * cloud)
    biomass = plant.biomass * (0.5 + 0.5 * burn)
    coal = plant.coal * coal_left * coal_call * (0.6 + 0.4 * winter)
    imports = plant.imports * (0.3 + 0.7 * flow)
    nuclear = plant.nuclear * (0.7 + 0.3 * outage)
    hydro = plant.hydro * (0.3 + 0.7 * inflow) * (0.75 + 0.25 * winter)
    rest = 0.004 * other
    level = 1 + 0.15 * winter
    demand = [level * part for part in _DAILY_DEMAND]
    gusts = zip(front, _wind_curve(seed, number, day), strict=True)
    wind = [windiness * (0.65 * common + 0.35 * own) ** 1.3 for common, own in gusts]
    solar = [sunshine * light for light in _sunlight(plant, day)]
    steady = biomass + coal + nuclear + rest + hydro
    return RegionDay(demand, wind, solar, biomass, coal, imports, nuclear, rest, hydro, steady, plant.gas_floor)


def day_of(seed: int, day: int) -> Day:
    """Give a day, counted from 1970-01-01, of the grid with this seed."""
    front = _wind_curve(seed, _GB, day)
    regions = [_region_day(seed, number, plant, day, front) for number, plant in enumerate(PLANTS, start=1)]
    return regions, _MIN_IMPORTS_FACTOR + (_MAX_IMPORTS_FACTOR - _MIN_IMPORTS_FACTOR) * _chances(seed, _GB, day)[-1]
