"""What was measured of growing histories, as tables in Markdown, each beside its target."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.processes import MIB
from bench.workplaces import CLUSTER

MISSED = "MISSED"
MOST_GROWTH = 1.5
"""What a command may take after the longest history, over what it takes after the shortest."""
NOISE = 1.1
"""A row of a longer history may cost a tenth more than one of the shortest: two equal runs differ by that."""
MOST_DRIVER = 1536
"""MiB of the driver, Python and JVM together, on a cluster."""
MEGA = 1_000_000


@dataclass(frozen=True)
class Load:
    """Silver and Gold of one history: rows that each stage inserted, seconds, and peaks of memory in bytes.

    ``seconds`` are of the whole cold process. ``driver`` is the largest sum of the driver's Python and JVM at one
    moment; where Spark is local its JVM does all the work. ``executors`` are both of them with their Python.
    """

    title: str
    where: str
    rows: Mapping[str, int]
    seconds: float
    silver_seconds: float
    gold_seconds: float
    python: int
    jvm: int
    driver: int
    executors: int

    @property
    def half_hours(self) -> int:
        """Rows of Silver."""
        return self.rows["silver"]

    @property
    def seconds_per_row(self) -> float:
        return self.seconds / self.half_hours

    @property
    def bytes_per_row(self) -> float:
        """Of memory, all processes at their peaks."""
        return (self.driver + self.executors) / self.half_hours


@dataclass(frozen=True)
class Life:
    """Seconds of whole commands after one history, for each repetition; of ``run`` also those of its stages."""

    title: str
    first_export: float
    maintained: float
    taken: Mapping[str, Sequence[float]]
    stages: Sequence[Mapping[str, float]]


def written(loads: Sequence[Load], lives: Sequence[Life]) -> list[str]:
    """The document's lines; a target that was missed says so in capitals."""
    lines: list[str] = []
    for where in dict.fromkeys(load.where for load in loads):
        lines += _of_loads(where, [load for load in loads if load.where == where])
    return [*lines, *_of_lives(lives)] if lives else lines


def _of_loads(where: str, loads: Sequence[Load]) -> Iterator[str]:
    yield from ("", f"## Silver and Gold, {where}", "")
    yield (
        "| history | rows of Silver | s | of it Silver | Gold | µs a row | µs a further row | driver: Python, MiB "
        "| JVM, MiB | both, MiB | executors, MiB | bytes of memory a row |"
    )
    yield "|---|" + "---:|" * 11
    shorter: Load | None = None
    for load in loads:
        further = ""
        if shorter is not None:
            slope = (load.seconds - shorter.seconds) / (load.half_hours - shorter.half_hours)
            further = f"{slope * MEGA:.1f}"
        cells = (
            load.title,
            f"{load.half_hours:,}",
            f"{load.seconds:.1f}",
            f"{load.silver_seconds:.1f}",
            f"{load.gold_seconds:.1f}",
            f"{load.seconds_per_row * MEGA:.1f}",
            further,
            *(f"{size // MIB:,}" for size in (load.python, load.jvm, load.driver)),
            f"{load.executors // MIB:,}" if where == CLUSTER else "",
            f"{load.bytes_per_row:,.0f}",
        )
        yield f"| {' | '.join(cells)} |"
        shorter = load
    yield ""
    if len(loads) > 1:
        time = loads[-1].seconds_per_row / loads[0].seconds_per_row
        memory = loads[-1].bytes_per_row / loads[0].bytes_per_row
        yield f"A row of {loads[-1].title} takes {time:.2f} times the time of one of {loads[0].title}, target"
        yield f"{_met(time, NOISE)}, and {memory:.2f} times the memory, target {_met(memory, NOISE)}."
    if where == CLUSTER:
        most = max(load.driver for load in loads) // MIB
        yield f"The driver took {most:,} MiB at most, target {_met(most, MOST_DRIVER)}."


def _of_lives(lives: Sequence[Life]) -> Iterator[str]:
    first, last = lives[0], lives[-1]
    ratio = f" {last.title} / {first.title} | target |" if len(lives) > 1 else ""
    yield from ("", "## After it, seconds", "")
    titles = "".join(f" {life.title} |" for life in lives)
    yield f"| command, cold, median of {len(first.taken['run'])} |{titles}{ratio}"
    yield f"|---|{'---:|' * len(lives)}{'---:|---|' if ratio else ''}"
    for command in first.taken:
        each = [median(life.taken[command]) for life in lives]
        growth = each[-1] / each[0]
        judged = f" {growth:.2f} | {_met(growth, MOST_GROWTH)} |" if ratio else ""
        what = "a new day: `run`" if command == "run" else f"`{command}`"
        yield f"| {what} |{''.join(f' {value:.2f} |' for value in each)}{judged}"
    blank = " | |" if ratio else ""
    for stage in first.stages[0]:
        means = (fmean(run[stage] for run in life.stages) for life in lives)
        yield f"| of the new day: {stage}, mean |{''.join(f' {value:.2f} |' for value in means)}{blank}"
    yield f"| before it: first `export` |{''.join(f' {life.first_export:.1f} |' for life in lives)}{blank}"
    yield f"| before it: `maintain` |{''.join(f' {life.maintained:.1f} |' for life in lives)}{blank}"


def _met(value: float, limit: float) -> str:
    return f"<= {limit:g}: {'met' if value <= limit else MISSED}"
