"""How clean is a region's electricity, when is it cleanest, and can the figures be trusted? A worked notebook.

``make run`` makes the lake that it reads. Then ``.venv/bin/marimo edit notebooks/carbon.py`` opens it in a browser, and
``.venv/bin/marimo export ipynb notebooks/carbon.py -o carbon.ipynb`` makes a Jupyter notebook of it.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium")


@app.cell
def _():
    import altair as alt
    import marimo as mo
    import polars as pl

    import lakehouse

    return alt, lakehouse, mo, pl


@app.cell
def _(mo):
    mo.md("""
    # Carbon intensity of Great Britain's electricity

    The lake holds, for each half-hour and each of 18 regions, the forecast **carbon intensity** (grams of CO2 per
    kilowatt-hour) and the shares of nine fuels. This notebook reads the lake that `make run` has made, whose data are
    simulated. For your own lake, write its folder in the next cell.
    """)
    return


@app.cell
def _(mo):
    root = mo.notebook_dir().parent / "data" / "demo"
    return (root,)


@app.cell
def _(mo):
    mo.md("""
    ## Open the lake

    `open_lake` pins one version of every table. Whoever writes to the lake meanwhile, everything below is about the
    same state of it, and `version=`, `at=` or `release=` opens an older one. No JVM is started and no lock is taken.
    """)
    return


@app.cell
def _(lakehouse, root):
    lake = lakehouse.open_lake(root)
    lake
    return (lake,)


@app.cell
def _(lake, mo):
    names = lake.gold.regions.select("regionid", "shortname").polars()["shortname"].to_list()
    region = mo.ui.dropdown(options=names, value="London", label="Region")
    region
    return (region,)


@app.cell
def _(mo):
    mo.md("""
    ## How clean is it?

    One row per region and UTC day. A relation is lazy: `where` and `select` say what is wanted, and a last word
    (`polars`, `pandas`, `arrow`, `duckdb`, `spark`) reads just that. Figures are exact decimals; a chart wants floats.
    """)
    return


@app.cell
def _(lake, region):
    chosen = lake.gold.daily.where(region=region.value)
    chosen.select("date_recorded", "intensity_avg", "index_mode", "n_periods", "is_complete")
    return (chosen,)


@app.cell
def _(mo):
    mo.md("""
    A day that the API does not have is a gap in the line, not a line across it. A day that lacks half-hours is an open
    circle: its mean is of those that are there.
    """)
    return


@app.cell
def _(alt, chosen, pl):
    days = (
        chosen.select("date_recorded", "intensity_avg", "is_complete")
        .polars()
        .upsample("date_recorded", every="1d")
        .with_columns(pl.col("intensity_avg").cast(pl.Float64))
    )
    _base = alt.Chart(days).encode(
        x=alt.X("date_recorded:T", title="UTC day"),
        y=alt.Y("intensity_avg:Q", title="gCO2/kWh", scale=alt.Scale(zero=True)),
    )
    _partial = _base.transform_filter("datum.is_complete === false").mark_point(size=60)
    (_base.mark_line(invalid="break-paths-show-path-domains") + _partial).properties(width=640, height=240)
    return (days,)


@app.cell
def _(mo):
    mo.md("""
    ## When is it cleanest?

    `lake.gold.profile` says what each half-hour of the day is like in a month. An electric car charges for the least
    carbon where the map is lightest. Times are UTC: in summer a clock in London is an hour ahead.
    """)
    return


@app.cell
def _(lake, pl, region):
    profile = (
        lake.gold.profile.where(region=region.value)
        .polars()
        .with_columns(
            pl.format(
                "{}:{}",
                (pl.col("half_hour") // 2).cast(pl.String).str.zfill(2),
                (pl.col("half_hour") % 2 * 30).cast(pl.String).str.zfill(2),
            ).alias("begins")
        )
    )
    return (profile,)


@app.cell
def _(alt, pl, profile):
    alt.Chart(profile.with_columns(pl.col("intensity_avg").cast(pl.Float64))).mark_rect().encode(
        x=alt.X("begins:O", title="half-hour of the day, UTC"),
        y=alt.Y("yearmonth(month):O", title=None),
        color=alt.Color("intensity_avg:Q", title="gCO2/kWh", scale=alt.Scale(scheme="viridis", reverse=True)),
        tooltip=["begins", "intensity_avg", "intensity_min", "intensity_max", "n_days"],
    ).properties(width=640)
    return


@app.cell
def _(pl, profile):
    cleanest = (
        profile.filter(pl.col("intensity_avg") == pl.col("intensity_avg").min().over("month"))
        .sort("month", "half_hour")
        .select("month", "begins", "intensity_avg", "n_days")
    )
    cleanest
    return (cleanest,)


@app.cell
def _(mo):
    mo.md("""
    ## What is missing?

    Every half-hour that the lake lacks has a cause. `upstream empty` means that the API was asked and had nothing.
    """)
    return


@app.cell
def _(lake, pl):
    report = lake.gaps()
    holes = pl.DataFrame([gap.row() for gap in report.gaps])
    holes
    return holes, report


@app.cell
def _(mo):
    mo.md("""
    ## Can a figure be trusted?

    Take the day with the highest mean, and follow it down: the lake computes it anew from its half-hours, and each of
    these from the bytes that the API sent.
    """)
    return


@app.cell
def _(chosen, lake, mo, region):
    worst = chosen.polars().sort("intensity_avg", "date_recorded")["date_recorded"][-1]
    why = lake.explain(region.value, worst)
    mo.md(f"""
    {region.value} had **{why.gold["intensity_avg"]} gCO2/kWh** on {why.day}. Computed anew:
    {why.recomputed["intensity_avg"]}, the mean of {why.recomputed["n_periods"]} half-hours.
    {"They agree." if why.agrees else f"They do not agree: {why.first_disagreement()}."} The answers of the API that
    speak of that day:
    """)
    return (why,)


@app.cell
def _(pl, why):
    answers = pl.DataFrame(list(why.responses.values())).select("fetched_at", "url", "body_sha256")
    answers
    return (answers,)


@app.cell
def _(mo):
    mo.md("""
    The API corrects its forecasts. What it said at each fetch is kept: here, by how many hours after its start a
    half-hour was asked for again, how often the figure moved and by how much (gCO2/kWh).
    """)
    return


@app.cell
def _(days, lake, pl, region):
    _last = days["date_recorded"].max()
    moved = lake.revisions(region.value, _last.replace(day=1), "2200-01-01")
    pl.DataFrame(moved.by_age)
    return (moved,)


@app.cell
def _(mo):
    mo.md("""
    ## Cite it

    A release (`lakehouse release create NAME`) keeps this state for ever, and its citation has a checksum.
    """)
    return


@app.cell
def _(lake, mo):
    mo.md(lake.cite())
    return


if __name__ == "__main__":
    app.run()
