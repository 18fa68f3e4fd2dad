"""What the simulated grid does: a forecast and a generation mix for every region and half-hour.

Everything follows from (seed, region, half-hour, revision) alone, with no clock and no random state, so
any half-hour can be asked for first. Slow parts (weather, imports, plant) are worked out once a day per
region in :mod:`~lakehouse.simulator.weather`; a half-hour then costs a few dozen multiplications.
"""

import struct
from collections.abc import Container, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from operator import mul
from typing import NamedTuple

from lakehouse.simulator.calendar import FIRST_UNROUNDED_SLOT, SLOTS_PER_DAY
from lakehouse.simulator.weather import PLANTS, RegionDay, day_of

FUELS = ("biomass", "coal", "imports", "gas", "nuclear", "other", "hydro", "solar", "wind")
"""The fuels of every mix here, in the API's order."""

MAX_FORECAST = 780
"""Largest forecast on record, gCO2/kWh."""

FINAL_SNAPSHOT = 144
"""Half-hourly snapshots of a slot from 48 h before it (0) until 24 h after it (this); later ones are equal."""

# A region is revised in 3 of 10 half-hourly snapshots. Nations and GB move with any of their members, so
# that 38-42 % of all 18 regional values differ from one snapshot to the next (35-45 % on record).
_REVISIONS_PER_TEN_SNAPSHOTS = 3

# gCO2/kWh per tenth of a percent, fitted to settled rows; imports depend on the day.
_BIOMASS, _COAL, _GAS = 0.12, 0.937, 0.394

_MAX_ROUNDING_TENTHS = 2
"""Published shares add up to 99.8-100.2."""

# One revision moves demand, wind and imports by at most these fractions of themselves.
_DEMAND_JITTER, _WIND_JITTER, _IMPORTS_JITTER = 0.04, 0.10, 0.12

_BYTE_SCALE = 2 / 255


def _parts(members: Container[int]) -> tuple[float, ...]:
    """Give the 14 regions' parts in an aggregate: by demand, 0 for who is no member, together 1."""
    weights = [plant.weight if number in members else 0 for number, plant in enumerate(PLANTS, start=1)]
    return tuple(weight / sum(weights) for weight in weights)


# England, Scotland, Wales and GB by their members' regionid. Region 6 reaches into England; it counts as Wales.
_AGGREGATES = (
    _parts({3, 4, 5, 8, 9, 10, 11, 12, 13, 14}),
    _parts({1, 2}),
    _parts({6, 7}),
    _parts(range(1, 15)),
)


class Reading(NamedTuple):
    """One region's half-hour: forecast in gCO2/kWh and the shares of :data:`FUELS` in tenths of a percent."""

    forecast: int
    tenths: Sequence[int]


class Grid:
    """The simulated grid of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        # 32 days hold the two weeks of the longest window twice over.
        self._day = lru_cache(maxsize=32)(partial(day_of, seed))

    def readings(self, slot: int, snapshot: int) -> list[Reading]:
        """Give the 18 readings of a slot, in id order, as the snapshot 0..FINAL_SNAPSHOT shows them."""
        number, half = divmod(slot, SLOTS_PER_DAY)
        regions, imports = self._day(number)
        exact = slot < FIRST_UNROUNDED_SLOT
        moved = zip(regions, _jitters(self._seed, slot, snapshot), strict=True)
        mixes = [_rounded(_shares(region, half, *jitters), exact) for region, jitters in moved]
        mixes += _aggregates(mixes, exact)
        return [Reading(_forecast(mix, imports), mix) for mix in mixes]


def _forecast(mix: Sequence[int], imports: float) -> int:
    emitted = _BIOMASS * mix[0] + _COAL * mix[1] + imports * mix[2] + _GAS * mix[3]
    return min(MAX_FORECAST, int(emitted + 0.5))


def _jitters(seed: int, slot: int, snapshot: int) -> list[tuple[float, float, float]]:
    """Give per member region three fractions in -1..1 that change with the region's revision only."""
    phases = blake2b(struct.pack("<qq", seed, slot), digest_size=14, person=b"phase").digest()
    steps = _REVISIONS_PER_TEN_SNAPSHOTS * snapshot
    revisions = [(steps + phase % 10) // 10 for phase in phases]
    digests = {
        revision: blake2b(struct.pack("<qqq", seed, slot, revision), digest_size=42, person=b"revision").digest()
        for revision in set(revisions)
    }
    found = []
    for index, revision in enumerate(revisions):
        first, second, third = digests[revision][3 * index : 3 * index + 3]
        found.append((first * _BYTE_SCALE - 1, second * _BYTE_SCALE - 1, third * _BYTE_SCALE - 1))
    return found


def _shares(
    region: RegionDay, half: int, demand_jitter: float, wind_jitter: float, imports_jitter: float
) -> list[float]:
    """Give the shares of the nine fuels in tenths of a percent, not rounded; gas fills what is missing."""
    demand = region.demand[half] * (1 + _DEMAND_JITTER * demand_jitter)
    wind = region.wind[half] * (1 + _WIND_JITTER * wind_jitter)
    solar = region.solar[half]
    imports = region.imports * (1 + _IMPORTS_JITTER * imports_jitter)
    without_gas = region.steady + wind + solar + imports
    gas = demand - without_gas
    if gas < region.gas_floor:
        gas = region.gas_floor
    scale = 1000 / (without_gas + gas)
    return [
        region.biomass * scale,
        region.coal * scale,
        imports * scale,
        gas * scale,
        region.nuclear * scale,
        region.other * scale,
        region.hydro * scale,
        solar * scale,
        wind * scale,
    ]


def _rounded(shares: Sequence[float], exact: bool) -> list[int]:
    """Round shares to whole tenths; the largest takes the error if it must vanish or grew too big."""
    tenths = [int(share + 0.5) for share in shares]
    missing = 1000 - sum(tenths)
    if missing and (exact or not -_MAX_ROUNDING_TENTHS <= missing <= _MAX_ROUNDING_TENTHS):
        tenths[tenths.index(max(tenths))] += missing
    return tenths


def _aggregates(mixes: Sequence[Sequence[int]], exact: bool) -> list[list[int]]:
    """Give England, Scotland, Wales and GB: means of their members' mixes, weighted by demand."""
    columns = list(zip(*mixes, strict=True))
    return [_rounded([sum(map(mul, column, parts)) for column in columns], exact) for parts in _AGGREGATES]
