"""From pieces to one row per (regionid, timestamp): DataFrame in, DataFrame out.

A **piece** is what one response says about one region in one half-hour (``bodies``). A layer reads as a sentence:
``bronze.transform(pieces).transform(judged)``, then ``good``, ``newest`` or ``refused``.

A frame of responses may say ``is_pending`` of each: whether Silver has yet to consume it. The others are there
because they may hold newer values of the same half-hours.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.lake.tables import QUARANTINE, SILVER
from lakehouse.transform.bodies import (
    MINUTE_FORM,
    PROVENANCE,
    odd_pieces,
    pieces,
    plain_pieces,
    texts_of_pieces,
)
from lakehouse.transform.quality import RULES, Rules

__all__ = [
    "PROVENANCE",
    "good",
    "judged",
    "newest",
    "odd_pieces",
    "pieces",
    "plain_pieces",
    "refused",
    "repeated",
    "slots",
]
HALF_HOUR_SECONDS = 1800


def judged(pieces: DataFrame, *, rules: Rules = RULES) -> DataFrame:
    """The pieces with ``broken``: the rules they break, as the bits of a number."""
    return pieces.withColumn("broken", F.expr(rules.broken))


def good(judged: DataFrame, *, rules: Rules = RULES) -> DataFrame:
    """The pieces that no rule refuses."""
    return judged.where(f"NOT ({rules.refuses})")


def refused(judged: DataFrame, *, bronze: DataFrame, rules: Rules = RULES) -> DataFrame:
    """The pieces that a rule refuses, as rows of the quarantine, each with its own text from the body."""
    bad = judged.where(rules.refuses).select(
        "response_id",
        "position",
        "landing",
        "ingestion_timestamp",
        F.coalesce("region", F.col("regionid").cast("string")).alias("regionid"),
        F.coalesce("period_from", F.date_format("timestamp", MINUTE_FORM)).alias("period_from"),
        rules.reasons().alias("reasons"),
    )
    return bad.join(texts_of_pieces(bronze), ["response_id", "position"], "left").select(*QUARANTINE.column_names)


def newest(good: DataFrame, *, within: tuple[str, ...] = (), with_pending: bool = False) -> DataFrame:
    """One row per (regionid, timestamp): the newest piece by (ingestion_timestamp, response_id, position).

    ``within``: columns that follow from the key and by which the pieces are partitioned already; they stay where they
    are. ``with_pending`` adds ``has_pending``: whether a pending response speaks of the key.
    """
    by_key = Window.partitionBy(*within, *SILVER.key)
    newest_first = by_key.orderBy(*(F.col(name).desc() for name in ("ingestion_timestamp", "response_id", "position")))
    names = list(SILVER.column_names)
    if with_pending:
        good = good.withColumn("has_pending", F.max("is_pending").over(by_key))
        names.append("has_pending")
    return good.withColumn("_rank", F.row_number().over(newest_first)).where("_rank = 1").select(*names)


def repeated(good: DataFrame) -> DataFrame:
    """One row per key that comes more than once in one response: ``count`` pieces."""
    return good.where(~F.col("is_plain")).groupBy("response_id", *SILVER.key).count().where("count > 1")


def slots(responses: DataFrame) -> DataFrame:
    """The starts (``timestamp``) of the half-hours in the window of each response: one row per response and start."""
    first = F.ceil(F.unix_timestamp("window_start") / HALF_HOUR_SECONDS).cast("bigint")
    last = F.floor(F.unix_timestamp("window_end") / HALF_HOUR_SECONDS).cast("bigint")
    ends = F.when(first <= last, F.sequence(first, last))
    start = F.timestamp_seconds((F.col("end") - 1) * HALF_HOUR_SECONDS)
    return responses.select(F.explode(ends).alias("end")).select(start.alias("timestamp"))
