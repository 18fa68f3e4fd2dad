"""The commands that the runbook names are there, and end as it says."""

import re
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.lake.tables import GOLD
from lakehouse.postgres import PostgresTarget
from lakehouse.simulator import ThreadedSimulator
from tests.support.calls import Call
from tests.support.documents import PROJECT
from tests.support.export_fixtures import url_of

PAGES = ("docs/runbook.md", "docs/operations.md")
MEANT = {
    " N": " 1",
    " NAME": " autumn",
    " TABLE": f" {GOLD.name}",
    " A B": " 1 2",
    "--from DAY --to DAY": "--from 2023-10-20 --to 2023-10-22",
    "2024-06-01": "2023-11-01",
    "/other/lake": "{lake}",
    "/var/lib/node_exporter/textfile": "{lake}",
    "sql …": "sql 'SELECT 1'",
    "--debug …": "--debug status",
}
"""What a reader puts in the place of a word that is not meant as it stands."""
NOT_CALLED = ("psql", "watch", "sql", "…", "metrics --textfile")
"""They go on until somebody ends them, or are named without what they need."""
FIRST = ("release create autumn", "export")
"""What the lake must have before."""


def named() -> list[str]:
    """The arguments of every command in a sentence or a block of code, each once, as they stand."""
    found: dict[str, None] = {}
    for page in PAGES:
        text = (PROJECT / page).read_text()
        blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        sentences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        quoted = (" ".join(each.split()) for each in re.findall(r"`([^`]+)`", sentences))
        for each in (*quoted, *(re.sub(r"\s+#.*", "", line) for line in blocks.splitlines())):
            if command := re.search(r"(?:^|\s)lakehouse ([a-z-].*)$", each):
                found[command[1].strip()] = None
    return [line for line in found if line not in NOT_CALLED and not line.startswith("watch ")]


def arguments(line: str, lake: str) -> list[str]:
    for word, meaning in MEANT.items():
        line = re.sub(re.escape(word) + r"(?![\w.])", meaning.format(lake=lake), line)
    return shlex.split(line)


@pytest.mark.timeout(600)
def test_each_command_of_the_runbook_does_what_it_is_named_for(
    spark: SparkSession,
    autumn_lake: Path,
    simulator: ThreadedSimulator,
    database: PostgresTarget,
    call: Call,
    tmp_path: Path,
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(autumn_lake, lake)
    simulator.now = datetime(2023, 11, 5, 12, tzinfo=UTC)
    variables = {
        "LAKEHOUSE_ROOT": str(lake),
        "LAKEHOUSE_API__URL": simulator.url,
        "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0",
        "LAKEHOUSE_POSTGRES__URL": url_of(database),
        "LAKEHOUSE_WATCH__PORT": "0",
    }
    lines = named()
    assert len(lines) > 20
    wrong = {}
    for line in (*FIRST, *lines):
        code, out, err = call(*arguments(line, str(lake)), **variables)
        if code != 0:  # the clock of a simulated lake is the simulator's, so it is fresh
            wrong[line] = (code, (out + err)[-300:])
    assert wrong == {}
