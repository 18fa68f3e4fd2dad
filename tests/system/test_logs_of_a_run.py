"""The log of a run in a process of its own: Spark's warnings in the file, and nothing on the terminal."""

import json
from pathlib import Path

from tests.support.lakes import Lake
from tests.support.processes import lakehouse


def test_has_spark_s_warnings_with_run_and_stage_and_leaves_the_terminal_to_people(
    revised_once: Lake, tmp_path: Path
) -> None:
    lake = revised_once.copy(tmp_path / "lake")
    file = tmp_path / "lake.log"
    done = lakehouse(lake.store.root, "gold", "--full-refresh", "--quiet", LAKEHOUSE_LOG__FILE=str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    of_spark = [line for line in lines if line["logger"].startswith("org.apache.spark.")]
    assert {line["level"] for line in of_spark} == {"warning"}
    assert of_spark[0]["stage"] == "gold"
    assert len({line["run_id"] for line in lines}) == 1
    assert lines[0]["run_id"] in lines[0]["event"]
    events = [line["event"] for line in lines if line["logger"] == "lakehouse.pipeline"]
    assert events[1:] == [*["stage begins", "stage ended"] * 4, "run ended"]
