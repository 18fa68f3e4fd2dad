"""Rows for who reads them: what fits a terminal and how, what a pipe gets."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len

from lakehouse.messages import console
from tests.support.terminals import Terminal, seen

MOMENT = datetime(2023, 10, 20, 22, 0, 7, tzinfo=UTC)
RUN_ID = "20261126T024441Z-886c651d"
CHECKSUM = "5f" * 32
Printed = Callable[..., str]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Print rows on a terminal of so many columns; what was written."""

    def made(rows: Sequence[Mapping[str, Any]], columns: int = 80, **options: Any) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        out = Terminal()
        console.print_rows(rows, out=out, **options)
        return out.getvalue()

    return made


def test_writes_fields_with_tabs_between_them_into_a_pipe() -> None:
    out = io.StringIO()
    rows = [
        {"at": MOMENT, "bytes": 18957699, "regions": [12, 13], "why": None, "name": "a\tb\n"},
        {"at": MOMENT, "bytes": 0, "regions": [], "why": "x" * 500, "name": "London"},
    ]
    console.print_rows(rows, out=out, counts=("bytes",), sizes=("bytes",), least=("at",))
    assert out.getvalue().splitlines() == [
        "at\tbytes\tregions\twhy\tname",
        "2023-10-20T22:00:07Z\t18957699\t12, 13\t\ta\\tb\\n",
        f"2023-10-20T22:00:07Z\t0\t\t{'x' * 500}\tLondon",
    ]


def test_keeps_a_pipe_empty_where_there_is_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_rows([])
    assert capsys.readouterr() == ("", "(no rows)\n")


def test_writes_counts_and_sizes_as_people_do_and_whole_minutes_without_seconds(printed: Printed) -> None:
    rows = [{"at": datetime(2024, 1, 2, 3, 30, tzinfo=UTC), "version": 1234, "rows": 314964, "bytes": 18957699}]
    assert seen(printed(rows, counts=("rows",), sizes=("bytes",))) == [
        "at                 version     rows     bytes",
        "─────────────────────────────────────────────",
        "2024-01-02T03:30Z     1234  314,964  18.1 MiB",
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (18957699, "18.1 MiB"),
        (5 * 2**40, "5.0 TiB"),
        (2**51, "2,048.0 TiB"),
    ],
)
def test_gives_sizes_a_unit(number: int, text: str) -> None:
    assert console.size(number) == text


def test_breaks_sentences_between_words_and_nothing_else(printed: Printed) -> None:
    rows = [{"at": MOMENT, "run_id": RUN_ID, "why": "the API said nothing of it, on two days in a row"}]
    shown = seen(printed(rows))
    assert shown[2].startswith(f"2023-10-20T22:00:07Z  {RUN_ID}  the API said")
    assert max(map(len, shown)) <= 80
    assert " ".join(line[49:].strip() for line in shown[2:]) == rows[0]["why"]


def test_leaves_out_the_least_column_and_says_so(printed: Printed) -> None:
    rows = [{"release": "first", "checksum": CHECKSUM, "note": "n" * 20, "created_at": MOMENT}]
    shown = seen(printed(rows, least=("checksum", "note")))
    assert shown[2].split() == ["first", "n" * 20, "2023-10-20T22:00:07Z"]
    assert shown[-1] == "(too narrow for checksum; --json has all)"
    assert seen(printed(rows, 120, least=("checksum", "note")))[2].split()[1] == CHECKSUM


def test_shows_rows_as_blocks_where_no_table_fits(printed: Printed) -> None:
    rows = [{"response": CHECKSUM, "at": MOMENT, "url": f"http://{CHECKSUM}"} for _ in range(2)]
    block = [f"response  {CHECKSUM}", "at        2023-10-20T22:00:07Z", "url", f"  http://{CHECKSUM}"]
    assert seen(printed(rows)) == [*block, "", *block]


def test_makes_sentences_narrow_before_rows_become_blocks(printed: Printed) -> None:
    rows = [{"at": MOMENT, "run_id": RUN_ID, "id": "5f" * 10, "why": "as it was said"}]
    assert [line.split() for line in seen(printed(rows))[2:]] == [
        ["2023-10-20T22:00:07Z", RUN_ID, "5f" * 10, "as", "it", "was"],
        ["said"],
    ]


def test_puts_each_item_of_a_list_on_a_line_of_its_own(printed: Printed) -> None:
    rows = [
        {"regionid": 13, "columns": ["intensity_avg: 297.02 -> 296.65", "fuel_gas: 1 -> 2"]},
        {"regionid": 14, "columns": []},
    ]
    assert [line.split(maxsplit=1) for line in seen(printed(rows))[2:]] == [
        ["13", "intensity_avg: 297.02 -> 296.65"],
        ["fuel_gas:", "1 -> 2"],
        ["14"],
    ]


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
@pytest.mark.parametrize(
    "name",
    [
        "[red]Lon[/]don[bold",
        "\x1b[31mred\x1b[0m",
        "東京" * 30,
        "a b " * 60,
        "x" * 300,
        "\u202eodnoL\n\t",
        "é" * 90,
        "👩‍🚀 " * 30,
    ],
)
def test_never_writes_past_the_edge_whatever_the_names(printed: Printed, columns: int, name: str) -> None:
    written = printed([{"at": MOMENT, name: name, "run_id": RUN_ID}, {"at": None, name: None, "run_id": ""}], columns)
    shown = seen(re.sub(r"\x1b\[[0-9;]*m", "", written))
    assert max(map(cell_len, shown)) <= columns
    if columns >= 80:
        assert "2023-10-20T22:00:07Z" in written
        assert RUN_ID in written
    if columns >= 80 and name.startswith("["):
        assert name in written


def test_colours_marked_values_and_the_words_stay(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"table": "as released", "result": "as released"}, {"table": "x", "result": "DIFFERENT"}]
    marks = {"as released": console.OK, "DIFFERENT": console.FAILURE}
    written = printed(rows, marks=marks)
    assert "\x1b[31mDIFFERENT" in written
    assert "\x1b[32mas released" in written
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    console.print_rows(rows, out=out, marks=marks)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", out.getvalue())
    assert "DIFFERENT" in out.getvalue()


def test_breaks_a_sentence_at_the_edge_but_no_command_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    console.say(f"Run {RUN_ID} stopped early; then do `lakehouse run --full-refresh`, and look at [bold]it.", out=out)
    assert seen(out.getvalue()) == [
        f"Run {RUN_ID} stopped",
        "early; then do",
        "`lakehouse run --full-refresh`, and look",
        "at [bold]it.",
    ]
