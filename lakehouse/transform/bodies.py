"""From the bodies of responses to their pieces: what one response says about one region in one half-hour.

Almost every body is **plain**, and is read whole by Arrow (``plain_bodies``). All others are read part by part
(``odd_bodies``). Either way a piece has the same columns, and the rules of ``quality`` judge it by them.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

from lakehouse.transform import odd_bodies, plain_bodies
from lakehouse.transform.odd_bodies import MINUTE_FORM, PROVENANCE

__all__ = [
    "MINUTE_FORM",
    "PROVENANCE",
    "odd_pieces",
    "pieces",
    "plain_pieces",
    "texts_of_pieces",
]


def pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece, with Silver's columns as far as they can be read, and what the rules ask beside them.

    A response without periods gives no row; all regional shapes of the API are understood. ``region`` and
    ``period_from`` are what stands in the body, where that is not ``regionid`` and ``timestamp`` in their plain form.
    ``is_plain``: the body is, so its pieces are of different half-hours or regions. ``fuels_missing`` and
    ``fuels_other`` count those of the nine that are not there and those that nobody knows, ``share_sum``,
    ``lowest_share`` and ``highest_share`` are of all shares. ``extra`` and ``unknown`` say what the
    piece holds beside what is known.
    """
    plain = plain_pieces(bronze)
    odd = plain.where("NOT is_plain").select("response_id")
    return plain.where("is_plain").unionByName(odd_pieces(bronze.join(odd, "response_id", "left_semi")))


def plain_pieces(bronze: DataFrame) -> DataFrame:
    """As :func:`pieces`, of plain bodies; one row that is not ``is_plain`` stands for each other body."""
    piece = ", ".join(f"{name}: {type_}" for name, type_ in plain_bodies.FIELDS.items())
    read = arrow_udf(plain_bodies.read, f"ARRAY<STRUCT<{piece}>>")  # type: ignore[call-overload]  # by its hints
    pieces = _with_periods(bronze).select(*PROVENANCE, read("body").alias("pieces"))
    exploded = pieces.select(*PROVENANCE, F.explode_outer("pieces").alias("piece"))
    return _plain_ones(exploded.select(*PROVENANCE, "piece.*"))


def _plain_ones(exploded: DataFrame) -> DataFrame:
    return exploded.select(
        *PROVENANCE,
        F.col("position").isNotNull().alias("is_plain"),
        *plain_bodies.FIELDS,
        *(F.expr(text).alias(name) for name, text in plain_bodies.FACTS.items()),
        F.lit(None).cast("array<string>").alias("unknown"),
    )


def odd_pieces(bronze: DataFrame) -> DataFrame:
    """As :func:`pieces`, each read by itself, whatever the bodies are like."""
    return odd_bodies.odd_pieces(_with_periods(bronze))


def texts_of_pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece: (response_id, position) and ``piece``, its own text."""
    return odd_bodies.texts_of_pieces(_with_periods(bronze))


def _with_periods(bronze: DataFrame) -> DataFrame:
    """The responses that hold any; all are pending where nothing is said."""
    if "is_pending" not in bronze.columns:
        bronze = bronze.withColumn("is_pending", F.lit(True))
    return bronze.where("n_periods > 0")
