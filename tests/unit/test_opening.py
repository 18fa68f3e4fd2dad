"""A session that opens beside other work: opened once, waited for, and no failure is left unread."""

import logging
import threading

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.spark import session
from lakehouse.spark.opening import SessionOpener


def test_opens_nothing_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "open_session", lambda _: pytest.fail("it was opened"))
    with SessionOpener():
        pass


def test_opens_in_a_thread_and_then_for_the_thread_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    opened_by: list[str] = []

    def open_session(options: object) -> str:
        opened_by.append("main" if threading.current_thread() is threading.main_thread() else "another")
        return f"session with {options}"

    monkeypatch.setattr(session, "open_session", open_session)
    with SessionOpener({"spark.x": "1"}) as spark:
        spark.begin()
        spark.begin()
        assert [spark(), spark()] == ["session with {'spark.x': '1'}"] * 2
    assert opened_by == ["another", "main"]


def test_waits_for_an_opening_that_is_under_way_whatever_ends_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    may_open, is_open = threading.Event(), threading.Event()

    def open_session(_: object) -> None:
        may_open.wait(30)
        is_open.set()

    monkeypatch.setattr(session, "open_session", open_session)

    def interrupted() -> None:
        with SessionOpener() as spark:
            spark.begin()
            may_open.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert is_open.is_set()


def refuse(_: object) -> None:
    raise LakehouseError("No JDK.")


def test_raises_why_it_cannot_be_opened_for_who_asks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "open_session", refuse)
    with SessionOpener() as spark:
        spark.begin()
        with pytest.raises(LakehouseError, match=r"No JDK\."):
            spark()
    assert caplog.records == []


def test_logs_a_failure_that_nobody_was_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "open_session", refuse)
    with caplog.at_level(logging.WARNING), SessionOpener() as spark:
        spark.begin()
    assert caplog.messages == ["Spark could not be opened, and nothing has needed it yet: No JDK."]
