"""The lowest Spark and Delta that the code runs on: a job through their own ``spark-submit``, in their environment."""

import json
import re
import subprocess
from decimal import ROUND_HALF_UP, Decimal
from urllib.request import urlopen

import pytest

from lakehouse.postgres import PostgresTarget, connect
from lakehouse.simulator import ThreadedSimulator
from lakehouse.spark import jars
from tests.support.documents import PROJECT
from tests.support.export_fixtures import url_of
from tests.support.processes import PATIENCE_SECONDS, PROPERTIES, environment

BIN = PROJECT / ".venv-lowest" / "bin"
VERSIONS = dict(re.findall(r"^([a-z-]+)==(.*)$", (PROJECT / "requirements/lowest.in").read_text(), re.MULTILINE))
SPARK, DELTA = VERSIONS["pyspark"], VERSIONS["delta-spark"]
DRIVER = jars.defaults()[jars.PACKAGES].split(",")[1]
PACKAGES = f"io.delta:delta-spark_{SPARK.rpartition('.')[0]}_2.13:{DELTA},{DRIVER}"


def test_the_document_states_the_bound() -> None:
    document = (PROJECT / "docs/platforms.md").read_text()
    assert f"Spark {SPARK} with Delta {DELTA}" in document
    assert f"--packages {PACKAGES}" in document


@pytest.mark.slow
@pytest.mark.skipif(not BIN.exists(), reason="needs `make setup-lowest`")
def test_a_run_reaches_postgresql(lake_root: str, simulator: ThreadedSimulator, database: PostgresTarget) -> None:
    variables = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "PYTHONPATH": str(PROJECT),
        "SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1",
        "LAKEHOUSE_API__URL": simulator.url,
        "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
        "LAKEHOUSE_POSTGRES__URL": url_of(database),
    }
    run = ("jobs/run.py", "--from", "2024-01-02", "--to", "2024-01-04", "--json")
    done = subprocess.run(
        [BIN / "spark-submit", *PROPERTIES, "--packages", PACKAGES, *run],
        cwd=PROJECT,
        env=environment(lake_root, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    inserted = {stage["stage"]: stage["counts"].get("inserted") for stage in json.loads(done.stdout)["stages"]}
    assert inserted == {
        **{"bronze": 1, "silver": 96 * 18, "gold": 2 * 18, "dim_region": 18},
        **{"intensity_profile": 48 * 18, "carbon_intensity_monthly": 18, "export": 2 * 18},
    }
    with connect(database) as connection:
        of_london = connection.exec_driver_sql(
            "SELECT intensity_avg FROM carbon_data.carbon_intensity_daily WHERE regionid = 13 ORDER BY date_recorded"
        )
        assert [row[0] for row in of_london] == [mean_of_london(simulator, day) for day in ("02", "03")]


def mean_of_london(simulator: ThreadedSimulator, day: str) -> Decimal:
    """What the API's 48 forecasts of a day come to."""
    window = f"2024-01-{day}T00:30Z/2024-01-{int(day) + 1:02}T00:00Z"
    with urlopen(f"{simulator.url}/regional/intensity/{window}") as answer:
        periods = json.load(answer)["data"]
    found = [
        region["intensity"]["forecast"]
        for period in periods
        for region in period["regions"]
        if region["regionid"] == 13 and period["from"].startswith(f"2024-01-{day}")
    ]
    assert len(found) == 48
    return (Decimal(sum(found)) / len(found)).quantize(Decimal("0.01"), ROUND_HALF_UP)
