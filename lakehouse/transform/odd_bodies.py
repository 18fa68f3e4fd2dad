"""Odd bodies, read part by part: whatever shape the API ever gave, a broken part costs only itself.

What is not known is kept beside the rest. Numbers are read as text, shares with more places than they may have, so
that the rules of ``quality`` can refuse what would be rounded.

What is long to describe to the JVM is described once a process (``cache``): a column belongs to no query.
"""

from collections.abc import Mapping
from functools import cache, reduce
from operator import add

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import FUELS, KNOWN_FUELS, LATER_FUELS, REGIONS
from lakehouse.transform.plain_bodies import PLACES_PER_PERIOD

PROVENANCE = ("response_id", "landing", "ingestion_timestamp", "window_start", "window_end", "is_pending")
"""What a piece says of its response."""
_SHARE = "DECIMAL(18,15)"
"""A share as it is read: below 1000 as many digits as a double tells apart."""
_EXACT_SHARES = "ARRAY<DECIMAL(5,2)>"
_INTENSITY = "STRUCT<forecast: STRING, index: STRING>"
_ENTRY = (
    "STRUCT<from: STRING, to: STRING, regionid: STRING, dnoregion: STRING, shortname: STRING, "
    f"intensity: {_INTENSITY}, generationmix: ARRAY<STRUCT<fuel: STRING, perc: STRING>>>"
)
"""What is said about a region."""
_ENTRY_FIELDS = ("from", "to", "regionid", "dnoregion", "shortname", "intensity", "generationmix")
_ABOUT_FIELDS = {
    "from": "period_from",
    "to": "period_to",
    "regionid": "region",
    "dnoregion": "dnoregion",
    "shortname": "shortname",
}
"""What may stand in an element or in an entry, and its column."""
_ABOUT = ", ".join(f"{name}: STRING" for name in _ABOUT_FIELDS)
_ELEMENT_FIELDS = (*_ABOUT_FIELDS, "regions", "data", "postcode")
_ELEMENT_OF_TEXTS = f"STRUCT<{_ABOUT}, regions: STRING, data: STRING>"
_NUMBER = "^-?[0-9]{1,3}([.][0-9]+)?$"
_WHOLE_NUMBER = "^-?[0-9]{1,9}([.]0+)?$"
BYTE_ORDER_MARK = "\ufeff"
MINUTE_FORM = "yyyy-MM-dd'T'HH:mm'Z'"


