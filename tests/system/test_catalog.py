"""Spark's own ``spark-sql`` asks for the lake's tables by name: a process of its own, without our package."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.lake import catalog
from lakehouse.settings import Settings
from lakehouse.spark import jars
from tests.support.documents import PROJECT
from tests.support.lakes import Lake
from tests.support.processes import PATIENCE_SECONDS, SUBMIT, environment

DOCUMENTED = re.search(r"^```properties\n(.*?)^```$", (PROJECT / "docs/catalog.md").read_text(), re.M | re.S)
ASKED = """
SELECT intensity_avg FROM gold.carbon_intensity_daily VERSION AS OF 1 WHERE regionid = 13;
SELECT intensity_avg FROM gold.carbon_intensity_daily WHERE regionid = 13;
SELECT min(date_recorded) FROM gold.carbon_intensity_daily;
SELECT count(*) FROM ops.runs;
DROP TABLE gold.dim_region;
DROP DATABASE gold CASCADE;
SHOW DATABASES;
"""


def spark_sql(folder: Path, script: str) -> list[str]:
    """The lines of a script's answers, with the documented settings; the pinned jars spare a look-up by Ivy."""
    assert DOCUMENTED is not None
    (folder / "reader.conf").write_text(DOCUMENTED[1])
    (folder / "script.sql").write_text(script)
    pinned = ",".join(map(str, jars.local()))
    done = subprocess.run(
        [
            SUBMIT.with_name("spark-sql"),
            *("--properties-file", "reader.conf", "--jars", pinned, "--conf", f"{jars.PACKAGES}="),
            *("--master", "local[1]", "-f", "script.sql"),
        ],
        cwd=folder,
        env=environment(
            "none", PATH=f"{SUBMIT.parent}:{os.environ['PATH']}", SPARK_SUBMIT_OPTS="-XX:TieredStopAtLevel=1"
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_document_names_the_pinned_delta() -> None:
    assert DOCUMENTED is not None
    named = jars.properties(DOCUMENTED[1])[jars.PACKAGES]
    assert named in jars.defaults()[jars.PACKAGES].split(",")


@pytest.mark.slow
def test_spark_sql_reads_versions_by_name_and_drops_no_file(
    revised_once: Lake, settings_of: Callable[..., Settings], tmp_path: Path
) -> None:
    root = tmp_path / "it's a lake"
    revised_once.copy(root)
    before = sorted(root.rglob("*"))
    names = catalog.script(settings_of(str(root)), "spark")
    assert spark_sql(tmp_path, names + names + ASKED) == [
        *("101.33", "117.67", "2024-01-01", "2"),
        *("bronze", "default", "ops", "silver"),
    ]
    assert sorted(root.rglob("*")) == before
    assert (tmp_path / "metastore_db").is_dir()
