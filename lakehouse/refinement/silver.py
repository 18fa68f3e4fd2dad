"""From pieces to one row per (regionid, timestamp): DataFrame in, DataFrame out.

A **piece** is what one response says about one region in one half-hour (``bodies``). A layer reads as a sentence:
``bronze.transform(pieces).transform(typed).transform(judged)``, then ``good``, ``newest`` or ``refused``.
Nothing is rounded or nulled by parsing unseen: numbers are read as text, shares with more places than they may have,
checked by the rules of ``quality`` against what they were read as.

A frame of responses may say ``is_pending`` of each: whether Silver has yet to consume it. The others are there
because they may hold newer values of the same half-hours.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.lake.tables import KNOWN_FUELS, QUARANTINE, REGIONS, SILVER
from lakehouse.refinement.bodies import odd_pieces, pieces, plain_pieces, texts_of_pieces
from lakehouse.refinement.quality import RULES, Rules

__all__ = [
    "good",
    "judged",
    "newest",
    "odd_pieces",
    "overlapping",
    "pieces",
    "plain_pieces",
    "refused",
    "repeated",
    "slots",
    "typed",
]
HALF_HOUR_SECONDS = 1800


def typed(pieces: DataFrame) -> DataFrame:
    """The pieces with Silver's columns beside what was read; what is not a plain number gives null.

    Postcode answers carry no network operator; the region's known one stands in.
    """
    known_dno = F.create_map(*(F.lit(x) for region in REGIONS for x in (region.regionid, region.dno)))
    regionid = F.col("region").try_cast("int")
    fuels = {f"fuel_{fuel}": _share(fuel).try_cast("decimal(5,2)") for fuel in KNOWN_FUELS}
    return pieces.withColumns(
        {
            "regionid": regionid,
            "timestamp": F.col("start"),
            "dno": F.coalesce(F.col("dnoregion"), F.try_element_at(known_dno, regionid)),
            "intensity_forecast": F.col("forecast").try_cast("decimal(20,2)").try_cast("int"),
            "intensity_index": F.col("index"),
            **fuels,
        }
    )


def judged(typed: DataFrame, *, rules: Rules = RULES) -> DataFrame:
    """The pieces with ``broken``: the rules they break, as the bits of a number."""
    return typed.withColumn("broken", rules.broken())


def good(judged: DataFrame, *, rules: Rules = RULES) -> DataFrame:
    """The pieces that no rule refuses."""
    return judged.where(~rules.refuses(F.col("broken")))


def refused(judged: DataFrame, *, bronze: DataFrame, rules: Rules = RULES) -> DataFrame:
    """The pieces that a rule refuses, as rows of the quarantine, each with its own text from the body."""
    bad = judged.where(rules.refuses(F.col("broken"))).select(
        "response_id",
        "position",
        "landing",
        "ingestion_timestamp",
        F.col("region").alias("regionid"),
        "period_from",
        rules.reasons(F.col("broken")).alias("reasons"),
    )
    return bad.join(texts_of_pieces(bronze), ["response_id", "position"], "left").select(*QUARANTINE.column_names)


def newest(good: DataFrame, *, within: tuple[str, ...] = ()) -> DataFrame:
    """One row per (regionid, timestamp): the newest piece by (ingestion_timestamp, response_id, position).

    ``has_pending``: whether a pending response speaks of the key. ``within``: columns that follow from the key and by
    which the pieces are partitioned already; they stay where they are.
    """
    by_key = Window.partitionBy(*within, *SILVER.key)
    newest_first = by_key.orderBy(*(F.col(name).desc() for name in ("ingestion_timestamp", "response_id", "position")))
    ranked = good.withColumns(
        {"_rank": F.row_number().over(newest_first), "has_pending": F.max("is_pending").over(by_key)}
    )
    return ranked.where("_rank = 1").select(*SILVER.column_names, "has_pending")


def repeated(good: DataFrame) -> DataFrame:
    """One row per key that comes more than once in one response: ``count`` pieces."""
    return good.where(~F.col("is_plain")).groupBy("response_id", *SILVER.key).count().where("count > 1")


def overlapping(consumed: DataFrame, pending: DataFrame, *, older_too: bool = False) -> DataFrame:
    """The consumed responses that may hold a newer value of a half-hour that a pending response holds.

    With ``older_too`` all that may hold any value of it.
    """
    late = pending.select(
        F.col("window_start").alias("_start"),
        F.col("window_end").alias("_end"),
        F.col("ingestion_timestamp").alias("_received"),
    )
    touches = (F.col("window_start") <= F.col("_end")) & (F.col("window_end") >= F.col("_start"))
    newer = F.col("ingestion_timestamp") >= F.col("_received")
    return consumed.join(F.broadcast(late), touches if older_too else touches & newer, "left_semi")


def slots(responses: DataFrame) -> DataFrame:
    """The starts (``timestamp``) of the half-hours in the window of each response: one row per response and start."""
    first = F.ceil(F.unix_timestamp("window_start") / HALF_HOUR_SECONDS).cast("bigint")
    last = F.floor(F.unix_timestamp("window_end") / HALF_HOUR_SECONDS).cast("bigint")
    ends = F.when(first <= last, F.sequence(first, last))
    start = F.timestamp_seconds((F.col("end") - 1) * HALF_HOUR_SECONDS)
    return responses.select(F.explode(ends).alias("end")).select(start.alias("timestamp"))


def _share(fuel: str) -> Column:
    return F.get(F.col("percs"), F.array_position(F.col("fuels"), fuel).cast("int") - 1)
