"""Bodies read and judged: the one function that does it, in this process and on the executors of a cluster.

``reader`` reads, and DuckDB judges by the rules of ``quality``. Imports nothing of Spark, because every Python worker
of Spark's does import it.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.lake import duck
from lakehouse.transform import lenient_reader, reader
from lakehouse.transform.quality import Rules
from lakehouse.transform.records import CHECKED, RECORD

NEEDED = ("body", "window_start", "window_end")
"""The columns of Bronze that a check takes."""
RESPONSE = pa.field("response", pa.int32())
"""Of a checked record: the number of its response among those given, from 0."""


def checked(responses: pa.Table, rules: Rules) -> pa.Table:
    """The records of responses with the columns ``NEEDED``: one row each, ``response`` and the columns of ``CHECKED``.

    They come in the order of the responses and of the places in their bodies.
    """
    bodies = responses["body"].combine_chunks()
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Arrow reads without Python's lock
        tables = list(threads.map(lambda body: reader.read(body.as_py()), bodies))
    numbers = [pa.repeat(pa.scalar(number, RESPONSE.type), len(table)) for number, table in enumerate(tables)]
    response = pa.concat_arrays([pa.nulls(0, RESPONSE.type), *numbers])
    windows = responses.select(["window_start", "window_end"]).take(response)
    records = pa.concat_tables([RECORD.empty_table(), *tables]).append_column(RESPONSE, response)
    for name in windows.column_names:
        records = records.append_column(name, windows[name])
    return _with_texts(_judged(records, rules), bodies)


def in_batches(batches: Iterable[tuple[pa.Array, ...]], rules: Rules) -> Iterator[pa.Array]:
    """For batches of arrays as in ``NEEDED``: of each response the list of its records, structs of ``CHECKED``."""
    for arrays in batches:
        records = checked(pa.table(list(arrays), list(NEEDED)), rules)
        sizes = dict.fromkeys(range(len(arrays[0])), 0)
        sizes |= {count["values"]: count["counts"] for count in pc.value_counts(records[RESPONSE.name]).to_pylist()}
        values = pa.StructArray.from_arrays(
            [records[name].combine_chunks() for name in CHECKED.names], fields=list(CHECKED)
        )
        yield pa.ListArray.from_arrays(pa.array(accumulate(sizes.values(), initial=0), pa.int32()), values)


def _judged(records: pa.Table, rules: Rules) -> pa.Table:
    """The records with ``broken`` and ``reasons``, without the facts that only the rules ask for."""
    columns = {name: name for name in (RESPONSE.name, *CHECKED.names)} | {
        "region": "coalesce(region, CAST(regionid AS VARCHAR))",
        "period_from": "coalesce(period_from, strftime(timestamp, '%Y-%m-%dT%H:%MZ'))",
        "piece": "piece",
        "reasons": rules.reasons,
    }
    of_refused = ("region", "period_from", "piece", "reasons")
    columns |= {name: f"CASE WHEN {rules.refuses} THEN {columns[name]} END" for name in of_refused}
    selected = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    with closing(duck.connect()) as database:
        database.register("records", records)
        query = f"SELECT {selected} FROM (SELECT *, {rules.broken} AS broken FROM records) ORDER BY response, position"
        return database.execute(query).to_arrow_table().cast(pa.schema([RESPONSE, *CHECKED]))


def _with_texts(records: pa.Table, bodies: pa.Array) -> pa.Table:
    """Every refused record with its own text: the strict reader leaves texts out, since hardly one is ever wanted."""
    lacking = pc.and_(pc.is_valid(records["reasons"]), pc.is_null(records["piece"]))
    if not pc.any(lacking).as_py():
        return records
    of = {
        number: lenient_reader.texts(bodies[number].as_py())
        for number in set(records.filter(lacking)["response"].to_pylist())
    }
    rows = zip(
        *(records[name].to_pylist() for name in ("response", "position", "piece")), lacking.to_pylist(), strict=True
    )
    texts = pa.array(
        [of[number][place] if is_lacking else text for number, place, text, is_lacking in rows], pa.string()
    )
    return records.set_column(records.schema.get_field_index("piece"), CHECKED.field("piece"), texts)
