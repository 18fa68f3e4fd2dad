"""What the commands share: the application, flags that stand before a command, and how arguments are read."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from lakehouse import logs
from lakehouse.cli import completion
from lakehouse.errors import ExitCode, UsageError
from lakehouse.messages import loudness
from lakehouse.messages.loudness import Loudness
from lakehouse.windows import parse_day

if TYPE_CHECKING:
    from lakehouse.messages.progress_bar import ProgressBar
    from lakehouse.pipeline import Run
    from lakehouse.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
RUN, LOOK, KEEP, SERVE, OPERATE = (
    "Run (fetch, build, publish)",
    "Look (nothing is written)",
    "Keep (states of the lake, to be cited)",
    "Serve",
    "Operate",
)
"""The groups of commands in the help, in this order."""
EVERYWHERE = """\
--root, --env and --debug stand before the command: `lakehouse --root data/demo status`. Every command takes --quiet and
--verbose, most commands take --json: one
JSON document on stdout. Days are UTC days; --to is exclusive. `lakehouse COMMAND -h` tells the rest."""


class GroupedHelp(TyperGroup):
    """A group whose help shows its commands under the heading that each has as its ``rich_help_panel``.

    Typer does this with rich, which triples the time that a call for help takes.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group of commands."""
        shown = [command for command in self.commands.values() if not command.hidden]
        panels = [getattr(command, "rich_help_panel", None) or "Commands" for command in shown]
        for panel in sorted(set(panels), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
            members = [command for command, place in zip(shown, panels, strict=True) if place == panel]
            width = max(len(str(command.name)) for command in shown)
            with formatter.section(panel):
                formatter.write_dl([(str(each.name).ljust(width), _first_paragraph(each.help)) for each in members])
                if example := next((each.epilog for each in members if each.epilog), None):
                    formatter.write_text(f"\b\nFor example: {example.splitlines()[-1].strip()}")


ORDER = (RUN, LOOK, KEEP, SERVE, OPERATE)


def _first_paragraph(help_text: str | None) -> str:
    return " ".join((help_text or "").split("\n\n")[0].split())


app = typer.Typer(
    name="lakehouse",
    cls=GroupedHelp,
    help="Great Britain's regional carbon intensity as a Delta lakehouse, from API bytes to PostgreSQL.",
    epilog=EVERYWHERE,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Quiet = Annotated[bool, typer.Option("--quiet", help="On stderr only warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="On stderr also what goes on inside.")]


def command(name: str, panel: str | None = None, *, example: str, group: typer.Typer = app) -> Callable[[F], F]:
    """Declare a command: the group in which the help shows it, and an example that ends its own help.

    Each takes ``--quiet`` and ``--verbose``, which may stand before it as well.
    """

    def declared(work: F) -> F:
        @wraps(work)
        def loud(*, quiet: bool = False, verbose: bool = False, **arguments: Any) -> Any:
            logs.command(name)
            say(quiet=quiet, verbose=verbose)
            return work(**arguments)

        taken = inspect.signature(work)
        more = {"quiet": Quiet, "verbose": Verbose}
        flags = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=more[name])
            for name in more
        ]
        loud.__annotations__ = {**work.__annotations__, **more}
        loud.__signature__ = taken.replace(parameters=[*taken.parameters.values(), *flags])  # type: ignore[attr-defined]  # which inspect reads
        group.command(name, rich_help_panel=panel, epilog=f"\b\nExample:\n  {example}")(loud)
        return work

    return declared


def say(*, quiet: bool, verbose: bool) -> None:
    """Say as much on stderr in this call as these flags want; without one as before.

    Raises:
        UsageError: they contradict each other, or a flag before the command.
    """
    for is_given, wanted in ((quiet, Loudness.QUIET), (verbose, Loudness.VERBOSE)):
        if is_given and loudness.wanted() not in (wanted, Loudness.NORMAL):
            raise UsageError("--quiet and --verbose contradict each other; give one of them.")
        if is_given:
            loudness.choose(wanted)
            logs.say_as_wanted()


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
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="N|NAME",
        help="A lake version or a release; default: now.",
        autocompletion=completion.releases,
    ),
]
AtNumber = Annotated[int | None, typer.Option("--at", min=1, metavar="N", help="A lake version; default: the newest.")]


class _Given:
    """What belongs to one call of the command line: the flags before the command, and what it has found."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        self.debug = False
        self.found: Mapping[str, Any] = {}
        """What a command that fails says with ``--json`` beside that."""
        self.is_run = False
        """Whether the command is a run, which logs its own end."""
        self.afterwards: Callable[[int, str | None], None] | None = None
        """Called with the exit code and the sentence of an error when both have been told: the hook."""

    def clear(self) -> None:
        """Begin another call in this process."""
        self.found, self.is_run, self.afterwards = {}, False, None


given = _Given()


def chosen(**more: Any) -> "Settings":
    """The settings of this call; the log file that they name is open from now on."""
    from lakehouse import settings  # more than half of what --help would take, which reads none

    found = settings.load({**given.flags, **more})
    logs.open_file(found.log)
    return found


def recorded(command: str, work: "Callable[[Run], object]", *, as_json: bool, accept_loss: bool = False) -> None:
    """Do something as a run: locked, told, and recorded in ``ops.runs``."""
    read = chosen()
    from lakehouse import hook, lineage
    from lakehouse.console_reporter import ConsoleReporter
    from lakehouse.messages import console
    from lakehouse.pipeline import Run

    reporter = ConsoleReporter()
    started = Run(read, command, lineage.observed(read, reporter), accept_loss=accept_loss)
    given.is_run, given.afterwards = True, partial(hook.command_ended, read, command)
    try:
        with started.recorded():
            work(started)
    except BaseException:
        given.found = started.report.as_dict()
        raise
    finally:
        reporter.ended(started.report)
    if as_json:
        console.print_json(started.report.as_dict())
    else:
        done = f"lake version {started.report.lake_version}, run {started.report.run_id}: ok"
        console.say(done, out=sys.stderr, style=console.OK)


@contextmanager
def waiting(what: str) -> "Iterator[ProgressBar]":
    """Show at a terminal that work goes on, until the block ends; the work may tell the bar how far it is.

    Nothing may be printed on stdout meanwhile.
    """
    from lakehouse.messages.progress_bar import ProgressBar

    bar = ProgressBar()
    try:
        bar.progress(what)
        yield bar
    finally:
        bar.close()


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
