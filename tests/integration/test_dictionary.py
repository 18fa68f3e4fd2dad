"""The tables are what the declaration says, and the data dictionary says the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from lakehouse import data_dictionary
from lakehouse.lake.tables import DIM_REGION, TABLES, Table
from tests.support.lakes import Lake


def test_keeps_the_data_dictionary_up_to_date() -> None:
    said = data_dictionary.PLACE.read_text(encoding="utf-8")
    assert said == data_dictionary.text(), (
        "docs/data-dictionary.md is stale: run .venv/bin/python -m lakehouse.data_dictionary"
    )


def test_says_what_every_column_means() -> None:
    page = data_dictionary.text()
    assert "| `intensity_forecast` | INT | no | Forecast carbon intensity, gCO2/kWh |" in page
    assert "| `mix_is_whole` | quarantine | percent, 100 within 0.5 |" in page
    assert "| 13 | London | UKPN London | dno_region | 15 |" in page
    assert "The nine `fuel_*` means of a day sum to 99.9 to 100.1" in page
    assert "its view `monthly`, which are exact: of the half-hours, rounded once" in page
    assert all(column.comment.strip() for table in TABLES for column in table.columns)


def logged(lake: Lake, table: Table) -> dict[str, Any]:
    """What version 0 of a table says of itself, straight from Delta's log."""
    file = Path(lake.store.path(table)) / "_delta_log" / f"{0:020}.json"
    (metadata,) = [json.loads(line)["metaData"] for line in file.read_text().splitlines() if "metaData" in line]
    return dict(metadata)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_creates_each_table_as_declared_in_one_commit(empty_lake: Lake, table: Table) -> None:
    assert empty_lake.context.snapshot(table).version == 0
    found = logged(empty_lake, table)
    assert found["description"] == table.comment
    fields = json.loads(found["schemaString"])["fields"]
    assert [(field["name"], field["nullable"], field["metadata"]["comment"]) for field in fields] == [
        (column.name, column.nullable, column.comment) for column in table.columns
    ]
    properties = found["configuration"]
    assert properties["delta.appendOnly"] == (
        "true" if table.name in ("bronze.regional_intensity", "ops.runs") else "false"
    )
    assert {
        "delta.enableChangeDataFeed": "true",
        "delta.enableInCommitTimestamps": "false" if table.name == "ops.runs" else "true",
        "delta.enableDeletionVectors": "false",
        "delta.checkpointPolicy": "classic",
        "delta.checkpointInterval": "100",
        "delta.deletedFileRetentionDuration": "interval 36500 days",
        "delta.logRetentionDuration": "interval 36500 days",
        "lakehouse.schema": "2" if table.name == "ops.runs" else "1",
    }.items() <= properties.items()
    constraints = {
        name.removeprefix("delta.constraints.") for name in properties if name.startswith("delta.constraints.")
    }
    assert constraints == set(table.checks)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} SELECT 19, 'x', 'x', 'gb', NULL",
        "INSERT INTO {} SELECT NULL, 'x', 'x', 'gb', NULL",
        "INSERT INTO {} SELECT 1, NULL, 'x', 'gb', NULL",
        "INSERT INTO {} SELECT 1, 'x', 'x', 'continent', NULL",
    ],
)
def test_refuses_rows_that_break_a_constraint(empty_lake: Lake, statement: str) -> None:
    with pytest.raises(
        (PySparkException, Py4JJavaError), match=r"DELTA_(VIOLATE_CONSTRAINT|NOT_NULL_CONSTRAINT)|NOT_NULL"
    ):
        empty_lake.sql(statement, DIM_REGION)
    assert empty_lake.context.snapshot(DIM_REGION).version == 0
