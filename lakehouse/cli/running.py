"""Commands that write: the stages, imports, replays and restores. Each is a run, recorded in ``ops.runs``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli import completion
from lakehouse.cli.options import (
    KEEP,
    OPERATE,
    RUN,
    Accept,
    AtNumber,
    Force,
    From,
    Full,
    GroupedHelp,
    Json,
    To,
    app,
    chosen,
    command,
    day,
    given,
    help_alone,
    recorded,
    time,
    waiting,
)
from lakehouse.errors import QualityError, UsageError

if TYPE_CHECKING:
    from lakehouse.pipeline import Run

ALL_STAGES = "bronze,silver,gold,export"


@command("run", RUN, example="lakehouse run --from 2024-01-01 --to 2024-02-01")
def run(
    start: From = None,
    end: To = None,
    stages: Annotated[str, typer.Option(help="Which of them, in this order.")] = ALL_STAGES,
    force: Force = False,
    full_refresh: Full = False,
    accept_loss: Accept = False,
    as_json: Json = False,
) -> None:
    """Fetch, refine, aggregate and export in one session; halt at the first failure."""
    wanted = [stage.strip() for stage in stages.split(",") if stage.strip()]
    unknown = [stage for stage in wanted if stage not in ALL_STAGES.split(",")]
    if unknown or not wanted:
        raise UsageError(f"--stages takes some of {ALL_STAGES}, not {stages!r}.")
    if wanted != [stage for stage in ALL_STAGES.split(",") if stage in wanted]:
        raise UsageError(f"--stages is {stages!r}, but a run has one order, and each stage once: {ALL_STAGES}.")
    if "bronze" not in wanted and (unused := _of_bronze_alone(start, end, force=force)):
        raise UsageError(f"{unused} says what to fetch, but --stages is {stages!r}: add bronze, or leave it out.")
    _do("run", wanted, start, end, force=force, full=full_refresh, accept_loss=accept_loss, as_json=as_json)


@command("bronze", RUN, example="lakehouse bronze --from 2024-01-01 --to 2024-02-01")
def bronze(
    start: From = None, end: To = None, force: Force = False, accept_loss: Accept = False, as_json: Json = False
) -> None:
    """Fetch what is missing or may have changed into Bronze."""
    _do("bronze", ["bronze"], start, end, force=force, accept_loss=accept_loss, as_json=as_json)


@command("silver", RUN, example="lakehouse silver")
def silver(full_refresh: Full = False, accept_loss: Accept = False, as_json: Json = False) -> None:
    """Bring Silver up to Bronze."""
    _do("silver", ["silver"], full=full_refresh, accept_loss=accept_loss, as_json=as_json)


@command("gold", RUN, example="lakehouse gold --full-refresh")
def gold(full_refresh: Full = False, accept_loss: Accept = False, as_json: Json = False) -> None:
    """Bring Gold up to Silver."""
    _do("gold", ["gold"], full=full_refresh, accept_loss=accept_loss, as_json=as_json)


@command("export", RUN, example="lakehouse export --release 2024-annual")
def export(
    version: Annotated[int | None, typer.Option(min=0, help="Gold's version; default: its newest.")] = None,
    at: AtNumber = None,
    release: Annotated[
        str | None, typer.Option(metavar="NAME", help="Gold as released.", autocompletion=completion.releases)
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only compare with what was exported last.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what was exported last.")] = False,
    full_refresh: Full = False,
    accept_loss: Accept = False,
    as_json: Json = False,
) -> None:
    """Make PostgreSQL equal to Gold, or prove that it is."""
    if sum(each is not None for each in (version, at, release)) > 1:
        raise UsageError("--version, --at and --release each say which Gold is meant: give one of them.")
    state = str(at) if at is not None else release
    if verify and not repair:
        _verify(version, at, release, as_json=as_json)
        return
    recorded(
        "export",
        lambda run: run.publish(version, state, full=full_refresh, repair=repair),
        as_json=as_json,
        accept_loss=accept_loss,
    )


def _verify(version: int | None, at: int | None, release: str | None, *, as_json: bool) -> None:
    from lakehouse.messages import console
    from lakehouse.publishing import verification

    with waiting("export --verify"):
        found = verification.verify(chosen(), version, str(at) if at is not None else release)
    given.found = found.as_dict()
    if found.differences:
        if not as_json:
            console.print_rows([difference.as_row() for difference in found.differences])
        named = {"version": version, "at": at, "release": release}
        meant = next((f"--{option} {value}" for option, value in named.items() if value is not None), "--repair")
        raise QualityError(
            f"{found.describe()}; `lakehouse export {meant}` makes it equal, `lakehouse export` brings the newest."
        )
    if as_json:
        console.print_json(found.as_dict())
    console.say(found.describe(), out=sys.stderr, style=console.OK)


@command("import", RUN, example="lakehouse import recorded/ --received-at mtime")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders of recorded responses (.json, .gz, .zip).")],
    received_at: Annotated[
        str, typer.Option(metavar="now|mtime|TIME", help="When they count as received; a TIME as 2021-04-30T23:01:59Z.")
    ] = "now",
    source: Annotated[str | None, typer.Option(help="The API they came from; default: the lake's own.")] = None,
    accept_loss: Accept = False,
    as_json: Json = False,
) -> None:
    """Land recorded API responses in Bronze."""
    from lakehouse.clock import machine_clock
    from lakehouse.ingestion import fetch_history, reception

    stated = None if received_at in ("now", "mtime") else time(received_at)
    known = fetch_history.read(chosen())
    received = reception.received_at(stated, known, machine_clock(), by_file=received_at == "mtime")
    recorded(
        "import",
        lambda started: started.import_files(paths, source, received),
        as_json=as_json,
        accept_loss=accept_loss,
    )


@command("restore", KEEP, example="lakehouse restore 2024-annual")
def restore(
    state: Annotated[
        str, typer.Argument(metavar="NAME|N", help="A release, or a lake version.", autocompletion=completion.releases)
    ],
    as_json: Json = False,
) -> None:
    """Make Silver and every Gold table what they were; the next run rolls them forward from Bronze."""
    recorded("restore", lambda started: started.restore(state), as_json=as_json)


@command("maintain", OPERATE, example="lakehouse maintain --dry-run")
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go, what is kept, and why.")] = False,
    as_json: Json = False,
) -> None:
    """Compact small files, write checkpoints and, with a bounded retention, remove what only older versions need."""
    from lakehouse.lake import maintenance
    from lakehouse.messages import console

    if dry_run:
        found = maintenance.planned(chosen())
        console.print_rows(
            [upkeep.as_row() for upkeep in found],
            as_json=as_json,
            sizes=("bytes", "kept_bytes", "goes_bytes"),
            least=("compact_to", "goes_files", "files", "why_kept"),
        )
        return
    recorded("maintain", lambda started: started.maintain(), as_json=as_json)


quarantine = typer.Typer(
    cls=GroupedHelp,
    help="Pieces of responses that were refused, and why.",
    invoke_without_command=True,
    callback=help_alone,
)
app.add_typer(quarantine, name="quarantine", rich_help_panel=OPERATE)


@command("list", example="lakehouse quarantine list --reason forecast_plausible", group=quarantine)
def quarantine_list(
    reason: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="Only those that broke this rule.", autocompletion=completion.rules),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the refused records, newest first."""
    from lakehouse.messages import console
    from lakehouse.transform.quarantine import listed

    rows = listed(chosen(), reason)
    if not as_json:
        keep = ("period_from", "regionid", "reasons", "ingestion_timestamp", "response_id", "position", "piece")
        rows = [{name: row[name] for name in keep} for row in rows]
    console.print_rows(rows, as_json=as_json, least=("response_id", "position", "piece"))


