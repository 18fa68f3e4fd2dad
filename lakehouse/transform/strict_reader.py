"""The strict reader: bodies as the API writes them, read whole by Arrow at a hundred megabytes a second.

It takes a body when every known field is there, once and of its type, every period has its own start, every region in
it its own id, and every mix the same fuels, all nine among them. Nearly all bodies are so. Fields and fuels that nobody
knows do not stop it: what they say is taken from the text (``lenient_reader.rescued``), because Arrow guesses types
where none are declared (texts become times) and does not tell null from absent. Anything else is ``IrregularError``,
and the lenient reader's.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache, reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from lakehouse.lake.tables import FUELS, KNOWN_FUELS
from lakehouse.transform import lenient_reader
from lakehouse.transform.records import MOMENT, OF_REGULAR, PLACES_PER_PERIOD, RECORD, SHARE, SHARE_SUM, STATED_SHARE

BEFORE_JSON = b" \t\r\n\xef\xbb\xbf"
"""White space, and the mark that some write before UTF-8."""
MINUTE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z$"
_SHARE = pa.struct([("fuel", pa.string()), ("perc", pa.decimal128(20, 2))])
_INTENSITY = pa.struct([("forecast", pa.int32()), ("index", pa.string())])
_REGION = pa.struct(
    [
        ("regionid", pa.int32()),
        ("dnoregion", pa.string()),
        ("shortname", pa.string()),
        ("intensity", _INTENSITY),
        ("generationmix", pa.list_(_SHARE)),
    ]
)
_PERIOD = pa.struct([("from", pa.string()), ("to", pa.string()), ("regions", pa.list_(_REGION))])
_REGULAR = pyarrow.json.ParseOptions(
    explicit_schema=pa.schema([("data", pa.list_(_PERIOD))]),
    unexpected_field_behavior="infer",  # as fast as "error", and the declared types stay strict
    newlines_in_values=True,
)


class IrregularError(Exception):
    """A body is not as the API writes them."""


def read(body: bytes) -> pa.Table:
    """The records of a regular body, as ``records.RECORD``.

    Raises:
        IrregularError: it is not regular.
    """
    _require(body.lstrip(BEFORE_JSON)[:1] == b"{")  # Arrow's reader crashes the process on a bare null
    buffer = pa.py_buffer(body)
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=buffer.size + 1)
    try:
        document = pyarrow.json.read_json(pa.BufferReader(buffer), read_options=options, parse_options=_REGULAR)
        return _records(document, body)
    except pa.ArrowInvalid as error:
        raise IrregularError(str(error)) from None


def _records(document: pa.Table, body: bytes) -> pa.Table:
    _require(document.num_rows == 1)
    periods = _elements(document["data"].chunk(0))
    starts, stops = (_moments(periods.field(name)) for name in ("from", "to"))
    _require(pc.count_distinct(starts).as_py() == len(starts))
    regions = _elements(periods.field("regions"))
    period = pc.list_parent_indices(periods.field("regions"))
    _require(not {"from", "to"} & set(regions.type.names))  # a region's own times would count, not its period's
    ids = _without_null(regions.field("regionid"))
    _require(pc.count_distinct(pc.add(_times(period, 2**32), ids.cast(pa.int64()))).as_py() == len(ids))
    intensity = _without_null(regions.field("intensity"))
    first = pc.take(periods.field("regions").offsets, period)
    place = pc.subtract(_every(0, 1, len(regions)), first).cast(pa.int64())
    shares = dict(_shares(regions.field("generationmix")))
    stated = list(shares.values())
    others = len(shares.keys() - set(KNOWN_FUELS))
    columns = OF_REGULAR | {
        "position": pc.add(_times(period, PLACES_PER_PERIOD), place),
        "regionid": ids,
        "timestamp": pc.take(starts, period),
        "shortname": _text(regions.field("shortname")),
        "dno": _text(regions.field("dnoregion")),
        "intensity_forecast": _without_null(intensity.field("forecast")),
        "intensity_index": _text(intensity.field("index")),
        **{f"fuel_{fuel}": shares.get(fuel) for fuel in KNOWN_FUELS},
        "stop": pc.take(stops, period),
        "fuels_other": others,
        "share_sum": reduce(lambda total, share: pc.add(total, share).cast(SHARE_SUM), stated),
        "lowest_share": pc.min_element_wise(*stated).cast(STATED_SHARE),
        "highest_share": pc.max_element_wise(*stated).cast(STATED_SHARE),
    }
    if others or _has_unknown_fields(document.schema):
        columns |= _rescued(body)
    return pa.table([_column(columns.get(field.name), field, len(ids)) for field in RECORD], RECORD)


def _column(values: pa.Array | bool | int | None, field: pa.Field, size: int) -> pa.Array:
    if values is None:
        return pa.nulls(size, field.type)
    return values if isinstance(values, pa.Array) else pa.repeat(pa.scalar(values, field.type), size)


def _has_unknown_fields(schema: pa.Schema) -> bool:
    """Whether anything was found that is not declared."""
    period = schema.field("data").type.value_type
    region = period.field("regions").type.value_type
    share = region.field("generationmix").type.value_type
    found = [
        *((schema, _REGULAR.explicit_schema), (period, _PERIOD), (region, _REGION)),
        *((region.field("intensity").type, _INTENSITY), (share, _SHARE)),
    ]
    return any(set(there.names) != set(declared.names) for there, declared in found)


def _rescued(body: bytes) -> dict[str, pa.Array]:
    """What each record says that nobody knew, and its names; in order of ``position``."""
    document = json.loads(body, parse_float=Decimal, parse_constant=str)
    found = [
        lenient_reader.rescued(document, element, entry) for element in document["data"] for entry in element["regions"]
    ]
    return {
        "extra": pa.array([extra for extra, _ in found], pa.string()),
        "unknown": pa.array([names or None for _, names in found], pa.list_(pa.string())),
    }


def _shares(mixes: pa.ListArray) -> Iterator[tuple[str, pa.Array]]:
    """The shares of each fuel by its name; the mixes name the same fuels in the same order."""
    shares = _elements(mixes)
    each = len(shares) // len(mixes)
    _require(bool(pc.all(pc.equal(pc.list_value_length(mixes), _scalar(each))).as_py()))
    names = _text(shares.field("fuel"))
    percents = _without_null(shares.field("perc")).cast(SHARE)  # which is strict, as the reader is not: 1000 is none
    first = names.slice(0, each).to_pylist()
    _require(len(set(first)) == each and set(FUELS) <= set(first))
    places = [_every(number, each, len(shares)) for number in range(each)]
    for name, at in zip(first, places, strict=True):
        _require(bool(pc.all(pc.equal(pc.take(names, at), _scalar(name))).as_py()))
        yield name, pc.take(percents, at)


@lru_cache(typed=True)
def _scalar(value: int | str) -> pa.Scalar:
    """Kept, because making one takes Arrow longer than what is done with it."""
    return pa.scalar(value)


def _times(numbers: pa.Array, factor: int) -> pa.Array:
    return pc.multiply(numbers.cast(pa.int64()), _scalar(factor))


@lru_cache
def _every(first: int, step: int, size: int) -> pa.Array:
    return pa.array(range(first, size, step), pa.int32())


def _moments(texts: pa.StringArray) -> pa.TimestampArray:
    _require(bool(pc.all(pc.match_substring_regex(_without_null(texts), MINUTE)).as_py()))
    return texts.cast(MOMENT)


def _text(values: pa.StringArray) -> pa.StringArray:
    """The texts, none of which is null, all of them Unicode (which Arrow's reader does not look at)."""
    values.validate(full=True)
    return _without_null(values)


def _elements(lists: pa.ListArray) -> pa.Array:
    """What the lists hold; each holds something."""
    _require(bool(pc.all(pc.greater(pc.list_value_length(_without_null(lists)), _scalar(0))).as_py()))
    return _without_null(lists.flatten())


def _without_null(values: pa.Array) -> pa.Array:
    _require(values.null_count == 0)
    return values


def _require(holds: bool) -> None:
    if not holds:
        raise IrregularError
