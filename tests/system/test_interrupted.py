"""Commands that are told to end (SIGTERM, a terminal that closes): as at Ctrl-C, a sentence, a row and no rest."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.clock import machine_clock
from lakehouse.history import releases, status
from lakehouse.settings import Settings
from tests.support.lakes import Lake, periods, response
from tests.support.processes import PATIENCE_SECONDS, started, until

pytestmark = pytest.mark.slow
SENTENCE = "error: interrupted; what was committed stays, and the same command goes on from there."


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stage_that_is_told_to_end_says_so_and_is_recorded(
    revised_once: Lake, tmp_path: Path, settings_of: Callable[..., Settings], number: signal.Signals
) -> None:
    lake = revised_once.copy(tmp_path / "lake")
    lake.land(response(periods("2024-01-03T00:00", [100]), "2024-01-03T03:00"))
    settings = settings_of(lake.store.root)
    with started(lake.store.root, "silver") as process:
        assert process.stderr is not None
        while "silver: begins" not in (line := process.stderr.readline()):
            assert line, "it ended before it began"
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert SENTENCE in said
    last = status.last_run(settings)
    assert last is not None
    assert (last["command"], last["status"], last["error"]) == ("silver", "failed", "interrupted")


def test_a_rebuild_that_is_told_to_end_leaves_no_scratch(
    revised_once: Lake, tmp_path: Path, settings_of: Callable[..., Settings]
) -> None:
    lake = revised_once.copy(tmp_path / "lake")
    releases.create(settings_of(lake.store.root), "R1", machine_clock())
    root = Path(lake.store.root)
    with started(lake.store.root, "reproduce", "R1") as process:
        until(lambda: bool(list(root.glob(".reproduce-*"))))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert SENTENCE in said
    assert list(root.glob(".reproduce-*")) == []  # nor a JVM: it would hold the pipe, and the read above its end