@command("replay", example="lakehouse quarantine replay", group=quarantine)
def quarantine_replay(as_json: Json = False) -> None:
    """Judge the refused records by the rules of now; what is good moves into Silver, the rest stays."""
    recorded("quarantine replay", lambda started: started.replay_quarantine(), as_json=as_json)


def _of_bronze_alone(start: str | None, end: str | None, *, force: bool) -> str | None:
    """The first option given that only the stage Bronze heeds."""
    return next((name for name, is_there in (("--from", start), ("--to", end), ("--force", force)) if is_there), None)


def _do(
    command: str,
    wanted: Sequence[str],
    start: str | None = None,
    end: str | None = None,
    *,
    force: bool = False,
    full: bool = False,
    accept_loss: bool = False,
    as_json: bool,
) -> None:
    first, last = day(start, "--from"), day(end, "--to")
    if first and last and first >= last:
        raise UsageError(f"--from {start} is not before --to {end}.")
    if "bronze" in wanted:
        from lakehouse.ingestion.access import Access

        Access.of(chosen().api)  # whether it can be used, before anything is written

    def work(started: "Run") -> None:
        if "bronze" in wanted:
            started.fetch(first, last, force=force)
        started.transform(wanted, full=full)

    recorded(command, work, as_json=as_json, accept_loss=accept_loss)
