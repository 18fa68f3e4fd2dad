"""From half-hours to days: DataFrame in, DataFrame out, exact to the last digit whatever the row order."""

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import DIM_REGION, FUELS, GOLD, KNOWN_FUELS, LABELS, LATER_FUELS, PERIODS_PER_DAY, REGIONS


def touched_days(changes: pa.Table) -> pa.Table:
    """The (regionid, date_recorded) groups in which some half-hour was inserted, updated or deleted."""
    days = changes["timestamp"].cast(pa.date32())
    return pa.table([changes["regionid"], days], list(GOLD.key)).group_by(list(GOLD.key)).aggregate([])


def daily(half_hours: DataFrame) -> DataFrame:
    """One row per region and UTC day that has at least one half-hour.

    Names are summed up first: a day has one, or two when a region is renamed. (Spark groups by hashing only where
    what it keeps of a group has a fixed size, as names have not; else it sorts every half-hour.)
    """
    figures = [
        "max_by(shortname, last) AS shortname",
        "max_by(dno, last) AS dno",
        f"{_mean('intensity_forecast', 'sum(n)')} AS intensity_avg",
        f"{_mode()} AS index_mode",
        *(f"{_mean(f'fuel_{fuel}', 'sum(n)')} AS fuel_{fuel}" for fuel in FUELS),
        *(f"{_mean(f'fuel_{fuel}', f'nullif(sum(n_{fuel}), 0)')} AS fuel_{fuel}" for fuel in LATER_FUELS),
        "int(sum(n)) AS n_periods",
        f"{PERIODS_PER_DAY} AS n_expected",
        f"sum(n) = {PERIODS_PER_DAY} AS is_complete",
        "min(intensity_min) AS intensity_min",
        "max(intensity_max) AS intensity_max",
    ]
    days = half_hours.transform(_by_name).groupBy(*GOLD.key).agg(*map(F.expr, figures))
    return days.select(*GOLD.column_names)


def _by_name(half_hours: DataFrame) -> DataFrame:
    """One row per region, UTC day and names: exact sums, counts, extremes, and the ``last`` half-hour."""
    summed = ("intensity_forecast", *(f"fuel_{fuel}" for fuel in KNOWN_FUELS))
    figures = [
        "max(timestamp) AS last",
        "count(*) AS n",
        *(f"sum(CAST({name} AS decimal(7,2))) AS {name}" for name in summed),
        *(f"count(fuel_{fuel}) AS n_{fuel}" for fuel in LATER_FUELS),
        *(f"count_if(intensity_index = '{label}') AS `n_{label}`" for label in LABELS),
        "min(intensity_forecast) AS intensity_min",
        "max(intensity_forecast) AS intensity_max",
    ]
    days = half_hours.withColumn("date_recorded", F.to_date("timestamp"))
    return days.groupBy(*GOLD.key, "shortname", "dno").agg(*map(F.expr, figures))


def regions(days: DataFrame) -> DataFrame:
    """One row per region that has a day, named as in its newest one; kind and parent are declared, not derived."""
    newest = days.groupBy("regionid").agg(
        F.max_by("shortname", "date_recorded").alias("shortname"), F.max_by("dno", "date_recorded").alias("dno")
    )
    return (
        newest.withColumn("kind", _declared({r.regionid: r.kind for r in REGIONS}))
        .withColumn("parent_regionid", _declared({r.regionid: r.parent for r in REGIONS if r.parent}).cast("int"))
        .select(*DIM_REGION.column_names)
    )


def _mean(name: str, n: str) -> str:
    """The mean over ``n`` values to two decimals, rounded once, half up; null if ``n`` is.

    A sum of at most 48 values with two decimals over n <= 48 lies exactly on half a cent, or 1/9600 off it or
    more, so the 10 decimals that the division keeps cannot move it across.
    """
    return f"CAST(round(CAST(sum({name}) / CAST({n} AS decimal(10,0)) AS decimal(24,10)), 2) AS decimal(10,2))"


def _mode() -> str:
    """The most frequent label; of equally frequent ones the most severe. Structs compare field by field."""
    ranked = (
        f"named_struct('n', sum(`n_{label}`), 'rank', {rank}, 'label', '{label}')" for rank, label in enumerate(LABELS)
    )
    return f"greatest({', '.join(ranked)}).label"


def _declared(values: dict[int, str] | dict[int, int] | dict[int, int | None]) -> Column:
    return F.element_at(F.create_map(*(F.lit(x) for pair in values.items() for x in pair)), F.col("regionid"))
