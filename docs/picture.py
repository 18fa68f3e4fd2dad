"""Take the README's picture: the report of three simulated years, as Chromium shows it. ``make picture`` calls it.

With the root of a lake as argument that lake is shown.
"""

import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import sync_playwright

from lakehouse import settings
from lakehouse.history import states
from lakehouse.pipeline import Run
from lakehouse.report import writing
from lakehouse.report.figures import Selection
from lakehouse.settings import Settings
from lakehouse.simulator import Simulator, run_in_thread

PICTURE = Path(__file__).parent / "report.png"
WIDTH, SCALE = 1050, 0.7


def load_three_years(root: str) -> Settings:
    """A lake of 2022 to 2024, from the simulator."""
    with run_in_thread(Simulator(seed=42, now=datetime(2025, 1, 1, tzinfo=UTC))) as api:
        chosen = settings.load({"root": root, "api": {"url": api.url, "requests_per_second": 0}})
        run = Run(chosen, "run")
        with run.recorded():
            run.fetch(datetime(2022, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
            run.transform(("silver", "gold"))
    return chosen


def take(chosen: Settings, folder: Path) -> None:
    """Write the report into the folder and its picture beside this file."""
    page = folder / "report.html"
    writing.write(states.newest(chosen), Selection(), page)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": 800}, device_scale_factor=SCALE)
        shown.goto(f"{page.as_uri()}#region=13&day=2024-11-21")
        below = shown.locator("#ranking").bounding_box()
        assert below is not None
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": below["y"] + below["height"] + 12}
        shown.screenshot(path=PICTURE, full_page=True, clip=clip)
        browser.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        take(settings.load({"root": sys.argv[1]}) if sys.argv[1:] else load_three_years(f"{made}/lake"), Path(made))
