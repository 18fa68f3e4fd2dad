"""Whether it grows as it should: Silver and Gold of histories of several lengths, and what daily life costs after them.

    .venv/bin/python -m bench.scale [--years 3 30 100] [--where local cluster] [--place FOLDER]

Bronze is fetched from the simulated API, the longer histories as a continuation of the shorter ones. `lakehouse run
--stages silver,gold` then makes all tables of each, in a cold process, on this machine's own Spark and on a standalone
cluster of two workers with a core each. The full lake of this machine's Spark is exported once to an embedded
PostgreSQL, and maintained once (`watch` does it every day); then new days come (`lakehouse run` with the simulator's
clock a day on), and the commands that look are run. Memory is the sum of resident sets, sampled five times a second;
the simulator's is not in it.

A hundred years take 20 minutes to fetch, seven minutes for Silver and Gold, 24 on the cluster, and 5 GB of disk; with
`--place` their Bronze stays there for the next time.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from bench import workplaces
from bench.histories import FIRST_DAY, copy, grown
from bench.processes import environment, lakehouse, seconds, simulator
from bench.run import GOLD_STAGES
from bench.scale_document import MISSED, Life, Load, written
from bench.workplaces import CLUSTER, LOCAL, Workplace

REGION = "13"
"""Whose figure is explained: London's."""


def main() -> int:
    """Measure, print; 1 if a target was missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--years", type=int, nargs="+", default=[3, 30, 100], help="lengths of history, from 2022 on")
    options.add_argument("--days", type=int, nargs="+", help="instead: histories of so many days")
    options.add_argument("--where", nargs="+", choices=[LOCAL, CLUSTER], default=[LOCAL, CLUSTER])
    options.add_argument("--repeat", type=int, default=3, help="new days, and repetitions of what is short")
    options.add_argument("--unmaintained", action="store_true", help="let new days come to lakes that nobody maintains")
    options.add_argument("--place", type=Path, help="work here and keep Bronze; default: a temporary folder")
    chosen = options.parse_args()
    titles = {days: f"{days:,} days" for days in chosen.days or ()} or {
        (FIRST_DAY.replace(year=FIRST_DAY.year + years) - FIRST_DAY).days: f"{years} years" for years in chosen.years
    }
    loads: list[Load] = []
    lives: list[Life] = []
    with _place(chosen.place) as place, ExitStack() as open_places:
        places = {where: open_places.enter_context(workplaces.opened(where, place / "spark")) for where in chosen.where}
        for days, bronze in grown(place, list(titles)):
            for where, workplace in places.items():
                with _lake(bronze, place / f"{where}-{days}") as lake:
                    loads.append(load(lake, titles[days], where, workplace))
                    _check_equal(loads)
                    if where == LOCAL:
                        lives.append(live(lake, titles[days], days, chosen))
    lines = written(loads, lives)
    print("\n".join(lines))
    return 1 if any(MISSED in line for line in lines) else 0


def load(lake: Path, title: str, where: str, workplace: Workplace) -> Load:
    """Silver and all tables of Gold from Bronze, in one cold process."""
    here = environment(lake, **workplace.variables)
    done = lakehouse(here, "run", "--stages", "silver,gold", "--json", beside=workplace.beside)
    stages = {stage["stage"]: stage for stage in done.document["stages"]}
    measured = Load(
        title,
        where,
        {name: stage["counts"]["inserted"] for name, stage in stages.items()},
        done.seconds,
        stages["silver"]["seconds"],
        sum(stage["seconds"] for name, stage in stages.items() if name in GOLD_STAGES),
        done.python,
        done.jvm,
        done.peak,
        done.peak_beside,
    )
    print(f"  {measured}", flush=True)
    return measured


def live(lake: Path, title: str, days: int, chosen: argparse.Namespace) -> Life:
    """Export and, unless told, maintain once, let new days come one by one, then look; every command is a cold process.

    Raises:
        SystemExit: a command failed, or a new day brought no row.
    """
    first_export = lakehouse(environment(lake), "export", "--json").seconds
    maintained = 0.0 if chosen.unmaintained else lakehouse(environment(lake), "maintain", "--json").seconds
    end, repeats = FIRST_DAY + timedelta(days=days), chosen.repeat
    taken: dict[str, list[float]] = {"run": []}
    stages: list[dict[str, float]] = []
    for number in range(1, repeats + 1):
        with simulator(f"{end + timedelta(days=number)}T00:00Z") as url:
            here = environment(lake, LAKEHOUSE_API__URL=url)
            done = lakehouse(here, "run", "--json")
            counts = {stage["stage"]: stage["counts"] for stage in done.document["stages"]}
            if not all(counts[stage]["inserted"] for stage in ("bronze", "silver", "gold", "export")):
                raise SystemExit(f"the day {number} after {end} brought no new row: {counts}")
            taken["run"].append(done.seconds)
            stages.append({stage["stage"]: stage["seconds"] for stage in done.document["stages"]})
            if number == repeats:
                explained = ("explain", "--region", REGION, "--date", str(end - timedelta(days=1)))
                for arguments in (["plan"], ["gaps"], ["status"], explained):
                    taken[arguments[0]] = [seconds(here, *arguments) for _ in range(repeats)]
    life = Life(title, first_export, maintained, taken, stages)
    print(f"  {life}", flush=True)
    return life


def _check_equal(loads: Sequence[Load]) -> None:
    """The last one has as many rows as those of the same history elsewhere.

    Raises:
        SystemExit: it has not.
    """
    for other in loads:
        if other.title == loads[-1].title and other.rows != loads[-1].rows:
            raise SystemExit(f"{other.where} and {loads[-1].where} differ: {other.rows} and {loads[-1].rows}")


@contextmanager
def _lake(bronze: Path, place: Path) -> Iterator[Path]:
    """A lake with this Bronze, and what it exports to; both are removed in the end."""
    shutil.rmtree(place, ignore_errors=True)
    lake = place / "lake"
    try:
        copy(bronze, lake)
        yield lake
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _place(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as place:
        yield Path(place)


if __name__ == "__main__":
    sys.exit(main())
