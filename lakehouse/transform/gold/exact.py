"""Exact figures of half-hours, the same to the last digit whatever the order of rows."""

from lakehouse.lake.tables import FUELS, KNOWN_FUELS, LATER_FUELS


def sums() -> list[str]:
    """Exact sums of the forecast and of every fuel, and what they are divided by: ``n``, of later fuels ``n_FUEL``."""
    summed = ("intensity_forecast", *(f"fuel_{fuel}" for fuel in KNOWN_FUELS))
    return [
        "count(*) AS n",
        *(f"sum(CAST({name} AS decimal(7,2))) AS {name}" for name in summed),
        *(f"count(fuel_{fuel}) AS n_{fuel}" for fuel in LATER_FUELS),
        "min(intensity_forecast) AS intensity_min",
        "max(intensity_forecast) AS intensity_max",
    ]


def means() -> list[str]:
    """The means of several rows of ``sums``: of the forecast, and of every fuel where a half-hour states it."""
    return [
        f"{mean('intensity_forecast', 'sum(n)')} AS intensity_avg",
        *(f"{mean(f'fuel_{fuel}', 'sum(n)')} AS fuel_{fuel}" for fuel in FUELS),
        *(f"{mean(f'fuel_{fuel}', f'nullif(sum(n_{fuel}), 0)')} AS fuel_{fuel}" for fuel in LATER_FUELS),
    ]


def mean(name: str, n: str) -> str:
    """The mean over ``n`` values to two decimals, rounded once, half up; null if ``n`` is.

    A sum of n values with two decimals, divided by n, is k / 100n with a whole k. Half a cent is an odd multiple of
    1/200, so the mean lies exactly on it, or 1/200n off it or more. A month has n <= 31 * 48 = 1488 half-hours:
    1/297,600 > 0.000003. The division keeps 10 decimals, so it is wrong by less than 0.0000000001 and cannot move the
    mean across. (It could from ten million values on.)
    """
    return f"CAST(round(CAST(sum({name}) / CAST({n} AS decimal(10,0)) AS decimal(24,10)), 2) AS decimal(10,2))"
