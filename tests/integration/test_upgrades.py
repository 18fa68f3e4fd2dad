"""A lake that an older release wrote opens in a newer one, and what that adds is filled from Bronze."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_log, upgrades
from lakehouse.lake.store import Store
from lakehouse.lake.tables import DIM_REGION, GOLD, GOLD_MONTHLY, SILVER, Column, Table
from lakehouse.lake.upgrades import Addition, Upgrade
from lakehouse.postgres import PostgresTarget, connect
from lakehouse.publishing import migrations
from tests.conftest import PROJECT
from tests.support.lakes import MIX, Lake, period, region, response

STORAGE = Column("fuel_storage", "DECIMAL(5,2)", "Share from storage", nullable=True)
NEWER = replace(SILVER, schema=2, columns=(*SILVER.columns[:15], STORAGE, *SILVER.columns[15:]))
STEPS = (Upgrade(SILVER.name, 2, ("fuel_storage",), "the API states storage"),)


def test_finds_what_has_to_be_added() -> None:
    assert upgrades.additions(SILVER, 1, SILVER.column_names) == ()
    assert upgrades.additions(NEWER, 1, SILVER.column_names, STEPS) == (Addition(STORAGE, "fuel_wind"),)
    # a run died after the column was there and before the number was
    assert upgrades.additions(NEWER, 1, NEWER.column_names, STEPS) == ()


@pytest.mark.parametrize(
    ("table", "found", "steps", "sentence"),
    [
        (SILVER, 2, (), r"was written by a newer release .* number 2, this release knows 1\): update the package\."),
        (NEWER, 1, (), r"lacks fuel_storage, and no upgrade leads from it to this release: start a new root"),
        (replace(SILVER, schema=2), 1, (), r"has declaration 1, and no upgrade leads from it"),
        (
            replace(NEWER, columns=tuple(replace(column, nullable=False) for column in NEWER.columns)),
            1,
            STEPS,
            "lacks fuel_storage",
        ),
    ],
)
def test_says_what_to_do_where_no_upgrade_leads(
    table: Table, found: int, steps: tuple[Upgrade, ...], sentence: str
) -> None:
    with pytest.raises(LakehouseError, match=sentence):
        upgrades.additions(table, found, SILVER.column_names, steps)


def test_refuses_a_lake_of_a_newer_release(lake: Lake) -> None:
    lake.sql("ALTER TABLE {} SET TBLPROPERTIES ('lakehouse.schema' = '7')", DIM_REGION)
    with pytest.raises(LakehouseError, match=r"gold\.dim_region was written by a newer release"):
        Store(lake.store.spark, lake.store.root).ensure(DIM_REGION)


RUN = "from lakehouse.cli import main; main()"
MIGRATION = """\
ALTER TABLE carbon_data.carbon_intensity_daily ADD COLUMN fuel_storage DECIMAL(10, 2);
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_storage IS 'Mean share from storage, percent';
ALTER TABLE carbon_data.staging_carbon_intensity_daily ADD COLUMN fuel_storage DECIMAL(10, 2);
ALTER TABLE carbon_data.carbon_intensity_monthly ADD COLUMN fuel_storage DECIMAL(10, 2);
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_storage IS 'Mean share from storage, percent';
ALTER TABLE carbon_data.staging_carbon_intensity_monthly ADD COLUMN fuel_storage DECIMAL(10, 2);
"""


def next_release(place: Path) -> Path:
    """This package as its next release might be: it knows a tenth fuel."""
    for name in ("lakehouse", "sql", "conf"):
        shutil.copytree(PROJECT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "spark-defaults.conf", place)
    os.symlink(PROJECT / ".cache", place / ".cache")
    tables, steps = place / "lakehouse" / "lake" / "tables.py", place / "lakehouse" / "lake" / "upgrades.py"
    declared = tables.read_text().replace("LATER_FUELS: tuple[str, ...] = ()", 'LATER_FUELS = ("storage",)')
    for name in (SILVER.name, GOLD.name, GOLD_MONTHLY.name):
        declared = declared.replace(f'    name="{name}",\n', f'    name="{name}",\n    schema=2,\n')
    tables.write_text(declared)
    adding = "".join(f'Upgrade("{table.name}", 2, ("fuel_storage",), "new"),' for table in (SILVER, GOLD, GOLD_MONTHLY))
    steps.write_text(steps.read_text().replace("Upgrade, ...] = (", f"Upgrade, ...] = ({adding}"))
    number = len(list((place / "sql" / "migrations").glob("*.sql"))) + 1
    (place / "sql" / "migrations" / f"{number:04}_fuel_storage.sql").write_text(MIGRATION)
    return place


@pytest.mark.slow
def test_carries_a_new_fuel_from_bronze_to_postgresql(
    lake: Lake,
    tmp_path: Path,
    database: PostgresTarget,
) -> None:
    with_storage = {**MIX, "wind": 19, "storage": 1}
    lake.land(
        response([period("2024-01-02T12:00", region(13, mix=with_storage), region(12))], "2024-01-03"),
        response([period("2024-01-02T12:30", region(13, mix={**with_storage, "storage": 1.5}))], "2024-01-03"),
    )
    lake.derive()
    assert sorted(lake.rows(SILVER, "extra"), key=str) == [
        ('{"generationmix":{"storage":{"perc":1.5}}}',),
        ('{"generationmix":{"storage":{"perc":1}}}',),
        (None,),
    ]
    migrations.migrate(database)

    release = next_release(tmp_path / "next")
    address = f"postgresql://{database.user}:{database.password or ''}@{database.address}/{database.database}"
    environment = {**os.environ, "PYTHONPATH": str(release), "LAKEHOUSE_ROOT": lake.store.root}
    done = subprocess.run(
        [sys.executable, "-c", RUN, "run", "--stages", "silver,gold,export"],
        cwd=release,
        env={**environment, "LAKEHOUSE_POSTGRES__URL": address},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    silver, gold = (delta_log.open_table(lake.store.path(table)) for table in (SILVER, GOLD))
    assert silver is not None
    assert gold is not None
    assert silver.column_names == NEWER.column_names
    rows = silver.rows(["regionid", "fuel_storage", "extra"]).to_pylist()
    assert sorted((tuple(row.values()) for row in rows), key=str) == [
        (12, None, None),
        (13, Decimal("1.00"), None),
        (13, Decimal("1.50"), None),
    ]
    days = gold.rows(["regionid", "fuel_storage", "fuel_wind"]).to_pylist()
    assert sorted(tuple(row.values()) for row in days) == [
        (12, None, Decimal("20.00")),
        (13, Decimal("1.25"), Decimal("19.00")),
    ]
    months = (
        lake.context.snapshot(GOLD_MONTHLY).rows(["regionid", "n_periods", "fuel_storage", "fuel_wind"]).to_pylist()
    )
    assert sorted(tuple(row.values()) for row in months) == [
        (12, 1, None, Decimal("20.00")),
        (13, 2, Decimal("1.25"), Decimal("19.00")),
    ]
    with connect(database) as connection:
        published = connection.exec_driver_sql(
            "SELECT regionid, fuel_storage, fuel_wind FROM carbon_data.carbon_intensity_daily ORDER BY 1"
        ).all()
    assert [tuple(row) for row in published] == [
        (12, None, Decimal("20.00")),
        (13, Decimal("1.25"), Decimal("19.00")),
    ]
    old = lake.store.read(SILVER, 1)
    assert tuple(old.columns) == SILVER.column_names
    assert old.count() == 3
    with pytest.raises(LakehouseError, match=r"silver\.regional_half_hourly was written by a newer release"):
        lake.store.ensure(SILVER)
