"""Every way in which the simulated API can fail, one small class each.

Three families, by what they need: a :data:`Reply` takes the answer's place, a :data:`Delivery` sends the good
answer in a bad way, and an :data:`Edit` changes the good answer's content. An edit that finds nothing to
change (a fault of regions in an answer for one region, or in an empty answer) leaves the answer alone, and
its rule waits for the next request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.errors import UsageError

# --- replies: something else in the answer's place


@dataclass(frozen=True, slots=True)
class Status:
    """A status (such as 429 or 503) with its own headers and body.

    ``retry_after_s`` writes the header Retry-After: as seconds, or with ``retry_after_date`` as the HTTP date
    that many seconds after the machine's clock. Without it there is no such header.
    """

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: int | None = None
    retry_after_date: bool = False

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise UsageError(f"An HTTP status lies in 200..599, which {self.status} does not.")


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect to ``location``, usually on another host."""

    location: str
    status: int = 302


@dataclass(frozen=True, slots=True)
class WindowTooLong:
    """The API's 400 body, as for a window of more than 14 days."""


@dataclass(frozen=True, slots=True)
class Html:
    """A web page with status 200, as proxies and captive portals send."""

    body: str = "<!doctype html><html><body><h1>Service temporarily unavailable</h1></body></html>"
    content_type: str = "text/html"


@dataclass(frozen=True, slots=True)
class EmptyObject:
    """The body ``{}`` with status 200."""


@dataclass(frozen=True, slots=True)
class EmptyList:
    """The body ``{"data":[]}`` with status 200."""


@dataclass(frozen=True, slots=True)
class NoBody:
    """Status 200 and not one byte of body."""


@dataclass(frozen=True, slots=True)
class OversizeBody:
    """Valid JSON without periods, blown up with spaces to ``mebibytes``; its length in a header or not."""

    mebibytes: int = 64
    declare_length: bool = True


@dataclass(frozen=True, slots=True)
class GzipBomb:
    """Valid JSON without periods that unpacks to ``mebibytes`` of spaces from about a thousandth of that."""

    mebibytes: int = 256


# --- deliveries: the good answer, badly sent


@dataclass(frozen=True, slots=True)
class StallHeaders:
    """Nothing at all until released (or ``seconds`` later); then the good answer."""

    seconds: float | int | None = None


@dataclass(frozen=True, slots=True)
class StallBody:
    """Headers and ``after_bytes`` of body, then nothing until released (or ``seconds`` later)."""

    after_bytes: int = 1000
    seconds: float | int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST) after ``after_bytes`` of a body that promised more."""

    after_bytes: int = 1000


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The connection is reset before any header."""


@dataclass(frozen=True, slots=True)
class SlowDrip:
    """The body in pieces of ``chunk_bytes`` with a pause of ``pause_s`` after each."""

    chunk_bytes: int = 100
    pause_s: float | int = 0.1

    def __post_init__(self) -> None:
        if self.chunk_bytes < 1:
            raise UsageError("A slow drip has pieces of at least 1 byte.")


@dataclass(frozen=True, slots=True)
class TruncatedGzip:
    """The answer packed with gzip, whose last ``missing_bytes`` are never sent, the length adjusted to it."""

    missing_bytes: int = 100


@dataclass(frozen=True, slots=True)
class CutJson:
    """The answer's first half only, the length adjusted to it: no JSON, but sound HTTP."""


# --- edits: the answer's content changed


@dataclass(frozen=True, slots=True)
class ForecastValue:
    """One forecast becomes ``value`` (any JSON), in the first period and the first or the given region."""

    value: object = "abc"
    regionid: int | None = None


@dataclass(frozen=True, slots=True)
class IndexValue:
    """One index label becomes ``value`` (any JSON), in the first period and the first or the given region."""

    value: object = "extreme"
    regionid: int | None = None


@dataclass(frozen=True, slots=True)
class PercValue:
    """One fuel's perc becomes ``value`` (any JSON), in the first period and the first or the given region."""

    value: object = field(default_factory=dict)
    fuel: str = "gas"
    regionid: int | None = None


@dataclass(frozen=True, slots=True)
class RegionsValue:
    """The first period's ``regions`` becomes ``value`` (any JSON), where a list is due."""

    value: object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegionMissing:
    """A region stands in no period: 17 in each."""

    regionid: int = 13


@dataclass(frozen=True, slots=True)
class RegionExtra:
    """A region that does not exist stands last in each period: 19 in each."""

    regionid: int = 19


@dataclass(frozen=True, slots=True)
class FuelMissing:
    """A fuel stands in no mix: 8 in each."""

    fuel: str = "wind"


@dataclass(frozen=True, slots=True)
class FuelExtra:
    """A tenth fuel stands last in each mix."""

    fuel: str = "storage"
    perc: float | int = 0


@dataclass(frozen=True, slots=True)
class HalfHourTwice:
    """The first period comes twice, the second time with every forecast ``add`` gCO2/kWh higher."""

    add: int = 10


@dataclass(frozen=True, slots=True)
class OutsideWindow:
    """Two periods more: the first one moved ``hours`` back and the last one moved ``hours`` on."""

    hours: int = 24


@dataclass(frozen=True, slots=True)
class KeysReordered:
    """Every second region and mix entry has its keys in the opposite order: equal JSON, other bytes."""


Reply = Status | Redirect | WindowTooLong | Html | EmptyObject | EmptyList | NoBody | OversizeBody | GzipBomb
Delivery = StallHeaders | StallBody | Reset | Disconnect | SlowDrip | TruncatedGzip | CutJson
Edit = (
    ForecastValue
    | IndexValue
    | PercValue
    | RegionsValue
    | RegionMissing
    | RegionExtra
    | FuelMissing
    | FuelExtra
    | HalfHourTwice
    | OutsideWindow
    | KeysReordered
)
Fault = Reply | Delivery | Edit

KINDS: Mapping[str, type[Fault]] = {
    "status": Status,
    "redirect": Redirect,
    "window_too_long": WindowTooLong,
    "html": Html,
    "empty_object": EmptyObject,
    "empty_list": EmptyList,
    "no_body": NoBody,
    "oversize_body": OversizeBody,
    "gzip_bomb": GzipBomb,
    "stall_headers": StallHeaders,
    "stall_body": StallBody,
    "reset": Reset,
    "disconnect": Disconnect,
    "slow_drip": SlowDrip,
    "truncated_gzip": TruncatedGzip,
    "cut_json": CutJson,
    "forecast_value": ForecastValue,
    "index_value": IndexValue,
    "perc_value": PercValue,
    "regions_value": RegionsValue,
    "region_missing": RegionMissing,
    "region_extra": RegionExtra,
    "fuel_missing": FuelMissing,
    "fuel_extra": FuelExtra,
    "half_hour_twice": HalfHourTwice,
    "outside_window": OutsideWindow,
    "keys_reordered": KeysReordered,
}
"""Every fault by the name that a script gives it."""

NAMES: Mapping[type[Fault], str] = {kind: name for name, kind in KINDS.items()}
