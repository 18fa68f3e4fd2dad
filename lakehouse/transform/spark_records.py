"""The checked records of a batch on Spark's executors: where there is a cluster, and Bronze is more than one machine's.

The executors run ``validation.checked``, the same function as this process does where Spark is local.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

import lakehouse
from lakehouse.lake import integrity
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE
from lakehouse.transform import validation
from lakehouse.transform.batch import Batch
from lakehouse.transform.quality import Rules
from lakehouse.transform.records import CHECKED, CHECKED_DDL


def checked(responses: DataFrame, *, rules: Rules) -> DataFrame:
    """One row per record of responses that hold any: the columns of ``CHECKED`` and the responses' own but the body."""

    expected = lakehouse.__version__

    def judge(batches: Iterator[tuple[pa.Array, pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        if lakehouse.__version__ != expected:  # this function comes from the driver, what it calls stands on the worker
            raise ImportError(f"lakehouse {lakehouse.__version__} is there, but the driver has {expected}")
        return validation.in_batches(batches, rules)

    records = arrow_udf(judge, f"ARRAY<STRUCT<{CHECKED_DDL}>>")  # type: ignore[call-overload]  # by its hints
    own = [name for name in responses.columns if name not in ("body", "body_sha256", *CHECKED.names)]
    held = responses.where("n_periods > 0").select(*own, F.explode(records(*validation.NEEDED)).alias("record"))
    return held.select(*own, "record.*")


class SparkRecords:
    """The records of a batch. See ``silver_job.CheckedRecords``."""

    def __init__(self, store: Store, batch: Batch, rules: Rules) -> None:
        responses = integrity.checked(store.read(BRONZE, batch.bronze.version)).where(batch.condition)
        is_overlapping = F.col("response_id").isin(*batch.overlapping) if batch.overlapping else F.lit(False)
        needed = ("response_id", "landing", "ingestion_timestamp", "n_periods", *validation.NEEDED)
        responses = responses.select(*needed, (~is_overlapping).alias("is_pending"))
        self._records = responses.transform(checked, rules=rules).persist()

    def query(self, text: str) -> pa.Table:
        """The answer to a query over ``{records}``, here."""
        return self.rows(text).toArrow()

    def rows(self, text: str) -> DataFrame:
        """The answer to a query over ``{records}``, on the executors."""
        return self._records.sparkSession.sql(text, records=self._records)

    rows_by_key = rows

    @contextmanager
    def in_even_parts(self, text: str) -> Iterator[DataFrame]:
        """Silver's rows as a query gives them, for Spark to write: in order of time, about a month in each part."""
        yield self.rows(text).repartitionByRange("timestamp").sortWithinPartitions("timestamp", "regionid")

    def close(self) -> None:
        """Let go of what is held."""
        self._records.unpersist()
