"""Every derived table after increments is what a build from nothing gives, whatever came, was corrected or is gone."""

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import pytest

from lakehouse.lake.tables import GOLD_MONTHLY, INTENSITY_PROFILE, SILVER
from lakehouse.spark import session
from lakehouse.transform import gold_job
from lakehouse.transform.models import MODELS
from tests.support.lakes import HALF_HOUR, Lake, at, period, periods, region, response

Counts: TypeAlias = tuple[int, ...]
COUNTED = ("inserted", "updated", "deleted")


def built(lake: Lake) -> dict[str, Counts]:
    """What the stages of Gold write, by stage; the tables are then what a build from nothing gives."""
    lake.silver()
    done = {report.stage: tuple(report.counts[kind] for kind in COUNTED) for report in lake.gold()}
    assert [report.version for report in lake.gold(full=True)] == [None] * len(MODELS)
    return done


def counts(
    daily: tuple[int, ...], regions: tuple[int, ...], profile: tuple[int, ...], monthly: tuple[int, ...]
) -> object:
    return {
        "gold": daily,
        "dim_region": regions,
        "intensity_profile": profile,
        "carbon_intensity_monthly": monthly,
    }


NOTHING = (0, 0, 0)


@pytest.mark.parametrize("is_local", [True, False], ids=["on one machine", "on a cluster"])
def test_follows_every_change_of_its_source(lake: Lake, monkeypatch: pytest.MonkeyPatch, is_local: bool) -> None:
    monkeypatch.setattr(session, "is_local", lambda: is_local)
    lake.land(response(periods("2024-01-31T23:00", [100, 101, 102]), "2024-02-02T00:00"))
    assert built(lake) == counts((4, 0, 0), (2, 0, 0), (6, 0, 0), (4, 0, 0))
    lake.land(response(periods("2024-02-02T00:00", [110]), "2024-02-03T00:00"))
    assert built(lake) == counts((2, 0, 0), NOTHING, (0, 2, 0), (0, 2, 0))
    lake.land(response(periods("2024-01-31T23:30", [141], [13]), "2024-02-03T01:00"))  # of another month, late
    assert built(lake) == counts((0, 1, 0), NOTHING, (0, 1, 0), (0, 1, 0))
    assert lake.rows(GOLD_MONTHLY, "month", "regionid", "n_days", "n_periods", "intensity_avg") == [
        (date(2024, 1, 1), 12, 1, 2, Decimal("100.50")),
        (date(2024, 1, 1), 13, 1, 2, Decimal("120.50")),
        (date(2024, 2, 1), 12, 2, 2, Decimal("106.00")),
        (date(2024, 2, 1), 13, 2, 2, Decimal("106.00")),
    ]
    assert lake.rows(INTENSITY_PROFILE, "month", "regionid", "half_hour", "n_days", "intensity_avg") == [
        (date(2024, 1, 1), 12, 46, 1, Decimal("100.00")),
        (date(2024, 1, 1), 12, 47, 1, Decimal("101.00")),
        (date(2024, 1, 1), 13, 46, 1, Decimal("100.00")),
        (date(2024, 1, 1), 13, 47, 1, Decimal("141.00")),
        (date(2024, 2, 1), 12, 0, 2, Decimal("106.00")),
        (date(2024, 2, 1), 13, 0, 2, Decimal("106.00")),
    ]
    renamed = region(13, 100, shortname="London and around")
    lake.land(response([period("2024-02-02T00:30", renamed)], "2024-02-04T00:00"))
    assert built(lake) == counts((0, 1, 0), (0, 1, 0), (1, 0, 0), (0, 1, 0))


