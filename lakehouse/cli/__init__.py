"""The command ``lakehouse``; the jobs take the same arguments and run the same code.

Commands that need Spark import it when they run, so that the others answer at once.
"""

import gc
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from lakehouse import __version__, endings, interrupts

# isort: off (in the order of --help)
from lakehouse.cli import inspecting, operating, releasing, running, services
from lakehouse.cli.options import app, given, help_alone
from lakehouse.errors import ExitCode, LakehouseError
from lakehouse.text import VisibleFormatter, visible, without_logins
from lakehouse.wording import in_one_line

__all__ = ["app", "exit_code", "inspecting", "main", "operating", "releasing", "running", "services"]
SENTENCE = "interrupted; what was committed stays, and the same command goes on from there."


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    root: Annotated[str | None, typer.Option(help="The lake: a path or s3a://...")] = None,
    env: Annotated[str | None, typer.Option(help="Which conf/ENV.toml to use.")] = None,
    debug: Annotated[bool, typer.Option(help="Show the stack trace of an unexpected error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Flags of every command."""
    given.flags = {key: value for key, value in (("root", root), ("env", env)) if value is not None}
    given.debug = debug
    help_alone(context)


def job(command: str) -> None:
    """A command with the arguments of this process, as a file in ``jobs/`` that ``spark-submit`` was given."""
    from lakehouse.spark import submitted

    submitted.keep_stdout_clean()
    main([command, *sys.argv[1:]])


class _Warnings(logging.Handler):
    """Prints warnings on stderr, harmlessly and coloured at a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one, above the bar where one is drawn."""
        from lakehouse import console

        for line in VisibleFormatter("warning: %(message)s").format(record).split("\n"):
            console.say(line, out=sys.stderr, style=console.WARNING)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with the contract's exit code."""
    gc.freeze()  # what has been imported stays: the collector passes it over
    interrupts.treat_alike()
    logging.lastResort = _Warnings(logging.WARNING)  # what prints warnings as long as nobody has set logging up
    code = exit_code(list(sys.argv[1:] if arguments is None else arguments))
    gc.freeze()  # the process ends: nothing needs to be looked through once more
    sys.exit(code)


def exit_code(arguments: list[str]) -> int:
    """Run a command and give its exit code.

    Every mistake is one sentence on stderr and, with ``--json``, one document on stdout, which nothing else is on.
    """
    given.found = {}
    code, sentence = _done(arguments)
    if sentence is None:
        return code
    sentence = without_logins(sentence)
    if sys.stderr.isatty():
        from lakehouse import console

        console.say(f"error: {sentence}", out=sys.stderr, style=console.FAILURE)
    else:
        print(f"error: {visible(sentence)}", file=sys.stderr)
    if _wants_json(arguments):
        from lakehouse import console

        console.print_json({**given.found, "status": "failed", "error": sentence, "exit_code": int(code)})
    return code


def _wants_json(arguments: list[str]) -> bool:
    """Also of a call that cannot be understood; what follows ``--`` is for another program."""
    return "--json" in arguments[: arguments.index("--") if "--" in arguments else None]


def _done(arguments: list[str]) -> tuple[int, str | None]:
    """Run a command: its exit code and, of a failure, the sentence."""
    try:
        code = int(app(arguments, standalone_mode=False, prog_name="lakehouse") or 0)
        if code == endings.INTERRUPTED:  # typer has made this of Ctrl-C
            raise KeyboardInterrupt
        return code, None
    except typer.Exit as leaving:
        return int(leaving.exit_code), None
    except (KeyboardInterrupt, typer.Abort):
        return endings.INTERRUPTED, SENTENCE
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.OK, None
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told in one sentence)
        return (endings.INTERRUPTED, SENTENCE) if endings.is_interruption(error) else _failed(error)


def _failed(error: Exception) -> tuple[int, str]:
    """The exit code of a failure, and what it says."""
    if isinstance(error, TyperException):
        return ExitCode.USAGE, in_one_line(error.format_message())
    if isinstance(error, LakehouseError):
        sentence = " ".join((str(error), *getattr(error, "__notes__", ())))
        return error.exit_code, endings.advised(sentence) if error.exit_code == ExitCode.FAILED else sentence
    if given.debug:
        raise error
    if stopped := _stopped_by_us(error):
        return stopped.exit_code, str(stopped)
    unexpected = f"{endings.sentence(error)} (unexpected; lakehouse --debug ... shows where)"
    return ExitCode.FAILED, endings.known(error) or unexpected


def _stopped_by_us(error: Exception) -> LakehouseError | None:
    """The gate that a query raised while Spark worked."""
    loaded = sys.modules.get("lakehouse.spark.session")
    stopped: LakehouseError | None = loaded.stopped_by_us(error) if loaded else None
    return stopped
