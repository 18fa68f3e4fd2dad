"""Both readers agree: whatever the strict one takes, the lenient one reads the same. Bodies are changed at random."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.transform import lenient_reader, reader, strict_reader
from lakehouse.transform.records import RECORD
from lakehouse.transform.strict_reader import IrregularError
from tests.support.lakes import MIX, periods

OF_THE_READER = ("is_regular", "region", "period_from", "piece")
"""What says which reader it was."""
numbers = st.one_of(
    st.integers(-(10**3), 10**3),
    st.integers(-(2**40), 2**40),
    st.decimals(-(10**4), 10**4, allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(["1e2", "1E-3", "-0", "-0.0", "13.0", "0.30000000000000004", "99.995", "1e400", "100.00"]),
)
texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["2024-01-02T12:00Z", "2024-01-02", "7.5", " 7.5", "+7", "1e1", ".5", "5.", "gas", "storage", "13"]
    ),
)
leaves = st.one_of(
    st.none(), st.booleans(), numbers.map(lambda number: Raw(str(number))), texts, st.just([]), st.just({})
)
values = st.one_of(leaves, st.lists(leaves, max_size=2), st.dictionaries(texts, leaves, max_size=2))
names = st.one_of(
    st.sampled_from(["from", "to", "regionid", "data", "postcode", "fuel", "perc", "note", "actual"]), texts
)


class Raw(str):
    """A number as it is to be written."""


def written(value: Any) -> str:
    """JSON with numbers as they are written."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def objects(value: Any) -> list[dict[str, Any]]:
    """Every object in a body, outermost first."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if isinstance(value, dict) else []) + [found for each in inner for found in objects(each)]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """An answer about two regions in two half-hours, changed in up to three places."""
    body: dict[str, Any] = copy.deepcopy({"data": periods("2024-01-02T12:00", [100, 101])})
    for entry in objects(body):
        if "generationmix" in entry and draw(st.booleans()):
            entry["generationmix"].append({"fuel": "storage", "perc": 0})
    for _ in range(draw(st.integers(0, 3))):
        there = objects(body)
        chosen = there[draw(st.integers(0, len(there) - 1))]
        known = st.sampled_from(sorted(chosen)) if chosen else names
        name = draw(st.one_of(known, names))
        if draw(st.integers(0, 5)) == 0:
            chosen.pop(name, None)
        else:
            chosen[name] = draw(values)
    return written(body).encode()


@given(body=bodies())
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_the_lenient_reader_reads_what_the_strict_one_takes(body: bytes) -> None:
    lenient = lenient_reader.read(body)
    assert lenient.schema == RECORD
    assert len(lenient_reader.texts(body)) == lenient.num_rows
    try:
        strict = strict_reader.read(body)
    except IrregularError:
        assert reader.read(body).equals(lenient)
        return
    assert reader.read(body).equals(strict)
    assert strict.drop(OF_THE_READER).to_pylist() == lenient.drop(OF_THE_READER).to_pylist()
    assert set(MIX) <= {name.removeprefix("fuel_") for name in strict.column_names}


@given(
    body=st.one_of(st.binary(max_size=60), values.map(lambda value: written(value).encode("utf-8", "surrogatepass")))
)
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_any_bytes_have_records(body: bytes) -> None:
    """No body stops a run: what cannot be read is one record that says so."""
    found = reader.read(body)
    assert found.schema == RECORD
    assert found.num_rows >= 1 or body.strip() in (b"[]", b'{"data": []}')
    assert not any(found["is_readable"].to_pylist())
