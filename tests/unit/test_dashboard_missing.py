"""The dashboard without the extra that it needs."""

import sys

import pytest

from lakehouse.cli import exit_code


def test_says_how_to_install_streamlit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "streamlit", None)
    assert exit_code(["dashboard"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "error: The dashboard needs Streamlit, which is not installed: run `make setup EXTRAS=dashboard`, or `pip "
        "install '.[dashboard]'` in an environment of your own.\n"
    )
