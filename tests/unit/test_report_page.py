"""The page's text: whatever the figures say, it stays one page that runs nothing but its own script."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from lakehouse.report import page

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"
FIGURES: dict[str, Any] = {
    "days": {"first": "2024-02-28", "count": 3},
    "regions": [{"id": 13, "name": HOSTILE, "dno": HOSTILE, "kind": "dno_region", "parent": 15}],
    "monthly": {"13": {"month": ["2024-02", "2024-03"], "avg": [10050, 20000], "days": [2, 1], "n": [96, 48]}},
    "mix": {"step": "day"},
}
GAP = {"from": "2024-02-28T00:00Z", "to": "2024-02-28T01:00Z", "half_hours": 2, "cause": "quarantined", "regions": [13]}
ORIGIN: dict[str, Any] = {
    "state": "release x",
    "lake_version": 7,
    "run": {"id": "r", "code": "0.1.0", "finished_at": "2024-03-02T00:00:00Z"},
    "tables": [{"table": "gold.carbon_intensity_daily", "version": 3, "rows": 1234}],
    "checks": {"lake_version": 7, "rules": [{"rule": "readable", "level": "quarantine", "failed": 2, "checked": 1000}]},
    "quarantined": 2,
    "source": HOSTILE,
    "is_simulated": True,
    "citation": HOSTILE,
    "release": {"created_at": "2024", "note": HOSTILE, "checksum": "abc"},
}


class Tags(HTMLParser):
    """The names of all tags and attributes of a page, as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def rendered(**origin: Any) -> str:
    return page.render(FIGURES, [{**GAP, "detail": HOSTILE}], {**ORIGIN, **origin})


def test_escapes_whatever_it_is_told() -> None:
    text = rendered()
    read = Tags()
    read.feed(text)
    assert read.tags.count("script") == 2
    assert "img" not in read.tags
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert json.loads(data[1]) == FIGURES


def test_lets_only_its_own_script_and_style_run() -> None:
    text = rendered()
    for kind, body in (("script", re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0]), ("style", "")):
        body = body or re.findall(r"<style>(.*?)</style>", text, re.DOTALL)[0]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_gives_the_mean_of_a_year_and_marks_one_that_is_not_whole() -> None:
    assert "<td class=n>134*</td>" in rendered()  # (100.50 * 96 + 200.00 * 48) / 144 = 133.67


def test_tells_simulated_data_from_real_ones() -> None:
    assert "These data are simulated" in rendered()
    assert "These data are simulated" not in rendered(is_simulated=False)


def test_names_what_a_release_is_cited_by_and_what_the_checks_found() -> None:
    text = rendered()
    for fact in ("abc", "Cite it as", "2 times a rule was broken", "2 records of all runs are in quarantine", "1,234"):
        assert fact in text
    assert "release create NAME" in rendered(release=None)
