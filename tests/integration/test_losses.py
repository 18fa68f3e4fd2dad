"""Tables that hold less than others were made of: refused before anything is deleted, or built anew."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse import cli
from lakehouse.errors import LossError
from lakehouse.lake.tables import BRONZE, GOLD, QUARANTINE, RUNS, SILVER, Table
from lakehouse.pipeline import Run
from lakehouse.run_record import RunReport
from lakehouse.settings import Settings
from lakehouse.transform import gold_job
from lakehouse.transform.models import MODELS, Model
from tests.support.lakes import Lake, period, periods, region, response
from tests.support.made_once import made_once

DERIVED = ("silver", "gold")
EVERY = (SILVER, QUARANTINE, *(model.table for model in MODELS))


def derive(settings: Settings, *wanted: str, accept_loss: bool = False, full: bool = False) -> RunReport:
    run = Run(settings, "run", accept_loss=accept_loss)
    with run.recorded():
        run.transform(wanted or DERIVED, full=full)
    return run.report


@pytest.fixture(scope="module")
def full_once(empty_lake: Lake, settings_of: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two landings, a day each, in Silver and Gold; a piece in quarantine. Only copied."""

    def make(root: Path) -> None:
        made, settings = empty_lake.copy(root), settings_of(str(root))
        made.land(response(periods("2024-01-01T00:00", [100, 101]), "2024-01-01T03:00"))
        derive(settings)
        bad = period("2024-01-02T01:00", region(12, "n/a"), region(13, 103))
        made.land(response([*periods("2024-01-02T00:00", [102, 104]), bad], "2024-01-02T03:00"))
        derive(settings)

    return empty_lake.at(made_once(tmp_path_factory, "full", make))


@pytest.fixture
def full(full_once: Lake, tmp_path: Path) -> Lake:
    return full_once.copy(tmp_path / "lake")


@pytest.fixture
def settings(settings_of: Callable[..., Settings], full: Lake) -> Settings:
    return settings_of(full.store.root)


def folder(lake: Lake, table: Table) -> Path:
    return Path(lake.store.path(table))


def forget_last_commit(lake: Lake, table: Table) -> None:
    """As a backup from before has it."""
    last = f"{lake.context.snapshot(table).version:020}"
    for file in (folder(lake, table) / "_delta_log").glob(f"*{last}*"):
        file.unlink()


def contents(lake: Lake) -> dict[str, object]:
    return {table.name: lake.rows(table, *table.key, *table.values) for table in EVERY}


LOST = {
    "all of Bronze": (lambda lake: shutil.rmtree(folder(lake, BRONZE)), "the landings 1 to 2"),
    "its last commit": (lambda lake: forget_last_commit(lake, BRONZE), "landing 2"),
}


@pytest.mark.parametrize("how", LOST)
def test_refuses_a_bronze_older_than_what_was_made_of_it(full: Lake, settings: Settings, how: str) -> None:
    before, runs = contents(full), full.versions()
    lose, named = LOST[how]
    lose(full)
    there = folder(full, BRONZE).exists()
    for _ in range(2):
        with pytest.raises(LossError, match=f"Bronze at .* lacks {named}, of which Silver was made"):
            derive(settings)
        assert contents(full) == before
        assert folder(full, BRONZE).exists() == there  # nothing is created either
    if there:
        assert full.versions() == {**runs, BRONZE.name: runs[BRONZE.name] - 1}


def test_deletes_what_is_lost_where_that_is_meant_and_goes_on(full: Lake, settings: Settings) -> None:
    forget_last_commit(full, BRONZE)
    derive(settings, accept_loss=True)
    assert [day.day for (day,) in full.rows(GOLD, "date_recorded")] == [1, 1]
    assert derive(settings).status == "ok"  # it is accepted once and for all
    full.land(response(periods("2024-01-03T00:00", [105]), "2024-01-03T03:00"))
    derive(settings)
    assert [day.day for (day,) in full.rows(GOLD, "date_recorded")] == [1, 1, 3, 3]


def test_accepts_a_loss_of_what_others_confirm(full: Lake, settings: Settings) -> None:
    full.land(response(periods("2024-01-02T00:00", [102, 104]), "2024-01-03T03:00"))
    derive(settings)
    forget_last_commit(full, BRONZE)
    with pytest.raises(LossError, match="lacks landing 3"):
        derive(settings)
    before = contents(full)
    derive(settings, accept_loss=True)
    assert contents(full) == before
    assert derive(settings).status == "ok"


def test_gold_refuses_a_silver_older_than_itself(full: Lake, settings: Settings) -> None:
    before = full.rows(GOLD)
    forget_last_commit(full, SILVER)
    with pytest.raises(
        LossError,
        match=r"silver.regional_half_hourly at .* lacks landing 2, of which gold.* was made: run `lakehouse silver`",
    ):
        derive(settings, "gold")
    assert full.rows(GOLD) == before
    derive(settings, "silver")
    derive(settings, "gold")
    assert full.rows(GOLD) == before


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stage)
def test_no_model_is_made_of_less_than_it_was(full: Lake, model: Model) -> None:
    before = full.rows(model.table)
    forget_last_commit(full, model.source)
    with pytest.raises(LossError, match=f"lacks landing 2, of which {model.table.name} was made"):
        gold_job.build_model(full.context, model)
    assert full.rows(model.table) == before
    shutil.rmtree(folder(full, model.source))
    full.store.prepare(model.source)
    with pytest.raises(LossError, match=rf"is empty, and {model.table.name} holds \d rows made of it"):
        gold_job.build_model(full.context, model)
    assert full.rows(model.table) == before
    gold_job.build_model(replace(full, accept_loss=True).context, model)
    assert full.rows(model.table) == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stage)
