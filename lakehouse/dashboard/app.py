"""The page: Streamlit runs this file from its first line at each visit and each choice.

It is given the login by ``st.secrets`` (see ``serving``), reads everything in one transaction and keeps nothing.
"""

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from sqlalchemy import Connection

from lakehouse.dashboard import charts, downloads, queries, session
from lakehouse.dashboard.queries import Export, Region
from lakehouse.dashboard.serving import SECRET
from lakehouse.dashboard.view import PARAMETERS, View, from_parameters
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.messages.wording import counted
from lakehouse.postgres import PostgresTarget

# A longer range shows its fuels and its completeness by month: a day would be thinner than a pixel.
DAYS_AS_BARS = 120
KINDS = {"dno_region": "distribution region", "nation": "nation", "gb": "all of Great Britain"}
HEADINGS = {
    "regionid": "id",
    "intensity_avg": "mean, gCO2/kWh",
    "n_days": "days",
    "newest": "newest day",
    "newest_avg": "newest day's mean",
    "newest_label": "that day's label",
    "first_day": "first day",
    "last_day": "last day",
    "half_hours_missing": "half-hours missing",
    "table_name": "table",
    "version": "version of Gold",
    "rows_total": "rows",
    "export_id": "export",
    "exported_at": "exported at",
    "lake_version": "lake version",
    "run_id": "run",
}


def show() -> None:
    """The whole page; every mistake is one sentence on it."""
    st.set_page_config(page_title="Carbon intensity of Great Britain", layout="wide")
    st.title("How clean is Great Britain's electricity?")
    try:
        target = PostgresTarget(**st.secrets[SECRET])
        with session.reading(target) as connection:
            _show(connection)
    except LakehouseError as error:
        st.error(str(error))
        if isinstance(error, UsageError):
            st.markdown("[Begin anew](/)")


def _show(connection: Connection) -> None:
    span = queries.span(connection)
    if span is None:
        st.info("No day has been published yet; `lakehouse run` fills the tables.")
        return
    regions = queries.regions(connection)
    view = _chosen(regions, *span)
    export = queries.newest_export(connection)
    _say_summary(connection, view)
    _show_trend(connection, view, export)
    _show_hours(connection, view, export)
    _show_fuels(connection, view)
    _show_ranking(connection, view, export)
    _show_missing(connection, view, export)
    _show_trust(connection, export)


def _chosen(regions: Sequence[Region], first: date, last: date) -> View:
    """What the pickers say; they begin with what the link says, and the link follows them."""
    state = st.session_state
    if "region" not in state:
        asked = from_parameters(st.query_params.to_dict(), regions, first, last)
        state.update(region=asked.region, compare=asked.compare, first=asked.first, last=asked.last)
    names = {each.regionid: f"{each.shortname} ({KINDS[each.kind]})" for each in regions}
    with st.sidebar:
        st.header("Choose")
        st.selectbox("Region", list(names), key="region", format_func=names.__getitem__)
        st.selectbox("Compare with", [None, *names], key="compare", format_func=lambda each: names.get(each, "nothing"))
        st.date_input("First day (UTC)", key="first", min_value=first, max_value=last, format="YYYY-MM-DD")
        st.date_input("Last day (UTC)", key="last", min_value=first, max_value=last, format="YYYY-MM-DD")
        _note(
            "The address of this page reproduces what is shown. Nations and Great Britain overlap the distribution "
            "regions: they are never added up."
        )
    said = {name: str(state[name]) for name in PARAMETERS if state[name] is not None}
    view = from_parameters(said, regions, first, last)
    st.query_params.from_dict(view.as_parameters())
    return view


def _say_summary(connection: Connection, view: View) -> None:
    found = queries.summary(connection, view.regionids, view.first, view.last)
    for column, row in zip(st.columns(len(view.regionids)), found.to_pylist(), strict=True):
        mean = "no complete day" if row["intensity_avg"] is None else str(row["intensity_avg"])
        with column:
            st.metric(f"{row['region']}, gCO2/kWh, {view.first} to {view.last}", mean)
            _note(
                f"Mean of {counted(row['n_complete'], 'complete day')}. Left out: "
                f"{counted(row['n_partial'], 'partial day')}, {counted(row['n_missing'], 'missing day')}."
            )
    if view.compare is None:
        return
    above, count = queries.difference(connection, view.region, view.compare, view.first, view.last)
    one, other = found.column("region").to_pylist()
    if above is not None:
        verdict = f"{abs(above)} gCO2/kWh {'dirtier' if above > 0 else 'cleaner'} than" if above else "as clean as"
        st.write(f"Over {counted(count, 'day')} on which both are complete, **{one}** is {verdict} **{other}**.")


