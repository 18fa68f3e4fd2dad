"""The page itself: one HTML file with its style, its script and all figures inside; nothing is asked of anybody.

Its Content-Security-Policy lets run and style it what it holds, by their hashes, and nothing else.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from html import escape
from pathlib import Path
from typing import Any

from lakehouse.history.citations import ATTRIBUTION, TITLE
from lakehouse.lake.tables import PERIODS_PER_DAY
from lakehouse.messages.wording import counted

FOLDER = Path(__file__).parent


def render(figures: Mapping[str, Any], missing: Sequence[Mapping[str, Any]], origin: Mapping[str, Any]) -> str:
    """The whole page; the same figures give the same text.

    ``figures``: ``figures.collect`` and, as ``revised``, ``evidence.revised``. ``missing``: ``evidence.missing``.
    ``origin``: ``evidence.provenance``.
    """
    style, script = _file("page.css"), _file("page.js")
    first = date.fromisoformat(figures["days"]["first"])
    last = first + timedelta(days=figures["days"]["count"] - 1)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": escape(f"{TITLE}, {first} to {last}"),
        "scope": escape(_scope(figures["regions"])),
        "days": f"{_words(first)} to {_words(last)}",
        "banner": _banner(origin),
        "years": _years(figures),
        "gaps": _gaps(missing),
        "trust": _trust(origin),
        "attribution": escape(ATTRIBUTION),
        "state": escape(origin["state"]),
        "thinned": _thinned(figures),
        "style": style,
        "script": script,
        "data": json.dumps(figures, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c"),
    }
    page = _file("page.html")
    before, *pieces = page.split("{{")
    return before + "".join(parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces))


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A source of a Content-Security-Policy: just this script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _scope(regions: Sequence[Mapping[str, Any]]) -> str:
    if len(regions) <= 3:
        return " and ".join(region["name"] for region in regions)
    return f"{counted(len(regions), 'region')} of Great Britain"


def _banner(origin: Mapping[str, Any]) -> str:
    if not origin["is_simulated"]:
        return ""
    source = escape(origin["source"])
    return f'<p class="banner">These data are simulated ({source}). They say nothing about the real grid.</p>'


def _thinned(figures: Mapping[str, Any]) -> str:
    if figures["mix"]["step"] == "day":
        return ""
    return " The report is long, so its fuel mix is by month; every other figure is there for each day."


def _table(head: Iterable[str], rows: Iterable[Iterable[object]], numbers: frozenset[int] = frozenset()) -> str:
    """Rows as a table whose first column names them; ``numbers``: places of columns that stand to the right."""

    def cells(tag: str, values: Iterable[object], scope: str = "") -> str:
        return "".join(
            f"<{tag}{scope}{' class=n' if place in numbers else ''}>{escape(str(value))}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = []
    for row in rows:
        name, *values = row
        rest = "".join(
            f"<td{' class=n' if place in numbers else ''}>{escape(str(value))}</td>"
            for place, value in enumerate(values, start=1)
        )
        lines.append(f"<tr><th scope=row>{escape(str(name))}</th>{rest}</tr>")
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>'
        f"{cells('th', head, ' scope=col')}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _years(figures: Mapping[str, Any]) -> str:
    """One row per region, one column per year: its mean in whole grams, marked where half-hours are missing."""
    years = sorted({month[:4] for months in figures["monthly"].values() for month in months["month"]})
    rows = []
    for region in figures["regions"]:
        months = figures["monthly"][str(region["id"])]
        rows.append([region["name"], *(_year(months, year) for year in years)])
    note = "<p>Means of the months, weighted by half-hours, in g/kWh. * Not all half-hours of the year are there.</p>"
    return note + _table(["Region", *years], rows, frozenset(range(1, len(years) + 1)))


def _year(months: Mapping[str, Any], year: str) -> str:
    places = [place for place, month in enumerate(months["month"]) if month.startswith(year)]
    half_hours = sum(months["n"][place] for place in places)
    if not half_hours:
        return ""
    total = sum(months["avg"][place] * months["n"][place] for place in places)
    days = (date(int(year) + 1, 1, 1) - date(int(year), 1, 1)).days
    return f"{round(total / half_hours / 100)}{'' if half_hours == days * PERIODS_PER_DAY else '*'}"


def _gaps(missing: Sequence[Mapping[str, Any]]) -> str:
    if not missing:
        return "<p>Nothing is missing.</p>"
    rows = [
        (
            *(gap["from"], gap["to"], f"{gap['half_hours']:,}"),
            *(", ".join(map(str, gap["regions"])) or "all", gap["cause"], gap["detail"]),
        )
        for gap in missing
    ]
    head = ["From", "To (exclusive)", "Half-hours", "Regions", "Cause", "Detail"]
    return _table(head, rows, frozenset({2}))


def _trust(origin: Mapping[str, Any]) -> str:
    """The state, how to cite it, the tables and the checks."""
    release, run = origin["release"], origin["run"]
    facts = [("State", origin["state"]), ("Lake version", str(origin["lake_version"]))]
    facts += [("Run", f"{run['id']}, ended {run['finished_at']}"), ("Code", f"lakehouse {run['code']}")]
    facts += [("Source", ATTRIBUTION), ("Filled from", origin["source"])]
    if release:
        facts += [("Released", release["created_at"]), ("Note", release["note"] or "none")]
        facts.append(("SHA-256 of contents", release["checksum"]))
    else:
        facts.append(("Released", "no; lakehouse release create NAME keeps this state and gives it a checksum to cite"))
    facts.append(("Cite it as", origin["citation"]))
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    tables = [(table["table"], table["version"], f"{table['rows']:,}") for table in origin["tables"]]
    return (
        f"<dl>{listed}</dl><h3>Tables</h3>{_table(['Table', 'Version', 'Rows'], tables, frozenset({1, 2}))}"
        f"<h3>Checks</h3>{_checks(origin)}"
    )


def _checks(origin: Mapping[str, Any]) -> str:
    checks = origin["checks"]
    if checks["lake_version"] is None:
        return "<p>No run up to this state has judged records.</p>"
    broken = sum(rule["failed"] for rule in checks["rules"] if rule["level"] != "drift")
    text = (
        f"<p>Records judged by the run of lake version {checks['lake_version']}: "
        f"{'none broke a rule' if not broken else f'{broken:,} times a rule was broken'}. "
        f"{counted(origin['quarantined'], 'record')} of all runs {'is' if origin['quarantined'] == 1 else 'are'} "
        "in quarantine and in no figure.</p>"
    )
    rows = [(rule["rule"], rule["level"], f"{rule['failed']:,}", f"{rule['checked']:,}") for rule in checks["rules"]]
    return text + _table(["Rule", "Level", "Broken", "Checked"], rows, frozenset({2, 3}))
