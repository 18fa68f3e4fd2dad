"""What is shown, as files: CSV with every digit, and Parquet with the types and where it comes from."""

import io

import pyarrow as pa
from pyarrow import csv, parquet

from lakehouse.dashboard.queries import Export

ATTRIBUTION = "Carbon Intensity API (NESO), CC BY 4.0"


def as_csv(table: pa.Table) -> bytes:
    """The table as CSV with a header."""
    buffer = io.BytesIO()
    csv.write_csv(table, buffer)
    return buffer.getvalue()


def as_parquet(table: pa.Table, export: Export | None) -> bytes:
    """The table as Parquet; its metadata name the source and the export that it was read from."""
    said = {"source": ATTRIBUTION}
    if export is not None:
        said |= {"lake_version": str(export.lake_version), "run_id": export.run_id}
    buffer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(said), buffer)
    return buffer.getvalue()
