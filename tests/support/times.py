"""Times as tests write them: ISO 8601 without a time zone, in UTC."""

from datetime import UTC, datetime

from lakehouse.windows import Span


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(start: str, end: str) -> list[datetime]:
    """The starts of the half-hours from one time to another."""
    return list(Span(at(start), at(end)).slots())
