"""The page's charts, drawn by Altair in the browser from what a query gave.

Scales are fixed: intensities run from 0 to 400 gCO2/kWh in every chart, so that charts of different regions and days
can be compared. A day or month that is missing leaves a gap; a partial one is a hollow point that no line joins.
"""

from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa

from lakehouse.dashboard.queries import FUELS

TOP = 400
"""gCO2/kWh where the scale ends; what is above is drawn at the edge, and the page says how many."""
UNIT = "gCO2/kWh"
REGION_COLOURS = ("#0072B2", "#D55E00")
"""Blue and vermilion are told apart in every kind of colour blindness; the second region is dashed, too."""
FUEL_COLOURS = {
    "nuclear": "#CC79A7",
    "hydro": "#56B4E9",
    "wind": "#0072B2",
    "solar": "#F0E442",
    "biomass": "#009E73",
    "imports": "#999999",
    "other": "#C8C8C8",
    "gas": "#D55E00",
    "coal": "#6B4C3B",
}
WHOLE, PARTIAL, MISSING = "all half-hours", "some half-hours", "none"
COVERAGE_COLOURS = {WHOLE: "#9ECAE1", PARTIAL: "#E69F00", MISSING: "#A50F15"}
NO_DATA = "#8C8C8C"
ROW_PIXELS = 22
_NAMES = alt.Axis(labelLimit=220, labelOverlap=False, labelFlush=False)
_INTENSITY = alt.Scale(domain=[0, TOP], clamp=True, nice=False)


def trend(days: pa.Table, months: pa.Table) -> Any:
    """Daily means of complete days, faint, and monthly means over them; partial days and months are hollow points."""
    names = list(dict.fromkeys(days.column("region").to_pylist()))
    daily = _numbers(days).assign(at=lambda each: each["date_recorded"])
    monthly = _numbers(months).assign(at=lambda each: each["month"] + pd.Timedelta(days=14))
    colours = alt.Scale(domain=names, range=list(REGION_COLOURS[: len(names)]))
    dashes = alt.Scale(domain=names, range=[[1, 0], [6, 3]][: len(names)])
    colour, dash = (
        alt.Color("region:N", title=None, scale=colours),
        alt.StrokeDash("region:N", title=None, scale=dashes),
    )
    return alt.layer(
        *_line(daily, {"color": colour}, width=1, opacity=0.5, day="date_recorded"),
        *_line(monthly, {"color": colour, "strokeDash": dash}, width=3, opacity=1.0, day="month"),
    ).properties(height=320)


def _line(frame: pd.DataFrame, look: dict[str, Any], *, width: float, opacity: float, day: str) -> list[Any]:
    """The line through what is complete, a point for what stands between two gaps, and a hollow one for the partial."""
    place = {
        "x": alt.X("at:T", title=None),
        "y": alt.Y("intensity_avg:Q", title=UNIT, scale=_INTENSITY),
        "tooltip": ["region:N", f"{day}:T", alt.Tooltip("intensity_avg:Q", format=".2f"), "n_periods:Q"],
    }
    whole = frame.assign(intensity_avg=frame["intensity_avg"].where(frame["is_complete"]))
    beside = whole.groupby("region")["intensity_avg"]
    alone = whole[whole["intensity_avg"].notna() & beside.shift(1).isna() & beside.shift(-1).isna()]
    partial = frame[~frame["is_complete"] & frame["intensity_avg"].notna()]
    line = alt.Chart(whole).mark_line(strokeWidth=width, opacity=opacity, invalid="break-paths-filter-domains")
    points = {"size": 30 * width, "opacity": max(opacity, 0.7), "strokeDash": [1, 0]}
    marks = [
        alt.Chart(rows).mark_point(filled=is_filled, **points).encode(**place, color=look["color"])
        for rows, is_filled in ((alone, True), (partial, False))
        if len(rows)
    ]
    return [line.encode(**place, **look), *marks]


def heat_map(profile: pa.Table) -> Any:
    """Month by half-hour of the UTC day, of one region; a cell without data is grey with a cross."""
    frame = _numbers(profile)
    place = {
        "x": alt.X("yearmonth(month):O", title=None, axis=alt.Axis(format="%b %Y", labelAngle=-90)),
        "y": alt.Y("starts_at:O", title="UTC", axis=alt.Axis(values=[f"{hour:02}:00" for hour in range(0, 24, 3)])),
    }
    told = ["region:N", "month:T", "starts_at:N", alt.Tooltip("intensity_avg:Q", format=".2f"), "n_days:Q"]
    ramp = alt.Scale(scheme="yelloworangebrown", domain=[0, TOP], clamp=True)
    is_there = frame["intensity_avg"].notna()
    layers = []  # one without a mark has nothing to read aloud
    if is_there.any():
        cells = alt.Chart(frame[is_there]).mark_rect()
        layers.append(cells.encode(color=alt.Color("intensity_avg:Q", title=UNIT, scale=ramp), tooltip=told, **place))
    if not is_there.all():
        holes = alt.Chart(frame[~is_there])
        layers.append(holes.mark_rect(color=NO_DATA).encode(**place))
        layers.append(holes.mark_text(text="×", color="white").encode(**place))  # noqa: RUF001 (a cross)
    return alt.layer(*layers).properties(height=420)