def odd_pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece of any bodies, every part parsed by itself; the columns of ``bodies.pieces``."""
    return reduce(lambda rows, columns: rows.select(*columns), (*_to_entries(), *_to_pieces()), bronze)


@cache
def _to_entries() -> list[tuple[Column, ...]]:
    """The selections from bodies to one row per entry (an element without entries counts as one).

    ``element`` and ``entry`` hold the known fields. ``own``, ``inherited`` and ``in_intensity`` are the other fields
    of the entry, of its element, and of its intensity; ``shares`` those of its shares; ``beyond`` names those of the
    body. What is asked about more than once is a column of its own, so that Spark reads it once.
    """
    body = ("beyond", "period_number")
    entry = (*body, "region_number", "element", "entry")
    around = _beside(_object(F.try_parse_json("text")), _ELEMENT_FIELDS)
    parts = F.from_json(F.coalesce("element.regions", "element.data"), "ARRAY<STRING>")
    own = _beside(_object(F.col("said")), _ENTRY_FIELDS)
    in_intensity = _beside(_object(F.try_variant_get("said", "$.intensity", "variant")), ("forecast", "index"))
    inherited = F.map_filter("around", lambda name, _: ~F.array_contains(F.map_keys("own"), name))
    return [
        _selection(_text().alias("body")),
        _selection(_beyond().alias("beyond"), F.posexplode(_texts()).alias("period_number", "text")),
        _selection(*body, F.from_json("text", _ELEMENT_OF_TEXTS).alias("element"), around.alias("around")),
        _selection(*body, "element", "around", F.posexplode_outer(parts).alias("region_number", "text")),
        _selection(
            *(*body, "region_number", "element", "around"),
            F.from_json("text", _ENTRY).alias("entry"),
            F.try_parse_json("text").alias("said"),
        ),
        _selection(*entry, "around", own.alias("own"), in_intensity.alias("in_intensity"), _shares().alias("shares")),
        _selection(*entry, "own", inherited.alias("inherited"), "in_intensity", "shares"),
    ]


@cache
def _to_pieces() -> list[tuple[Column, ...]]:
    """The selections from entries to pieces."""
    element, entry = F.col("element"), F.col("entry")
    return [
        _selection(
            "period_number", "region_number", "element", "entry", _rest().alias("rest"), _unknown().alias("unknown")
        ),
        _selection(
            _position().alias("position"),
            *(F.coalesce(entry[field], element[field]).alias(name) for field, name in _ABOUT_FIELDS.items()),
            entry["intensity"].alias("intensity"),
            entry["generationmix"]["fuel"].alias("fuels"),
            F.transform(entry["generationmix"]["perc"], _number).alias("percs"),
            _sum_of_others(entry["generationmix"]).alias("other_shares"),
            F.when(entry.isNotNull() & (F.size("rest") > 0), F.to_json(F.to_variant_object("rest"))).alias("extra"),
            F.when(entry.isNotNull(), F.col("unknown")).alias("unknown"),
        ),
        _selection(
            "position",
            "region",
            "period_from",
            *(value.alias(name) for name, value in _typed().items()),
            *(fact.alias(name) for name, fact in _facts().items()),
            "extra",
            "unknown",
            F.lit(False).alias("is_plain"),
        ),
    ]


def _selection(*columns: Column | str) -> tuple[Column, ...]:
    """Of a step: what a piece says of its response, and these."""
    return tuple(F.col(each) if isinstance(each, str) else each for each in (*PROVENANCE, *columns))


def _typed() -> Mapping[str, Column]:
    """Silver's values; what is not a plain number gives null.

    Postcode answers carry no network operator; the region's known one stands in.
    """
    known_dno = F.create_map(*(F.lit(x) for region in REGIONS for x in (region.regionid, region.dno)))
    regionid = F.when(F.col("region").rlike(_WHOLE_NUMBER), F.col("region").try_cast("decimal(20,2)").try_cast("int"))
    return {
        "regionid": regionid,
        "timestamp": _moment("period_from"),
        "stop": _moment("period_to"),
        "shortname": F.col("shortname"),
        "dno": F.coalesce("dnoregion", F.try_element_at(known_dno, regionid)),
        "intensity_forecast": F.col("intensity.forecast").try_cast("decimal(20,2)").try_cast("int"),
        "intensity_index": F.col("intensity.index"),
        **{f"fuel_{fuel}": _share(fuel) for fuel in KNOWN_FUELS},
    }


def _facts() -> Mapping[str, Column]:
    """What the rules ask about how a piece is written."""
    # Looking for what no share is gives null if one is null.
    all_stated = F.coalesce(~F.array_contains("percs", F.lit(-999).cast(_SHARE)), F.lit(False))
    exact = F.col("percs").try_cast(_EXACT_SHARES).cast(f"ARRAY<{_SHARE}>")
    names = F.array_distinct("fuels")
    return {
        "is_readable": F.col("intensity").isNotNull() | F.col("fuels").isNotNull(),
        "is_forecast_whole": F.col("intensity.forecast").rlike(_WHOLE_NUMBER),
        "fuels_missing": F.size(F.array_except(_listed(FUELS), "fuels")),
        "fuels_other": F.size(F.array_except("fuels", _listed(KNOWN_FUELS))),
        "are_fuels_once": (F.size("fuels") == len(KNOWN_FUELS)) | (F.size(names) == F.size("fuels")),
        "are_shares_exact": (F.col("percs") == exact) & all_stated,
        "lowest_share": F.when(all_stated, F.array_min("percs")),
        "share_sum": _sum_of_known() + F.col("other_shares"),
        "highest_share": F.when(all_stated, F.array_max("percs")),
    }


def _moment(name: str) -> Column:
    """A time in UTC to the minute; seconds may be written where they are none, and ``+00:00`` for ``Z``."""
    to_the_minute = F.regexp_replace(name, "^([0-9T:-]{16})(:00([.]0+)?)?(Z|[+]00:00)$", "$1Z")
    return F.try_to_timestamp(to_the_minute, F.lit(MINUTE_FORM))


def _number(text: Column) -> Column:
    return F.when(text.rlike(_NUMBER), text.try_cast(_SHARE))


def _sum_of_known() -> Column:
    """Of the fuels we have a column for; null if one of the nine is missing."""
    shares = [_share(fuel) for fuel in FUELS]
    shares += [F.coalesce(_share(fuel), F.lit(0).cast("decimal(5,2)")) for fuel in LATER_FUELS]
    return reduce(add, shares)


def _share(fuel: str) -> Column:
    return F.get("percs", F.array_position("fuels", fuel).cast("int") - 1).try_cast("decimal(5,2)")


def _sum_of_others(mix: Column) -> Column:
    """Of the fuels that nobody knows."""
    return F.aggregate(
        F.filter(mix, lambda share: ~share["fuel"].isin(*KNOWN_FUELS))["perc"],
        F.lit(0).cast("decimal(20,2)"),
        lambda total, text: (total + text.try_cast("decimal(5,2)")).cast("decimal(20,2)"),
    )


def texts_of_pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece: (response_id, position) and ``piece``, its own text."""
    element = F.from_json("text", _ELEMENT_OF_TEXTS)
    parts = F.from_json(F.coalesce(element["regions"], element["data"]), "ARRAY<STRING>")
    return (
        bronze.select("response_id", _text().alias("body"))
        .select("response_id", F.posexplode(_texts()).alias("period_number", "text"))
        .select("response_id", "period_number", "text", F.posexplode_outer(parts).alias("region_number", "part"))
        .select(
            "response_id",
            _position().alias("position"),
            F.coalesce("part", "text", F.lit("null")).alias("piece"),
        )
    )


