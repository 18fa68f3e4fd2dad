"""What a run reported, as tests compare it."""

from lakehouse.pipeline import RunReport


def counts(report: RunReport, stage: str) -> dict[str, int]:
    """What a stage counted; it must have been done once."""
    (found,) = [done for done in report.stages if done.stage == stage]
    return dict(found.counts)


def versions(report: RunReport) -> dict[str, int]:
    """The versions of the tables that a run with nothing to do leaves as they are."""
    return {name: version for name, version in report.versions.items() if not name.startswith("ops")}
