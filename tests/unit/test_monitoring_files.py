"""The files for Prometheus, Grafana and systemd speak of metrics, documents and commands that are there."""

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lakehouse.monitoring.exposition import families
from lakehouse.monitoring.figures import Figures, RunTotals
from lakehouse.settings.sections import WatchSettings
from lakehouse.watching.condition import STALL_SECONDS, Condition
from lakehouse.watching.health import of_watch
from lakehouse.watching.signals import GRACE_SECONDS

PROJECT = Path(__file__).resolve().parents[2]
MONITORING = PROJECT / "monitoring"
RULES = [rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


def names() -> set[str]:
    """Every name under which a metric of ours is collected."""
    found = set()
    no_figures = Figures(RunTotals(), {}, {}, None, {}, {}, 0)
    for family in [*families(no_figures), *of_watch(Condition(WatchSettings()))]:
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        found |= {family.name + suffix for suffix in suffixes}
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_asks_for_metrics_that_there_are() -> None:
    asked = {name for expression in expressions() for name in re.findall(r"\blakehouse_\w+", expression)}
    assert asked - {"lakehouse_watch_next_run_timestamp_seconds"} <= names()
    assert len(asked) > 10


def test_each_alert_has_its_runbook_in_the_documents() -> None:
    headings = re.findall(r"^#+ (\w+)$", (PROJECT / "docs" / "operations.md").read_text(), re.MULTILINE)
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["alert"] in headings


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


def test_the_unit_waits_longer_than_a_stop_takes_and_never_forbids_what_a_jvm_needs() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd are not lower case
    unit.read(PROJECT / "systemd" / "lakehouse-watch.service")
    service = unit["Service"]
    assert int(service["WatchdogSec"]) == STALL_SECONDS
    assert int(service["TimeoutStopSec"]) > 2 * GRACE_SECONDS
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
    assert service["RestartPreventExitStatus"] == "2 3"
    assert "MemoryDenyWriteExecute" not in service


@pytest.mark.parametrize("command", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_takes_the_rules(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's package prometheus) is not installed; the rules were parsed all the same")
    done = subprocess.run([promtool, *command], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
