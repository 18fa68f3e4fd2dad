"""A small published database for the dashboard, and the dashboard in a process of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal

from lakehouse.postgres import PostgresTarget
from tests.support.export_fixtures import url_of
from tests.support.mirror_rows import day, export, half_hour, month
from tests.support.processes import started

SOUTH = {"regionid": 12, "shortname": "South England", "dno": "SSE South", "kind": "dno_region", "parent_regionid": 15}
LONDON = {"regionid": 13, "shortname": "London", "dno": "UKPN London", "kind": "dno_region", "parent_regionid": 15}
ENGLAND = {"regionid": 15, "shortname": "England", "dno": "England", "kind": "nation", "parent_regionid": 18}
SCOTLAND = {"regionid": 16, "shortname": "Scotland", "dno": "Scotland", "kind": "nation", "parent_regionid": 18}
GB = {"regionid": 18, "shortname": "GB", "dno": "GB", "kind": "gb", "parent_regionid": None}
REGIONS = (SOUTH, LONDON, ENGLAND, SCOTLAND, GB)
FIRST = date(2024, 2, 27)
"""The first of five days; London lacks the third and has 12 half-hours of the fourth."""
MEANS = {
    12: ("100.10", "120.20", "130.35", "140.00", "150.00"),
    13: ("200.05", "210.10", None, "50.00", "230.18"),
    15: ("150.01", "160.01", "170.01", "180.01", "190.01"),
    16: ("30.00", "31.00", "32.00", "33.00", "34.00"),
    18: ("140.50", "141.50", "142.50", "143.50", "405.50"),
}
"""Daily means by region; the last of Great Britain's lies beyond the charts' scale."""


def publish(target: PostgresTarget) -> None:
    """Fill the published tables as an export does, and log it."""
    names = {region["regionid"]: {key: region[key] for key in ("shortname", "dno")} for region in REGIONS}
    days = [
        day(regionid, FIRST + timedelta(days=number), **names[regionid], **_figures(regionid, number, mean))
        for regionid, means in MEANS.items()
        for number, mean in enumerate(means)
        if mean is not None
    ]
    february, march, before = date(2024, 2, 1), date(2024, 3, 1), date(2023, 2, 1)
    export(
        target,
        regions=REGIONS,
        days=days,
        profile=[
            *(half_hour(13, number, intensity_avg=Decimal(200 + number)) for number in range(48) if number != 5),
            half_hour(13, 27, month=march, n_days=2, intensity_avg=Decimal("90.25")),
            *(half_hour(18, number, intensity_avg=Decimal("150.25")) for number in range(48)),
        ],
        months=[
            *(month(regionid, february, n_days=3, n_complete_days=2, n_periods=96) for regionid in (12, 13)),
            *(month(regionid, february, n_complete_days=29, n_periods=1392) for regionid in (15, 16, 18)),
            *(
                month(regionid, before, n_days=28, n_complete_days=28, n_periods=1344, intensity_avg=Decimal("200.25"))
                for regionid in (13, 15, 16, 18)
            ),
            *(month(regionid, march, n_days=2, n_complete_days=1, n_periods=60) for regionid in (13, 16)),
        ],
    )


def _figures(regionid: int, number: int, mean: str) -> dict[str, object]:
    partial = {"n_periods": 12, "is_complete": False} if (regionid, number) == (13, 3) else {}
    return {"intensity_avg": Decimal(mean), "intensity_min": 0, "intensity_max": 500, **partial}


@contextmanager
def dashboard(root: str = "unused", **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``lakehouse dashboard`` in a process of its own: its URL, once it answers, and the process.

    It shows the embedded database of ``root``, or that of a variable ``LAKEHOUSE_POSTGRES__URL``; see ``of``.
    """
    with started(root, "dashboard", "--port", "0", **variables) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("dashboard at http://127.0.0.1:"), said
        yield said.split()[2].rstrip(";"), process


def of(target: PostgresTarget) -> dict[str, str]:
    """The variables that name a database: ``with dashboard(**of(database)) as (url, process)``."""
    return {"LAKEHOUSE_POSTGRES__URL": url_of(target)}
