"""A lake as it is after being fed little by little: the same rows as one loaded at once, in many small commits.

    .venv/bin/python -m bench.feed LOADED LAKE COMMITS

Bronze, Silver and Gold of a loaded lake are taken apart by time and appended to a new lake, a commit of each table for
each part, with the accounts that runs would have left, so that the next run goes on from there. (As many real runs
would take hours; what they leave behind is what is measured here.) A thousand commits take about 20 minutes.
"""

import sys
import time
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_log
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, GOLD, QUARANTINE, SILVER, TABLES, Table
from lakehouse.run_context import RunContext
from lakehouse.spark import session
from lakehouse.transform import gold_job
from lakehouse.transform.models import MODELS

ALONG = {BRONZE.name: "window_end", SILVER.name: "timestamp", GOLD.name: "date_recorded"}
"""The column that a table is taken apart by."""


def feed(loaded: Path, lake: Path, commits: int) -> None:
    """Make the lake.

    Raises:
        LakehouseError: a table is not there, or holds less than is to be taken apart.
    """
    store = Store(session.open_session(), str(lake))
    store.prepare(*TABLES)
    work = RunContext(store, "feed", "bench", "bench")
    parts = [_parts(loaded, table, commits) for table in (BRONZE, SILVER, GOLD)]
    began = time.perf_counter()
    for number, together in enumerate(zip(*parts, strict=True), start=1):
        bronze, silver, gold = together
        landing = pa.array([number] * bronze.num_rows, pa.int64())
        bronze = bronze.set_column(bronze.column_names.index("landing"), "landing", landing)
        store.append(store.to_spark(bronze).coalesce(1), BRONZE, work.commit("bronze", landing=number))
        read = {BRONZE.name: work.snapshot(BRONZE), QUARANTINE.name: work.snapshot(QUARANTINE)}
        said = work.commit("silver", read, number, writes=(SILVER, work.snapshot(SILVER)))
        store.append(store.to_spark(silver).coalesce(1), SILVER, said)
        said = work.commit("gold", {SILVER.name: work.snapshot(SILVER)}, writes=(GOLD, work.snapshot(GOLD)))
        store.append(store.to_spark(gold).coalesce(1), GOLD, said)
        if number % 100 == 0:
            print(f"{number:,} commits in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    for model in MODELS[1:]:  # they follow from what was fed
        gold_job.build_model(work, model)


def _parts(loaded: Path, table: Table, count: int) -> list[pa.Table]:
    """The table's rows in so many parts, ascending in time; what has the same time stays together."""
    source = delta_log.open_table(str(loaded / table.path))
    if source is None:
        raise LakehouseError(f"There is no table at {loaded / table.path}.")
    along = ALONG[table.name]
    rows = source.cast_to_schema(source.rows(table.column_names)).sort_by(along)
    moments = pc.unique(rows[along])
    if len(moments) < count:
        raise LakehouseError(f"{table.name} has {len(moments)} different {along}, fewer than {count}.")
    lows = [moments[len(moments) * number // count] for number in range(count)]
    starts = [pc.index(rows[along], low).as_py() for low in lows]
    return [rows.slice(low, high - low) for low, high in pairwise([*starts, rows.num_rows])]


if __name__ == "__main__":
    try:
        feed(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    except LakehouseError as error:
        sys.exit(f"error: {error}")
