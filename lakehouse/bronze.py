"""What Bronze already holds, what to ask for next, and how a response becomes a Bronze row. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from lakehouse.windows import HALF_HOUR, Span, Window, spans

PERIOD_FORM = "%Y-%m-%dT%H:%MZ"


class NotAResponseError(ValueError):
    """The bytes are not an answer of the regional routes; the message says in which way."""


@dataclass(frozen=True)
class Response:
    """One answer of the API, or one file of it, as received."""

    body: bytes
    window: Window
    received_at: datetime
    contents: "Contents"
    attempts: int = 1
    url: str | None = None
    file: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 of the body, hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    def response_id(self, source: str) -> str:
        """The identity: the same answer received at the same moment from the same place is the same response."""
        place = self.file if self.file is not None else f"{_text(self.window.start)}/{_text(self.window.end)}"
        parts = (source, place, self.received_at.astimezone(UTC).isoformat(), self.sha256)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def row(self, *, source: str, landing: int, run_id: str) -> dict[str, Any]:
        """The Bronze row."""
        held = set(self.contents.periods)
        return {
            "response_id": self.response_id(source),
            "source": source,
            "source_url": self.url,
            "source_file": self.file,
            "window_start": self.window.start,
            "window_end": self.window.end,
            "regionid": self.contents.regionid,
            "http_status": self.status,
            "headers": list(self.headers.items()),
            "attempts": self.attempts,
            "body": self.body,
            "body_sha256": self.sha256,
            "n_periods": len(self.contents.periods),
            "absent": [slot for slot in self.window.span().slots() if slot not in held],
            "ingestion_timestamp": self.received_at,
            "landing": landing,
            "run_id": run_id,
            "ingest_date": self.received_at.astimezone(UTC).date(),
        }


@dataclass(frozen=True)
class Contents:
    """What a body says it holds: starts of half-hours as it orders them, and its region if it is about one.

    A period whose start cannot be read counts with ``UNPLACED``, so that Silver looks at it and refuses it.
    """

    periods: tuple[datetime, ...] = ()
    regionid: int | None = None


UNPLACED = datetime(1, 1, 1, tzinfo=UTC)


def contents(body: bytes) -> Contents:
    """What a body holds; nothing for the empty answers ``{}``, ``{"data":[]}`` and no body at all.

    Raises:
        NotAResponseError: not JSON, or not of the shape of any regional route.
    """
    if not body.strip():
        return Contents()
    try:
        said = json.loads(body)
    except ValueError as error:
        raise NotAResponseError(f"it is not valid JSON ({error})") from None
    if not isinstance(said, dict):
        raise NotAResponseError("it is not a JSON object")
    if "error" in said:
        raise NotAResponseError("it is an error message of the API")
    if said and "data" not in said:
        raise NotAResponseError("it has no 'data'")
    data = said.get("data", [])
    elements = [data] if isinstance(data, dict) else data
    if not isinstance(elements, list):
        raise NotAResponseError("its 'data' is neither a list nor an object")
    starts: list[datetime] = []
    regionid: int | None = None
    for element in elements:
        nested = element.get("data") if isinstance(element, dict) else None
        if isinstance(nested, list):
            stated = element.get("regionid")
            regionid = stated if isinstance(stated, int) else 0
            starts += [_start(period) for period in nested]
        else:
            starts.append(_start(element))
    return Contents(tuple(starts), regionid)


def window_of(starts: Sequence[datetime]) -> Window:
    """The smallest window that holds these half-hours, for a file whose request is not known.

    Raises:
        NotAResponseError: there is no half-hour that can be placed.
    """
    placed = [start for start in starts if start != UNPLACED]
    if not placed:
        raise NotAResponseError("it holds no half-hour")
    return Window(min(placed) + HALF_HOUR, max(placed) + HALF_HOUR)


@dataclass(frozen=True)
class Receipt:
    """That a response covering these slots was received, and which of them it lacked."""

    span: Span
    received_at: datetime
    absent: frozenset[datetime]


class Reason(StrEnum):
    """Why a half-hour is asked for."""

    NEW = "new"
    MAY_HAVE_CHANGED = "may have changed"
    AGAIN_AFTER_EMPTY = "asked again after empty"
    FORCED = "forced"


@dataclass(frozen=True)
class Policy:
    """When a half-hour that was received is asked for again."""

    refetch_horizon: timedelta
    empty_retry: timedelta


def to_fetch(wanted: Span, receipts: Iterable[Receipt], *, now: datetime, policy: Policy) -> dict[Reason, list[Span]]:
    """The slots of ``wanted`` that have ended by ``now`` and have to be asked for, by reason."""
    last: dict[datetime, datetime] = {}
    held: set[datetime] = set()
    for receipt in receipts:
        covered = receipt.span.clip(wanted.start, wanted.end)
        for slot in covered.slots():
            last[slot] = max(last.get(slot, receipt.received_at), receipt.received_at)
            if slot not in receipt.absent:
                held.add(slot)
    found: dict[Reason, list[datetime]] = {reason: [] for reason in Reason}
    for slot in wanted.slots():
        end = slot + HALF_HOUR
        if end > now:
            break
        received = last.get(slot)
        if received is None:
            found[Reason.NEW].append(slot)
        elif received >= now:
            continue  # nothing can have changed since
        elif received - end < policy.refetch_horizon:
            reason = Reason.MAY_HAVE_CHANGED if slot in held else Reason.AGAIN_AFTER_EMPTY
            found[reason].append(slot)
        elif slot not in held and now - received >= policy.empty_retry:
            found[Reason.AGAIN_AFTER_EMPTY].append(slot)
    return {reason: spans(slots) for reason, slots in found.items() if slots}


def _start(period: object) -> datetime:
    text = period.get("from") if isinstance(period, dict) else None
    try:
        return datetime.strptime(text, PERIOD_FORM).replace(tzinfo=UTC) if isinstance(text, str) else UNPLACED
    except ValueError:
        return UNPLACED


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(PERIOD_FORM)
