"""Commands that look at a lake and write nothing."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli import completion
from lakehouse.cli.options import LOOK, SERVE, At, AtNumber, Force, From, Json, To, chosen, command, day, given, waiting
from lakehouse.errors import LakehouseError, QualityError, UsageError
from lakehouse.messages.wording import counted
from lakehouse.windows import parse_day

Table = Annotated[str, typer.Argument(help="Such as gold.carbon_intensity_daily.", autocompletion=completion.tables)]
Region = Annotated[
    str,
    typer.Option("--region", metavar="R", help="A region's id (1 to 18) or name.", autocompletion=completion.regions),
]


def _regionid(region: str) -> int:
    """The id of a region, of which a name is what the newest state of the lake calls it."""
    from lakehouse.dataset.lake import Lake
    from lakehouse.history import states

    return int(region) if region.isascii() and region.isdigit() else Lake(states.newest(chosen())).region(region)


@command("plan", LOOK, example="lakehouse plan --from 2024-01-01 --to 2024-02-01")
def plan(start: From = None, end: To = None, force: Force = False, as_json: Json = False) -> None:
    """Say which requests a run would make, and why; write nothing."""
    from lakehouse.ingestion import planning
    from lakehouse.messages import console

    rows, total = planning.requests(chosen(), day(start, "--from"), day(end, "--to"), force=force)
    if as_json:
        console.print_json({"requests": rows, **total})
        return
    if rows:
        console.print_rows(planning.summed_up(rows), counts=("requests", "half_hours"))
    console.remark(
        f"{counted(total['requests_count'], 'request')}, {counted(total['half_hours'], 'half-hour')}, "
        f"about {console.size(total['bytes'])} and {total['seconds']:,.0f} s; nothing was written."
    )


@command("gaps", LOOK, example="lakehouse gaps --from 2023-10-01 --to 2023-11-01")
def gaps(start: From = None, end: To = None, as_json: Json = False) -> None:
    """Show every missing half-hour and why it is missing; by default of the lake's whole range."""
    from lakehouse.ingestion import gaps as missing
    from lakehouse.messages import console

    found = missing.find(chosen(), day(start, "--from"), day(end, "--to"))
    rows = [gap.row() for gap in found.gaps]
    if as_json:
        document = {"from": found.span.start, "to": found.span.end, "half_hours": found.half_hours, "gaps": rows}
        console.print_json({**document, "unrefined_responses": found.unrefined})
        return
    if rows:
        shown = [{**row, "regions": ", ".join(map(str, row["regions"])) or "all"} for row in rows]
        console.print_rows(
            [{k: v for k, v in row.items() if k != "answered_at"} for row in shown],
            counts=("half_hours",),
            least=("half_hours",),
        )
    console.remark(
        f"{found.half_hours:,} of {counted(len(found.span), 'half-hour')} from {console.text(found.span.start)} to "
        f"{console.text(found.span.end)} {'lacks' if found.half_hours == 1 else 'lack'} something."
    )
    if found.unrefined:
        have = "has" if found.unrefined == 1 else "have"
        responses = counted(found.unrefined, "response")
        console.remark(f"{responses} {have} not gone into Silver yet, so their regions were not looked at.")


