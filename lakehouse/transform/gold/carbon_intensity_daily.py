"""``gold.carbon_intensity_daily``: one row per region and UTC day."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import GOLD, LABELS, PERIODS_PER_DAY
from lakehouse.transform.gold import exact


def build(half_hours: DataFrame) -> DataFrame:
    """One row per region and UTC day that has at least one half-hour.

    Names are summed up first: a day has one, or two when a region is renamed. (Spark groups by hashing only where
    what it keeps of a group has a fixed size, as names have not; else it sorts every half-hour.)
    """
    figures = [
        "max_by(shortname, last) AS shortname",
        "max_by(dno, last) AS dno",
        *exact.means(),
        f"{_mode()} AS index_mode",
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
    labels = (f"count_if(intensity_index = '{label}') AS `n_{label}`" for label in LABELS)
    figures = ["max(timestamp) AS last", *exact.sums(), *labels]
    days = half_hours.withColumn("date_recorded", F.to_date("timestamp"))
    return days.groupBy(*GOLD.key, "shortname", "dno").agg(*map(F.expr, figures))


def _mode() -> str:
    """The most frequent label; of equally frequent ones the most severe. Structs compare field by field."""
    ranked = (
        f"named_struct('n', sum(`n_{label}`), 'rank', {rank}, 'label', '{label}')" for rank, label in enumerate(LABELS)
    )
    return f"greatest({', '.join(ranked)}).label"
