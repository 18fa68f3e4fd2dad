"""``gold.dim_region``: one row per region."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.regions import REGIONS
from lakehouse.lake.tables import DIM_REGION


def build(days: DataFrame) -> DataFrame:
    """One row per region that has a day, named as in its newest one; kind and parent are declared, not derived."""
    newest = days.groupBy("regionid").agg(
        F.max_by("shortname", "date_recorded").alias("shortname"), F.max_by("dno", "date_recorded").alias("dno")
    )
    return (
        newest.withColumn("kind", _declared({r.regionid: r.kind for r in REGIONS}))
        .withColumn("parent_regionid", _declared({r.regionid: r.parent for r in REGIONS if r.parent}).cast("int"))
        .select(*DIM_REGION.column_names)
    )


def _declared(values: dict[int, str] | dict[int, int] | dict[int, int | None]) -> Column:
    return F.element_at(F.create_map(*(F.lit(x) for pair in values.items() for x in pair)), F.col("regionid"))
