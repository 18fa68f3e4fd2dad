"""Real commands at real terminals of 80 and of 120 columns, and in pipes, on a lake with strange and long names."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from lakehouse.clock import machine_clock
from lakehouse.history import releases
from lakehouse.settings import Settings
from tests.support.lakes import Lake, period, region, response
from tests.support.made_once import made_once
from tests.support.processes import LAKEHOUSE, environment, lakehouse
from tests.support.revised_lake import derived
from tests.support.terminals import CONTROL, on_terminal, seen

LONG = "[red]" + "London and all of the south east of it, " * 2
STRANGE = "\x1b[31mred\u202e東京"
TOKEN = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z|\d{8}T\d{6}Z-[0-9a-f]{8}|[0-9a-f]{64}")
"""Times, ids of runs, checksums."""
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]")
LOOKS = (
    "status",
    "gaps --from 2024-01-01 --to 2024-01-03",
    "history gold.carbon_intensity_daily",
    "diff gold.carbon_intensity_daily 1 3",
    "diff gold.dim_region 1 2",
    "quarantine list",
    "release list",
    "release show first",
    "maintain --dry-run",
)


@pytest.fixture(scope="module")
def lake(
    revised_once: Lake, tmp_path_factory: pytest.TempPathFactory, settings_of: Callable[..., Settings]
) -> Settings:
    """The revised lake, to which a later answer gives odd names, and a release of it. Only looked at."""

    def make(root: Path) -> None:
        made, settings = revised_once.copy(root), settings_of(str(root))
        odd = [
            period("2024-01-02T00:00", region(12, 90, shortname=LONG), region(13, 100, shortname=STRANGE)),
            period("2024-01-02T00:30", region(12, 90, shortname=LONG), region(13, "n/a" * 50, shortname=STRANGE)),
        ]
        made.land(response(odd, "2024-01-03T00:00"))
        derived(settings)
        releases.create(settings, "first", machine_clock(), note="a note that is rather long, " * 4)

    return settings_of(str(made_once(tmp_path_factory, "odd-names", make)))


def fits(written: str, columns: int) -> None:
    """No line is wider than the terminal, but for one word that is; no time and no id is cut."""
    lines = seen(written)
    wide = [line for line in lines if cell_len(line) > columns and " " in line.strip()]
    assert wide == []
    assert "\u202e" not in written
    for piece in re.findall(r"\b(?:\d{4}-\d\d-\d\dT|\d{8}T\d)[\w:.-]*", "\n".join(lines)):
        assert TOKEN.fullmatch(piece.rstrip(":.")), piece


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("line", LOOKS)
def test_fits_the_terminal(lake: Settings, line: str, columns: int) -> None:
    code, written = on_terminal(lake.root, *line.split(), columns=columns)
    assert code == 0, written
    fits(written, columns)
    assert [found for found in CONTROL.finditer(written) if found[2] not in "mKAhl"] == []


def test_says_the_same_whatever_the_width(lake: Settings) -> None:
    code, narrow = on_terminal(lake.root, "history", "gold.carbon_intensity_daily", columns=80)
    _, wide = on_terminal(lake.root, "history", "gold.carbon_intensity_daily", columns=120)
    assert code == 0
    assert TOKEN.findall(narrow) == TOKEN.findall(wide) != []
    assert "(too narrow for stage" in narrow
    assert "too narrow" not in wide


@pytest.mark.parametrize("line", LOOKS)
def test_writes_one_line_a_row_into_a_pipe(lake: Settings, line: str) -> None:
    done = lakehouse(lake.root, *line.split())
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    if line != "release show first":
        for table in done.stdout.strip("\n").split("\n\n"):  # an empty line stands between two
            assert len({row.count("\t") for row in table.splitlines()}) == 1


def test_colours_only_where_it_is_wanted(lake: Settings) -> None:
    assert COLOUR.search(on_terminal(lake.root, "history", "tin", columns=80)[1])
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, written = on_terminal(lake.root, "history", "tin", columns=80, **variables)
        assert code == 2
        assert not COLOUR.search(written)
        assert "error: There is no table 'tin'" in " ".join(seen(written))


def test_shows_that_spark_works_and_takes_it_away(lake: Settings) -> None:
    code, written = on_terminal(lake.root, "sql", "SELECT shortname FROM gold.dim_region", columns=80)
    assert code == 0, written
    assert re.search(r"\x1b\[2Ksql .*━", written)
    lines = seen(written)
    assert lines[0].strip() == "shortname"
    assert not any("━" in line for line in lines)
    assert "incubator" not in written


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("explain --region 1", {"1", *map(str, range(10, 19))}),
        ("explain --region L", {"London"}),
        ("revisions --region S", {"Scotland"}),
        ("history gold.d", {"gold.dim_region"}),
        ("release verify ", {"first"}),
        ("restore f", {"first"}),
        ("sql --at f", {"first"}),
        ("export --release ", {"first"}),
        ("quarantine list --reason forecast_p", {"forecast_plausible"}),
        ("rel", {"release"}),
        ("release create ", set()),
    ],
)
def test_completes_in_a_shell(lake: Settings, typed: str, offered: set[str]) -> None:
    script = subprocess.run(
        ["bash", "--norc", "-c", f'source <("{LAKEHOUSE}" --show-completion bash); complete -p lakehouse'],
        env=environment(lake.root, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "complete -o default -F" in script.stdout, script.stderr
    words = ["lakehouse", *typed.split(" ")]
    variables = {"_LAKEHOUSE_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words)}
    done = lakehouse(lake.root, **variables, COMP_CWORD=str(len(words) - 1))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == offered


def test_completes_nothing_where_there_is_no_lake(tmp_path: Path) -> None:
    variables = {
        "_LAKEHOUSE_COMPLETE": "complete_bash",
        "COMP_WORDS": "lakehouse --env moon restore f",
        "COMP_CWORD": "4",
    }
    done = lakehouse(str(tmp_path), **variables)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
