"""Small lakes for the tests of Silver and Gold: literal answers of the API, landed as the product lands them."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.ingestion.bronze import Response, inspect_payload
from lakehouse.ingestion.ingest import ARROW
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, TABLES, Table
from lakehouse.run_context import RunContext, StageReport
from lakehouse.transform import gold_job, silver_job
from lakehouse.transform.models import MODELS
from lakehouse.transform.silver_job import Contract
from lakehouse.windows import Window
from tests.support.made_once import made_once
from tests.support.times import at

SOURCE = "simulator:seed=42"
HALF_HOUR = timedelta(minutes=30)
NAMES = {12: ("SSE South", "South England"), 13: ("UKPN London", "London"), 18: ("GB", "GB")}
MIX = {
    **{"biomass": 1.2, "coal": 0, "imports": 10, "gas": 40.3, "nuclear": 20},
    **{"other": 0, "hydro": 0.5, "solar": 8, "wind": 20},
}


def slot_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def region(regionid: int, forecast: Any = 100, mix: Mapping[str, Any] = MIX, **changed: Any) -> dict[str, Any]:
    """What an answer says of a region; a label that fits 2024 unless told."""
    dno, name = NAMES.get(regionid, ("Nowhere", "Nowhere"))
    label = "moderate" if isinstance(forecast, int) and forecast > 109 else "low"
    return {
        "regionid": regionid,
        "dnoregion": dno,
        "shortname": name,
        "intensity": {"forecast": forecast, "index": label},
        "generationmix": [{"fuel": fuel, "perc": perc} for fuel, perc in mix.items()],
        **changed,
    }


def period(start: str | datetime, *regions: Any, **more: Any) -> dict[str, Any]:
    first = at(start) if isinstance(start, str) else start
    return {"from": slot_text(first), "to": slot_text(first + HALF_HOUR), "regions": list(regions), **more}


def periods(start: str, forecasts: Sequence[int], regionids: Sequence[int] = (12, 13)) -> list[dict[str, Any]]:
    """Half-hours from ``start`` on, one for each forecast, the same for every region."""
    first = at(start)
    return [
        period(first + number * HALF_HOUR, *(region(regionid, forecast) for regionid in regionids))
        for number, forecast in enumerate(forecasts)
    ]


def response(
    said: Sequence[Any], received: str, window: tuple[str, str] | None = None, padding: int = 0, **more: Any
) -> Response:
    """An answer that holds these periods, received at a time; its window is exactly theirs unless told."""
    body = json.dumps({"data": list(said), **more}).encode() + b" " * padding
    if window is not None:
        asked = Window(at(window[0]), at(window[1]))
    else:
        ends = [datetime.fromisoformat(one["to"]) for one in said]
        asked = Window(min(ends), max(ends))
    return Response(body=body, window=asked, received_at=at(received), contents=inspect_payload(body))


@dataclass(frozen=True)
class Lake:
    """A lake and the run that works on it."""

    store: Store
    run_id: str = "test"
    accept_loss: bool = False

    @property
    def context(self) -> RunContext:
        return RunContext(self.store, self.run_id, "0.1", "hash", accept_loss=self.accept_loss)

    def land(self, *responses: Response) -> None:
        """All of them in one landing."""
        landings = self.context.snapshot(BRONZE).rows(["landing"]).column("landing").to_pylist()
        landing = max(landings, default=0) + 1
        rows = [each.row(source=SOURCE, landing=landing, run_id=self.run_id) for each in responses]
        frame = self.store.spark.createDataFrame(pa.Table.from_pylist(rows, ARROW)).coalesce(1)
        self.store.append(frame, BRONZE, self.context.commit("bronze", landing=landing))

    def silver(self, **options: Any) -> StageReport:
        return silver_job.build_silver(self.context, **options)

    def gold(self, **options: Any) -> list[StageReport]:
        """Every Gold table."""
        return [gold_job.build_model(self.context, model, **options) for model in MODELS]

    def derive(self, *, contract: Contract | None = None, **options: Any) -> list[StageReport]:
        """Silver and every Gold table."""
        return [self.silver(contract=contract, **options), *self.gold(**options)]

    def versions(self) -> dict[str, int]:
        return {table.name: self.context.snapshot(table).version for table in TABLES}

    def rows(self, table: Table, *columns: str) -> list[tuple[Any, ...]]:
        """The columns of every row, sorted."""
        found = self.context.snapshot(table).rows(columns or table.column_names).to_pylist()
        return sorted((tuple(row.values()) for row in found), key=str)

    def sql(self, text: str, *tables: Table) -> None:
        """A statement on tables by their paths, ``{}`` for each."""
        self.store.spark.sql(text.format(*(f"delta.`{self.store.path(table)}`" for table in tables)))

    def copy(self, to: Path) -> "Lake":
        shutil.copytree(self.store.root, to)
        return self.at(to)

    def at(self, root: Path) -> "Lake":
        """The lake that is there already."""
        return Lake(Store(self.store.spark, str(root)), self.run_id)


@pytest.fixture(scope="session")
def empty_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """An empty lake that is only ever copied."""
    place = made_once(tmp_path_factory, "empty", lambda root: Store(spark, str(root)).ensure(*TABLES))
    return Lake(Store(spark, str(place)))


@pytest.fixture
def lake(empty_lake: Lake, tmp_path: Path) -> Lake:
    """A lake of the test's own, every table there, no row in it."""
    return empty_lake.copy(tmp_path / "lake")


@pytest.fixture
def empty_root(lake: Lake) -> str:
    """Where a lake of the test's own stands, for tests of which making the tables is no part."""
    return lake.store.root
