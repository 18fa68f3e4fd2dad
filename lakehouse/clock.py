"""The machine's clock, in a module of its own so that commands that only look need not load a pipeline."""

from datetime import UTC, datetime


def machine_clock() -> datetime:
    """Now, UTC: the one place that asks."""
    return datetime.now(UTC)