def _show_trend(connection: Connection, view: View, export: Export | None) -> None:
    st.header("How has it changed?")
    days = queries.days(connection, view.regionids, view.first, view.last)
    months = queries.months(connection, view.regionids, view.first, view.last)
    _draw(charts.trend(days, months), "Carbon intensity by day and by month; the numbers are below")
    outside = charts.beyond(days)
    _note(
        "Faint: daily means of complete days. Thick: monthly means, of every half-hour of the whole month. Hollow: a "
        "partial day or month. A gap is a gap."
        + (f" Outside 0 to {charts.TOP} and drawn at the edge: {counted(outside, 'day')}." if outside else "")
    )
    _table(_by_year(queries.years(connection, view.regionids)))
    _note("By calendar year, of all its complete days. A year that is not whole lacks a season: see the days.")
    _numbers("days", days.filter(pc.greater(days.column("n_periods"), 0)), view, export)
    _numbers("months", months.filter(pc.greater(months.column("n_periods"), 0)), view, export)


def _by_year(years: pa.Table) -> pa.Table:
    """One row per year, with the columns of each region beside one another."""
    rows = {year: {"year": year} for year in sorted(set(years.column("year").to_pylist()))}
    for each in years.to_pylist():
        name = each["region"]
        rows[each["year"]] |= {f"{name}, gCO2/kWh": each["intensity_avg"], f"{name}, complete days": each["n_complete"]}
    columns = dict.fromkeys(name for row in rows.values() for name in row)
    return pa.table({name: [row.get(name) for row in rows.values()] for name in columns})


def _show_hours(connection: Connection, view: View, export: Export | None) -> None:
    st.header("When is it cleanest?")
    profile = queries.profile(connection, view.regionids, view.first, view.last)
    for column, own in zip(st.columns(len(view.regionids)), _by_region(profile, view), strict=True):
        with column:
            _say_cleanest(own)
            _draw(charts.heat_map(own), "Carbon intensity by half-hour of the day and month; the numbers are below")
    _note(
        f"Mean of each half-hour of the UTC day in whole months, also outside the chosen days. Darker is dirtier; the "
        f"scale ends at {charts.TOP}. Grey with a cross: no data. Britain's clocks are an hour ahead of UTC in summer."
    )
    _numbers("half-hours", profile.filter(pc.greater(profile.column("n_days"), 0)), view, export)


def _say_cleanest(own: pa.Table) -> None:
    """The cleanest half-hour of one region, among those that every day of their month has."""
    region = own.column("region")[0]
    whole = [row for row in own.to_pylist() if row["n_days"] == monthrange(row["month"].year, row["month"].month)[1]]
    if not whole:
        st.write(f"**{region}**: no half-hour is there on every day of a month.")
        return
    best = min(whole, key=lambda row: (row["intensity_avg"], row["month"], row["half_hour"]))
    st.write(
        f"**{region}**: cleanest on average at **{best['starts_at']} UTC** in {best['month']:%B %Y}, with "
        f"{best['intensity_avg']} gCO2/kWh, of the half-hours that every day of their month has."
    )


def _show_fuels(connection: Connection, view: View) -> None:
    st.header("What is it made of?")
    if (view.last - view.first).days < DAYS_AS_BARS:
        table, when = queries.days(connection, view.regionids, view.first, view.last), "date_recorded"
        said = "A bar a day, complete days only"
    else:
        table, when = queries.months(connection, view.regionids, view.first, view.last), "month"
        said = "A bar a month, of the half-hours that are there"
    for own in _by_region(table, view):
        st.write(f"**{own.column('region')[0]}**")
        _draw(charts.fuel_mix(own, when), "Shares of fuels over time; the numbers are with the first chart")
    _note(
        f"{said}: shares of generation; its numbers are with the first chart. What imports are made of is not known. "
        f"A gap is a gap."
    )


