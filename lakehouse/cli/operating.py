"""Commands for operation: ``watch`` runs for ever, ``metrics`` tells monitors about a lake."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.options import OPERATE, chosen, command
from lakehouse.errors import UsageError

if TYPE_CHECKING:
    from lakehouse.settings import Settings

SECONDS = {"s": 1, "m": 60, "h": 3600}


@command("watch", OPERATE, example="lakehouse watch --every 10m")
def watch(
    every: Annotated[
        str | None, typer.Option(metavar="30m", help="Between two runs, in s, m or h; default: watch.every_seconds.")
    ] = None,
    cycles: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N runs; default: never.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of /healthz, /readyz and /metrics; 0 picks a free one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout for each run.")] = False,
) -> None:
    """Keep Spark warm and do what `run` does every half-hour; Ctrl-C or SIGTERM ends it, SIGHUP reads settings anew."""
    flags = {"every_seconds": _seconds(every), "port": port}
    given = {name: value for name, value in flags.items() if value is not None}

    def read() -> "Settings":
        return chosen(**({"watch": given} if given else {}))

    from lakehouse.watching import service

    raise typer.Exit(service.serve(read, cycles, as_json=as_json))


@command("metrics", OPERATE, example="lakehouse metrics --textfile lakehouse.prom")
def metrics(
    textfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them to FILE (.prom), whole or not at all.")
    ] = None,
) -> None:
    """Tell monitors about the lake in Prometheus' form: on stdout, or in a file for the node exporter."""
    from lakehouse.monitoring import exposition
    from lakehouse.monitoring.figures import LakeFigures

    figures = LakeFigures(chosen().root).read()
    if textfile is None:
        print(exposition.text(figures), end="")
    else:
        exposition.write(figures, textfile)


def _seconds(text: str | None) -> float | None:
    """A length of time from ``90s``, ``30m`` or ``1h``."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if found is None:
        raise UsageError(f"--every takes a number with s, m or h behind it, as 90s, 30m or 1h, not {text!r}.")
    return float(found[1]) * SECONDS[found[2]]
