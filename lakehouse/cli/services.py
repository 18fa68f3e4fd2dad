"""Commands that serve: the simulated API, the dashboard and the demo."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.options import RUN, SERVE, Json, chosen, command, time


@command("simulate", SERVE, example="lakehouse simulate --port 8099 --now 2025-02-01T00:00Z")
def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8099,
    now: Annotated[str | None, typer.Option(help="Fix its clock, as 2025-02-01T00:00Z.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other values.")] = 42,
    latency_ms: Annotated[float, typer.Option(min=0, help="Added to each answer.")] = 0,
    faults: Annotated[Path | None, typer.Option(help="A script of faults, TOML or JSON.")] = None,
) -> None:
    """Serve a simulation of the API on this machine."""
    from lakehouse import simulator

    rules = simulator.load_script(faults) if faults else ()
    fixed = time(now) if now else None
    server = simulator.Simulator(seed=seed, now=fixed, latency_ms=latency_ms, rules=rules, port=port)

    def ready(url: str) -> None:
        print(f"simulator with seed {seed} at {url}; use it with LAKEHOUSE_API__URL={url}; Ctrl-C stops it")
        sys.stdout.flush()

    simulator.serve_forever(server, on_ready=ready)


@command("dashboard", SERVE, example="lakehouse dashboard --port 8501")
def dashboard(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine alone; 0 picks a free one.")] = 8501,
) -> None:
    """Show the published tables in a browser, live: regions, hours, fuels, what is missing."""
    from lakehouse.dashboard import serving

    def ready(url: str) -> None:
        print(f"dashboard at {url}; Ctrl-C stops it", flush=True)

    serving.serve(chosen(), port, on_ready=ready)


@command("demo", RUN, example="lakehouse demo")
def demo(
    into: Annotated[Path, typer.Option(help="The demo's own lake; begun afresh each time.")] = Path("data/demo"),
    as_json: Json = False,
) -> None:
    """Run everything on the simulator and an embedded PostgreSQL, twice, and say where to look."""
    from lakehouse import demonstration

    demonstration.play(chosen(root=str(into)), into, as_json=as_json)
