"""DuckDB inside this process, as all of us open it: it fetches nothing, times are UTC, and stdout is not its own.

Spark's workers open it, too: it needs nothing that they lack.
"""

import duckdb


def connect(**settings: str) -> duckdb.DuckDBPyConnection:
    """A database of this process alone, with further settings of DuckDB's by name; the caller closes it."""
    ours = {"autoinstall_known_extensions": "false", **settings}
    database = duckdb.connect(config=ours)  # type: ignore[arg-type]  # a dict of texts is what it takes
    database.execute("SET enable_progress_bar_print = false")  # on stdout, of what takes two seconds
    database.execute("SET TimeZone = 'UTC'")
    # What a join learns of its keys it would ask an Arrow table for, and for times that needs pytz.
    database.execute("SET disabled_optimizers = 'join_filter_pushdown'")
    return database