@command("status", LOOK, example="lakehouse status --check")
def status(
    check: Annotated[
        bool, typer.Option("--check", help="For monitors: exit code 3 when a freshness target is broken.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="With --check: exit code 1 when there is a warning.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show how fresh and how complete the lake is, its tables, its last runs, and what PostgreSQL has."""
    if strict and not check:
        raise UsageError("--strict says how --check judges; give both.")
    from lakehouse import hook
    from lakehouse.clock import machine_clock
    from lakehouse.messages import console
    from lakehouse.monitoring import overview, rendering
    from lakehouse.monitoring.overview import Level

    settings = chosen()
    found = overview.read(settings, machine_clock())
    if check:
        given.afterwards = lambda code, sentence: hook.checked(settings, found.broken)
    given.found = found.as_dict()
    told = {
        level: "; ".join(each.sentence for each in found.findings if each.level is level)
        for level in (Level.BROKEN, Level.WARNING)
    }
    fails = check and bool(told[Level.BROKEN] or (strict and told[Level.WARNING]))
    if not as_json:
        rendering.tell(found)
    elif not fails:
        console.print_json(given.found)
    if fails and told[Level.BROKEN]:
        raise QualityError(f"{told[Level.BROKEN]}.")
    if fails:
        raise LakehouseError(f"{told[Level.WARNING]}.")


@command("history", LOOK, example="lakehouse history gold.carbon_intensity_daily --limit 5")
def history(
    table: Table,
    limit: Annotated[int, typer.Option(min=1, help="Newest versions to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the versions of a table, newest first."""
    from lakehouse.history import rendering
    from lakehouse.history import status as status_page
    from lakehouse.messages import console

    rows = status_page.history(chosen(), table, limit)
    if not as_json:
        rows = [rendering.version_row(row) for row in rows]
    console.print_rows(rows, as_json=as_json, least=("stage", "operation"))


@command("diff", LOOK, example="lakehouse diff gold.carbon_intensity_daily 1 2")
def diff(
    table: Table,
    before: Annotated[str, typer.Argument(help="A version of the table, a release, or a time.")],
    after: Annotated[str, typer.Argument(help="The same, later.")],
    limit: Annotated[int, typer.Option(min=1, help="Rows to show at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Show the rows of a table that were added, removed or changed, with the columns that changed."""
    from lakehouse.history import comparison
    from lakehouse.history import status as status_page
    from lakehouse.messages import console

    with waiting("diff"):
        found = comparison.diff(chosen(), status_page.known_table(table), before, after, limit)
    if as_json:
        console.print_json(found.as_dict())
        return
    if found.rows:
        console.print_rows([row.as_row() for row in found.rows])
    console.remark(found.describe())
    if found.differing > len(found.rows):
        console.say(f"(the first {counted(len(found.rows), 'row')}; --limit shows more)", out=sys.stderr)


@command("explain", LOOK, example="lakehouse explain --region 13 --date 2024-01-04")
def explain(
    region: Region,
    date: Annotated[str, typer.Option(metavar="DAY", help="A UTC day, YYYY-MM-DD.")],
    at: At = None,
    as_json: Json = False,
) -> None:
    """Follow a day of a region from Gold to its half-hours and the API's bytes; compute it anew on the way."""
    from lakehouse.history import explanation, rendering
    from lakehouse.messages import console

    with waiting("explain"):
        found = explanation.explain(chosen(), _regionid(region), parse_day(date, "--date").date(), at)
    given.found = found.as_dict()
    if not as_json:
        rendering.tell_explanation(found)
    elif found.agrees:
        console.print_json(found.as_dict())
    if not found.agrees:
        count = len(found.disagreements)
        are = "is not what it rests on" if count == 1 else "are not what they rest on"
        raise QualityError(
            f"{counted(count, 'figure')} {are}: {found.first_disagreement()}; after a change by hand "
            "`lakehouse run --stages silver,gold,export` makes them so again."
        )


@command("revisions", LOOK, example="lakehouse revisions --region 13 --from 2024-01-01 --to 2024-01-05")
def revisions(
    region: Region,
    start: From = None,
    end: To = None,
    at: AtNumber = None,
    everything: Annotated[bool, typer.Option("--all", help="Also half-hours whose forecast never moved.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the API said about each half-hour at each fetch, and how large revisions are by age."""
    from lakehouse.history import rendering
    from lakehouse.history import revisions as statements
    from lakehouse.messages import console

    first, last = day(start, "--from"), day(end, "--to")
    if first is None or last is None:
        raise UsageError("`lakehouse revisions` needs --from and --to.")
    if first >= last:
        raise UsageError(f"--from {start} is not before --to {end}.")
    with waiting("revisions"):
        found = statements.find(chosen(), _regionid(region), first, last, at, revised_only=not everything)
    if as_json:
        console.print_json({"statements": found.statements, "by_age": found.by_age})
        return
    rendering.tell_revisions(found)


@command("sql", LOOK, example='lakehouse sql "SELECT * FROM gold.carbon_intensity_daily VERSION AS OF 1 LIMIT 5"')
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT; tables by name, VERSION AS OF and TIMESTAMP AS OF work.")],
    at: At = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Query the lake with Spark SQL, time travel included; nothing can be written."""
    from lakehouse.history import query as queries
    from lakehouse.messages import console

    with waiting("sql"):
        rows, is_cut = queries.select(chosen(), query, limit, at)
    console.print_rows(rows, as_json=as_json)
    if is_cut:
        console.say(f"(the first {counted(limit, 'row')}; --limit shows more)", out=sys.stderr)


@command("psql", SERVE, example='lakehouse psql -- -c "SELECT * FROM latest"')
def psql(
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments for psql, after --.")] = None,
) -> None:
    """Open psql on the export's database.

    Once psql runs, the exit code is psql's own: 1 psql or a -c statement failed, 2 connection lost, 3 error in a
    script.
    """
    from lakehouse.publishing import database

    raise typer.Exit(database.run_psql(chosen(), arguments or []))


@command("catalog", SERVE, example="lakehouse catalog > names.sql && spark-sql -f names.sql")
def catalog(
    dialect: Annotated[str, typer.Option("--for", metavar="spark|duckdb", help="Who is to know the names.")] = "spark",
    prefix: Annotated[
        str, typer.Option(metavar="P", help="Before the names of databases, as carbon_ for carbon_gold.")
    ] = "",
) -> None:
    """Print the SQL that gives the lake's tables their names in another program's catalog."""
    from lakehouse.lake import catalog as names

    print(names.script(chosen(), dialect, prefix), end="")


@command("report", SERVE, example="lakehouse report --region London --out london.html")
def report(
    at: AtNumber = None,
    release: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A release, in place of a lake version.", autocompletion=completion.releases),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="R", help="Its id or name; may be given again.", autocompletion=completion.regions),
    ] = None,
    start: From = None,
    end: To = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page's file.")] = Path("report.html"),
    as_json: Json = False,
) -> None:
    """Write one HTML page that shows the lake: how clean, when, where, made of what, and what is missing."""
    from lakehouse.dataset.lake import Lake
    from lakehouse.history import states
    from lakehouse.messages import console
    from lakehouse.report import writing
    from lakehouse.report.figures import Selection

    if at is not None and release is not None:
        raise UsageError("--at and --release both name a state of the lake; give one of them.")
    first, after = day(start, "--from"), day(end, "--to")
    settings = chosen()
    with waiting("report"):
        state = states.newest(settings) if at is None else states.at_lake_version(settings, at)
        if release is not None:
            state = states.of_release(settings, release)
        regionids = tuple(Lake(state).region(each) for each in region or ())
        selection = Selection(regionids, first and first.date(), after and after.date())
        size = writing.write(state, selection, out)
    if as_json:
        console.print_json({"file": str(out), "bytes": size, "state": state.name})
    else:
        console.say(f"{out}: {console.size(size)} from {state.name}")
