"""``lakehouse demo``: the whole pipeline on the simulator, twice, in a lake of its own that is begun afresh."""

import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.console_reporter import ConsoleReporter
from lakehouse.errors import UsageError
from lakehouse.history import states
from lakehouse.lake.tables import BRONZE, GOLD, TABLES
from lakehouse.messages import console
from lakehouse.pipeline import STAGES, Run
from lakehouse.postgres import EmbeddedPostgres
from lakehouse.report import writing
from lakehouse.report.figures import Selection
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.simulator import Match, Rule, Simulator, fault, run_in_thread
from lakehouse.transform.models import STAGE_OF

MARKER = ".demo"
FIRST, LAST = datetime(2023, 10, 15, tzinfo=UTC), datetime(2024, 1, 5, tzinfo=UTC)
"""Holds the outage of 2023-10-20T22:00Z to 2023-10-22T14:30Z, and New Year."""
LATER = datetime(2024, 1, 5, 12, 0, tzinfo=UTC)
"""Twelve hours on, the newest half-hours have been revised."""


def play(settings: Settings, into: Path, *, as_json: bool) -> None:
    """Load, let the simulator's clock move on, load again; print rows, versions and times.

    Raises:
        UsageError: ``into`` exists and is not a demo's.
    """
    _begin_afresh(settings, Path(settings.root))
    one_fault = Rule(fault("status", status=503), Match(nth=3))
    with run_in_thread(Simulator(seed=42, now=LAST, rules=(one_fault,))) as api:
        chosen = settings.model_copy(
            update={
                "api": settings.api.model_copy(update={"url": api.url, "requests_per_second": 0.0}),
                "postgres": type(settings.postgres)(),
            }
        )
        # One server for both passes.
        with EmbeddedPostgres(chosen.embedded_data):
            _tell(f"1. Load {FIRST:%Y-%m-%d} to {LAST:%Y-%m-%d} from a simulated API, one of whose answers is a 503.")
            first = _pass(chosen, FIRST, LAST)
            api.now = LATER
            _tell(f"2. The API's clock moves on to {LATER:%Y-%m-%dT%H:%MZ}; recent half-hours are revised.")
            second = _pass(chosen, None, None)
    page = Path(settings.root) / "report.html"
    writing.write(states.newest(chosen), Selection(), page)
    if as_json:
        console.print_json({"passes": [first.as_dict(), second.as_dict()], "report": str(page)})
        return
    console.print_rows([_line(table.name, first, second) for table in TABLES if table.name in first.versions])
    console.print_rows(_times(first, second))
    version = second.versions[GOLD.name] - 1
    print(_NEXT.format(command=console.command(), place=into, root=shlex.quote(str(into)), version=version, page=page))


_NEXT = """\
The lake is at {place}.
Look at it: {page}
Try next:
  {command} --root {root} history gold.carbon_intensity_daily
  {command} --root {root} sql "SELECT n.date_recorded, o.intensity_avg AS was, n.intensity_avg AS now \
FROM gold.carbon_intensity_daily n JOIN gold.carbon_intensity_daily VERSION AS OF {version} o \
USING (regionid, date_recorded) WHERE regionid = 13 AND n.intensity_avg <> o.intensity_avg"
  {command} --root {root} psql -- -c "SELECT * FROM latest LIMIT 5\""""


def _pass(settings: Settings, start: datetime | None, end: datetime | None) -> RunReport:
    reporter = ConsoleReporter()
    run = Run(settings, "run", reporter)
    try:
        with run.recorded():
            run.fetch(start, end)
            run.transform(STAGES)
    finally:
        reporter.ended(run.report)
    return run.report


def _begin_afresh(settings: Settings, into: Path) -> None:
    if into.exists() and not (into / MARKER).exists() and any(into.iterdir()):
        raise UsageError(f"{into} is not a demo's lake; choose another place with --into.")
    for place in (into, settings.embedded_data):
        if place.exists():
            _tell(f"Removing the demo of before at {place}.")
            shutil.rmtree(place)
    into.mkdir(parents=True)
    (into / MARKER).write_text("A demo's lake: `lakehouse demo` may delete and refill it.\n")


def _line(table: str, first: RunReport, second: RunReport) -> dict[str, Any]:
    def written(report: RunReport) -> list[str]:
        done = [stage for stage in report.stages if stage.stage == _STAGE_OF.get(table)]
        return [f"{number:,} {what}" for stage in done for what, number in stage.counts.items() if what in _SHOWN]

    return {
        "table": table,
        "version": second.versions[table],
        "first run": written(first),
        "second run": written(second),
    }


_SHOWN = ("inserted", "updated", "deleted", "unchanged")
_STAGE_OF = {BRONZE.name: "bronze", **STAGE_OF}


def _times(first: RunReport, second: RunReport) -> list[dict[str, Any]]:
    later = {stage.stage: stage.seconds for stage in second.stages}
    return [
        {"stage": stage.stage, "first, s": round(stage.seconds, 1), "second, s": round(later.get(stage.stage, 0.0), 1)}
        for stage in first.stages
    ]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
