"""The figures by Prometheus' conventions: base units, ``_total`` for what only grows, few and bounded labels."""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest, write_to_textfile
from prometheus_client.registry import Collector

from lakehouse import __version__
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.monitoring.figures import BUCKETS, Figures, RunTotals, Seconds
from lakehouse.provenance import code_version

SUFFIX = ".prom"
"""Of the files that the node exporter's textfile collector reads; it passes all others over without a word."""
Values = Mapping[Any, float]
"""Samples by the values of their labels, a tuple of texts."""


class FamilyCollector(Collector):
    """Gives the families that a function makes whenever they are asked for, and not before."""

    def __init__(self, make: Callable[[], Iterable[Metric]]) -> None:
        self._make = make

    def describe(self) -> Iterable[Metric]:
        """Nothing: the function is called when metrics are collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families of now."""
        return self._make()


def registry(*sources: Callable[[], Iterable[Metric]]) -> CollectorRegistry:
    """A registry of these families and nothing else."""
    made = CollectorRegistry()
    for source in sources:
        made.register(FamilyCollector(source))
    return made


def text(figures: Figures) -> str:
    """The metrics of a lake in Prometheus' text format."""
    return generate_latest(registry(lambda: families(figures))).decode()


def write(figures: Figures, file: Path) -> None:
    """The metrics of a lake into a file that the node exporter collects: whole, or as it was.

    Raises:
        UsageError: the node exporter would not read a file of that name.
        LakehouseError: it cannot be written.
    """
    if file.suffix != SUFFIX:
        raise UsageError(f"The node exporter reads files that end in {SUFFIX} alone; name {file} so.")
    try:
        write_to_textfile(str(file), registry(lambda: families(figures)))
        os.chmod(file, 0o644)  # the node exporter is another user
    except OSError as error:
        raise LakehouseError(f"The metrics cannot be written to {file}: {error.strerror}.") from error


def families(figures: Figures) -> list[Metric]:
    """The metrics of a lake."""
    totals = figures.totals
    return [
        _info(),
        gauge("lakehouse_lake_version", "Number of the newest run.", (), {(): totals.lake_version}),
        *_of_runs(totals),
        gauge("lakehouse_table_version", "Newest version of a table.", ("table",), _by_one(figures.versions)),
        gauge(
            "lakehouse_newest_period_timestamp_seconds",
            "End of the newest half-hour in a table.",
            ("table",),
            _times(figures.newest_period_end),
        ),
        gauge(
            "lakehouse_export_behind_versions",
            "Versions of a table that PostgreSQL lacks, of the one that is furthest behind.",
            (),
            {} if figures.export_behind is None else {(): figures.export_behind},
        ),
        gauge(
            "lakehouse_missing_periods",
            "Half-hours that lack a region, in the last hours or days of the API's clock.",
            ("within",),
            _by_one(figures.missing),
        ),
        gauge(
            "lakehouse_quarantined_records",
            "Records that are in quarantine, by the rule that they broke.",
            ("rule",),
            _by_one(figures.quarantined),
        ),
        counter("lakehouse_api_retries", "Attempts beyond the first of answers that came.", (), {(): figures.retries}),
    ]


def _info() -> Metric:
    labels = {("version", "revision"): (__version__, code_version())}
    ((names, values),) = labels.items()
    return gauge("lakehouse_build_info", "The release that tells this.", names, {values: 1})


def _of_runs(totals: RunTotals) -> list[Metric]:
    return [
        counter("lakehouse_runs", "Runs recorded, by how they ended.", ("command", "outcome"), totals.runs),
        gauge(
            "lakehouse_run_last_attempt_timestamp_seconds",
            "When the last run of a command ended, well or not.",
            ("command",),
            _times(totals.run_attempt),
        ),
        gauge(
            "lakehouse_run_last_success_timestamp_seconds",
            "When a run of a command last ended well.",
            ("command",),
            _times(totals.run_success),
        ),
        gauge(
            "lakehouse_stage_last_attempt_timestamp_seconds",
            "When a run with this stage last ended, the stage well or not.",
            ("stage",),
            _times(totals.stage_attempt),
        ),
        gauge(
            "lakehouse_stage_last_success_timestamp_seconds",
            "When a run in which this stage ended well last ended.",
            ("stage",),
            _times(totals.stage_success),
        ),
        _histogram(totals.seconds),
        counter("lakehouse_rows_written", "Rows written.", ("table", "operation"), totals.rows),
        counter("lakehouse_windows_failed", "Windows that the API did not answer.", (), {(): totals.windows_failed}),
    ]


def _histogram(seconds: Mapping[str, Seconds]) -> Metric:
    family = HistogramMetricFamily("lakehouse_stage_duration_seconds", "How long a stage took.", labels=("stage",))
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    for stage, taken in sorted(seconds.items()):
        family.add_metric((stage,), list(zip(bounds, taken.counts, strict=True)), taken.total)
    return family


def gauge(name: str, about: str, labels: tuple[str, ...], values: Values) -> Metric:
    """A family of what goes up and down."""
    family = GaugeMetricFamily(name, about, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def counter(name: str, about: str, labels: tuple[str, ...], values: Values) -> Metric:
    """A family of what only grows; ``_total`` is put behind the name."""
    family = CounterMetricFamily(name, about, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _by_one(values: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _times(values: Mapping[str, datetime]) -> dict[tuple[str, ...], float]:
    return {(name,): moment.timestamp() for name, moment in values.items()}
