"""The lenient reader: any body, read part by part in plain Python; a broken part costs only itself.

It reads what the strict reader refuses, and gives the same columns. It understands all regional shapes of the API: a
list of periods with regions, a region (or a list of them) with periods, and a postcode's answer. Numbers keep their
digits, so that the rules of ``quality`` can refuse what would be rounded; a number may be written as a text. A key that
stands twice in an object makes its record unreadable, because nobody can tell which of the two was meant.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from math import isfinite
from typing import Any, TypeAlias

import pyarrow as pa

from lakehouse.lake.regions import REGIONS
from lakehouse.lake.tables import FUELS, KNOWN_FUELS, LATER_FUELS
from lakehouse.messages.text import storable
from lakehouse.transform.records import PLACES_PER_PERIOD, RECORD

Json: TypeAlias = Any
"""What ``json`` gives: objects as dicts, numbers as int or Decimal."""
BODY_FIELDS = frozenset({"data"})
ELEMENT_FIELDS = frozenset({"from", "to", "regionid", "dnoregion", "shortname", "regions", "data", "postcode"})
"""Of a period, or of a region that holds periods."""
ENTRY_FIELDS = frozenset({"from", "to", "regionid", "dnoregion", "shortname", "intensity", "generationmix"})
"""Of what an element holds: a region in a period, or a period of a region."""
INTENSITY_FIELDS = frozenset({"forecast", "index"})
SHARE_FIELDS = frozenset({"fuel", "perc"})
FUEL_FIELD = frozenset({"fuel"})
LARGEST_INT = 2**31 - 1
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}([.][0-9]{0,40})?|[.][0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
_MINUTE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})(:00([.]0+)?)?(Z|[+]00:00)")
_CENT = Decimal("0.01")
_STATED = Decimal("1e-15")
_DNO = {region.regionid: region.dno for region in REGIONS}


class Ambiguous(dict[str, Json]):
    """A JSON object in which a key stands twice; it holds the last value of each. ``pairs``: all that was texts_of."""

    def __init__(self, pairs: Sequence[tuple[str, Json]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def read(body: bytes) -> pa.Table:
    """The records of any body, as ``records.RECORD``; of one that is no JSON at all, a single unreadable one."""
    rows = [_record(*part) for part in _parts(_document(body))]
    return pa.Table.from_pylist(rows, RECORD)


def texts(body: bytes) -> dict[int, str]:
    """Every record's own text, as JSON, by its position."""
    return {position: _json(_own(element, entry)) for _, position, element, entry in _parts(_document(body))}


def rescued(document: Json, element: Json, entry: Json) -> tuple[str | None, list[str]]:
    """What an entry says that nobody knew, as JSON with sorted keys, and the names of it all.

    Fields of the element count for each of its entries; fields of the document are named only.
    """
    if not isinstance(entry, dict):
        return None, []
    own = _without(entry, ENTRY_FIELDS)
    inherited = {name: value for name, value in _without(element, ELEMENT_FIELDS).items() if name not in own}
    of_intensity = _without(entry.get("intensity"), INTENSITY_FIELDS)
    of_shares = _unknown_of_shares(_mix(entry.get("generationmix")) or [])
    extra = {**own, **inherited}
    if of_intensity:
        extra["intensity"] = of_intensity
    if of_shares and len({fuel for fuel, _ in of_shares}) == len(of_shares):  # if a fuel comes twice, a rule refuses it
        extra["generationmix"] = dict(of_shares)
    names = [*own, *inherited, *(f"intensity.{name}" for name in of_intensity), *_names_in_shares(of_shares)]
    names += _without(document, BODY_FIELDS)
    return (_json(extra, canonical=True) if extra else None), list(dict.fromkeys(map(storable, names)))


def _document(body: bytes) -> Json:
    """The body as JSON; None where it is none."""
    try:
        return json.loads(
            body,
            parse_float=Decimal,
            parse_constant=str,
            object_pairs_hook=lambda pairs: found if len(found := dict(pairs)) == len(pairs) else Ambiguous(pairs),
        )
    except (ValueError, RecursionError):
        return None


