"""Commands about releases: keep a state of the whole lake, prove it, rebuild it, hand it on."""

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli import completion
from lakehouse.cli.options import KEEP, AtNumber, GroupedHelp, Json, app, chosen, command, given, help_alone, waiting
from lakehouse.errors import QualityError
from lakehouse.messages.wording import counted

release = typer.Typer(
    cls=GroupedHelp,
    help="Copies of the lake that stay as they are, to be cited.",
    invoke_without_command=True,
    callback=help_alone,
)
app.add_typer(release, name="release", rich_help_panel=KEEP)

Name = Annotated[str, typer.Argument(help="The name of a release.", autocompletion=completion.releases)]
NewName = Annotated[str, typer.Argument(help="The name of a release.")]


@command("create", example='lakehouse release create 2024-annual --note "for the annual report"', group=release)
def create(
    name: NewName,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    at: AtNumber = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much would be copied.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the tables of a lake version, prove the copies and print how to cite them."""
    from lakehouse.clock import machine_clock
    from lakehouse.history import release_export, releases
    from lakehouse.messages import console

    if dry_run:
        plan = releases.planned(chosen(), name, at)
        if as_json:
            console.print_json({"release": name, "state": plan.state.name, "files": plan.files, "bytes": plan.bytes})
        else:
            console.say(f"{plan.describe()}; nothing was written.")
        return
    with waiting("release") as bar:
        manifest = releases.create(
            chosen(), name, machine_clock(), note=note, at=at, tell=bar.say, on_progress=bar.progress
        )
    if as_json:
        console.print_json(manifest)
    else:
        console.say(*release_export.describe(manifest).split("\n"))


@command("list", example="lakehouse release list", group=release)
def list_(as_json: Json = False) -> None:
    """Show the releases, oldest first."""
    from lakehouse.history import releases
    from lakehouse.messages import console

    console.print_rows(
        releases.listed(chosen()),
        as_json=as_json,
        counts=("rows",),
        sizes=("bytes",),
        least=("checksum", "note", "lake_version"),
    )


@command("show", example="lakehouse release show 2024-annual", group=release)
def show(name: Name, as_json: Json = False) -> None:
    """Show what a release holds and how to cite it."""
    from lakehouse.history import manifests, release_export
    from lakehouse.messages import console

    manifest = manifests.read(chosen(), name)
    if as_json:
        console.print_json(manifest)
    else:
        console.say(*release_export.describe(manifest).split("\n"))


@command("verify", example="lakehouse release verify 2024-annual", group=release)
def verify(name: Name, as_json: Json = False) -> None:
    """Compute the checksums of a release anew."""
    from lakehouse.history import releases
    from lakehouse.messages import console

    with waiting("release") as bar:
        found = releases.verify(chosen(), name, bar.progress)
    rows = [each.as_row() for each in found]
    given.found = {"tables": rows}
    broken = [each.table for each in found if not each.is_whole]
    if not (as_json and broken):
        marks = {releases.AS_RELEASED: console.OK, releases.DIFFERENT: console.FAILURE}
        console.print_rows(rows, as_json=as_json, counts=("rows", "rows_released"), marks=marks)
    if broken:
        raise QualityError(
            f"Release {name} is no longer what it was: {', '.join(broken)}; bring it back from a backup."
        )


@command("delete", example="lakehouse release delete 2024-annual", group=release)
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a release for good."""
    from lakehouse.history import manifests, releases

    read = chosen()
    manifest = manifests.read(read, name)
    if not yes:
        typer.confirm(f"Remove release {name} of {manifest['created_at'][:10]} for good?", abort=True, err=True)
    releases.delete(read, name)
    typer.echo(f"release {name} is gone", err=True)


@command("export", example="lakehouse release export 2024-annual carbon-2024/", group=release)
def export(name: Name, into: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")]) -> None:
    """Write Gold of a release as Parquet and CSV with hashes, for people who do not have this package."""
    from lakehouse.history import release_export
    from lakehouse.messages import console

    with waiting("release export"):
        files = release_export.export(chosen(), name, into)
    for file in files:
        console.say(str(into / file))


@command("reproduce", KEEP, example="lakehouse reproduce 2024-annual")
def reproduce(name: Name, as_json: Json = False) -> None:
    """Rebuild a release from its own Bronze with today's code and compare it bit for bit."""
    from lakehouse.history import reproduction
    from lakehouse.messages import console

    with waiting("reproduce") as bar:
        found = reproduction.reproduce(chosen(), name, bar.say, bar.progress)
    given.found = found.as_dict()
    if not as_json:
        for table in found.comparisons:
            if table.rows:
                console.print_rows([row.as_row() for row in table.rows])
        console.say(*found.describe())
    elif found.is_identical:
        console.print_json(found.as_dict())
    if not found.is_identical:
        differing = sum(each.differing for each in found.comparisons)
        differ = f"{counted(differing, 'row')} {'differs' if differing == 1 else 'differ'}"
        raise QualityError(f"Release {name} is not what its Bronze gives today: {differ}.")
