"""What a run reported, as tests compare it."""

from lakehouse.run_record import RunObserver, RunReport


class Heard(RunObserver):
    """Keeps what it is told of progress."""

    def __init__(self) -> None:
        self._told: list[tuple[str, int, int | None, str]] = []

    def progress(self, what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
        self._told.append((what, done, total, unit))

    @property
    def names(self) -> list[str]:
        """What it was told of, each once, in order."""
        return list(dict.fromkeys(what for what, *_ in self._told))

    def of(self, what: str) -> list[tuple[int, int | None, str]]:
        """How far that was, each time."""
        return [(done, total, unit) for name, done, total, unit in self._told if name == what]


def counts(report: RunReport, stage: str) -> dict[str, int]:
    """What a stage counted; it must have been done once."""
    (found,) = [done for done in report.stages if done.stage == stage]
    return dict(found.counts)


def versions(report: RunReport) -> dict[str, int]:
    """The versions of the tables that a run with nothing to do leaves as they are."""
    return {name: version for name, version in report.versions.items() if not name.startswith("ops")}
