"""What the commands share: the application, flags that stand before a command, and how arguments are read."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.errors import ExitCode, UsageError
from lakehouse.windows import parse_day

if TYPE_CHECKING:
    from lakehouse.pipeline import Run
    from lakehouse.settings import Settings

app = typer.Typer(
    name="lakehouse",
    help="Great Britain's regional carbon intensity as a Delta lakehouse, from API bytes to PostgreSQL.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def help_alone(context: typer.Context) -> None:
    """Where commands were to follow and none does: the help on stderr, and the exit code of a wrong call."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)


From = Annotated[str | None, typer.Option("--from", metavar="DAY", help="First UTC day, YYYY-MM-DD.")]
To = Annotated[str | None, typer.Option("--to", metavar="DAY", help="UTC day after the last one.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Fetch the whole range, received already or not.")]
Accept = Annotated[
    bool, typer.Option("--accept-loss", help="Delete what the sources no longer hold, however much it is.")
]
Full = Annotated[bool, typer.Option("--full-refresh", help="Recompute everything; write only what differs.")]
At = Annotated[str | None, typer.Option("--at", metavar="N|NAME", help="A lake version or a release; default: now.")]
AtNumber = Annotated[int | None, typer.Option("--at", min=1, metavar="N", help="A lake version; default: the newest.")]


class _Given:
    """What belongs to one call of the command line: the flags before the command, and what it has found."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        self.debug = False
        self.found: Mapping[str, Any] = {}
        """What a command that fails says with ``--json`` beside that."""


given = _Given()


def chosen(**more: Any) -> "Settings":
    """The settings of this call."""
    from lakehouse import settings  # more than half of what --help would take, which reads none

    return settings.load({**given.flags, **more})


def recorded(command: str, work: "Callable[[Run], object]", *, as_json: bool, accept_loss: bool = False) -> None:
    """Do something as a run: locked, told, and recorded in ``ops.runs``."""
    read = chosen()
    from lakehouse import console
    from lakehouse.console_reporter import ConsoleReporter
    from lakehouse.pipeline import Run

    reporter = ConsoleReporter()
    started = Run(read, command, reporter, accept_loss=accept_loss)
    try:
        with started.recorded():
            work(started)
    except BaseException:
        given.found = started.report.as_dict()
        raise
    finally:
        reporter.close()
    if as_json:
        console.print_json(started.report.as_dict())
    else:
        typer.echo(f"lake version {started.report.lake_version}, run {started.report.run_id}: ok", err=True)


def day(text: str | None, name: str) -> datetime | None:
    """A UTC day from the argument called ``name``."""
    return parse_day(text, name) if text is not None else None


def time(text: str) -> datetime:
    """A time in UTC from ISO 8601.

    Raises:
        UsageError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write it as 2024-01-05T12:00:00Z.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
