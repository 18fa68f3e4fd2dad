"""A lake of all regions in the autumn of the outage, with recent half-hours revised, for the tests of pages."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.pipeline import Run
from lakehouse.settings import Settings
from lakehouse.simulator import Simulator, run_in_thread
from tests.support.made_once import made_once
from tests.support.times import at


@pytest.fixture(scope="session")
def autumn_lake(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, settings_of: Callable[..., Settings]
) -> Path:
    """2023-10-15 to 2023-11-05, nothing of 10-21; half a day later once more (lake version 2). Only read."""

    def make(root: Path) -> None:
        chosen = settings_of(str(root))
        with run_in_thread(Simulator(seed=42, now=datetime(2023, 11, 5, tzinfo=UTC))) as api:
            chosen = chosen.model_copy(
                update={"api": chosen.api.model_copy(update={"url": api.url, "requests_per_second": 0.0})}
            )
            for start, now in ((at("2023-10-15"), api.now), (None, datetime(2023, 11, 5, 12, tzinfo=UTC))):
                api.now = now
                run = Run(chosen, "run")
                with run.recorded():
                    run.fetch(start, None)
                    run.transform(("silver", "gold"))

    return made_once(tmp_path_factory, "autumn", make)
