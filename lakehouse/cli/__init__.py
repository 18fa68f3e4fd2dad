"""The command ``lakehouse``; the jobs take the same arguments and run the same code.

Commands that need Spark import it when they run, so that the others answer at once.
"""

import gc
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from lakehouse import __version__, interrupts, logs

# isort: off (in the order of --help)
from lakehouse.cli import inspecting, operating, releasing, running, services
from lakehouse.cli.options import Quiet, Verbose, app, given, help_alone, say
from lakehouse.errors import ExitCode, LakehouseError
from lakehouse.messages import endings, loudness
from lakehouse.messages.loudness import Loudness
from lakehouse.messages.text import visible, without_logins
from lakehouse.messages.wording import in_one_line

__all__ = ["app", "exit_code", "inspecting", "main", "operating", "releasing", "running", "services"]
log = logging.getLogger(__name__)

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
    quiet: Quiet = False,
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Flags of every command."""
    given.flags = {key: value for key, value in (("root", root), ("env", env)) if value is not None}
    given.debug = debug
    say(quiet=quiet, verbose=verbose)
    help_alone(context)


def job(command: str) -> None:
    """A command with the arguments of this process, as a file in ``jobs/`` that ``spark-submit`` was given."""
    from lakehouse.spark import submitted

    submitted.keep_stdout_clean()
    main([command, *sys.argv[1:]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with the contract's exit code."""
    gc.freeze()  # what has been imported stays: the collector passes it over
    interrupts.treat_alike()
    logs.to_terminal()
    code = exit_code(list(sys.argv[1:] if arguments is None else arguments))
    gc.freeze()  # the process ends: nothing needs to be looked through once more
    sys.exit(code)


def exit_code(arguments: list[str]) -> int:
    """Run a command and give its exit code.

    Every mistake is one sentence on stderr and, with ``--json``, one document on stdout, which nothing else is on.
    """
    given.clear()
    loudness.choose(Loudness.NORMAL)
    logs.say_as_wanted()
    code, sentence = _done(arguments)
    if sentence is not None:
        sentence = without_logins(sentence)
        _tell(sentence, code, as_json=_wants_json(arguments))
    if given.afterwards is not None:
        _do_afterwards(given.afterwards, code, sentence)
    return code


def _tell(sentence: str, code: int, *, as_json: bool) -> None:
    if not given.is_run:
        log.error(sentence, extra={**logs.TOLD, "exit_code": int(code)})
    if sys.stderr.isatty():
        from lakehouse.messages import console

        console.say(f"error: {sentence}", out=sys.stderr, style=console.FAILURE)
    else:
        print(f"error: {visible(sentence)}", file=sys.stderr)
    if as_json:
        from lakehouse.messages import console

        console.print_json({**given.found, "status": "failed", "error": sentence, "exit_code": int(code)})


def _do_afterwards(tell: Callable[[int, str | None], None], code: int, sentence: str | None) -> None:
    """Tell the hook; whatever becomes of that, the command has ended as it did."""
    sys.stdout.flush()
    try:
        tell(code, sentence)
    except KeyboardInterrupt:
        log.warning("The hook was broken off; the next run tries again.")


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
    if stopped := endings.stopped_by_us(error):
        return stopped.exit_code, str(stopped)
    unexpected = f"{endings.sentence(error)} (unexpected; lakehouse --debug ... shows where)"
    return ExitCode.FAILED, endings.known(error) or unexpected
