"""Text of others on its way to a table or a terminal: no byte of it is lost, obeyed or unseen."""

import io
import json
import logging

import pytest

from lakehouse import cli
from lakehouse.console_reporter import ConsoleReporter
from lakehouse.messages import console
from lakehouse.messages.text import VisibleFormatter, brief, decoded, storable, visible, without_logins
from tests.support.terminals import Terminal

HARMFUL = "a\x1b[31m\n\t\r\x07\x7f\x9b2J\u202e\u200b\ufeff\u2028\udcff\x00z"
SPELT_OUT = r"a\x1b[31m\n\t\r\x07\x7f\x9b2J\u202e\u200b\ufeff\u2028\udcff\x00z"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HARMFUL, SPELT_OUT),
        ("North Wales & Merseyside", "North Wales & Merseyside"),
        ("café サービス 🎉 a\u00a0b\u3000c", "café サービス 🎉 a\u00a0b\u3000c"),
        ("", ""),
    ],
)
def test_spells_out_what_a_terminal_obeys_or_does_not_show(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"b\xfcro", "büro"),
        ("büro".encode(), "büro"),
        ("停止".encode(), "停止"),
        (b"\xff\xfe\x80", "ÿþ\x80"),
        (b"plain", "plain"),
        (b"", ""),
    ],
)
def test_reads_a_header_of_any_bytes(header: bytes, text: str) -> None:
    assert decoded(header.decode("utf-8", "surrogateescape")) == text


def test_makes_any_text_one_of_unicode() -> None:
    assert storable("a\udcff\ud800é🎉\x00") == "a\\udcff\\ud800é🎉\x00"


def test_shortens_to_one_line() -> None:
    assert brief("  first\nsecond") == "first"
    assert brief("x" * 300, 10) == "x" * 10 + "…"
    assert brief(" \n") == ""


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://jo:s3cret@proxy:3128 said no", "http://***@proxy:3128 said no"),
        ("jo:s3cret@proxy.corp.test:3128", "***@proxy.corp.test:3128"),
        ("url='http://jo:s3@cret@proxy'", "url='http://***@proxy'"),
        ("postgresql://jo:s3/cret@host/db", "postgresql://***@host/db"),
        ("at jo@127.0.0.1:9/db: refused", "at jo@127.0.0.1:9/db: refused"),
        ("2024-01-01T12:00Z me@example.org", "2024-01-01T12:00Z me@example.org"),
        ("write http://USER:PASSWORD@HOST:PORT", "write http://USER:PASSWORD@HOST:PORT"),
    ],
)
def test_shows_no_login_of_an_address(text: str, clean: str) -> None:
    assert without_logins(text) == clean


# --- the places where text leaves


def test_shows_cells_and_names_of_columns_harmlessly() -> None:
    out = io.StringIO()
    console.print_rows([{f"name{HARMFUL}": HARMFUL, "map": {"k": "\x1b"}}], as_json=False, out=out)
    assert out.getvalue() == f"name{SPELT_OUT}\tmap\n{SPELT_OUT}\tk=\\x1b\n"


def test_says_lines_harmlessly() -> None:
    out = io.StringIO()
    console.say(HARMFUL, "second", out=out)
    assert out.getvalue() == f"{SPELT_OUT}\nsecond\n"


@pytest.mark.parametrize("text", [HARMFUL, "café 🎉", "plain"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_gives_exact_json_that_no_terminal_obeys(text: str, encoding: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    console.print_json([{text: text}], out=out)
    out.flush()
    written = raw.getvalue().decode(encoding)
    assert json.loads(written) == [{text: text}]
    assert visible(written.rstrip("\n")) == written.rstrip("\n")


def test_leaves_json_readable_where_it_can() -> None:
    out = io.StringIO()
    console.print_json({"name": "café"}, out=out)
    assert out.getvalue() == '{"name": "café"}\n'


def test_spells_out_what_the_output_cannot_hold() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    console.print_rows([{"name": "café"}], as_json=False, out=out)
    console.say("é", out=out)
    out.flush()
    assert rb"caf\xe9" in raw.getvalue()
    assert raw.getvalue().endswith(b"\\xe9\n")


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_tells_a_run_harmlessly(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    narrator = ConsoleReporter(out, lambda: 0.0)
    narrator.retried("2024", f"http://jo:s3cret@proxy {HARMFUL}", 1.0)
    assert f"http://***@proxy {SPELT_OUT}; again in 1.0 s" in out.getvalue().replace("\n", " ")


def test_complains_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code([HARMFUL]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert SPELT_OUT in said
    assert said.count("\n") == 1


def test_warns_harmlessly() -> None:
    record = logging.LogRecord("x", logging.WARNING, "file", 1, "%s is odd", (HARMFUL,), None)
    assert VisibleFormatter().format(record) == f"{SPELT_OUT} is odd"
