"""From Bronze bodies to one row per (regionid, timestamp): DataFrame in, DataFrame out.

A **piece** is what one response says about one region in one half-hour. A layer reads as a sentence:
``bronze.transform(pieces).transform(typed).transform(judged)``, then ``good``, ``newest`` or ``refused``.
Nothing is rounded or nulled by parsing unseen: numbers are read as text, checked by the rules of ``quality``, and only
then cast. (Spark's JSON parser gives the shortest text of a number's double, so 17 significant digits are told apart;
the table keeps two decimals and refuses more.)
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse import quality
from lakehouse.tables import FUELS, QUARANTINE, REGIONS, SILVER

_MIX = "ARRAY<STRUCT<fuel: STRING, perc: STRING>>"
_ENTRY = (
    "STRUCT<from: STRING, to: STRING, regionid: STRING, dnoregion: STRING, shortname: STRING, "
    f"intensity: STRUCT<forecast: STRING, index: STRING>, generationmix: {_MIX}>"
)
_ABOUT = "from: STRING, to: STRING, regionid: STRING, dnoregion: STRING, shortname: STRING"
_ELEMENT = f"STRUCT<{_ABOUT}, regions: ARRAY<{_ENTRY}>, data: ARRAY<{_ENTRY}>>"
_ELEMENT_OF_TEXTS = f"STRUCT<{_ABOUT}, regions: STRING, data: STRING>"
BODY_LIST = f"STRUCT<data: ARRAY<{_ELEMENT}>>"
"""``data`` as a list: periods that hold regions, or regions that hold periods."""
BODY_OBJECT = f"STRUCT<data: {_ELEMENT}>"
"""``data`` as one region that holds periods."""
MINUTE_FORM = "yyyy-MM-dd'T'HH:mm'Z'"
PLACES_PER_PERIOD = 1000
"""``position`` is period number * this + region number; a response never holds more of either."""


def pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece, every value as the text in the body.

    A response without periods gives no row. All regional shapes of the API are understood. A part of another shape
    makes Spark's parser refuse the whole list around it; such a body is parsed again part by part, so that it
    costs its own pieces only.
    """
    as_object = F.from_json(_body(), BODY_OBJECT)["data"]
    # Later arguments are evaluated only where the earlier ones give null.
    strictly = F.coalesce(F.from_json(_body(), BODY_LIST)["data"], F.when(as_object.isNotNull(), F.array(as_object)))
    parsed = F.col("parsed")
    has_lost_parts = parsed.isNull() | F.exists(parsed, lambda part: F.coalesce(part["regions"], part["data"]).isNull())
    elements = F.when(has_lost_parts, F.transform(_texts(), _loosely)).otherwise(parsed)
    provenance = ["response_id", "landing", "ingestion_timestamp", "window_start", "window_end"]
    element, entry = F.col("element"), F.col("entry")
    return (
        bronze.where("n_periods > 0")
        .select(*provenance, "body", strictly.alias("parsed"))
        .select(*provenance, F.posexplode(elements).alias("period_number", "element"))
        .select(
            *provenance,
            "period_number",
            element,
            _moment(element["from"]).alias("element_from"),
            _moment(element["to"]).alias("element_to"),
            F.posexplode_outer(F.coalesce(element["regions"], element["data"])).alias("region_number", "entry"),
        )
        .select(
            *provenance,
            _position().alias("position"),
            F.coalesce(entry["from"], element["from"]).alias("period_from"),
            F.coalesce(entry["to"], element["to"]).alias("period_to"),
            F.when(entry["from"].isNotNull(), _moment(entry["from"])).otherwise(F.col("element_from")).alias("start"),
            F.when(entry["to"].isNotNull(), _moment(entry["to"])).otherwise(F.col("element_to")).alias("stop"),
            F.coalesce(entry["regionid"], element["regionid"]).alias("region"),
            F.coalesce(entry["dnoregion"], element["dnoregion"]).alias("dnoregion"),
            F.coalesce(entry["shortname"], element["shortname"]).alias("shortname"),
            entry["intensity"]["forecast"].alias("forecast"),
            entry["intensity"]["index"].alias("index"),
            entry["generationmix"]["fuel"].alias("fuels"),
            entry["generationmix"]["perc"].alias("percs"),
            entry.alias("piece"),
        )
    )


