"""Pieces read, judged and chosen on Spark's executors: what is too much for one machine, and what is replayed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import SILVER
from lakehouse.transform import silver
from lakehouse.transform.batch import Batch
from lakehouse.transform.judgement import ValidationSummary, drifted
from lakehouse.transform.quality import Rules

KEPT = ("position", "is_pending", "is_plain", "landing", "region", "period_from", "unknown", "broken")
"""What is kept of a piece beside Silver's columns."""
MONTH = "_month"
"""Which month of the scope a piece belongs to, from 0."""


class FarPieces:
    """The pieces of a scope, kept by Spark. See ``judgement.Judged``."""

    def __init__(self, scope: Batch, rules: Rules) -> None:
        self._scope, self._rules = scope, rules
        self._kept: list[DataFrame] = []
        judged = self._judged(silver.plain_pieces(scope.responses()))
        unread = judged.where("position IS NULL").select("response_id").collect()
        if unread:
            odd = scope.responses().where(F.col("response_id").isin([row[0] for row in unread]))
            judged = judged.where("position IS NOT NULL").unionByName(self._judged(silver.odd_pieces(odd)))
        self._pieces = judged

    def _judged(self, pieces: DataFrame) -> DataFrame:
        judged = pieces.transform(silver.judged, rules=self._rules).select(*SILVER.column_names, *KEPT).persist()
        self._kept.append(judged)
        return judged

    @cached_property
    def found(self) -> ValidationSummary:
        """See ``Judged``."""
        is_pending = F.col("is_pending")
        row = self._pieces.agg(
            F.count_if(is_pending).alias("received"),
            F.count_if(is_pending & F.expr(self._rules.refuses)).alias("quarantined"),
            F.count_if(F.expr(self._rules.refuses)).alias("refused"),
            F.count_if(is_pending & (F.size("unknown") > 0)).alias("drifted"),
            F.count_if(is_pending & ~F.col("is_plain")).alias("odd"),
            *(F.count_if(is_pending & F.expr(breaks)).alias(name) for name, breaks in self._rules.breaks.items()),
        ).first()
        assert row is not None  # noqa: S101 (an aggregate without groups has one row)
        failed = {rule.name: int(row[rule.name]) for rule in self._rules.pieces}
        if row["odd"]:
            twice = self._good.where("is_pending").transform(silver.repeated)
            again = twice.agg(F.sum(F.col("count") - 1)).first()
            failed[self._rules.repeated.name] = int((again and again[0]) or 0)
        received = int(row["received"])
        results = self._rules.results(failed, received)
        if row["drifted"]:
            names = self._pieces.where("is_pending").select(F.explode("unknown").alias("name"))
            counted = names.groupBy("name").count().orderBy("name").collect()
            results += tuple(drifted(each["name"], int(each["count"]), received) for each in counted)
        return ValidationSummary(received, int(row["quarantined"]), int(row["refused"]), results)

    @property
    def _good(self) -> DataFrame:
        return self._pieces.transform(silver.good, rules=self._rules)

    def refused(self, *, with_consumed: bool) -> DataFrame:
        """See ``Judged``."""
        among = self._pieces if with_consumed else self._pieces.where("is_pending")
        return among.where(self._rules.refuses)

    def newest(self) -> DataFrame:
        """See ``Judged``."""
        if (
            not self._scope.beside or self._scope.again
        ):  # what is judged again was read with all that speaks of its keys
            return silver.newest(self._good)
        newest = silver.newest(self._good, with_pending=True)
        return newest.where("has_pending").select(*SILVER.column_names)

    @contextmanager
    def laid_out(self) -> Iterator[DataFrame]:
        """See ``Judged``."""
        low, high = self._scope.low, self._scope.high
        if low is None or high is None:
            pieces = self._good.withColumn(MONTH, F.lit(0)).repartitionById(1, MONTH)
        else:
            month = (F.year("timestamp") - low.year) * 12 + F.month("timestamp") - 1
            months = (high.year - low.year + 1) * 12
            pieces = self._good.withColumn(MONTH, month.cast("int")).repartitionById(months, MONTH)
        yield pieces.transform(silver.newest, within=(MONTH,))

    def pending_keys(self) -> int:
        """See ``Judged``."""
        return self._good.where("is_pending").select(*SILVER.key).distinct().count()

    def close(self) -> None:
        """See ``Judged``."""
        for frame in self._kept:
            frame.unpersist()
