"""What the charts draw: fixed scales, gaps as gaps, partial days apart from the line."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("altair", reason="needs `make setup EXTRAS=dashboard`")
from lakehouse.dashboard import charts

MEAN = pa.decimal128(10, 2)


def days(*means: str | None, region: str = "London", partial: int | None = None) -> pa.Table:
    """A table of days from the first of June on; ``partial`` is the number of one that lacks half-hours."""
    count = len(means)
    return pa.table(
        {
            "region": [region] * count,
            "date_recorded": [date(2024, 6, 1 + number) for number in range(count)],
            "intensity_avg": pa.array([None if mean is None else Decimal(mean) for mean in means], MEAN),
            "n_periods": [0 if mean is None else 48 for mean in means],
            "is_complete": [mean is not None and number != partial for number, mean in enumerate(means)],
        }
    )


def months(table: pa.Table) -> pa.Table:
    return table.rename_columns({"date_recorded": "month"})


def layers(chart: Any) -> list[tuple[str, dict[str, Any], list[Any]]]:
    """Of each layer the kind of mark, the encoding and the figures, in the order of rows."""
    spec = chart.to_dict()
    return [
        (
            layer["mark"]["type"],
            layer["encoding"],
            [row.get("intensity_avg") for row in spec["datasets"][layer["data"]["name"]]],
        )
        for layer in spec["layer"]
    ]


def scales(spec: Any, field: str) -> Iterator[dict[str, Any]]:
    """The scales of every encoding of a field, wherever it is in a chart."""
    if isinstance(spec, dict):
        if spec.get("field") == field and "scale" in spec:
            yield spec["scale"]
        for inner in spec.values():
            yield from scales(inner, field)
    elif isinstance(spec, list):
        for inner in spec:
            yield from scales(inner, field)


def test_a_line_breaks_at_a_gap_and_leaves_partial_days_to_points() -> None:
    table = days("100.25", "120.50", None, "140.75", None, "160.25", "170.50", partial=6)
    line, alone, partial, *_ = layers(charts.trend(table, months(days("130.00"))))
    assert (line[0], line[2]) == ("line", [100.25, 120.5, None, 140.75, None, 160.25, None])
    assert (alone[0], alone[2]) == ("point", [140.75, 160.25])
    assert (partial[0], partial[2]) == ("point", [170.5])


def test_a_region_does_not_lend_the_other_its_neighbours() -> None:
    table = pa.concat_tables([days("100.25"), days("200.25", region="GB")])
    _, alone, *_ = layers(charts.trend(table, months(table)))
    assert alone[2] == [100.25, 200.25]


def test_every_intensity_has_the_same_scale() -> None:
    table = days("100.25", "900.00")
    half_hours = (
        days("100.25", "900.00").append_column("starts_at", [["00:00", "00:30"]]).append_column("n_days", [[3, 3]])
    )
    ranked = days("100.25").append_column("regionid", [[13]]).append_column("rank", [[1]])
    drawn = (charts.trend(table, months(table)), charts.heat_map(months(half_hours)), charts.ranking(ranked, [13]))
    for chart in drawn:
        found = list(scales(chart.to_dict(), "intensity_avg"))
        assert found
        assert all(scale["domain"] == [0, 400] and scale["clamp"] for scale in found)
    assert charts.beyond(days("-0.50", "0.00", "400.00", "400.01", None)) == 2


def test_a_second_region_has_its_own_colour_and_dash_and_both_are_named() -> None:
    table = pa.concat_tables([days("100.25", "1.00"), days("200.25", "2.00", region="GB")])
    spec = charts.trend(table, months(table)).to_dict()
    assert next(scales(spec["layer"][0]["encoding"]["color"], "region"))["domain"] == ["London", "GB"]
    assert next(scales(spec["layer"][1]["encoding"]["strokeDash"], "region"))["range"] == [[1, 0], [6, 3]]
    assert all("legend" not in layer["encoding"]["color"] for layer in spec["layer"])
    assert "legend" not in spec["layer"][1]["encoding"]["strokeDash"]


def test_says_of_each_cell_whether_all_some_or_none_is_there() -> None:
    table = pa.table(
        {"region": ["GB"] * 3, "starts": [date(2024, 6, 1)] * 3, "n_periods": [48, 47, 0], "n_expected": [48] * 3}
    )
    spec = charts.coverage(table, "day").to_dict()
    assert [row["there"] for row in spec["datasets"][spec["data"]["name"]]] == [
        "all half-hours",
        "some half-hours",
        "none",
    ]
