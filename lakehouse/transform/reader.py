"""From the bytes of a body to its records: strictly where the body is as the API writes it, leniently otherwise."""

import pyarrow as pa

from lakehouse.transform import lenient_reader, strict_reader
from lakehouse.transform.strict_reader import IrregularError


def read(body: bytes) -> pa.Table:
    """The records of a body, whatever it is like: one row each, as ``records.RECORD``."""
    try:
        return strict_reader.read(body)
    except IrregularError:
        return lenient_reader.read(body)
