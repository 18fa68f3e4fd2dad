"""A lake whose Gold holds the literal rows of ``mirror_rows``, written as the stages write them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.lake.store import Store
from lakehouse.lake.tables import DIM_REGION, GOLD
from lakehouse.provenance import code_version
from lakehouse.run_context import RunContext
from tests.support.mirror_rows import REGIONS

Row = Mapping[str, Any]


class GoldLake:
    """Gold and its regions, changed by single commits."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.context = RunContext(Store(spark, root), "test-run", code_version(), "settings")

    def create(self) -> None:
        """Make both tables."""
        self.context.store.ensure(GOLD, DIM_REGION)

    @property
    def version(self) -> int:
        return self.context.snapshot(GOLD).version

    def days(self) -> DataFrame:
        return self.context.store.read(GOLD)

    def fill(self, days: Sequence[Row], regions: Sequence[Row] = REGIONS) -> None:
        """Append days in one commit, then regions that say which days they were made of."""
        if days:
            frame = self.context.store.spark.createDataFrame(days, GOLD.ddl)
            frame.write.format("delta").mode("append").save(self.context.store.path(GOLD))
        self.name(regions)

    def name(self, regions: Sequence[Row]) -> None:
        """Replace the regions, as the stage does after a Gold that changed them."""
        store = self.context.store
        said = self.context.commit("dim_region", {GOLD.name: self.context.snapshot(GOLD)}).to_json()
        frame = store.spark.createDataFrame(regions, DIM_REGION.ddl)
        frame.write.format("delta").mode("overwrite").option("userMetadata", said).save(store.path(DIM_REGION))

    def change(self, regionid: int, recorded: date, **values: Any) -> None:
        """Update a day in one commit."""
        self._table().update(_key(regionid, recorded), {name: F.lit(value) for name, value in values.items()})

    def delete(self, regionid: int, recorded: date) -> None:
        """Delete a day in one commit."""
        self._table().delete(_key(regionid, recorded))

    def restore(self, version: int) -> None:
        """Delta's own RESTORE of the days."""
        self._table().restoreToVersion(version)

    def _table(self) -> DeltaTable:
        return DeltaTable.forPath(self.context.store.spark, self.context.store.path(GOLD))


def _key(regionid: int, recorded: date) -> Any:
    return (F.col("regionid") == regionid) & (F.col("date_recorded") == F.lit(recorded))
