"""The command ``lakehouse``; the jobs take the same arguments and run the same code.

Commands that need Spark import it when they run, so that the others answer at once.
"""

import gc
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from lakehouse import __version__

# isort: off (in the order of --help)
from lakehouse.cli import looking, releasing, services, writing
from lakehouse.cli.options import app, given
from lakehouse.errors import ExitCode, LakehouseError
from lakehouse.wording import in_one_line

__all__ = ["app", "exit_code", "looking", "main", "releasing", "services", "writing"]
INTERRUPTED = 130


@app.callback()
def common(
    root: Annotated[str | None, typer.Option(help="The lake: a path or s3a://...")] = None,
    env: Annotated[str | None, typer.Option(help="Which conf/ENV.toml to use.")] = None,
    debug: Annotated[bool, typer.Option(help="Show the stack trace of an unexpected error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Flags of every command."""
    given.flags = {key: value for key, value in (("root", root), ("env", env)) if value is not None}
    given.debug = debug
    if version:
        print(__version__)
        raise typer.Exit


def job(command: str) -> None:
    """A command with the arguments of this process, as a file in ``jobs/`` that ``spark-submit`` was given."""
    from lakehouse.spark import submitted

    submitted.keep_stdout_clean()
    main([command, *sys.argv[1:]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with the contract's exit code."""
    gc.freeze()  # what has been imported stays: the collector passes it over
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
    print(f"error: {sentence}", file=sys.stderr)
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
        if code == INTERRUPTED:  # typer has made this of Ctrl-C
            raise KeyboardInterrupt
        return code, None
    except typer.Exit as leaving:
        return int(leaving.exit_code), None
    except TyperException as error:
        return ExitCode.USAGE, in_one_line(str(error))
    except LakehouseError as error:
        return error.exit_code, " ".join((str(error), *getattr(error, "__notes__", ())))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED, "interrupted; what was committed stays, and the same command goes on from there."
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.OK, None
    except Exception as error:
        if given.debug:
            raise
        return ExitCode.FAILED, f"{_innermost(error)} (unexpected; lakehouse --debug ... shows where)"


def _innermost(error: Exception) -> str:
    """What an unexpected error says; Spark's own cause where Spark is loaded."""
    loaded = sys.modules.get("lakehouse.spark.session")
    return str(loaded.reason(error)) if loaded else in_one_line(str(error)) or type(error).__name__
