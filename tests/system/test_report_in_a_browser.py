"""The report as its readers have it: opened in Chromium, by mouse and by keyboard, on a desk and on a phone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from lakehouse.history import states
from lakehouse.lake.tables import GOLD, INTENSITY_PROFILE, Table
from lakehouse.report import writing
from lakehouse.report.figures import Selection
from lakehouse.settings import Settings
from tests.support.browser import Opened, opened

PHONE = {"viewport": {"width": 390, "height": 844}}
LONDON_ON_NEW_MONTH = "#region=13&day=2023-11-01"


@pytest.fixture(scope="session")
def chosen(autumn_lake: Path, settings_of: Callable[..., Settings]) -> Settings:
    return settings_of(str(autumn_lake))


@pytest.fixture(scope="session")
def report(chosen: Settings, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the lake's report."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    writing.write(states.newest(chosen), Selection(), out)
    return out.as_uri()


def rows(chosen: Settings, table: Table, where: str, *columns: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = states.newest(chosen).snapshot(table).rows(columns, where).to_pylist()
    return found


def clean(page: Opened) -> bool:
    return page.complaints == [] and all(url.split(":")[0] in ("file", "data") for url in page.requests)


def test_shows_golds_figures_to_the_digit(browser: Browser, report: str, chosen: Settings) -> None:
    page = opened(browser, report + LONDON_ON_NEW_MONTH)
    for table in ("trend-table", "rank-table", "heat-table", "mix-table"):
        page.page.click(f"#{table} > summary")
    shown = {row[0]: row[1:] for row in page.table("#trend-table") if row[1]}
    columns = ("date_recorded", "intensity_avg", "intensity_min", "intensity_max", "index_mode", "n_periods")
    gold = {
        str(day): [*map(str, rest)]
        for day, *rest in (row.values() for row in rows(chosen, GOLD, "regionid = 13", *columns))
    }
    assert shown == gold
    assert len(shown) == 21

    day = rows(chosen, GOLD, "date_recorded = '2023-11-01'", "shortname", "intensity_avg")
    assert {row[0]: row[2] for row in page.table("#rank-table")} == {
        r["shortname"]: str(r["intensity_avg"]) for r in day
    }
    mix = rows(chosen, GOLD, "regionid = 13", "date_recorded", "fuel_nuclear", "fuel_gas")
    assert {(row[0], row[1], row[8]) for row in page.table("#mix-table") if row[1]} == {
        tuple(map(str, row.values())) for row in mix
    }
    profile = rows(chosen, INTENSITY_PROFILE, "regionid = 13 AND month = '2023-10-01'", "half_hour", "intensity_avg")
    assert [row[1] for row in page.table("#heat-table")] == [
        str(row["intensity_avg"]) for row in sorted(profile, key=lambda row: row["half_hour"])
    ]
    assert clean(page)


def test_picks_a_region_and_a_day_in_all_charts(browser: Browser, report: str) -> None:
    page = opened(browser, report)
    messages = [f"#{name}-message" for name in ("trend", "heat", "mix", "calendar", "revised")]
    assert all("London" not in page.text(message) for message in messages)
    page.page.click("#tiles button:has-text('London')")
    assert all("London" in page.text(message) for message in messages)
    assert page.page.input_value("#region") == "13"
    page.page.fill("#day", "2023-10-20")
    for message, fact in (
        ("#trend-readout", "from 44 of 48 half-hours"),
        ("#rank-message", "On 20 Oct 2023"),
        ("#mix-message", "London, 20 Oct 2023: mostly"),
        ("#calendar-message", "20 Oct 2023: 44 of 48 half-hours."),
    ):
        assert fact in page.text(message)
    page.page.click("#next")
    assert page.text("#trend-readout") == "21 Oct 2023, London: no data."
    assert page.page.url.endswith("#region=13&day=2023-10-21")
    assert page.page.locator("#tiles .void").count() == 14
    assert clean(page)


def test_a_gap_is_no_line_and_partial_days_are_marked(browser: Browser, report: str) -> None:
    page = opened(browser, report + LONDON_ON_NEW_MONTH)
    path = page.page.get_attribute("#trend path.daily", "d") or ""
    assert path.count("M") == 2  # before and after the outage
    assert page.page.locator("#trend .ring").count() == 3  # two of the outage, and the newest day
    assert "82" in page.text("section:has(#calendar) table")


def test_is_used_by_the_keyboard_alone(browser: Browser, report: str) -> None:
    page = opened(browser, report + LONDON_ON_NEW_MONTH)
    page.page.focus("#trend")
    page.page.keyboard.press("ArrowLeft")
    assert page.page.input_value("#day") == "2023-10-31"
    assert (page.page.get_attribute("#trend", "aria-valuetext") or "").startswith("31 Oct 2023, London: ")
    page.page.keyboard.press("Home")
    assert page.page.input_value("#day") == "2023-10-15"
    reached = set()
    page.page.focus("body")
    for _ in range(60):
        page.page.keyboard.press("Tab")
        reached.add(page.page.evaluate("document.activeElement.closest('[id]')?.id"))
    assert {"region", "day", "trend", "tiles", "ranking", "mix", "calendar", "trend-table"} <= reached
    page.page.focus("#ranking button")
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("document.activeElement.closest('#ranking') !== null")  # the focus stays in the list


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
def test_is_accessible_and_fits(browser: Browser, report: str, scheme: str, screen: dict[str, Any]) -> None:
    page = opened(browser, report + LONDON_ON_NEW_MONTH, color_scheme=scheme, **screen)
    page.page.click("#trend-table > summary")
    assert page.faults_of_access() == []
    assert not page.is_wider_than_the_screen()
    assert clean(page)


def test_says_what_it_needs_without_scripts(browser: Browser, report: str) -> None:
    page = opened(browser, report, java_script_enabled=False)
    assert "scripts" in page.text("noscript")
    assert not page.page.is_visible("#controls")
    assert "London" in (page.page.text_content("section:has(#trend) table") or "")


def test_opens_within_a_second(browser: Browser, report: str) -> None:
    page = opened(browser, report)
    timing = json.loads(page.page.evaluate("JSON.stringify(performance.getEntriesByType('navigation')[0])"))
    assert timing["loadEventEnd"] < 1000


def test_prints_what_it_shows(browser: Browser, report: str, tmp_path: Path) -> None:
    page = opened(browser, report + LONDON_ON_NEW_MONTH)
    page.page.emulate_media(media="print")
    assert not page.page.is_visible("#controls")
    assert page.page.is_visible("#trend svg")
    assert not page.is_wider_than_the_screen()