def fuel_mix(table: pa.Table, when: str) -> Any:
    """Stacked shares of generation of one region by ``when``, a column of days or months."""
    frame = _numbers(table)
    frame = frame[frame["is_complete"]] if when == "date_recorded" else frame
    columns = {f"fuel_{fuel}": fuel for fuel in FUELS}
    shares = frame.rename(columns=columns).melt(["region", when, "n_periods"], list(FUELS), "fuel", "share")
    shares["order"] = shares["fuel"].map({fuel: number for number, fuel in enumerate(FUELS)})
    unit = "yearmonthdate" if when == "date_recorded" else "yearmonth"
    colours = alt.Scale(domain=list(FUEL_COLOURS), range=list(FUEL_COLOURS.values()))
    return (
        alt.Chart(shares)
        .mark_bar()
        .encode(
            x=alt.X(f"{unit}({when}):T", title=None),
            y=alt.Y("share:Q", title="% of generation", scale=alt.Scale(domain=[0, 100], clamp=True), stack="zero"),
            color=alt.Color("fuel:N", title=None, scale=colours, sort=list(FUELS)),
            order=alt.Order("order:Q"),
            tooltip=["region:N", f"{when}:T", "fuel:N", alt.Tooltip("share:Q", format=".2f"), "n_periods:Q"],
        )
        .properties(height=280)
    )


def ranking(table: pa.Table, chosen: list[int]) -> Any:
    """A bar a region with its figure, the cleanest on top; the chosen regions keep their colours."""
    frame = _numbers(table)
    frame["figure"] = [f"{figure:.2f}" for figure in table.column("intensity_avg").to_pylist()]
    frame["colour"] = [_colour(regionid, chosen) for regionid in table.column("regionid").to_pylist()]
    base = alt.Chart(frame).encode(
        x=alt.X("intensity_avg:Q", title=UNIT, scale=_INTENSITY),
        y=alt.Y("region:N", title=None, sort=list(frame["region"]), axis=_NAMES),
        tooltip=["rank:Q", "region:N", "figure:N"],
    )
    bars = base.mark_bar().encode(color=alt.Color("colour:N", scale=None))
    figures = base.mark_text(align="left", dx=4, color=NO_DATA).encode(text="figure:N")
    return alt.layer(bars, figures).properties(height=ROW_PIXELS * len(frame))


def coverage(table: pa.Table, unit: str) -> Any:
    """Regions by days or months, in three classes: all half-hours are there, some, none."""
    frame = _numbers(table)
    names = list(dict.fromkeys(table.column("region").to_pylist()))
    whole, none = frame["n_periods"] == frame["n_expected"], frame["n_periods"] == 0
    frame["there"] = PARTIAL
    frame.loc[whole, "there"], frame.loc[none, "there"] = WHOLE, MISSING
    colours = alt.Scale(domain=list(COVERAGE_COLOURS), range=list(COVERAGE_COLOURS.values()))
    return (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X(f"{'yearmonthdate' if unit == 'day' else 'yearmonth'}(starts):T", title=None),
            y=alt.Y("region:N", title=None, sort=names, axis=_NAMES),
            color=alt.Color("there:N", title=None, scale=colours),
            tooltip=["region:N", "starts:T", "n_periods:Q", "n_expected:Q"],
        )
        .properties(height=ROW_PIXELS * len(names))
    )


def beyond(table: pa.Table) -> int:
    """How many figures of the table lie outside the fixed scale."""
    return sum(figure is not None and not 0 <= figure <= TOP for figure in table.column("intensity_avg").to_pylist())


def _numbers(table: pa.Table) -> pd.DataFrame:
    """The table for drawing: decimals as floating point, dates as times of day zero."""
    drawn = [
        column.cast(pa.float64())
        if pa.types.is_decimal(column.type)
        else column.cast(pa.timestamp("ms"))
        if pa.types.is_date(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(drawn, table.column_names).to_pandas()


def _colour(regionid: int, chosen: list[int]) -> str:
    return REGION_COLOURS[chosen.index(regionid)] if regionid in chosen else "#A6A6A6"
