"""From the bodies of responses to their pieces: what one response says about one region in one half-hour.

Almost every body is plain: a list of periods that hold regions, as the API has always written it, every field there
and none more, no period or region twice. Such a body is parsed in one step. That no field is more is proven by its
colons: each known field that is there accounts for one, each time for one more, and a body with more colons than that
holds something else. All others are parsed part by part, so that a broken part costs only itself and what is not
known is kept beside the rest.
(Spark's JSON parser gives the shortest text of a number's double, so 17 significant digits are told apart; Silver
keeps two decimals and refuses more.)
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import KNOWN_FUELS, REGIONS

_MIX = "ARRAY<STRUCT<fuel: STRING, perc: STRING>>"
_ENTRY = (
    "STRUCT<from: STRING, to: STRING, regionid: STRING, dnoregion: STRING, shortname: STRING, "
    f"intensity: STRUCT<forecast: STRING, index: STRING>, generationmix: {_MIX}, "
    "extra: STRING, unknown: ARRAY<STRING>>"
)
"""What is said about a region. ``extra`` and ``unknown`` are ours: what is not known, as JSON, and its names."""
_ENTRY_FIELDS = ("from", "to", "regionid", "dnoregion", "shortname", "intensity", "generationmix")
_ABOUT_FIELDS = ("from", "to", "regionid", "dnoregion", "shortname")
_ABOUT = ", ".join(f"{name}: STRING" for name in _ABOUT_FIELDS)
_ELEMENT_FIELDS = (*_ABOUT_FIELDS, "regions", "data", "postcode")
_ELEMENT_OF_TEXTS = f"STRUCT<{_ABOUT}, regions: STRING, data: STRING>"
BODY_OF_PERIODS = f"STRUCT<data: ARRAY<STRUCT<{_ABOUT}, regions: ARRAY<{_ENTRY}>>>>"
MINUTE_FORM = "yyyy-MM-dd'T'HH:mm'Z'"
PLACES_PER_PERIOD = 1000
"""``position`` is period number * this + region number; a response never holds more of either."""
REGION_IDS = tuple(str(region.regionid) for region in REGIONS)
COLONS_OF_A_REGION = 7
"""Its fields: regionid, dnoregion, shortname, intensity with forecast and index, generationmix."""
COLONS_OF_A_PERIOD = 5
"""Its fields from, to and regions, and one in each of its two times."""
COLONS_OF_A_SHARE = 2
"""Its fields: fuel and perc."""


def pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece, every value as the text in the body; ``extra`` and ``unknown`` where it says more.

    A response without periods gives no row. All regional shapes of the API are understood. ``is_plain``: the body
    is, so its pieces are of different half-hours or regions.
    """
    parsed, element, entry = F.col("parsed"), F.col("element"), F.col("entry")
    provenance = ["response_id", "landing", "ingestion_timestamp", "window_start", "window_end", "is_pending"]
    elements = F.when(F.col("is_plain"), parsed).otherwise(_part_by_part())
    if "is_pending" not in bronze.columns:
        bronze = bronze.withColumn("is_pending", F.lit(True))
    return (
        bronze.where("n_periods > 0")
        .select(*provenance, _text().alias("body"))
        .select(*provenance, "body", F.from_json("body", BODY_OF_PERIODS)["data"].alias("parsed"))
        .select(*provenance, "body", "parsed", _is_plain(parsed).alias("is_plain"))
        .select(*provenance, "is_plain", F.posexplode(elements).alias("period_number", "element"))
        .select(
            *provenance,
            "is_plain",
            "period_number",
            element,
            _moment(element["from"]).alias("element_from"),
            _moment(element["to"]).alias("element_to"),
            F.posexplode_outer(element["regions"]).alias("region_number", "entry"),
        )
        .select(
            *provenance,
            "is_plain",
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
            entry["extra"].alias("extra"),
            entry["unknown"].alias("unknown"),
            entry.alias("piece"),
        )
    )


