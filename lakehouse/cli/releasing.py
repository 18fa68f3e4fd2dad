"""Commands about releases: keep a state of the whole lake, prove it, rebuild it, hand it on."""

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.options import AtNumber, Json, app, chosen, given, help_alone
from lakehouse.errors import QualityError
from lakehouse.wording import counted

release = typer.Typer(
    help="Copies of the lake that stay as they are, to be cited.", invoke_without_command=True, callback=help_alone
)
app.add_typer(release, name="release")

Name = Annotated[str, typer.Argument(help="The name of a release.")]


@release.command("create")
def create(
    name: Name,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    at: AtNumber = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much would be copied.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the tables of a lake version, prove the copies and print how to cite them."""
    from lakehouse import console
    from lakehouse.clock import machine_clock
    from lakehouse.history import release_export, releases

    if dry_run:
        plan = releases.planned(chosen(), name, at)
        if as_json:
            console.print_json({"release": name, "state": plan.state.name, "files": plan.files, "bytes": plan.bytes})
        else:
            print(f"{plan.describe()}; nothing was written.")
        return
    manifest = releases.create(
        chosen(), name, machine_clock(), note=note, at=at, tell=lambda line: typer.echo(line, err=True)
    )
    if as_json:
        console.print_json(manifest)
    else:
        console.say(*release_export.describe(manifest).split("\n"))


@release.command("list")
def list_(as_json: Json = False) -> None:
    """Show the releases, oldest first."""
    from lakehouse import console
    from lakehouse.history import releases

    console.print_rows(releases.listed(chosen()), as_json=as_json)


@release.command("show")
def show(name: Name, as_json: Json = False) -> None:
    """Show what a release holds and how to cite it."""
    from lakehouse import console
    from lakehouse.history import manifests, release_export

    manifest = manifests.read(chosen(), name)
    if as_json:
        console.print_json(manifest)
    else:
        console.say(*release_export.describe(manifest).split("\n"))


@release.command("verify")
def verify(name: Name, as_json: Json = False) -> None:
    """Compute the checksums of a release anew."""
    from lakehouse import console
    from lakehouse.history import releases

    found = releases.verify(chosen(), name)
    rows = [each.as_row() for each in found]
    given.found = {"tables": rows}
    broken = [each.table for each in found if not each.is_whole]
    if not (as_json and broken):
        console.print_rows(rows, as_json=as_json)
    if broken:
        raise QualityError(
            f"Release {name} is no longer what it was: {', '.join(broken)}; bring it back from a backup."
        )


@release.command("delete")
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


@release.command("export")
def export(name: Name, into: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")]) -> None:
    """Write Gold of a release as Parquet and CSV with hashes, for people who do not have this package."""
    from lakehouse import console
    from lakehouse.history import release_export

    for file in release_export.export(chosen(), name, into):
        console.say(str(into / file))


@app.command()
def reproduce(name: Name, as_json: Json = False) -> None:
    """Rebuild a release from its own Bronze with today's code and compare it bit for bit."""
    from lakehouse import console
    from lakehouse.history import reproduction

    found = reproduction.reproduce(chosen(), name, tell=lambda line: typer.echo(line, err=True))
    given.found = found.as_dict()
    if not as_json:
        for table in found.comparisons:
            if table.rows:
                console.print_rows([row.as_row() for row in table.rows], as_json=False)
        console.say(*found.describe())
    elif found.is_identical:
        console.print_json(found.as_dict())
    if not found.is_identical:
        differing = sum(each.differing for each in found.comparisons)
        differ = f"{counted(differing, 'row')} {'differs' if differing == 1 else 'differ'}"
        raise QualityError(f"Release {name} is not what its Bronze gives today: {differ}.")
