"""The command ``lakehouse``; the jobs take the same arguments and run the same code.

Commands that need Spark import it when they run, so that the others answer at once.
"""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from lakehouse import __version__, settings
from lakehouse.errors import ExitCode, LakehouseError, QualityError, UsageError
from lakehouse.windows import parse_day

if TYPE_CHECKING:
    from lakehouse.pipeline import Run

app = typer.Typer(
    name="lakehouse",
    help="Great Britain's regional carbon intensity as a Delta lakehouse, from API bytes to PostgreSQL.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

INTERRUPTED = 130
ALL_STAGES = "bronze,silver,gold,export"

From = Annotated[str | None, typer.Option("--from", metavar="DAY", help="First UTC day, YYYY-MM-DD.")]
To = Annotated[str | None, typer.Option("--to", metavar="DAY", help="UTC day after the last one.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Fetch the whole range, received already or not.")]
Full = Annotated[bool, typer.Option("--full-refresh", help="Recompute everything; write only what differs.")]


class _Given:
    """Flags that stand before the command."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        self.debug = False


given = _Given()


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


@app.command()
def run(
    start: From = None,
    end: To = None,
    stages: Annotated[str, typer.Option(help="Which stages, in this order.")] = ALL_STAGES,
    force: Force = False,
    full_refresh: Full = False,
    as_json: Json = False,
) -> None:
    """Fetch, refine, aggregate and export in one session; halt at the first failure."""
    wanted = [stage.strip() for stage in stages.split(",") if stage.strip()]
    unknown = [stage for stage in wanted if stage not in ALL_STAGES.split(",")]
    if unknown or not wanted:
        raise UsageError(f"--stages takes some of {ALL_STAGES}, not {stages!r}.")
    _do("run", wanted, start, end, force=force, full=full_refresh, as_json=as_json)


@app.command()
def bronze(start: From = None, end: To = None, force: Force = False, as_json: Json = False) -> None:
    """Fetch what is missing or may have changed into Bronze."""
    _do("bronze", ["bronze"], start, end, force=force, as_json=as_json)


@app.command()
def silver(full_refresh: Full = False, as_json: Json = False) -> None:
    """Bring Silver up to Bronze."""
    _do("silver", ["silver"], full=full_refresh, as_json=as_json)


@app.command()
def gold(full_refresh: Full = False, as_json: Json = False) -> None:
    """Bring Gold up to Silver."""
    _do("gold", ["gold"], full=full_refresh, as_json=as_json)


@app.command()
def export(
    version: Annotated[int | None, typer.Option(min=0, help="Gold's version; default: its newest.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only compare with what was exported last.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what was exported last.")] = False,
    full_refresh: Full = False,
    as_json: Json = False,
) -> None:
    """Make PostgreSQL equal to Gold, or prove that it is."""
    if verify and not repair:
        _verify(version, as_json=as_json)
        return
    _recorded("export", lambda run: run.publish(version, full=full_refresh, repair=repair), as_json=as_json)


def _verify(version: int | None, *, as_json: bool) -> None:
    from lakehouse import console
    from lakehouse.publishing import verification

    found = verification.verify(settings.load(given.flags), version)
    if as_json:
        console.print_json(found.as_dict())
    elif found.differences:
        console.print_rows([difference.as_row() for difference in found.differences], as_json=False)
    if found.differences:
        raise QualityError(
            f"{found.describe()}; `lakehouse export --repair` puts them right, `lakehouse export` brings the newest."
        )
    print(found.describe(), file=sys.stderr)


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders of recorded responses (.json, .gz, .zip).")],
    received_at: Annotated[
        str, typer.Option(metavar="now|mtime|TIME", help="When they count as received; a TIME as 2021-04-30T23:01:59Z.")
    ] = "now",
    source: Annotated[str | None, typer.Option(help="The API they came from; default: the lake's own.")] = None,
    as_json: Json = False,
) -> None:
    """Land recorded API responses in Bronze."""
    from lakehouse.clock import machine_clock
    from lakehouse.ingestion.ingest import ReceivedAt

    moment = {"now": machine_clock(), "mtime": None}.get(received_at, ...)
    received = ReceivedAt(_time(received_at) if moment is ... else moment)
    _recorded("import", lambda started: started.take_in(paths, source, received), as_json=as_json)


@app.command()
def plan(start: From = None, end: To = None, force: Force = False, as_json: Json = False) -> None:
    """Say which requests a run would make, and why; write nothing."""
    from lakehouse import console
    from lakehouse.ingestion import planning

    chosen, first, last = settings.load(given.flags), _day(start, "--from"), _day(end, "--to")
    rows, total = planning.requests(chosen, first, last, force=force)
    if as_json:
        console.print_json({"requests": rows, **total})
        return
    console.print_rows(rows, as_json=False)
    print(
        f"{total['requests_count']} requests, {total['half_hours']:,} half-hours, "
        f"about {total['bytes'] / 2**20:,.1f} MiB and {total['seconds']:,.0f} s; nothing was written."
    )


@app.command()
def gaps(start: From = None, end: To = None, as_json: Json = False) -> None:
    """Show every missing half-hour and why it is missing; by default of the lake's whole range."""
    from lakehouse import console
    from lakehouse.ingestion import gaps as missing

    found = missing.find(settings.load(given.flags), _day(start, "--from"), _day(end, "--to"))
    rows = [gap.row() for gap in found.gaps]
    if as_json:
        document = {"from": found.span.start, "to": found.span.end, "half_hours": found.half_hours, "gaps": rows}
        console.print_json({**document, "unrefined_responses": found.unrefined})
        return
    if rows:
        shown = [{**row, "regions": ", ".join(map(str, row["regions"])) or "all"} for row in rows]
        console.print_rows([{k: v for k, v in row.items() if k != "answered_at"} for row in shown], as_json=False)
    print(
        f"{found.half_hours:,} of {len(found.span):,} half-hours from {console.text(found.span.start)} to "
        f"{console.text(found.span.end)} lack something."
    )
    if found.unrefined:
        print(f"{found.unrefined} response(s) have not gone into Silver yet, so their regions were not looked at.")


@app.command()
def status(as_json: Json = False) -> None:
    """Show the lake's version, its tables and its last run."""
    from lakehouse import console
    from lakehouse.history import look

    found = look.status(settings.load(given.flags))
    if as_json:
        console.print_json(found)
        return
    print(f"lake at {found['root']}")
    last = found["last_run"]
    if last is None:
        print("no run yet; begin with: lakehouse run")
    else:
        print(
            f"lake version {last['lake_version']}, run {last['run_id']} ({last['command']}: {last['status']}"
            f"{', ' + last['error'] if last['error'] else ''}), {console.text(last['finished_at'])}"
        )
    console.print_rows(found["tables"], as_json=False)


@app.command()
def history(
    table: Annotated[str, typer.Argument(help="Such as gold.carbon_intensity_daily.")],
    limit: Annotated[int, typer.Option(min=1, help="Newest versions to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the versions of a table, newest first."""
    from lakehouse import console
    from lakehouse.history import look

    rows = look.history(settings.load(given.flags), table, limit)
    if not as_json:
        keep = ("version", "timestamp", "operation", "stage", "run_id")
        shown = ("numOutputRows", "numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted")
        rows = [
            {**{k: row[k] for k in keep}, "rows": {k: v for k, v in row["metrics"].items() if k in shown}}
            for row in rows
        ]
    console.print_rows(rows, as_json=as_json)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT; tables by name, VERSION AS OF and TIMESTAMP AS OF work.")],
    limit: Annotated[int, typer.Option(min=1, help="Rows to show at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Query the lake with Spark SQL, time travel included; nothing can be written."""
    from lakehouse import console
    from lakehouse.history import query as queries

    rows, is_cut = queries.select(settings.load(given.flags), query, limit)
    console.print_rows(rows, as_json=as_json)
    if is_cut:
        print(f"(the first {limit} rows; --limit shows more)", file=sys.stderr)


@app.command()
def psql(
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments for psql, after --.")] = None,
) -> None:
    """Open psql on the export's database."""
    from lakehouse.publishing import database

    raise typer.Exit(database.run_psql(settings.load(given.flags), arguments or []))


@app.command()
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
    fixed = _time(now) if now else None
    server = simulator.Simulator(seed=seed, now=fixed, latency_ms=latency_ms, rules=rules, port=port)

    def ready(url: str) -> None:
        print(f"simulator with seed {seed} at {url}; use it with LAKEHOUSE_API__URL={url}; Ctrl-C stops it")
        sys.stdout.flush()

    simulator.serve_forever(server, on_ready=ready)


@app.command()
def demo(
    into: Annotated[Path, typer.Option(help="The demo's own lake; begun afresh each time.")] = Path("data/demo"),
    as_json: Json = False,
) -> None:
    """Run everything on the simulator and an embedded PostgreSQL, twice, and say where to look."""
    from lakehouse import demonstration

    demonstration.play(settings.load({**given.flags, "root": str(into)}), into, as_json=as_json)


quarantine = typer.Typer(help="Pieces of responses that were refused, and why.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")


@quarantine.command("list")
def quarantine_list(
    reason: Annotated[str | None, typer.Option(metavar="RULE", help="Only those that broke this rule.")] = None,
    as_json: Json = False,
) -> None:
    """Show the refused pieces, newest first."""
    from lakehouse import console
    from lakehouse.refinement.quarantine import listed

    rows = listed(settings.load(given.flags), reason)
    if not as_json:
        keep = ("period_from", "regionid", "reasons", "ingestion_timestamp", "response_id", "position", "piece")
        rows = [{name: row[name] for name in keep} for row in rows]
    console.print_rows(rows, as_json=as_json)


@quarantine.command("replay")
def quarantine_replay(as_json: Json = False) -> None:
    """Judge the refused pieces by the rules of now; what is good moves into Silver, the rest stays."""
    _recorded("quarantine replay", lambda started: started.judge_again(), as_json=as_json)


def _do(
    command: str,
    wanted: Sequence[str],
    start: str | None = None,
    end: str | None = None,
    *,
    force: bool = False,
    full: bool = False,
    as_json: bool,
) -> None:
    first, last = _day(start, "--from"), _day(end, "--to")
    if first and last and first >= last:
        raise UsageError(f"--from {start} is not before --to {end}.")

    def work(started: "Run") -> None:
        if "bronze" in wanted:
            started.fetch(first, last, force=force)
        started.derive(wanted, full=full)

    _recorded(command, work, as_json=as_json)


def _recorded(command: str, work: "Callable[[Run], object]", *, as_json: bool) -> None:
    chosen = settings.load(given.flags)
    from lakehouse import console
    from lakehouse.pipeline import Run
    from lakehouse.progress import Narrator

    narrator = Narrator()
    started = Run(chosen, command, narrator)
    try:
        with started.recorded():
            work(started)
    finally:
        narrator.close()
        if as_json:
            console.print_json(started.report.as_dict())
    if not as_json:
        print(f"lake version {started.report.lake_version}, run {started.report.run_id}: ok", file=sys.stderr)


def _day(text: str | None, name: str) -> datetime | None:
    return parse_day(text, name) if text is not None else None


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write it as 2024-01-05T12:00:00Z.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with the contract's exit code."""
    sys.exit(exit_code(list(sys.argv[1:] if arguments is None else arguments)))


def exit_code(arguments: list[str]) -> int:
    """Run a command and give its exit code; every mistake is one sentence on stderr."""
    try:
        code = int(app(arguments, standalone_mode=False, prog_name="lakehouse") or 0)
        if code == INTERRUPTED:  # typer has made this of Ctrl-C
            raise KeyboardInterrupt
        return code
    except typer.Exit as leaving:
        return int(leaving.exit_code)
    except TyperException as error:
        _complain(str(error))
        return ExitCode.USAGE
    except LakehouseError as error:
        _complain(" ".join((str(error), *getattr(error, "__notes__", ()))))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted; what was committed stays, and the same command goes on from there.")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.OK
    except Exception as error:
        if given.debug:
            raise
        _complain(f"{_innermost(error) or type(error).__name__} (unexpected; lakehouse --debug ... shows where)")
        return ExitCode.FAILED


def _innermost(error: Exception) -> str:
    """What an unexpected error says; Spark's own cause where Spark is loaded."""
    loaded = sys.modules.get("lakehouse.spark.session")
    return str(loaded.reason(error)) if loaded else (str(error).strip().splitlines() or [""])[0]


def _complain(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr)