def texts_of_pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece: (response_id, position) and ``piece``, its own text."""
    element = F.from_json("text", _ELEMENT_OF_TEXTS)
    parts = F.from_json(F.coalesce(element["regions"], element["data"]), "ARRAY<STRING>")
    return (
        bronze.where("n_periods > 0")
        .select("response_id", _text().alias("body"))
        .select("response_id", F.posexplode(_texts()).alias("period_number", "text"))
        .select("response_id", "period_number", "text", F.posexplode_outer(parts).alias("region_number", "part"))
        .select(
            "response_id",
            _position().alias("position"),
            F.coalesce("part", "text", F.lit("null")).alias("piece"),
        )
    )


def _is_plain(periods: Column) -> Column:
    """Whether the parsed periods are each there once and account for every colon of the body.

    Anything that is missing makes the sum null.
    """
    accounted = F.aggregate(periods, F.lit(1), lambda total, period: total + _colons(period))
    is_whole = accounted == _colons_in(F.col("body"))
    return F.coalesce(is_whole & _each_once(periods["from"]), F.lit(False))


def _colons(period: Column) -> Column:
    """The colons of a period's known fields; null if one is missing, a fuel is not known or a region comes twice."""
    regions = period["regions"]
    shares = F.flatten(regions["generationmix"])
    texts = [regions[name] for name in ("dnoregion", "shortname")]
    texts += [regions["intensity"][name] for name in ("forecast", "index")]
    is_there = _none_missing(shares["perc"]) & _all_known(shares["fuel"], KNOWN_FUELS)
    is_there &= _all_known(regions["regionid"], REGION_IDS) & _each_once(regions["regionid"])
    for text in texts:
        is_there &= _none_missing(text)
    for name in ("from", "to"):
        is_there &= period[name].like("____-__-__T__:__Z")
    count = COLONS_OF_A_PERIOD + COLONS_OF_A_REGION * F.size(regions) + COLONS_OF_A_SHARE * F.size(shares)
    return F.when(is_there, count)


def _none_missing(texts: Column) -> Column:
    """True if no text is null or empty: looking for what an array lacks gives null if it holds a null."""
    return ~F.array_contains(texts, "")


def _all_known(texts: Column, known: tuple[str, ...]) -> Column:
    return F.size(F.array_except(texts, _listed(known))) == 0


def _each_once(texts: Column) -> Column:
    return F.size(F.array_distinct(texts)) == F.size(texts)


def _colons_in(text: Column) -> Column:
    return F.length(text) - F.length(F.replace(text, F.lit(":"), F.lit("")))


def _part_by_part() -> Column:
    """The elements of a body, each entry parsed by itself, with what is not known beside it."""
    beyond = _unknown_names(_object(F.try_parse_json("body")), ("data",))

    def parsed(text: Column) -> Column:
        element = F.from_json(text, _ELEMENT_OF_TEXTS)
        around = _beside(_object(F.try_parse_json(text)), _ELEMENT_FIELDS)
        entries = F.transform(
            F.from_json(F.coalesce(element["regions"], element["data"]), "ARRAY<STRING>"),
            lambda entry: _entry(entry, around, beyond),
        )
        return F.struct(*(element[name].alias(name) for name in _ABOUT_FIELDS), entries.alias("regions"))

    return F.transform(_texts(), parsed)


