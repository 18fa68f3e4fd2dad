"""The case study's own input: 1,096 requests `/regional/intensity/{D}/pt24h`, one a day, 2022 to 2024.

    .venv/bin/python bench/case_study.py [--into FOLDER]

Makes the responses with the simulator's pure API (no sockets), imports the files into a lake of its own, refines and
aggregates them, and holds the figures against those that follow from the API's range rule. One day's answer
(2023-10-22) is empty. Needs about 450 MB of disk.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse import settings
from lakehouse.ingestion.ingest import ReceivedAt
from lakehouse.lake import delta_log
from lakehouse.lake.tables import BRONZE, GOLD, SILVER
from lakehouse.pipeline import Run
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator.answers import CarbonIntensityApi

FIRST_DAY, LAST_DAY = date(2022, 1, 1), date(2024, 12, 31)
SEED = 42
RECEIVED_AT = datetime(2025, 2, 1, tzinfo=UTC)
SOURCE = f"simulator:seed={SEED}"
EXPECTED = {
    "files": 1_096,
    "responses": 1_095,
    "half_hour_records": 53_594,
    "silver_rows": 945_090,
    "gold_rows": 19_728,
    "first_day": "2021-12-30",
    "first_day_periods": 1,
    "first_day_is_complete": False,
}
"""What the range rule gives; the case study's own 945,092 Silver rows are these and two duplicates."""


def write_responses(folder: Path, first: date = FIRST_DAY, last: date = LAST_DAY) -> int:
    """One file a day as the API would answer a month after the last, dated when the day had ended; how many."""
    asked_at = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=32)
    api = CarbonIntensityApi(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        answer = api.answer(f"/regional/intensity/{day}T00:00Z/pt24h", now=asked_at)
        file = folder / f"{day}.json"
        file.write_text("".join(answer.pieces))
        ended = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1, hours=1)
        os.utime(file, (ended.timestamp(), ended.timestamp()))
    return (last - first).days + 1


def load(chosen: Settings, folder: Path) -> RunReport:
    """Import the files, refine, aggregate."""
    run = Run(chosen, "import")
    with run.recorded():
        run.import_files([folder], SOURCE, ReceivedAt(RECEIVED_AT))
        run.transform(["silver", "gold"])
    return run.report


def figures(chosen: Settings) -> dict[str, Any]:
    """What the lake holds now."""
    bronze, silver, gold = (delta_log.open_table(chosen.path(table.path)) for table in (BRONZE, SILVER, GOLD))
    assert bronze is not None
    assert silver is not None
    assert gold is not None
    periods = bronze.rows(["n_periods"]).column("n_periods").to_pylist()
    days = gold.rows(["regionid", "date_recorded", "n_periods", "is_complete"]).to_pylist()
    first = min(days, key=lambda row: (row["date_recorded"], row["regionid"]))
    return {
        "responses": len(periods),
        "half_hour_records": sum(periods),
        "silver_rows": silver.totals()["rows"],
        "gold_rows": len(days),
        "first_day": str(first["date_recorded"]),
        "first_day_periods": first["n_periods"],
        "first_day_is_complete": first["is_complete"],
    }


def main() -> int:
    """Run it; 1 if a figure is not the expected one."""
    arguments = argparse.ArgumentParser(description="The case study's input through Silver and Gold.")
    arguments.add_argument("--into", type=Path, help="keep files and lake here; default: a temporary folder")
    given = arguments.parse_args()
    place = given.into or Path(tempfile.mkdtemp(prefix="case-study-"))
    try:
        began = time.perf_counter()
        made = write_responses(place / "responses")
        seconds = {"make files": time.perf_counter() - began}
        shutil.rmtree(place / "lake", ignore_errors=True)
        chosen = settings.load({"root": str(place / "lake")})
        report = load(chosen, place / "responses")
        seconds |= {done.stage: done.seconds for done in report.stages}
        found = {"files": made, **figures(chosen)}
        for name, value in found.items():
            print(f"{name:24} {value!s:>12}  {'as expected' if value == EXPECTED[name] else f'NOT {EXPECTED[name]}'}")
        for name, value in seconds.items():
            print(f"{name:24} {value:12.1f} s")
        print(json.dumps({done.stage: dict(done.counts) for done in report.stages}))
        return 0 if found == EXPECTED else 1
    finally:
        if given.into is None:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
