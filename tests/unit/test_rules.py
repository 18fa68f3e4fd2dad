"""The rules at their bounds: a good record with one value changed, and exactly the rules that it breaks."""

from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.lake import duck
from lakehouse.lake.tables import KNOWN_FUELS
from lakehouse.transform.quality import RULES
from lakehouse.transform.records import FACTS, VALUES
from tests.support.lakes import at

MOMENT = pa.timestamp("us", "UTC")
JUDGED = pa.schema([*VALUES, *FACTS, ("window_start", MOMENT), ("window_end", MOMENT)])
GOOD: dict[str, Any] = {
    "regionid": 13,
    "timestamp": at("2024-01-02T12:00"),
    "stop": at("2024-01-02T12:30"),
    "shortname": "London",
    "dno": "UKPN London",
    "intensity_forecast": 150,
    "intensity_index": "moderate",
    **dict.fromkeys((f"fuel_{fuel}" for fuel in KNOWN_FUELS), Decimal("1.00")),
    "is_readable": True,
    "is_forecast_whole": True,
    "fuels_missing": 0,
    "fuels_other": 0,
    "are_fuels_once": True,
    "are_shares_exact": True,
    "share_sum": Decimal("100.00"),
    "lowest_share": Decimal("0.00"),
    "highest_share": Decimal("60.00"),
    "window_start": at("2023-12-31T00:00"),
    "window_end": at("2024-02-29T00:00"),
}
ODD_NAMES = "names_of_this_region", "names_expected"


def broken(**changed: Any) -> list[str]:
    """The rules that the good record breaks with these values."""
    with closing(duck.connect()) as database:
        database.register("records", pa.Table.from_pylist([{**GOOD, **changed}], JUDGED))
        (bits,) = database.execute(f"SELECT {RULES.broken} FROM records").fetchall()[0]
    return RULES.names(bits)


def moved(text: str) -> dict[str, datetime]:
    """Another half-hour, by its start."""
    start = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return {"timestamp": start, "stop": start + (GOOD["stop"] - GOOD["timestamp"])}


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({}, []),
        ({"is_readable": False}, ["readable"]),
        ({"regionid": None}, ["key_present", "region_known", "names_expected"]),
        ({"regionid": 0}, ["region_known", "names_expected"]),
        ({"regionid": 19}, ["region_known", "names_expected"]),
        ({"regionid": 18}, [*ODD_NAMES]),
        ({"regionid": 18, "shortname": "GB", "dno": "GB"}, []),
        ({"regionid": 6, "shortname": "North Wales and Merseyside", "dno": "SP Manweb"}, []),
        ({"shortname": None}, ["names_present", "names_expected"]),
        ({"shortname": ""}, ["names_present", "names_expected"]),
        ({"dno": ""}, ["names_present", "names_expected"]),
        ({"shortname": "Londinium"}, ["names_expected"]),
        ({"shortname": "Wales"}, [*ODD_NAMES]),
        ({"shortname": "ö" * 100}, ["names_expected"]),
        ({"shortname": "ö" * 101}, ["names_storable", "names_expected"]),
        ({"dno": "UKPN\0London"}, ["names_storable", "names_expected"]),
        ({"timestamp": None}, ["key_present", "on_half_hour_grid", "lasts_half_an_hour", "label_fits_value"]),
        (moved("2024-01-02T12:10"), ["on_half_hour_grid"]),
        (moved("2024-01-02T12:00:01"), ["on_half_hour_grid"]),
        (moved("1969-12-31T23:30"), ["inside_window", "label_fits_value"]),
        ({"stop": at("2024-01-02T13:00")}, ["lasts_half_an_hour"]),
        ({"stop": None}, ["lasts_half_an_hour", "inside_window"]),
        ({"window_end": at("2024-01-02T12:30")}, []),
        ({"window_end": at("2024-01-02T12:29")}, ["inside_window"]),
        ({"window_start": at("2024-01-02T12:30")}, []),
        ({"window_start": at("2024-01-02T12:31")}, ["inside_window"]),
        ({"is_forecast_whole": False}, ["forecast_is_integer"]),
        ({"intensity_forecast": None}, ["forecast_plausible", "label_fits_value"]),
        ({"intensity_forecast": -50, "intensity_index": "very low"}, []),
        ({"intensity_forecast": -51, "intensity_index": "very low"}, ["forecast_plausible", "label_fits_value"]),
        ({"intensity_forecast": 1000, "intensity_index": "very high"}, []),
        ({"intensity_forecast": 1001, "intensity_index": "very high"}, ["forecast_plausible", "label_fits_value"]),
        ({"intensity_index": "Moderate"}, ["label_known", "label_fits_value"]),
        ({"intensity_index": None}, ["label_known", "label_fits_value"]),
        ({"intensity_index": "very low"}, ["label_fits_value"]),
        ({"fuels_missing": 1}, ["fuels_complete", "shares_in_range"]),
        ({"fuels_missing": None}, ["fuels_complete", "shares_in_range"]),
        ({"are_fuels_once": None}, ["fuels_once"]),
        ({"are_shares_exact": False}, ["shares_exact"]),
        ({"lowest_share": Decimal("-0.01")}, ["shares_in_range"]),
        ({"highest_share": Decimal("100.00")}, []),
        ({"highest_share": Decimal("100.000000000000001")}, ["shares_in_range"]),
        ({"lowest_share": None}, ["shares_in_range"]),
        ({"share_sum": Decimal("99.50")}, []),
        ({"share_sum": Decimal("99.49")}, ["mix_is_whole"]),
        ({"share_sum": Decimal("100.50")}, []),
        ({"share_sum": Decimal("100.51")}, ["mix_is_whole"]),
        ({"share_sum": None}, ["mix_is_whole"]),
        ({"fuels_other": 1}, ["fuels_known"]),
    ],
)
def test_breaks_the_rules_at_their_bounds(changed: dict[str, Any], rules: list[str]) -> None:
    assert broken(**changed) == rules


def test_every_rule_is_broken_by_some_record() -> None:
    cases = test_breaks_the_rules_at_their_bounds.pytestmark[0].args[1]
    assert {name for _, rules in cases for name in rules} == {rule.name for rule in RULES.records}
