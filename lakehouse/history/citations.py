"""How to cite what a lake holds: a release, or a lake version that nobody has released. No JVM."""

from collections.abc import Mapping
from typing import Any

from lakehouse.history.states import LakeVersion
from lakehouse.ingestion.source import SIMULATED
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import BRONZE, GOLD

TITLE = "Regional carbon intensity of Great Britain, daily"
ATTRIBUTION = "Carbon Intensity API (NESO), CC BY 4.0, https://carbonintensity.org.uk"


def days(gold: Snapshot) -> dict[str, str | None]:
    """The first and the last day of the daily table, as ISO texts; None where it has none."""
    found = {"first_day": gold.lowest("date_recorded"), "last_day": gold.highest("date_recorded")}
    return {name: day.isoformat() if day else None for name, day in found.items()}


def of_release(manifest: Mapping[str, Any]) -> str:
    """How to cite a release: title, version, date, source with its licence, and the checksum."""
    return (
        f"{_titled(manifest['source'], manifest)}. Release {manifest['release']} (lake version "
        f"{manifest['lake_version']}) of {manifest['created_at'][:10]}, lakehouse {manifest['made_by']}. "
        f"Source: {manifest['attribution']}. SHA-256 of contents {manifest['checksum']}."
    )


def of_state(state: LakeVersion) -> str:
    """How to cite a state of the lake. Of a lake version that is no release it says so, and gives no checksum.

    Raises:
        LakehouseError: the state holds no Bronze or no daily table, or can no longer be read.
    """
    if "citation" in state.run:
        return str(state.run["citation"])
    source = state.snapshot(BRONZE).highest("source")
    return (
        f"{_titled(source, days(state.snapshot(GOLD)))}. Lake version {state.lake_version} (no release; run "
        f"{state.run['run_id']}) of {state.ended_at:%Y-%m-%d}, lakehouse {state.run['code_version']}. "
        f"Source: {ATTRIBUTION}."
    )


def _titled(source: object, about: Mapping[str, Any]) -> str:
    of_simulator = str(source).startswith(SIMULATED)
    warning = f"SIMULATED DATA ({source}), not to be cited. " if of_simulator else ""
    span = f"{about['first_day']} to {about['last_day']}" if about["first_day"] else "no day"
    return f"{warning}{TITLE}, {span}"
