"""``watch`` as a process: signals, the server for monitors, the embedded PostgreSQL, and the loop between them."""

import logging
import sys
from collections.abc import Callable
from contextlib import closing

from lakehouse import hook, logs
from lakehouse.clock import machine_clock
from lakehouse.errors import ExitCode, LakehouseError
from lakehouse.ingestion.access import Access
from lakehouse.messages import console
from lakehouse.messages.text import without_logins
from lakehouse.monitoring import overview
from lakehouse.monitoring.figures import LakeFigures
from lakehouse.publishing.database import database
from lakehouse.settings import Settings
from lakehouse.spark import jvm, session
from lakehouse.watching import health
from lakehouse.watching.condition import Condition
from lakehouse.watching.cycle import Cycle
from lakehouse.watching.loop import Watch
from lakehouse.watching.notify import Notifier
from lakehouse.watching.signals import Signals

log = logging.getLogger(__name__)


def serve(read: Callable[[], Settings], cycles: int | None, *, as_json: bool) -> int:
    """Watch until a signal, or ``cycles`` times; the exit code. ``read`` gives the settings of now.

    Raises:
        UsageError: the settings contradict each other, or the port is taken.
        LakehouseError: the embedded PostgreSQL cannot be started.
    """
    settings = read()
    Access.of(settings.api)  # whether it can be used, before anything is opened for it
    jvm.expect_many_runs()
    session.reserve_variables()  # before a monitor's thread is at work
    condition, lake = Condition(settings.watch), LakeFigures(settings.root)
    served = health.served(health.Health(condition, lake.read), settings.watch.address, settings.watch.port)
    with Signals() as signals, closing(Notifier()) as notifier, served as port, database(settings):
        say(f"watch: a run every {settings.watch.every_seconds:g} s; /metrics at {settings.watch.address}:{port}")
        loop = Watch(
            settings,
            condition,
            signals,
            read,
            say,
            on_cycle=print_cycle if as_json else lambda number, cycle: None,
            on_end=tell_hook,
            maintained_at=lambda settings: lake.read().totals.run_success.get("maintain"),
            notifier=notifier,
        )
        return loop.run(cycles)


def tell_hook(settings: Settings, command: str, cycle: Cycle) -> None:
    """Tell whoever is set that runs fail, that a target of freshness is broken, and that it is over."""
    if not settings.hook.is_set:
        return
    hook.command_ended(settings, command, cycle.outcome, cycle.error)
    if command == "watch":
        try:
            hook.checked(settings, overview.read(settings, machine_clock()).broken)
        except LakehouseError as error:
            log.warning("Whether the lake is fresh cannot be told: %s", without_logins(str(error)))


def say(line: str) -> None:
    """A line for a person, and for the log."""
    log.info("%s", without_logins(line), extra=logs.TOLD)
    console.say(without_logins(line), out=sys.stderr)


def print_cycle(number: int, cycle: Cycle) -> None:
    """A run's end as one line of JSON."""
    console.print_json(
        {
            "cycle": number,
            "status": "ok" if cycle.outcome == ExitCode.OK else "failed",
            "exit_code": cycle.outcome,
            "error": cycle.error,
            "seconds": round(cycle.seconds, 3),
            "latency_seconds": None if cycle.latency is None else round(cycle.latency, 3),
            "lake_version": cycle.lake_version,
        }
    )
    sys.stdout.flush()
