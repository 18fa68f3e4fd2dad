"""Plain bodies, read by Arrow: few of them in this process, more on Spark's executors, a core each.

A body is **plain** when Arrow's strict JSON reader takes it by the schema of a regional answer (every field there,
once, of its type, no other beside it), no value is null, every period has its own start, every region in it its own
id, and every mix the same fuels, all of them known. Nearly all of them are. What is not plain is read part by part
(``odd_bodies``); what follows from being plain need not be looked at again.

Imports nothing but Arrow and the declarations, because every Python worker does.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, reduce
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from lakehouse.lake.tables import FUELS, KNOWN_FUELS

PLACES_PER_PERIOD = 1000
"""``position`` is period number * this + region number; a response never holds more of either."""
BATCH = 16
"""Responses read at once in this process: up to 4 MB each."""
MOMENT = pa.timestamp("us", tz="UTC")
SUM = pa.decimal128(10, 2)
MINUTE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z$"
SHARE = pa.decimal128(5, 2)
_SHARE = pa.struct([("fuel", pa.string()), ("perc", pa.decimal128(20, 2))])
_REGION = pa.struct(
    [
        ("regionid", pa.int32()),
        ("dnoregion", pa.string()),
        ("shortname", pa.string()),
        ("intensity", pa.struct([("forecast", pa.int32()), ("index", pa.string())])),
        ("generationmix", pa.list_(_SHARE)),
    ]
)
_PERIOD = pa.struct([("from", pa.string()), ("to", pa.string()), ("regions", pa.list_(_REGION))])
_STRICT = pyarrow.json.ParseOptions(
    explicit_schema=pa.schema([("data", pa.list_(_PERIOD))]),
    unexpected_field_behavior="error",
    newlines_in_values=True,
)
_FIELDS = (
    pa.field("position", pa.int64()),
    pa.field("regionid", pa.int32()),
    pa.field("timestamp", MOMENT),
    pa.field("stop", MOMENT),
    pa.field("shortname", pa.string()),
    pa.field("dno", pa.string()),
    pa.field("intensity_forecast", pa.int32()),
    pa.field("intensity_index", pa.string()),
    *(pa.field(f"fuel_{fuel}", SHARE) for fuel in KNOWN_FUELS),
    pa.field("share_sum", SUM),
    pa.field("lowest_share", SHARE),
    pa.field("highest_share", SHARE),
)
FIELDS = {
    "position": "BIGINT",
    "regionid": "INT",
    "timestamp": "TIMESTAMP",
    "stop": "TIMESTAMP",
    "shortname": "STRING",
    "dno": "STRING",
    "intensity_forecast": "INT",
    "intensity_index": "STRING",
    **{f"fuel_{fuel}": "DECIMAL(5,2)" for fuel in KNOWN_FUELS},
    "share_sum": "DECIMAL(10,2)",
    "lowest_share": "DECIMAL(5,2)",
    "highest_share": "DECIMAL(5,2)",
}
"""What is read of a region in a half-hour, with Spark's types."""
FACTS = {
    "region": "CAST(NULL AS STRING)",
    "period_from": "CAST(NULL AS STRING)",
    "is_readable": "true",
    "is_forecast_whole": "true",
    "fuels_missing": "0",
    "fuels_other": "0",
    "are_fuels_once": "true",
    "are_shares_exact": "true",
    "extra": "CAST(NULL AS STRING)",
}
"""What else is so of every piece of a plain body, as SQL."""
_NOTHING = pa.array([], pa.struct(_FIELDS))


class _OddError(Exception):
    """A body is not plain."""


def read(bodies: Iterator[pa.Array]) -> Iterator[pa.Array]:
    """Of each body a list with an element for each region and half-hour, null if the body is not plain."""
    for batch in bodies:
        pieces = [_pieces_of(body.as_buffer()) for body in batch]
        sizes = (0 if found is None else len(found) for found in pieces)
        offsets = pa.array(accumulate(sizes, initial=0), pa.int32())
        is_odd = pa.array([found is None for found in pieces], pa.bool_())
        values = pa.concat_arrays([_NOTHING, *(found for found in pieces if found is not None)])
        yield pa.ListArray.from_arrays(offsets, values, mask=is_odd)


