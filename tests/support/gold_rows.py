"""A lake whose Gold holds the literal rows of ``mirror_rows``, written as the stages write them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.lake.commits import Commit, Pin
from lakehouse.lake.store import Store
from lakehouse.lake.tables import DIM_REGION, GOLD, PUBLISHED, SILVER, Table
from lakehouse.provenance import code_version
from lakehouse.run_context import RunContext
from tests.support.mirror_rows import REGIONS

Row = Mapping[str, Any]


class GoldLake:
    """The published tables of a lake, changed by single commits.

    Gold's commit that makes version N says that it has read version N of Silver, of which there is none here.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.context = RunContext(Store(spark, root), "test-run", code_version(), "settings")

    def create(self) -> None:
        """Make all tables."""
        self.context.store.prepare(*PUBLISHED)

    @property
    def version(self) -> int:
        return self.context.snapshot(GOLD).version

    def days(self) -> DataFrame:
        return self.context.store.read(GOLD)

    def fill(self, days: Sequence[Row], regions: Sequence[Row] = REGIONS) -> None:
        """Append days in one commit, then regions that say which days they were made of."""
        if days:
            with self._as_gold():
                frame = self.context.store.spark.createDataFrame(days, GOLD.ddl)
                frame.write.format("delta").mode("append").save(self.context.store.path(GOLD))
        self.name(regions)

    def name(self, regions: Sequence[Row]) -> None:
        """Replace the regions, as the stage does after a Gold that changed them."""
        self._replace(DIM_REGION, regions, {GOLD.name: self.context.snapshot(GOLD).pin})

    def replace(self, table: Table, rows: Sequence[Row]) -> None:
        """Replace the rows of a table that is made of Silver, as its stage does after the newest Gold."""
        self._replace(table, rows, {SILVER.name: Pin("silver-id", self.version)})

    def change(self, regionid: int, recorded: date, **values: Any) -> None:
        """Update a day in one commit."""
        with self._as_gold():
            self._table().update(_key(regionid, recorded), {name: F.lit(value) for name, value in values.items()})

    def delete(self, regionid: int, recorded: date) -> None:
        """Delete a day in one commit."""
        with self._as_gold():
            self._table().delete(_key(regionid, recorded))

    def restore(self, version: int) -> None:
        """Delta's own RESTORE of the days."""
        self._table().restoreToVersion(version)

    def _table(self) -> DeltaTable:
        return DeltaTable.forPath(self.context.store.spark, self.context.store.path(GOLD))

    def _as_gold(self) -> AbstractContextManager[None]:
        return self.context.store.with_commit_info(self._commit({SILVER.name: Pin("silver-id", self.version + 1)}))

    def _replace(self, table: Table, rows: Sequence[Row], reads: Mapping[str, Pin]) -> None:
        store = self.context.store
        frame = store.spark.createDataFrame(rows, table.ddl)
        with store.with_commit_info(self._commit(reads)):
            frame.write.format("delta").mode("overwrite").save(store.path(table))

    def _commit(self, reads: Mapping[str, Pin]) -> Commit:
        return replace(self.context.commit("test"), reads=reads)


def _key(regionid: int, recorded: date) -> Any:
    return (F.col("regionid") == regionid) & (F.col("date_recorded") == F.lit(recorded))
