"""The overview as a person reads it, and as lines in a pipe."""

from typing import Any

from lakehouse.messages import console
from lakehouse.monitoring import freshness
from lakehouse.monitoring.freshness import State
from lakehouse.monitoring.overview import Level, Overview

GAPS_SHOWN = 10
MARKS = {State.OK.value: console.OK, State.LATE.value: console.WARNING, State.BROKEN.value: console.FAILURE}


def tell(found: Overview) -> None:
    """Everything, each table under its title."""
    _tell_tables(found)
    _titled(f"Freshness at {console.text(found.clock)}, the lake's clock:", [_layer(each) for each in found.layers])
    days = [
        {"day": str(day.day), "rows": day.rows, "expected": day.expected, "complete": f"{day.share:.1%}"}
        for day in found.days
    ]
    _titled("Completeness of the last days, rows of Silver:", days, counts=("rows", "expected"))
    _tell_gaps(found)
    _titled("Last runs:", [_run(run) for run in found.runs], least=("retries", "seconds", "command"))
    console.remark(_in_postgres(found))
    for finding in found.findings:
        style = console.FAILURE if finding.level is Level.BROKEN else console.WARNING
        console.remark(f"{finding.level}: {finding.sentence}", style=style)


def _titled(title: str, rows: list[dict[str, Any]], **how: Any) -> None:
    if rows:
        print()
        console.remark(title)
        console.print_rows(rows, marks=MARKS, **how)


def _tell_tables(found: Overview) -> None:
    console.remark(f"lake at {found.lake['root']}")
    last = found.lake["last_run"]
    if last is None:
        console.remark("no run yet; begin with: `lakehouse run`")
    else:
        console.remark(
            f"lake version {last['lake_version']}, run {last['run_id']} ({last['command']}: {last['status']}"
            f"{', ' + last['error'] if last['error'] else ''}), {console.text(last['finished_at'])}",
            style=console.OK if last["status"] == "ok" else console.FAILURE,
        )
    shown = [{k: v for k, v in row.items() if k != "lost_files"} for row in found.lake["tables"]]
    console.print_rows(shown, counts=("rows", "files"), sizes=("bytes",))
    for row in found.lake["tables"]:
        if row["lost_files"]:
            is_source = row["table"].startswith(("bronze.", "ops."))
            cure = "bring them back from a backup" if is_source else "the next run builds the table anew"
            console.remark(
                f"{row['table']} has lost {len(row['lost_files'])} of its {row['files']} data files; {cure}.",
                style=console.FAILURE,
            )


def _layer(layer: freshness.Freshness) -> dict[str, Any]:
    return {
        "layer": layer.layer,
        "newest until": layer.until,
        "age": None if layer.age is None else freshness.hours(layer.age),
        "warn after": freshness.hours(layer.warn_after),
        "fail after": freshness.hours(layer.fail_after),
        "state": layer.state.value,
    }


def _tell_gaps(found: Overview) -> None:
    if found.gaps is None or not found.gaps.gaps:
        return
    rows = [
        {
            "from": gap.span.start,
            "to": gap.span.end,
            "half-hours": len(gap.span),
            "cause": gap.cause.value,
            "regions": ", ".join(map(str, gap.regions)) or "all",
        }
        for gap in found.gaps.gaps
    ]
    _titled("Gaps of these days:", rows[-GAPS_SHOWN:], counts=("half-hours",), least=("half-hours",))
    if len(rows) > GAPS_SHOWN:
        console.remark(f"(the newest {GAPS_SHOWN} of {len(rows):,}; `lakehouse gaps` shows all)", style=console.ASIDE)


def _run(run: Any) -> dict[str, Any]:
    return {
        "version": run["lake_version"],
        "command": run["command"],
        "status": run["status"],
        "finished": run["finished_at"],
        "seconds": round(run["seconds"], 1),
        "retries": run["retries"],
        "stages": [_stage(stage) for stage in run["stages"]],
        "quality": [f"{rule} {count:,}" for rule, count in run["quality"].items()],
    }


def _stage(stage: Any) -> str:
    counts = {name: count for name, count in stage["counts"].items() if count and name != "unchanged"}
    said = console.described(counts) if counts else "nothing to write"
    failed = "" if stage["status"] == "ok" else f" ({stage['status']})"
    return f"{stage['stage']}{failed}, {stage['seconds']:.1f} s: {said}"


def _in_postgres(found: Overview) -> str:
    here = found.published
    if here.versions is None:
        return f"PostgreSQL: {here.note}"
    of = "" if here.lake_version is None else f" of lake version {here.lake_version}"
    versions = ", ".join(f"{name} {version}" for name, version in here.versions.items())
    return f"PostgreSQL: {versions}{of}, exported {console.text(here.exported_at)}"
