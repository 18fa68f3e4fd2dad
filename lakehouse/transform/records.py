"""What a record is: what one response says about one region in one half-hour, with what the rules ask beside it.

Both readers give it, the rules of ``quality`` judge it, and Silver's rows are chosen among those that they pass.
Imports nothing but Arrow and the declarations, because every Python worker of Spark's does.
"""

import pyarrow as pa

from lakehouse.lake.tables import KNOWN_FUELS

PLACES_PER_PERIOD = 1000
"""``position`` is period number * this + region number; a response never holds more of either."""
MOMENT = pa.timestamp("us", tz="UTC")
SHARE = pa.decimal128(5, 2)
"""Percent, as Silver holds it."""
STATED_SHARE = pa.decimal128(18, 15)
"""Percent, as it is stated: below 1000 as many digits as a double tells apart."""
SHARE_SUM = pa.decimal128(10, 2)

VALUES = pa.schema(
    [
        ("regionid", pa.int32()),
        ("timestamp", MOMENT),
        ("shortname", pa.string()),
        ("dno", pa.string()),
        ("intensity_forecast", pa.int32()),
        ("intensity_index", pa.string()),
        *((f"fuel_{fuel}", SHARE) for fuel in KNOWN_FUELS),
        ("extra", pa.string()),
    ]
)
"""Silver's columns that a record has of its own; null where nothing readable is stated."""

FACTS = pa.schema(
    [
        ("stop", MOMENT),
        ("is_readable", pa.bool_()),
        ("is_forecast_whole", pa.bool_()),
        ("fuels_missing", pa.int32()),
        ("fuels_other", pa.int32()),
        ("are_fuels_once", pa.bool_()),
        ("are_shares_exact", pa.bool_()),
        ("share_sum", SHARE_SUM),
        ("lowest_share", STATED_SHARE),
        ("highest_share", STATED_SHARE),
    ]
)
"""What the rules ask beside the values.

``stop``: the end of the half-hour. ``is_readable``: it is an object that says something of intensity or mix, and
nothing twice. ``fuels_missing`` and ``fuels_other``: how many of the nine fuels are not there, and how many are that
nobody knows. ``share_sum``, ``lowest_share``, ``highest_share``: of all shares, known or not; null if one is no number.
"""
OF_REGULAR = {
    "is_regular": True,
    "is_readable": True,
    "is_forecast_whole": True,
    "fuels_missing": 0,
    "are_fuels_once": True,
    "are_shares_exact": True,
}
"""What follows from a body being regular, so that the strict reader need not look at it."""

ORIGIN = pa.schema(
    [
        ("position", pa.int64()),
        ("is_regular", pa.bool_()),
        ("region", pa.string()),
        ("period_from", pa.string()),
        ("unknown", pa.list_(pa.string())),
        ("piece", pa.string()),
    ]
)
"""Where a record stands in its body and what it is like there.

``is_regular``: the strict reader took the body, so no region comes twice in a half-hour. ``region`` and
``period_from``: the region and start as they are written, of records of the lenient reader. ``unknown``: names of the
fields and fuels that nobody knew, null for none. ``piece``: the record's own text, as JSON; of records of the strict
reader only where a rule refuses them.
"""

RECORD = pa.schema([*ORIGIN, *VALUES, *FACTS])
"""One row per record of a body; both readers give exactly this."""
CHECKED = pa.schema([*ORIGIN, ("broken", pa.int64()), ("reasons", pa.list_(pa.string())), *VALUES])
"""One row per record that the rules have judged.

``broken``: the rules it breaks, as the bits of one number. ``reasons``: the names of those that refuse it, null if none
does; ``region``, ``period_from`` and ``piece`` stand only where one does.
"""

_DDL = {
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.string(): "STRING",
    pa.bool_(): "BOOLEAN",
    MOMENT: "TIMESTAMP",
    SHARE: "DECIMAL(5,2)",
    pa.list_(pa.string()): "ARRAY<STRING>",
}
CHECKED_DDL = ", ".join(f"{field.name}: {_DDL[field.type]}" for field in CHECKED)
"""``CHECKED`` as the fields of a Spark struct."""