def typed(pieces: DataFrame) -> DataFrame:
    """The pieces with Silver's columns beside their text; a text that is not a plain number gives null.

    Postcode answers carry no network operator; the region's known one stands in.
    """
    known_dno = F.create_map(*(F.lit(x) for region in REGIONS for x in (region.regionid, region.dno)))
    regionid = F.col("region").try_cast("int")
    fuels = {f"fuel_{fuel}": _share(fuel).try_cast("decimal(5,2)") for fuel in FUELS}
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


def judged(typed: DataFrame) -> DataFrame:
    """The pieces with ``broken``: the rules they break, as the bits of a number."""
    return typed.withColumn("broken", quality.broken())


def good(judged: DataFrame) -> DataFrame:
    """The pieces that no rule refuses."""
    return judged.where(~quality.refuses(F.col("broken")))


def refused(judged: DataFrame, *, bronze: DataFrame) -> DataFrame:
    """The pieces that a rule refuses, as rows of the quarantine, each with its own text from the body."""
    bad = judged.where(quality.refuses(F.col("broken"))).select(
        "response_id",
        "position",
        "landing",
        "ingestion_timestamp",
        F.col("region").alias("regionid"),
        "period_from",
        quality.reasons(F.col("broken")).alias("reasons"),
    )
    return bad.join(_raw(bronze), ["response_id", "position"], "left").select(*QUARANTINE.column_names)


def newest(good: DataFrame) -> DataFrame:
    """One row per (regionid, timestamp): the newest piece by (ingestion_timestamp, response_id, position)."""
    order = [F.col(name).desc() for name in ("ingestion_timestamp", "response_id", "position")]
    latest_first = Window.partitionBy(*SILVER.key).orderBy(*order)
    return (
        good.select(*SILVER.column_names, "position")
        .withColumn("_rank", F.row_number().over(latest_first))
        .where("_rank = 1")
        .select(*SILVER.column_names)
    )


def overlapping(consumed: DataFrame, pending: DataFrame) -> DataFrame:
    """The consumed responses that may hold a newer value of a half-hour that a pending response holds."""
    late = pending.select(
        F.col("window_start").alias("_start"),
        F.col("window_end").alias("_end"),
        F.col("ingestion_timestamp").alias("_received"),
    )
    touches = (F.col("window_start") <= F.col("_end")) & (F.col("window_end") >= F.col("_start"))
    newer = F.col("ingestion_timestamp") >= F.col("_received")
    return consumed.join(F.broadcast(late), touches & newer, "left_semi")


def _raw(bronze: DataFrame) -> DataFrame:
    """One row per piece: (response_id, position) and the piece's own text."""
    element = F.from_json("text", _ELEMENT_OF_TEXTS)
    parts = F.from_json(F.coalesce(element["regions"], element["data"]), "ARRAY<STRING>")
    return (
        bronze.where("n_periods > 0")
        .select("response_id", F.posexplode(_texts()).alias("period_number", "text"))
        .select("response_id", "period_number", "text", F.posexplode_outer(parts).alias("region_number", "part"))
        .select(
            "response_id",
            _position().alias("position"),
            F.coalesce("part", "text", F.lit("null")).alias("piece"),
        )
    )


def _position() -> Column:
    return F.col("period_number").cast("bigint") * PLACES_PER_PERIOD + F.coalesce(F.col("region_number"), F.lit(0))


def _body() -> Column:
    return F.decode(F.col("body"), "UTF-8")


def _texts() -> Column:
    """The elements of ``data`` as texts; an object counts as its own only element."""
    return F.coalesce(
        F.from_json(_body(), "STRUCT<data: ARRAY<STRING>>")["data"],
        F.array(F.from_json(_body(), "STRUCT<data: STRING>")["data"]),
    )


def _loosely(text: Column) -> Column:
    """An element parsed part by part."""
    element = F.from_json(text, _ELEMENT_OF_TEXTS)

    def entries(texts: Column) -> Column:
        return F.transform(F.from_json(texts, "ARRAY<STRING>"), lambda entry: F.from_json(entry, _ENTRY))

    about = [element[name].alias(name) for name in ("from", "to", "regionid", "dnoregion", "shortname")]
    parts = [entries(element[name]).alias(name) for name in ("regions", "data")]
    return F.struct(*about, *parts)


def _moment(text: Column) -> Column:
    return F.try_to_timestamp(text, F.lit(MINUTE_FORM))


def _share(fuel: str) -> Column:
    return F.get(F.col("percs"), F.array_position(F.col("fuels"), fuel).cast("int") - 1)
