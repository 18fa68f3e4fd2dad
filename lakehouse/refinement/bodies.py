"""From the bodies of responses to their pieces: what one response says about one region in one half-hour.

Almost every body is **plain**: a list of periods that hold regions, as the API has always written it, every field
there and none more, the same regions in every period, the same fuels in every region, nothing twice. Such a body is
parsed in one step. That no field is more is proven by its colons: each known field that is there accounts for one,
each time for its own, and a body with more colons than that holds something else. All others are parsed part by part,
so that a broken part costs only itself and what is not known is kept beside the rest.
(Spark's JSON parser reads a number as its double or as a decimal of 15 places; Silver keeps two decimals and refuses
more.)
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.lake.tables import FUELS, KNOWN_FUELS, REGIONS
from lakehouse.refinement.quality import SHARE

_INTENSITY = "STRUCT<forecast: STRING, index: STRING>"
_PLAIN_BODY = (
    "STRUCT<data: ARRAY<STRUCT<from: STRING, to: STRING, regions: ARRAY<STRUCT<regionid: STRING, dnoregion: STRING, "
    f"shortname: STRING, intensity: {_INTENSITY}, generationmix: ARRAY<STRUCT<fuel: STRING, perc: {SHARE}>>>>>>>"
)
_ENTRY = (
    "STRUCT<from: STRING, to: STRING, regionid: STRING, dnoregion: STRING, shortname: STRING, "
    f"intensity: {_INTENSITY}, generationmix: ARRAY<STRUCT<fuel: STRING, perc: STRING>>>"
)
"""What is said about a region."""
_ENTRY_FIELDS = ("from", "to", "regionid", "dnoregion", "shortname", "intensity", "generationmix")
_ABOUT_FIELDS = ("from", "to", "regionid", "dnoregion", "shortname")
_ABOUT = ", ".join(f"{name}: STRING" for name in _ABOUT_FIELDS)
_ELEMENT_FIELDS = (*_ABOUT_FIELDS, "regions", "data", "postcode")
_ELEMENT_OF_TEXTS = f"STRUCT<{_ABOUT}, regions: STRING, data: STRING>"
_NUMBER = "^-?[0-9]{1,3}([.][0-9]+)?$"
MINUTE_FORM = "yyyy-MM-dd'T'HH:mm'Z'"
PLACES_PER_PERIOD = 1000
"""``position`` is period number * this + region number; a response never holds more of either."""
REGION_IDS = tuple(str(region.regionid) for region in REGIONS)
COLONS_OF_A_PERIOD = 3
"""Its fields: from, to and regions; the colons in its times come on top."""
COLONS_OF_A_REGION = 7
"""Its fields: regionid, dnoregion, shortname, intensity with forecast and index, generationmix."""
COLONS_OF_A_SHARE = 2
"""Its fields: fuel and perc."""
_PROVENANCE = ("response_id", "landing", "ingestion_timestamp", "window_start", "window_end", "is_pending")


def pieces(bronze: DataFrame) -> DataFrame:
    """One row per piece, every value as it is in the body; ``extra`` and ``unknown`` where it says more.

    A response without periods gives no row. All regional shapes of the API are understood. ``is_plain``: the body
    is, so its pieces are of different half-hours or regions. ``fuels_missing`` and ``fuels_other`` count those of the
    nine that are not there and those that nobody knows; ``other_shares`` is the sum of the latter's shares.
    """
    plain = plain_pieces(bronze)
    odd = plain.where("NOT is_plain").select("response_id")
    return plain.where("is_plain").unionByName(odd_pieces(bronze.join(odd, "response_id", "left_semi")))


def plain_pieces(bronze: DataFrame) -> DataFrame:
    """As :func:`pieces`, of plain bodies; one row that is not ``is_plain`` stands for each other body."""
    parsed, element, entry = F.col("parsed"), F.col("element"), F.col("entry")
    mix = entry["generationmix"]
    return (
        _with_periods(bronze)
        .select(*_PROVENANCE, "body", F.from_json("body", _PLAIN_BODY)["data"].alias("parsed"))
        .select(*_PROVENANCE, "body", "parsed", F.flatten(parsed["regions"]).alias("regions"))
        .select(*_PROVENANCE, "body", "parsed", "regions", F.flatten(F.col("regions")["generationmix"]).alias("shares"))
        .select(*_PROVENANCE, "parsed", _is_plain().alias("is_plain"), _missing(_first_fuels()).alias("fuels_missing"))
        .select(
            *_PROVENANCE,
            "is_plain",
            "fuels_missing",
            F.posexplode_outer(F.when(F.col("is_plain"), parsed)).alias("period_number", "element"),
        )
        .select(
            *_PROVENANCE,
            "is_plain",
            "fuels_missing",
            "period_number",
            element["from"].alias("period_from"),
            element["to"].alias("period_to"),
            _moment(element["from"]).alias("start"),
            _moment(element["to"]).alias("stop"),
            F.posexplode_outer(element["regions"]).alias("region_number", "entry"),
        )
        .select(
            *_PROVENANCE,
            "is_plain",
            _position().alias("position"),
            "period_from",
            "period_to",
            "start",
            "stop",
            entry["regionid"].alias("region"),
            entry["dnoregion"].alias("dnoregion"),
            entry["shortname"].alias("shortname"),
            entry["intensity"]["forecast"].alias("forecast"),
            entry["intensity"]["index"].alias("index"),
            mix["fuel"].alias("fuels"),
            mix["perc"].alias("percs"),
            "fuels_missing",
            F.lit(0).alias("fuels_other"),
            F.lit(0).cast("decimal(20,2)").alias("other_shares"),
            F.lit(None).cast("string").alias("extra"),
            F.lit(None).cast("array<string>").alias("unknown"),
            F.lit(True).alias("is_readable"),
        )
    )


def odd_pieces(bronze: DataFrame) -> DataFrame:
    """As :func:`pieces`, each parsed by itself, whatever the bodies are like."""
    element, entry = F.col("element"), F.col("entry")
    mix = entry["generationmix"]
    percs = F.transform(mix["perc"], lambda text: F.when(text.rlike(_NUMBER), text.try_cast(SHARE)))
    others = F.filter(mix, lambda share: ~share["fuel"].isin(*KNOWN_FUELS))
    total = F.aggregate(
        others["perc"],
        F.lit(0).cast("decimal(20,2)"),
        lambda sum_, text: (sum_ + text.try_cast("decimal(5,2)")).cast("decimal(20,2)"),
    )
    return (
        _with_periods(bronze)
        .select(*_PROVENANCE, F.posexplode(_part_by_part()).alias("period_number", "element"))
        .select(
            *_PROVENANCE,
            "period_number",
            "element",
            F.posexplode_outer(element["regions"]).alias("region_number", "entry"),
        )
        .select(
            *_PROVENANCE,
            F.lit(False).alias("is_plain"),
            _position().alias("position"),
            F.coalesce(entry["from"], element["from"]).alias("period_from"),
            F.coalesce(entry["to"], element["to"]).alias("period_to"),
            _moment(F.coalesce(entry["from"], element["from"])).alias("start"),
            _moment(F.coalesce(entry["to"], element["to"])).alias("stop"),
            F.coalesce(entry["regionid"], element["regionid"]).alias("region"),
            F.coalesce(entry["dnoregion"], element["dnoregion"]).alias("dnoregion"),
            F.coalesce(entry["shortname"], element["shortname"]).alias("shortname"),
            entry["intensity"]["forecast"].alias("forecast"),
            entry["intensity"]["index"].alias("index"),
            mix["fuel"].alias("fuels"),
            percs.alias("percs"),
            _missing(mix["fuel"]).alias("fuels_missing"),
            F.size(F.array_except(mix["fuel"], _listed(KNOWN_FUELS))).alias("fuels_other"),
            total.alias("other_shares"),
            entry["extra"].alias("extra"),
            entry["unknown"].alias("unknown"),
            (entry["intensity"].isNotNull() | mix.isNotNull()).alias("is_readable"),
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


def _with_periods(bronze: DataFrame) -> DataFrame:
    """The responses that hold any, ``body`` as text."""
    if "is_pending" not in bronze.columns:
        bronze = bronze.withColumn("is_pending", F.lit(True))
    return bronze.where("n_periods > 0").select(*_PROVENANCE, _text().alias("body"))


def _is_plain() -> Column:
    """Whether what was parsed accounts for every colon of the body, each region and fuel where it always is.

    No lambda functions: Spark interprets those, and this looks at every value there is.
    """
    periods, regions, shares = F.col("parsed"), F.col("regions"), F.col("shares")
    first_ids, first_fuels = periods[0]["regions"]["regionid"], _first_fuels()
    texts = [periods[name] for name in ("from", "to")]
    texts += [regions[name] for name in ("dnoregion", "shortname")]
    texts += [regions["intensity"][name] for name in ("forecast", "index")]
    is_there = _each_once(periods["from"]) & _each_once(first_ids) & _all_known(first_ids, REGION_IDS)
    is_there &= regions["regionid"] == F.flatten(F.array_repeat(first_ids, F.size(periods)))
    is_there &= _each_once(first_fuels) & _all_known(first_fuels, KNOWN_FUELS)
    is_there &= shares["fuel"] == F.flatten(F.array_repeat(first_fuels, F.size(regions)))
    is_there &= ~F.array_contains(shares["perc"], F.lit(-1).cast(SHARE))
    for text in texts:
        is_there &= ~F.array_contains(text, "")
    accounted = (
        1
        + COLONS_OF_A_PERIOD * F.size(periods)
        + _colons_in(F.array_join(periods["from"], ""))
        + _colons_in(F.array_join(periods["to"], ""))
        + COLONS_OF_A_REGION * F.size(regions)
        + COLONS_OF_A_SHARE * F.size(shares)
    )
    return F.coalesce((accounted == _colons_in(F.col("body"))) & is_there, F.lit(False))


def _first_fuels() -> Column:
    return F.col("regions")[0]["generationmix"]["fuel"]


def _missing(fuels: Column) -> Column:
    return F.size(F.array_except(_listed(FUELS), fuels))


def _all_known(texts: Column, known: tuple[str, ...]) -> Column:
    return F.size(F.array_except(texts, _listed(known))) == 0


def _each_once(texts: Column) -> Column:
    return F.size(F.array_distinct(texts)) == F.size(texts)


def _colons_in(text: Column) -> Column:
    return F.octet_length(text) - F.octet_length(F.replace(text, F.lit(":"), F.lit("")))


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