def _parts(document: Json) -> Iterator[tuple[Json, int, Json, Json]]:
    """Of each record the document, its position, its element, and its entry (None: the element holds none)."""
    data = document.get("data") if isinstance(document, dict) else document
    for period, element in enumerate(data if isinstance(data, list) else [data]):
        fields = element if isinstance(element, dict) else {}
        held = fields.get("data") if fields.get("regions") is None else fields["regions"]
        for place, entry in enumerate(_list(held) or [None]):
            yield document, period * PLACES_PER_PERIOD + place, element, entry


def _record(document: Json, position: int, element: Json, entry: Json) -> dict[str, Any]:
    about = entry if isinstance(entry, dict) else {}
    around = element if isinstance(element, dict) else {}
    texts_of = {
        name: _first_text(about.get(name), around.get(name)) for name in ("from", "to", "shortname", "dnoregion")
    }
    region = around.get("regionid") if about.get("regionid") is None else about["regionid"]
    intensity = about.get("intensity") if isinstance(about.get("intensity"), dict) else None
    mix = _mix(about.get("generationmix"))
    regionid = _whole(_decimal(region))
    forecast = _decimal((intensity or {}).get("forecast"))
    extra, unknown = rescued(document, element, entry)
    is_ambiguous = any(isinstance(each, Ambiguous) for each in (document, element, entry, intensity, *(mix or ())))
    return {
        "position": position,
        "is_regular": False,
        "region": _text(region),
        "period_from": texts_of["from"],
        "unknown": unknown or None,
        "piece": _json(_own(element, entry)),
        "regionid": regionid,
        "timestamp": _moment(texts_of["from"]),
        "shortname": texts_of["shortname"],
        "dno": _DNO.get(regionid or 0) if texts_of["dnoregion"] is None else texts_of["dnoregion"],
        "intensity_forecast": _cut(forecast),
        "intensity_index": _text((intensity or {}).get("index")),
        "extra": extra,
        "stop": _moment(texts_of["to"]),
        "is_readable": not is_ambiguous and (intensity is not None or mix is not None),
        "is_forecast_whole": _whole(forecast) is not None,
        **_of_mix(mix),
    }


def _mix(value: Json) -> list[dict[str, Json]] | None:
    """A list of nothing but objects."""
    return value if isinstance(value, list) and all(isinstance(share, dict) for share in value) else None


def _of_mix(mix: list[dict[str, Json]] | None) -> dict[str, Any]:
    """A record's shares, and what the rules ask about them."""
    if mix is None:
        return {"are_shares_exact": False}
    fuels = [_text(share.get("fuel")) for share in mix]
    stated = [_stated(share.get("perc")) for share in mix]
    numbers = [number for number in stated if number is not None]
    are_all_stated = len(numbers) == len(stated)
    exact = [_rounded(number) for number in stated]
    by_fuel = dict(zip(reversed(fuels), reversed(exact), strict=True))  # the first of two counts
    counted = [by_fuel.get(fuel) for fuel in FUELS]
    counted += [by_fuel[fuel] for fuel in LATER_FUELS if fuel in by_fuel]
    counted += [share for fuel, share in zip(fuels, exact, strict=True) if fuel not in KNOWN_FUELS]
    summed = [share for share in counted if share is not None]
    return {
        **{f"fuel_{fuel}": by_fuel.get(fuel) for fuel in KNOWN_FUELS},
        "fuels_missing": len(set(FUELS) - set(fuels)),
        "fuels_other": len(set(fuels) - set(KNOWN_FUELS)),
        "are_fuels_once": len(set(fuels)) == len(fuels),
        "are_shares_exact": are_all_stated and exact == stated,
        "share_sum": sum(summed, Decimal(0)) if len(summed) == len(counted) else None,
        "lowest_share": min(numbers, default=None) if are_all_stated else None,
        "highest_share": max(numbers, default=None) if are_all_stated else None,
    }


