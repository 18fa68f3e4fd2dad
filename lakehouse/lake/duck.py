"""DuckDB inside this process, as all of us open it: it fetches nothing, times are UTC, and stdout is not its own."""

import duckdb

MEMORY = "1GiB"
"""What a database may hold; beyond that it puts rows into files (30 years of records take a quarter of it)."""


def connect(**settings: str) -> duckdb.DuckDBPyConnection:
    """A database of this process alone, with further settings of DuckDB's by name; the caller closes it."""
    ours = {"autoinstall_known_extensions": "false", **settings}
    database = duckdb.connect(config=ours)  # type: ignore[arg-type]  # a dict of texts is what it takes
    database.execute("SET enable_progress_bar_print = false")  # on stdout, of what takes two seconds
    database.execute("SET TimeZone = 'UTC'")
    # What a join learns of its keys it would ask an Arrow table for, and for times that needs pytz.
    database.execute("SET disabled_optimizers = 'join_filter_pushdown'")
    return database