def _entry(text: Column, around: Column, beyond: Column) -> Column:
    """An entry with ``extra`` and ``unknown``; ``around`` is what its element says beside the known fields."""
    entry = F.from_json(text, _ENTRY)
    said = F.try_parse_json(text)
    own = _beside(_object(said), _ENTRY_FIELDS)
    inherited = F.map_filter(around, lambda name, _: ~F.array_contains(F.map_keys(own), name))
    intensity = _beside(_object(F.try_variant_get(said, "$.intensity", "variant")), ("forecast", "index"))
    shares = _unknown_shares(said)
    extra = F.map_concat(own, inherited, _within("intensity", intensity), _within("generationmix", _by_fuel(shares)))
    unknown = F.concat(
        F.map_keys(own),
        F.map_keys(inherited),
        F.transform(F.map_keys(intensity), lambda name: F.concat(F.lit("intensity."), name)),
        F.flatten(F.transform(shares, lambda share: share["names"])),
        beyond,
    )
    known = [entry[name].alias(name) for name in _ENTRY_FIELDS]
    as_json = F.when(F.size(extra) > 0, F.to_json(F.to_variant_object(extra)))
    with_rest = F.struct(*known, as_json.alias("extra"), F.array_distinct(unknown).alias("unknown"))
    return F.when(entry.isNotNull(), with_rest)


def _unknown_shares(said: Column) -> Column:
    """Of every share that says something not known: its fuel, the rest, and the names of the rest."""
    shares = F.coalesce(
        F.try_variant_get(said, "$.generationmix", "array<map<string,variant>>"),
        F.array().cast("array<map<string,variant>>"),
    )

    def rest(share: Column) -> Column:
        fuel = F.coalesce(F.try_variant_get(F.try_element_at(share, F.lit("fuel")), "$", "string"), F.lit(""))
        is_known = fuel.isin(*KNOWN_FUELS)
        beside = F.map_filter(share, lambda name, _: (name != "fuel") & ~((name == "perc") & is_known))
        fields = F.transform(
            _but(F.map_keys(beside), ("perc",)), lambda name: F.concat(F.lit("generationmix[]."), name)
        )
        whole = F.array(F.concat(F.lit("generationmix."), fuel))
        names = F.when(is_known, fields).otherwise(F.concat(whole, fields))
        return F.struct(fuel.alias("fuel"), beside.alias("rest"), names.alias("names"))

    return F.filter(F.transform(shares, rest), lambda share: F.size(share["names"]) > 0)


def _by_fuel(shares: Column) -> Column:
    """Fuel -> the rest; nothing when a fuel comes twice, which refuses the piece."""
    is_once = F.size(F.array_distinct(shares["fuel"])) == F.size(shares)
    entries = F.transform(shares, lambda share: F.struct(share["fuel"], F.to_variant_object(share["rest"])))
    return F.when(is_once, F.map_from_entries(entries)).otherwise(_nothing())


def _within(name: str, fields: Column) -> Column:
    held = F.create_map(F.lit(name), F.to_variant_object(fields))
    return F.when(F.size(fields) > 0, held).otherwise(_nothing())


def _object(said: Column) -> Column:
    """A JSON object as a map of its fields; empty for anything else."""
    return F.coalesce(F.try_variant_get(said, "$", "map<string,variant>"), _nothing())


def _beside(fields: Column, known: tuple[str, ...]) -> Column:
    return F.map_filter(fields, lambda name, _: ~name.isin(*known))


def _unknown_names(fields: Column, known: tuple[str, ...]) -> Column:
    return F.map_keys(_beside(fields, known))


def _but(names: Column, known: tuple[str, ...]) -> Column:
    return F.filter(names, lambda name: ~name.isin(*known))


def _nothing() -> Column:
    return F.create_map().cast("map<string,variant>")


def _listed(texts: tuple[str, ...]) -> Column:
    return F.array(*(F.lit(text) for text in texts))


def _position() -> Column:
    return F.col("period_number").cast("bigint") * PLACES_PER_PERIOD + F.coalesce(F.col("region_number"), F.lit(0))


def _text() -> Column:
    """The body as text; that it is UTF-8 was checked when it landed."""
    return F.col("body").cast("string")


def _texts() -> Column:
    """The elements of ``data`` as texts; an object counts as its own only element."""
    return F.coalesce(
        F.from_json("body", "STRUCT<data: ARRAY<STRING>>")["data"],
        F.array(F.from_json("body", "STRUCT<data: STRING>")["data"]),
    )


def _moment(text: Column) -> Column:
    return F.try_to_timestamp(text, F.lit(MINUTE_FORM))
