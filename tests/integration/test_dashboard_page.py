"""The page as Streamlit runs it, without a browser: what it says of a small published database."""

from collections.abc import Callable
from datetime import date

import pytest

from lakehouse.postgres import PostgresTarget
from tests.support.dashboards import publish

testing = pytest.importorskip("streamlit.testing.v1", reason="needs `make setup EXTRAS=dashboard`")
from lakehouse.dashboard import serving  # noqa: E402


@pytest.fixture
def visit(database: PostgresTarget) -> Callable[..., object]:
    """The page after a visit with a link's parameters."""

    def visited(target: PostgresTarget = database, **parameters: str):
        page = testing.AppTest.from_file(str(serving.PAGE), default_timeout=60)
        page.secrets[serving.SECRET] = serving.as_secret(target)
        page.query_params.update(parameters)
        return page.run()

    return visited


def said(page) -> str:
    kinds = (page.metric, page.markdown, page.info, page.error)
    return "\n".join(f"{getattr(each, 'label', '')} {each.value}" for kind in kinds for each in kind)


def tables(page) -> list[list[dict[str, str]]]:
    return [table.value.to_dict("records") for table in page.table]


def test_shows_the_published_figures(database: PostgresTarget, visit) -> None:
    publish(database)
    page = visit(region="13", compare="16")
    assert not page.exception
    assert not page.error
    assert [(each.label, each.value) for each in page.metric] == [
        ("London, gCO2/kWh, 2024-02-27 to 2024-03-02", "213.44"),
        ("Scotland, gCO2/kWh, 2024-02-27 to 2024-03-02", "32.00"),
    ]
    text = said(page)
    assert "Mean of 3 complete days. Left out: 1 partial day, 1 missing day." in text
    assert "**London**: cleanest on average at **00:00 UTC** in February 2024, with 200.00 gCO2/kWh" in text
    assert "**Scotland**: no half-hour is there on every day of a month." in text
    assert "Read as `lakehouse_reader`" in text
    assert "CC BY 4.0" in text
    # ((200.05 - 30) + (210.10 - 31) + (230.18 - 34)) / 3 = 181.776...
    assert "Over 3 days on which both are complete, **London** is 181.78 gCO2/kWh dirtier than **Scotland**." in text
    years, ranking, nations, gb, holes, versions, exports = tables(page)
    assert years == [
        {
            **{"year": "2024", "London, gCO2/kWh": "213.44", "London, complete days": "3"},
            **{"Scotland, gCO2/kWh": "32.00", "Scotland, complete days": "5"},
        }
    ]
    assert [(row["rank"], row["region"], row["mean, gCO2/kWh"]) for row in ranking] == [
        ("1", "South England", "123.43"),
        ("2", "London", "213.44"),
    ]
    assert [(row["region"], row["mean, gCO2/kWh"]) for row in nations] == [("Scotland", "32.00"), ("England", "170.01")]
    # (140.50 + 141.50 + 142.50 + 143.50 + 405.50) / 5
    assert [(row["region"], row["mean, gCO2/kWh"]) for row in gb] == [("GB", "194.70")]
    assert [(row["region"], row["half-hours missing"]) for row in holes] == [("London", "84")]
    assert versions[0]["version of Gold"] == "7"
    assert exports[0]["run"] == "run-1"


def test_gives_the_numbers_behind_a_chart_as_published(database: PostgresTarget, visit) -> None:
    publish(database)
    page = visit(region="13")
    days, months = page.dataframe[0].value, page.dataframe[1].value
    assert [str(mean) for mean in days["intensity_avg"]] == ["200.05", "210.10", "50.00", "230.18"]
    assert [str(mean) for mean in months["intensity_avg"]] == ["160.50", "160.50"]


def test_says_how_many_days_the_scale_does_not_hold(database: PostgresTarget, visit) -> None:
    publish(database)
    assert "Outside 0 to 400 and drawn at the edge: 1 day." in said(visit(region="18"))
    assert "Outside 0 to 400" not in said(visit(region="13"))


def test_a_link_reproduces_the_view(database: PostgresTarget, visit) -> None:
    publish(database)
    page = visit(region="13")
    page.selectbox(key="compare").set_value(18).run()
    page.date_input(key="first").set_value(date(2024, 3, 1)).run()
    assert not page.exception
    link = dict(page.query_params)
    assert link == {"region": "13", "compare": "18", "first": "2024-03-01", "last": "2024-03-02"}
    again = visit(**link)
    assert said(again) == said(page)
    assert tables(again) == tables(page)
    assert again.metric[0].value == "230.18"


def test_says_what_is_wrong_with_a_link(database: PostgresTarget, visit) -> None:
    publish(database)
    page = visit(region="99")
    assert not page.exception
    assert [each.value for each in page.error] == ["The link names the region '99'; there are 12, 13, 15, 16, 18."]
    assert not page.metric


def test_says_that_two_days_are_the_wrong_way_round(database: PostgresTarget, visit) -> None:
    publish(database)
    page = visit(region="13", last="2024-02-28")
    page.date_input(key="first").set_value(date(2024, 3, 1)).run()
    assert [each.value for each in page.error] == ["The first day 2024-03-01 is after the last one, 2024-02-28."]
    page.date_input(key="last").set_value(date(2024, 3, 2)).run()
    assert not page.error
    assert page.metric[0].value == "230.18"


def test_shows_a_range_without_a_complete_day(database: PostgresTarget, visit) -> None:
    publish(database)
    page = visit(region="13", first="2024-02-29", last="2024-02-29")
    assert not page.exception
    assert page.metric[0].value == "no complete day"
    assert "no day in this range on which all distribution regions are complete" in said(page)


def test_says_that_nothing_is_published_yet(visit) -> None:
    page = visit()
    assert not page.exception
    assert [each.value for each in page.info] == [
        "No day has been published yet; `lakehouse run` fills the tables.",
    ]


def test_says_that_there_are_no_tables(fresh_database: PostgresTarget, visit) -> None:
    page = visit(fresh_database)
    assert not page.exception
    (sentence,) = [each.value for each in page.error]
    assert sentence.endswith("has no table carbon_data.dim_region; `lakehouse export` makes it.")
