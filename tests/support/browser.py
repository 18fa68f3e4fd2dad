"""A real browser for the tests of pages, which keeps what a page complains of and whom it asks."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SERIOUS = ("serious", "critical")


@dataclass
class Opened:
    """A page of a browser. ``complaints``: errors in its console; ``requests``: the addresses that it asked."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def table(self, selector: str) -> list[list[str]]:
        """The rows of a table's body, as texts."""
        rows: list[list[str]] = self.page.eval_on_selector_all(
            f"{selector} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        return rows

    def is_wider_than_the_screen(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def faults_of_access(self) -> list[str]:
        """What axe finds serious or critical: rule and element."""
        found: dict[str, Any] = Axe().run(self.page).response
        return [
            f"{violation['id']}: {node['target']}"
            for violation in found["violations"]
            if violation["impact"] in SERIOUS
            for node in violation["nodes"]
        ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, as the system has it; while it is open no other event loop can run in this thread."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (on Debian: apt install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def opened(browser: Browser, address: str, **context: Any) -> Opened:
    """A page of a context of its own; ``context``: viewport, color_scheme and others of Playwright's."""
    page = browser.new_context(**context).new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(address)
    return found