def _beyond() -> Column:
    """The names of what a body says beside its data."""
    return F.map_keys(_beside(_object(F.try_parse_json("body")), ("data",)))


def _rest() -> Column:
    """What is not known, by name."""
    are_shares_once = F.size(F.array_distinct("shares.fuel")) == F.size("shares")  # if not, the piece is refused
    return F.map_concat(
        "own",
        "inherited",
        _within("intensity", F.col("in_intensity"), F.size("in_intensity") > 0),
        _within("generationmix", _by_fuel(F.col("shares")), (F.size("shares") > 0) & are_shares_once),
    )


def _unknown() -> Column:
    """The names of what is not known."""
    names = F.concat(
        F.map_keys("own"),
        F.map_keys("inherited"),
        F.transform(F.map_keys("in_intensity"), lambda name: F.concat(F.lit("intensity."), name)),
        F.flatten("shares.names"),
        "beyond",
    )
    return F.array_distinct(names)


def _shares() -> Column:
    """Of every share of ``said`` that says something not known: its fuel, the rest, and the names of the rest."""
    shares = F.coalesce(
        F.try_variant_get("said", "$.generationmix", "array<map<string,variant>>"),
        F.array().cast("array<map<string,variant>>"),
    )
    # One step after the other: what a lambda says twice, Spark describes and computes twice.
    named = F.transform(shares, lambda share: F.struct(_fuel(share).alias("fuel"), share.alias("rest")))
    less = F.transform(named, lambda share: share.withField("rest", _unknown_of(share["fuel"], share["rest"])))
    told = F.transform(less, lambda share: share.withField("names", _names(share["fuel"], share["rest"])))
    return F.filter(told, lambda share: F.size(share["names"]) > 0)


def _fuel(share: Column) -> Column:
    return F.coalesce(F.try_variant_get(F.try_element_at(share, F.lit("fuel")), "$", "string"), F.lit(""))


def _unknown_of(fuel: Column, share: Column) -> Column:
    is_known = fuel.isin(*KNOWN_FUELS)
    return F.map_filter(share, lambda name, _: (name != "fuel") & ~((name == "perc") & is_known))


def _names(fuel: Column, rest: Column) -> Column:
    fields = F.transform(_but(F.map_keys(rest), ("perc",)), lambda name: F.concat(F.lit("generationmix[]."), name))
    fuels = F.array(F.concat(F.lit("generationmix."), fuel))
    return F.concat(F.when(fuel.isin(*KNOWN_FUELS), F.array().cast("array<string>")).otherwise(fuels), fields)


def _by_fuel(shares: Column) -> Column:
    entries = F.transform(shares, lambda share: F.struct(share["fuel"], F.to_variant_object(share["rest"])))
    return F.map_from_entries(entries)


def _within(name: str, fields: Column, is_there: Column) -> Column:
    return F.when(is_there, F.create_map(F.lit(name), F.to_variant_object(fields))).otherwise(_nothing())


def _object(said: Column) -> Column:
    """A JSON object as a map of its fields; empty for anything else."""
    return F.coalesce(F.try_variant_get(said, "$", "map<string,variant>"), _nothing())


def _beside(fields: Column, known: tuple[str, ...]) -> Column:
    return F.map_filter(fields, lambda name, _: ~name.isin(*known))


def _but(names: Column, known: tuple[str, ...]) -> Column:
    return F.filter(names, lambda name: ~name.isin(*known))


def _nothing() -> Column:
    return F.create_map().cast("map<string,variant>")


def _listed(texts: tuple[str, ...]) -> Column:
    return F.array(*(F.lit(text) for text in texts))


def _position() -> Column:
    return F.col("period_number").cast("bigint") * PLACES_PER_PERIOD + F.coalesce(F.col("region_number"), F.lit(0))


def _text() -> Column:
    """The body as text, without the mark that some write before UTF-8."""
    return F.ltrim(F.col("body").cast("string"), F.lit(BYTE_ORDER_MARK))


def _texts() -> Column:
    """The elements of ``data`` as texts; an object counts as its own only element, a bare list stands for ``data``."""
    return F.coalesce(
        F.when(F.col("body").rlike("^\\s*\\["), F.from_json("body", "ARRAY<STRING>")),
        F.from_json("body", "STRUCT<data: ARRAY<STRING>>")["data"],
        F.array(F.from_json("body", "STRUCT<data: STRING>")["data"]),
    )
