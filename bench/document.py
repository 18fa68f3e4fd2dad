"""What was measured, as a document: figures, ratios, targets, versions, machine and command."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from statistics import median

import psutil

from bench.daily import Days
from bench.tools import CASE_STUDY, DUCKDB, OURS, PEERS, POLARS, Comparison
from lakehouse.spark import archive, java

LONG = 10
"""Years from which on the targets of a long history hold, the case study is left out, and once has to do."""
SHORT_TARGETS = {CASE_STUDY: (0.45, 0.30), POLARS: (4.0, 2.0)}
LONG_TARGETS = {POLARS: (1.3, 1.0), DUCKDB: (0.8, 0.6)}
"""Our time over the peer's at most, and the stretch."""
MOST_MIB = 4096
NEW_DAY, NOTHING_NEW, LOOK = 20.0, 12.0, 0.6
"""Seconds, set where the case study's method needs ``PACE`` seconds for three years."""
PACE, PACE_YEARS = 51.0, 3
FLAT = 1.2
"""A new day on the longest history over one on the shortest."""
AS_FAST = 1.3
"""A new day on a lake fed little by little over one on a lake loaded at once."""
MISSED = "MISSED"
PACKAGES = ("pyspark", "delta-spark", "polars", "deltalake", "duckdb")


@dataclass(frozen=True)
class Measured:
    """One history: its length in years (0: of days), the tools on it, and its daily life.

    ``fed``: the daily life of a lake that got the same rows in so many ``commits``.
    """

    years: int
    tools: Comparison
    life: Days
    fed: Days | None = None
    commits: int = 0

    @property
    def is_long(self) -> bool:
        return self.years >= LONG

    @property
    def title(self) -> str:
        return f"{self.years} years" if self.years else f"{self.tools.responses:,} days"


def written(found: list[Measured], arguments: str) -> list[str]:
    """The document's lines; a target that was missed says so in capitals."""
    java_home = java.find(os.environ)
    classes = "with" if archive.find(java_home) else "WITHOUT"
    memory = psutil.virtual_memory().total / 2**30
    lines = [
        "# Benchmarks",
        "",
        f"Written by `python -m bench.compare {arguments}` on {date.today()}.",
        f"Machine: {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, Java {java.version(java_home)}, {classes} an archive of its classes.",
        "Versions: " + ", ".join(f"{name} {version(name)}" for name in PACKAGES) + ".",
        "Every process is cold and timed as a whole, the JVM's start included; the ratio is the figure.",
    ]
    slowness = _slowness(found)
    if slowness is not None:
        lines += [
            f"Targets in seconds were set where the case study's method takes {PACE:g} s for {PACE_YEARS} years. It "
            f"took {slowness:.2f} times as long here; seconds divided by that stand beside those that were measured."
        ]
    for each in found:
        lines += _of_tools(each)
        lines += _of_life(each, slowness or 1.0)
        if each.fed:
            ratio = median(each.fed.new_day) / median(each.life.new_day)
            lines += ["", f"On a lake that got the same rows in {each.commits:,} commits of each table, and was then "]
            lines[-1] += f"maintained (`lakehouse maintain`), a new day takes {median(each.fed.new_day):.2f} s, "
            lines[-1] += f"{ratio:.2f} times as long; target {_met(ratio, AS_FAST)}."
    if len(found) > 1:
        ratio = median(found[-1].life.new_day) / median(found[0].life.new_day)
        lines += ["", f"A new day after {found[-1].title} takes {ratio:.2f} times as long as after {found[0].title}; "]
        lines[-1] += f"target {_met(ratio, FLAT)}."
    return lines


def _of_tools(each: Measured) -> Iterator[str]:
    tools = each.tools
    yield from ("", f"## Silver and Gold of {each.title}", "")
    yield f"From {tools.responses:,} responses: {tools.rows['silver']:,} half-hours and {tools.rows['gold']:,} days,"
    yield "the same from every tool, compared row by row."
    if CASE_STUDY in tools.times:
        yield f"(The case study's method has {tools.duplicates} half-hours twice; they and their days are left out.)"
    yield f"The lakehouse reads Bronze, the others read files; loading Bronze took {tools.bronze_seconds:.1f} s before."
    yield ""
    yield "| tool | s, median | s, all | peak, MiB | ours / its | target | stretch |"
    yield "|---|---:|---|---:|---:|---|---|"
    for name, timed in tools.times.items():
        ratio = tools.ratio(name)
        target, stretch = (LONG_TARGETS if each.is_long else SHORT_TARGETS).get(name, (None, None))
        cells = (
            PEERS.get(name, "lakehouse, Spark + Delta"),
            f"{timed.median:.1f}",
            " ".join(f"{seconds:.1f}" for seconds in sorted(timed.seconds)),
            f"{max(timed.mebibytes):,}",
            "1" if name == OURS else f"{ratio:.2f}",
            _met(ratio, target),
            _met(ratio, stretch, "not reached"),
        )
        yield f"| {' | '.join(cells)} |"
    if each.is_long:
        most = max(tools.times[OURS].mebibytes)
        yield from ("", f"Peak memory of the lakehouse {most:,} MiB; target {_met(most, MOST_MIB)}.")


def _slowness(found: list[Measured]) -> float | None:
    """How much longer the case study's method took than where the targets in seconds were set; None: not measured."""
    times = (each.tools.times.get(CASE_STUDY) for each in found if each.years == PACE_YEARS)
    return next((timed.median / PACE for timed in times if timed), None)


def _of_life(each: Measured, slowness: float) -> Iterator[str]:
    life = each.life
    yield from ("", f"## Daily life after {each.title}", "")
    yield "| what | s, median | s, all | at the targets' pace | target |"
    yield "|---|---:|---|---:|---|"
    rows = [
        ("a new day through all four stages", life.new_day, None if each.is_long else NEW_DAY),
        ("nothing new", life.nothing_new, NOTHING_NEW),
        *((f"`{what}`", taken, LOOK) for what, taken in life.looks.items()),
        ("of these commands, importing the libraries alone", life.libraries, None),
    ]
    for what, taken, target in rows:
        shown = " ".join(f"{seconds:.2f}" for seconds in sorted(taken))
        at_pace = median(taken) / slowness
        yield f"| {what} | {median(taken):.2f} | {shown} | {at_pace:.2f} | {_met(median(taken), target)} |"
    yield ""
    yield "With nothing new no version of Silver, Gold or `dim_region` was written and no row of PostgreSQL touched."
    yield f"Peak memory of a new day: {life.mebibytes:,} MiB."


def _met(value: float, limit: float | None, otherwise: str = MISSED) -> str:
    if limit is None:
        return ""
    return f"<= {limit:g}: {'met' if value <= limit else otherwise}"
