"""The dashboard in Chromium: the figures of the database, nothing asked of anybody else, a link that brings it back."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from lakehouse.postgres import PostgresTarget
from tests.support.browser import Opened, opened
from tests.support.dashboards import dashboard, of, publish

pytest.importorskip("streamlit", reason="needs `make setup EXTRAS=dashboard`")
SOUTH_AND_LONDON = "?region=13&compare=12&first=2024-02-27&last=2024-03-02"


@pytest.fixture
def address(database: PostgresTarget) -> Iterator[str]:
    publish(database)
    with dashboard(**of(database)) as (url, _):
        yield url


def drawn(browser: Browser, address: str, **context: object) -> Opened:
    """The page, once the last of its sections is there and nothing runs any more."""
    page = opened(browser, address, **context)
    expect(page.page.get_by_text("CC BY 4.0").last).to_be_visible(timeout=60_000)
    expect(page.page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=60_000)
    return page


def test_shows_the_published_figures_and_asks_nobody_else(browser: Browser, address: str) -> None:
    page = drawn(browser, address + SOUTH_AND_LONDON)
    for fact in ("London", "South England", "213.44", "128.13", "1 partial day", "1 missing day"):
        _says(page, fact)  # South England's mean of five days: 640.65 / 5
    assert page.complaints == []
    assert {urlsplit(url).netloc for url in page.requests if urlsplit(url).scheme in ("http", "https", "ws")} == {
        urlsplit(address).netloc
    }
    page.page.wait_for_function("document.querySelectorAll('canvas, svg.marks').length >= 3")

    page.page.get_by_label("Region", exact=False).first.click()
    page.page.get_by_role("option", name="Scotland").click()
    page.page.wait_for_url("**/?region=16&*", timeout=30_000)
    again = drawn(browser, page.page.url)
    _says(again, "32.00")
    assert not drawn(browser, address, viewport={"width": 390, "height": 844}).is_wider_than_the_screen()
    assert again.faults_of_access() == []


def _says(page: Opened, fact: str) -> None:
    """Streamlit's page fetches the script of a kind of element when it meets the first: some come late."""
    expect(page.page.locator("body")).to_contain_text(fact, timeout=30_000)