def _stated(value: Json) -> Decimal | None:
    """A share as it is stated, to 15 decimals: what a double cannot tell from a number of two decimals is that."""
    number = _decimal(value)
    return number.quantize(_STATED, ROUND_HALF_UP) if number is not None and abs(number) < 1000 else None


def _rounded(share: Decimal | None) -> Decimal | None:
    """To two decimals, half up; None where Silver cannot hold it."""
    rounded = share.quantize(_CENT, ROUND_HALF_UP) if share is not None else None
    return rounded if rounded is not None and abs(rounded) < 1000 else None


def _decimal(value: Json) -> Decimal | None:
    """A number, or a text that is a plain one."""
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value)
    return None


def _whole(number: Decimal | None) -> int | None:
    """A whole number that 32 bits hold."""
    cut = _cut(number)
    return cut if cut == number else None


def _cut(number: Decimal | None) -> int | None:
    """A number without its decimals, if 32 bits hold it; what is not whole is refused, but has a size all the same."""
    return int(number) if number is not None and abs(number) <= LARGEST_INT else None


def _moment(text: str | None) -> datetime | None:
    """A time in UTC to the minute; seconds may be written where they are none, and ``+00:00`` for ``Z``."""
    found = _MINUTE.fullmatch(text or "")
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
    except ValueError:  # no such day
        return None


def _first_text(*values: Json) -> str | None:
    return next((_text(value) for value in values if value is not None), None)


def _text(value: Json) -> str | None:
    if value is None:
        return None
    return storable(value) if isinstance(value, str) else _json(value)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _own(element: Json, entry: Json) -> Json:
    return element if entry is None else entry


def _without(fields: Json, known: frozenset[str]) -> dict[str, Json]:
    return {name: fields[name] for name in fields if name not in known} if isinstance(fields, dict) else {}


def _unknown_of_shares(mix: Sequence[dict[str, Json]]) -> list[tuple[str, dict[str, Json]]]:
    """Fuel and unknown fields of each share that has any, and of each whose fuel nobody knows."""
    found = [(_text(share.get("fuel")) or "", share) for share in mix]
    shares = [(fuel, _without(share, SHARE_FIELDS if fuel in KNOWN_FUELS else FUEL_FIELD)) for fuel, share in found]
    return [(fuel, fields) for fuel, fields in shares if fields or fuel not in KNOWN_FUELS]


def _names_in_shares(shares: Sequence[tuple[str, Mapping[str, Json]]]) -> Iterator[str]:
    for fuel, fields in shares:
        if fuel not in KNOWN_FUELS:
            yield f"generationmix.{fuel}"
        yield from (f"generationmix[].{name}" for name in fields if name != "perc")


def _json(value: Json, *, canonical: bool = False) -> str:
    """JSON without spaces; numbers with the digits they had. Canonical: sorted keys, no zeros that say nothing."""
    if isinstance(value, dict):
        pairs = value.pairs if isinstance(value, Ambiguous) else list(value.items())
        members = sorted(pairs, key=lambda pair: pair[0]) if canonical else pairs
        return "{" + ",".join(f"{_json(name)}:{_json(item, canonical=canonical)}" for name, item in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json(item, canonical=canonical) for item in value) + "]"
    if isinstance(value, Decimal):
        return _plain(value) if canonical else str(value)
    return storable(json.dumps(value, ensure_ascii=False))


def _plain(number: Decimal) -> str:
    """The plain notation of a number without zeros that say nothing; of one beyond 38 digits the nearest double."""
    _, digits, exponent = number.as_tuple()
    if isinstance(exponent, int) and exponent >= -38 and len(digits) + max(exponent, 0) <= 38:
        text = format(number, "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    double = float(number)
    return json.dumps(double) if isfinite(double) else json.dumps(str(number))
