"""The commands that the runbook names are there, and end as it says."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.lake.tables import GOLD
from lakehouse.postgres import PostgresTarget
from lakehouse.simulator import ThreadedSimulator
from tests.support.documents import PROJECT
from tests.support.export_fixtures import url_of

PAGES = ("docs/runbook.md", "docs/operations.md")
MEANT = {
    " N": " 1",
    " NAME": " autumn",
    " TABLE": f" {GOLD.name}",
    " A B": " 1 2",
    "2024-06-01": "2023-11-01",
    "/other/lake": "{lake}",
    "sql …": "sql 'SELECT 1'",
    "--debug …": "--debug status",
}
"""What a reader puts in the place of a word that is not meant as it stands."""
NO_TERMINAL = ("psql", "watch", "sql")
"""They go on until somebody ends them, or want a statement; the sentence names them, it does not call them."""
FIRST = ("release create autumn", "export")
"""What the lake must have before."""


def named() -> list[str]:
    """The arguments of every command that stands in a line of text or code, each once, as they stand."""
    found: dict[str, None] = {}
    for page in PAGES:
        for quoted in re.findall(r"`([^`]+)`", (PROJECT / page).read_text()):
            if command := re.search(r"(?:^|\s)lakehouse (.+)$", quoted):
                found[command[1]] = None
    return list(found)


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
    call: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(autumn_lake, lake)
    from datetime import UTC, datetime

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
    ended = {}
    for line in (*FIRST, *lines):
        given = arguments(line, str(lake))
        if given[0] in NO_TERMINAL and len(given) == 1:
            continue
        assert "…" not in line or "…" not in " ".join(given), line
        code, out, err = call(*given, **variables)
        ended[line] = (code, (out + err)[-300:])
    assert {line: end for line, end in ended.items() if end[0] != 0} == {}