def test_no_model_loses_more_than_the_share_that_is_set(full: Lake, model: Model) -> None:
    before = full.rows(model.table)
    full.sql("DELETE FROM {} WHERE regionid = 12", model.source)
    context = replace(full.context, max_deleted_share=0.3)
    with pytest.raises(LossError, match=f"{model.table.name} would lose . of its . rows, more than .* 0\\.3"):
        gold_job.build_model(context, model)
    assert full.rows(model.table) == before
    gold_job.build_model(replace(context, max_deleted_share=0.5), model)
    assert {row[0] for row in full.rows(model.table, "regionid")} == {13}


def test_gold_refuses_an_empty_silver(full: Lake, settings: Settings) -> None:
    before = full.rows(GOLD)
    shutil.rmtree(folder(full, SILVER))
    with pytest.raises(LossError, match=r"silver\.regional_.* is empty, and gold\..* holds 4 rows made of it"):
        derive(settings, "gold")
    assert full.rows(GOLD) == before
    derive(settings)
    assert full.rows(GOLD) == before


def test_refuses_to_delete_more_than_the_share_that_is_set(full: Lake, settings: Settings) -> None:
    before = contents(full)
    full.sql("UPDATE {} SET regionid = 18 WHERE regionid = 12", SILVER)  # somebody's mistake
    with pytest.raises(LossError, match=r"gold.carbon_intensity_daily would lose 2 of its 4 rows, more than .* 0\.1"):
        derive(settings, "gold")
    assert contents(full)[GOLD.name] == before[GOLD.name]
    derive(settings, "gold", accept_loss=True)
    assert sorted({row[0] for row in full.rows(GOLD, "regionid")}) == [13, 18]


@pytest.mark.parametrize(
    ("tables", "how"),
    [
        (EVERY, "gone"),
        ((SILVER,), "cut"),
        *(((model.table,), "gone") for model in MODELS),
    ],
    ids=["all gone", "Silver cut", *(f"{model.stage} gone" for model in MODELS)],
)
def test_builds_tables_anew_that_have_lost_a_data_file(
    full: Lake, settings: Settings, tables: tuple[Table, ...], how: str
) -> None:
    before = contents(full)
    for table in tables:
        actions = full.context.snapshot(table).table.get_add_actions(flatten=True)
        file = folder(full, table) / actions["path"][0].as_py()
        if how == "gone":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-1])
    rebuilt = derive(settings)
    assert contents(full) == before
    assert derive(settings).versions == rebuilt.versions


def test_stops_where_bronze_has_lost_a_data_file(full: Lake, settings: Settings) -> None:
    next(folder(full, BRONZE).glob("*.parquet")).unlink()
    before = contents(full)
    with pytest.raises(LossError, match=r"bronze.regional_intensity at .* has lost 1 of its 2 data files \(part-"):
        derive(settings)
    assert contents(full) == before


@pytest.mark.parametrize("table", [BRONZE, SILVER, GOLD, RUNS], ids=lambda table: str(table.name))
def test_what_looks_says_which_tables_have_lost_files(
    full: Lake, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(*arguments: str) -> tuple[int, str, str]:
        code = cli.exit_code(["--root", full.store.root, *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    count = len(list(folder(full, table).glob("*.parquet")))
    next(folder(full, table).glob("*.parquet")).unlink()
    code, out, _ = look("status", "--json")
    found = json.loads(out)
    assert code == 0
    assert [row["table"] for row in found["tables"] if row["lost_files"]] == [table.name]
    assert f"{table.name} has lost 1 of its {count} data file" in look("status")[2]
    code, _, err = look("status", "--check")
    assert code == 3
    assert f"{table.name} has lost 1 of its {count} data file" in err
    assert "holds nothing yet" not in err
    code, out, _ = look("metrics")
    assert code == 0
    assert "lakehouse_table_version" in out


def test_gaps_cannot_be_told_of_a_table_that_has_lost_files(full: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    next(folder(full, SILVER).glob("*.parquet")).unlink()
    assert cli.exit_code(["--root", full.store.root, "gaps"]) == 3
    assert "has lost 1 of its" in capsys.readouterr().err


def test_a_loss_ends_with_the_gates_code(full: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    forget_last_commit(full, BRONZE)
    assert cli.exit_code(["--root", full.store.root, "silver"]) == 3
    assert "lacks landing 2, of which Silver was made" in capsys.readouterr().err
    assert cli.exit_code(["--root", full.store.root, "silver", "--accept-loss"]) == 0