def exploded(responses: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The pieces of responses with ``body``, read in this process, and the responses that are not plain.

    Of the former one row each: the response's other columns, and ``FIELDS``.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Arrow reads without Python's lock
        parts = list(threads.map(_exploded, responses.to_batches(max_chunksize=BATCH)))
    pieces, odd = ([part[kind] for part in parts] for kind in (0, 1))
    names = [pa.field(name, responses.schema.field(name).type) for name in responses.column_names if name != "body"]
    return pa.Table.from_batches(pieces, pa.schema([*names, *_FIELDS])), pa.Table.from_batches(odd, responses.schema)


def _exploded(responses: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    (lists,) = read(iter([responses["body"]]))
    said = responses.drop_columns(["body"]).take(pc.list_parent_indices(lists))
    values = lists.flatten()
    columns = [*said.columns, *(values.field(name) for name in FIELDS)]
    pieces = pa.RecordBatch.from_arrays(columns, [*said.schema.names, *FIELDS])
    return pieces, responses.filter(lists.is_null())


def _pieces_of(body: pa.Buffer) -> pa.StructArray | None:
    try:
        return _plain_pieces(body)
    except (pa.ArrowInvalid, _OddError):
        return None


def _plain_pieces(body: pa.Buffer) -> pa.StructArray:
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=body.size + 1)
    document = pyarrow.json.read_json(pa.BufferReader(body), read_options=options, parse_options=_STRICT)
    _need(document.num_rows == 1)
    periods = _elements(document["data"].chunk(0))
    starts, ends = (_moments(periods.field(name)) for name in ("from", "to"))
    _need(pc.count_distinct(starts).as_py() == len(starts))
    regions = _elements(periods.field("regions"))
    period = pc.list_parent_indices(periods.field("regions"))
    ids = _whole(regions.field("regionid"))
    _need(pc.count_distinct(pc.add(_times(period, 2**32), ids.cast(pa.int64()))).as_py() == len(ids))
    intensity = _whole(regions.field("intensity"))
    first = pc.take(periods.field("regions").offsets, period)
    place = pc.subtract(_every(0, 1, len(regions)), first).cast(pa.int64())
    shares = list(_mix(regions.field("generationmix")))
    stated = [share for share in shares if share.null_count == 0]
    columns = [
        pc.add(_times(period, PLACES_PER_PERIOD), place),
        ids,
        pc.take(starts, period),
        pc.take(ends, period),
        _whole(regions.field("shortname")),
        _whole(regions.field("dnoregion")),
        _whole(intensity.field("forecast")),
        _whole(intensity.field("index")),
        *shares,
        reduce(lambda total, share: pc.add(total, share).cast(SUM), stated),
        pc.min_element_wise(*stated),
        pc.max_element_wise(*stated),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(_FIELDS))


def _mix(mixes: pa.ListArray) -> Iterator[pa.Array]:
    """The shares of each of the fuels we have a column for."""
    shares = _elements(mixes)
    each = len(shares) // len(mixes)
    _need(bool(pc.all(pc.equal(pc.list_value_length(mixes), _scalar(each))).as_py()))
    names = _whole(shares.field("fuel"))
    percents = _whole(shares.field("perc")).cast(SHARE)  # which is strict, as the reader is not: 1000 is no share
    first = names.slice(0, each).to_pylist()
    _need(len(set(first)) == each and set(FUELS) <= set(first) <= set(KNOWN_FUELS))
    places = [_every(number, each, len(shares)) for number in range(each)]
    for name, at in zip(first, places, strict=True):
        _need(bool(pc.all(pc.equal(pc.take(names, at), _scalar(name))).as_py()))
    for fuel in KNOWN_FUELS:
        if fuel in first:
            yield pc.take(percents, places[first.index(fuel)])
        else:
            yield pa.nulls(len(mixes), percents.type)


@lru_cache(typed=True)
def _scalar(value: bool | int | str) -> pa.Scalar:
    """Kept, because making one takes Arrow longer than what is done with it."""
    return pa.scalar(value)


def _times(numbers: pa.Array, factor: int) -> pa.Array:
    return pc.multiply(numbers.cast(pa.int64()), _scalar(factor))


@lru_cache
def _every(first: int, step: int, size: int) -> pa.Array:
    return pa.array(range(first, size, step), pa.int32())


def _moments(texts: pa.StringArray) -> pa.TimestampArray:
    _need(bool(pc.all(pc.match_substring_regex(_whole(texts), MINUTE)).as_py()))
    return texts.cast(MOMENT)


def _elements(lists: pa.ListArray) -> pa.Array:
    """What the lists hold; each holds something."""
    _need(bool(pc.all(pc.greater(pc.list_value_length(_whole(lists)), _scalar(0))).as_py()))
    return _whole(lists.flatten())


def _whole(values: pa.Array) -> pa.Array:
    """The values, none of which is null."""
    _need(values.null_count == 0)
    return values


def _need(is_so: bool) -> None:
    if not is_so:
        raise _OddError
