"""Times as people give them in Python, and how a condition in SQL names them."""

from datetime import UTC, date, datetime
from typing import TypeAlias

from lakehouse.errors import UsageError

Moment: TypeAlias = str | date | datetime
"""A text in ISO 8601, a day (its beginning, UTC) or a time (UTC where it has no zone)."""


def parsed(moment: Moment, name: str) -> datetime:
    """The moment of an argument called ``name``, in UTC.

    Raises:
        UsageError: it is none.
    """
    found: object = moment
    if isinstance(moment, str):
        try:
            found = datetime.fromisoformat(moment)
        except ValueError:
            found = None
    if isinstance(found, datetime):
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if isinstance(found, date):
        return datetime(found.year, found.month, found.day, tzinfo=UTC)
    raise UsageError(
        f"{name} is {moment!r}: write a UTC day such as '2024-01-31' or a time such as '2024-01-31T12:30Z'."
    )


def span(since: Moment | None, until: Moment | None) -> tuple[datetime | None, datetime | None]:
    """Both ends of a range, ``until`` exclusive.

    Raises:
        UsageError: one is no moment, or the range is empty.
    """
    start = None if since is None else parsed(since, "since")
    end = None if until is None else parsed(until, "until")
    if start is not None and end is not None and start >= end:
        raise UsageError(f"since is {start:%Y-%m-%dT%H:%MZ}, which is not before until, {end:%Y-%m-%dT%H:%MZ}.")
    return start, end


def within(column: str, type_: str, start: datetime | None, end: datetime | None) -> list[str]:
    """Conditions in any SQL: a column of dates (``type_`` DATE) or times lies in ``[start, end)``."""
    conditions = []
    for moment, at_edge, between in ((start, ">=", ">"), (end, "<", "<=")):
        if moment is None:
            continue
        is_midnight = moment.time() == datetime.min.time()
        if type_ == "DATE":  # a day begins at midnight
            conditions.append(f"{column} {at_edge if is_midnight else between} {literal(moment.date())}")
        else:
            conditions.append(f"{column} {at_edge} {literal(moment)}")
    return conditions


def literal(value: object) -> str:
    """A value as SQL names it."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
    if isinstance(value, date):
        return f"DATE '{value:%Y-%m-%d}'"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