def _show_ranking(connection: Connection, view: View, export: Export | None) -> None:
    st.header("Which region is cleanest?")
    found = queries.ranking(connection, "dno_region", view.first, view.last)
    if not found.num_rows:
        st.info("There is no day in this range on which all distribution regions are complete.")
        return
    one = found.slice(0, 1).to_pylist()[0]
    _draw(charts.ranking(found, view.regionids), "Distribution regions by mean carbon intensity; the table is below")
    _note(
        f"The distribution regions over {counted(one['n_days'], 'day')} on which all of them are complete. The newest "
        f"of these is {one['newest']}; a label is the API's own for that day, and its bands move from year to year."
    )
    _table(found.drop_columns(["n_days", "newest"]))
    _numbers("ranking", found, view, export)
    st.subheader("Nations and Great Britain")
    for kind in ("nation", "gb"):
        _table(queries.ranking(connection, kind, view.first, view.last).drop_columns(["rank"]))
    _note("They are made of the same power stations as the distribution regions, so they are shown apart.")


def _show_missing(connection: Connection, view: View, export: Export | None) -> None:
    st.header("What is missing?")
    unit = "day" if (view.last - view.first).days < DAYS_AS_BARS else "month"
    found = queries.coverage(connection, unit, view.first, view.last)
    _draw(charts.coverage(found, unit), f"Regions by {unit}: whether all, some or none of the half-hours are there")
    holes = queries.holes(connection, view.regionids, view.first, view.last)
    if holes.num_rows:
        _table(holes)
        _note("Why they are missing says `lakehouse gaps`, which reads the lake itself.")
        _numbers("holes", holes, view, export)
    else:
        st.write("Of the chosen regions and days every half-hour is there.")


def _show_trust(connection: Connection, export: Export | None) -> None:
    st.header("Can I trust it?")
    if export is None:
        st.info("No export is logged: these rows were not written by `lakehouse export`.")
        return
    version = "of no recorded lake version" if export.lake_version is None else f"lake version {export.lake_version}"
    st.write(
        f"By the export's log the tables equal **{version}**, exported {export.exported_at:%Y-%m-%d %H:%M:%S} UTC by "
        f"run `{export.run_id}`. `lakehouse export --verify` proves it, `lakehouse explain` follows a figure down to "
        f"the API's answer."
    )
    _table(queries.exported_tables(connection))
    with st.expander("The newest exports"):
        _table(queries.exports(connection))
    _note(
        f"Data: {downloads.ATTRIBUTION}. Intensities are forecasts in gCO2/kWh. Read as `{session.role(connection)}`, "
        f"in one read-only transaction."
    )


def _by_region(table: pa.Table, view: View) -> list[pa.Table]:
    return [table.filter(pc.equal(table.column("regionid"), regionid)) for regionid in view.regionids]


def _note(text: str) -> None:
    """Small print, as dark as the rest: Streamlit's captions are too pale to be read by everybody."""
    st.markdown(f":small[{text}]")


def _draw(chart: object, said: str) -> None:
    """A chart; ``said`` is what a screen reader reads for it."""
    st.altair_chart(chart, width="stretch", alt=said)


def _table(table: pa.Table) -> None:
    """A table of the page itself, which a screen reader reads; figures with all their digits."""
    rows = [{HEADINGS.get(name, name): _text(value) for name, value in row.items()} for row in table.to_pylist()]
    st.table(rows, hide_index=True)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return "" if value is None else str(value)


def _numbers(name: str, table: pa.Table, view: View, export: Export | None) -> None:
    """The figures behind a chart, folded, and as files, which are made when they are asked for."""
    with st.expander(f"The numbers: {name}"):
        decimals = [field.name for field in table.schema if pa.types.is_decimal(field.type)]
        digits = dict.fromkeys(decimals, st.column_config.NumberColumn(format="%.2f"))
        st.dataframe(table, hide_index=True, alt=f"The numbers: {name}", column_config=digits)
        file = "_".join(["carbon", name, *map(str, view.regionids), str(view.first), str(view.last)])
        files = (
            ("CSV", lambda: downloads.as_csv(table)),
            ("Parquet", lambda: downloads.as_parquet(table, export)),
        )
        with st.container(horizontal=True):
            for label, data in files:
                key = f"{name}.{label.lower()}"
                st.download_button(label, data, f"{file}.{label.lower()}", on_click="ignore", key=key)


show()