def test_lets_groups_go_whose_half_hours_are_gone(lake: Lake) -> None:
    """As a replay of the quarantine may delete them: by Silver's own commit, which the change feed tells."""
    lake.land(response(periods("2024-01-31T23:30", [100, 101]), "2024-02-02T00:00"))
    lake.derive()
    with lake.store.with_commit_info(replace(lake.context.commit("silver"), landing=1)):
        lake.sql("DELETE FROM {} WHERE timestamp >= '2024-02-01' OR regionid = 12", SILVER)
    done = [gold_job.build_model(lake.context, model) for model in MODELS]
    assert [report.counts["deleted"] for report in done] == [3, 1, 3, 3]
    with lake.store.with_commit_info(replace(lake.context.commit("silver"), landing=1)):
        lake.sql("DELETE FROM {}", SILVER)
    accepting = replace(lake, accept_loss=True)
    done = [gold_job.build_model(accepting.context, model) for model in MODELS]
    assert [report.counts["deleted"] for report in done] == [1, 1, 1, 1]
    assert [lake.rows(model.table) for model in MODELS] == [[]] * len(MODELS)


def test_reads_no_more_than_the_groups_that_changed(lake: Lake) -> None:
    lake.land(
        response(periods("2023-06-01T00:00", [100] * 3), "2024-02-02T00:00"),
        response(periods("2024-01-31T23:30", [100, 101]), "2024-02-02T00:00"),
    )
    lake.derive()
    lake.land(response(periods("2024-02-01T00:30", [102]), "2024-02-03T00:00"))
    lake.silver()
    looked_at = {report.stage: sum(report.counts.values()) for report in lake.gold()}
    assert looked_at == {"gold": 2, "dim_region": 2, "intensity_profile": 4, "carbon_intensity_monthly": 2}


def test_builds_years_of_changes_a_year_at_a_time(lake: Lake) -> None:
    lake.land(response(periods("2024-02-01T00:00", [100]), "2024-02-02T00:00"))
    lake.land(response(periods("2020-01-02T00:00", [100], [12]), "2024-02-02T00:00"))
    lake.derive()
    for year in (2019, 2020, 2022, 2023):
        lake.land(response(periods(f"{year}-12-31T23:30", [year - 1940, 90]), "2024-02-03T00:00"))
    assert built(lake) == counts((16, 0, 0), NOTHING, (15, 1, 0), (15, 1, 0))


def test_leaves_rows_alone_that_lie_between_batches(lake: Lake) -> None:
    """The days of one year and of the next are built apart; what is between their last and first is not."""
    between = response(periods("2024-01-10T00:00", [100]), "2024-02-02T00:00")
    lake.land(between, *(response(periods(day, [90]), "2024-02-02T00:00") for day in ("2023-01-01", "2024-01-20")))
    lake.derive()
    for day in ("2023-01-01", "2024-01-01", "2024-01-20"):
        lake.land(response(periods(f"{day}T00:30", [80]), "2024-02-03T00:00"))
    assert built(lake)["gold"] == (2, 4, 0)


@pytest.mark.parametrize("seed", range(3))
def test_ends_as_a_build_from_nothing_whatever_came_when(
    lake: Lake, empty_lake: Lake, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    answers = []
    for number in range(6):
        start = at("2023-12-30T22:00") + chance.randrange(200) * HALF_HOUR * chance.choice([1, 7])
        forecasts = [chance.randrange(40, 100) for _ in range(chance.randrange(1, 5))]
        regionids = chance.sample([12, 13, 18], chance.randrange(1, 4))
        said = periods(start.strftime("%Y-%m-%dT%H:%M"), forecasts, regionids)
        answers.append(response(said, f"2024-03-{number + 1:02}T00:00"))
    shuffled = chance.sample(answers, len(answers))
    for first in range(0, len(shuffled), 2):
        lake.land(*shuffled[first : first + 2])
        lake.silver()
        for model in MODELS:
            if chance.random() < 0.6:
                gold_job.build_model(lake.context, model)
    lake.gold()
    whole = empty_lake.copy(tmp_path / "whole")
    whole.land(*answers)
    whole.derive()
    for model in MODELS:
        assert lake.rows(model.table) == whole.rows(model.table)
