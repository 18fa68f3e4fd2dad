"""What monitors are told over a socket, and in a file: the same figures of the same lake."""

import http.client
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakehouse import cli
from lakehouse.errors import ExitCode, LakehouseError, UsageError
from lakehouse.monitoring import exposition
from lakehouse.monitoring.figures import LakeFigures
from lakehouse.settings import Settings
from lakehouse.settings.sections import WatchSettings
from lakehouse.watching import health
from lakehouse.watching.condition import Condition
from lakehouse.watching.notify import Notifier
from tests.support.lakes import Lake, period, region, response
from tests.support.revised_lake import derived

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def condition() -> Condition:
    return Condition(WatchSettings())


@pytest.fixture
def ask(revised_once: Lake, condition: Condition) -> Iterator[Ask]:
    """GET a path of a server over the lake; gives status and body."""
    served = health.served(health.Health(condition, LakeFigures(revised_once.store.root).read), "127.0.0.1", 0)
    with served as port:

        def get(path: str, method: str = "GET") -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        yield get


def test_says_whether_it_works_and_whether_its_tables_are_new(ask: Ask, condition: Condition) -> None:
    assert ask("/healthz") == (200, "ok\n")
    assert ask("/readyz") == (503, "no run has ended well yet\n")
    condition.ended(ExitCode.OK, None)
    assert ask("/readyz?verbose") == (200, "ok\n")
    assert ask("/elsewhere")[0] == 404
    assert ask("/healthz", "POST")[0] == 501


def test_refuses_a_file_that_the_node_exporter_would_pass_over(
    revised_once: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lakehouse.txt"
    assert cli.exit_code(["--root", revised_once.store.root, "metrics", "--textfile", str(file)]) == 2
    assert "reads files that end in .prom alone" in capsys.readouterr().err
    assert not file.exists()


def test_a_socket_and_a_file_give_the_same_figures_of_a_lake(ask: Ask, revised_once: Lake, tmp_path: Path) -> None:
    file = tmp_path / "lakehouse.prom"
    assert cli.exit_code(["--root", revised_once.store.root, "metrics", "--textfile", str(file)]) == 0
    written = file.read_text()
    status, served = ask("/metrics")
    assert status == 200
    assert set(written.splitlines()) <= set(served.splitlines())
    assert "lakehouse_watch_cycles_total" in served
    assert "process_resident_memory_bytes" in served
    assert {
        'lakehouse_runs_total{command="run",outcome="ok"} 2.0',
        'lakehouse_table_version{table="silver.regional_half_hourly"} 2.0',
        'lakehouse_rows_written_total{operation="updated",table="silver.regional_half_hourly"} 1.0',
        'lakehouse_newest_period_timestamp_seconds{table="silver.regional_half_hourly"} 1.7040744e+09',  # 02:00
        'lakehouse_quarantined_records{rule="forecast_is_integer"} 1.0',
    } <= set(written.splitlines())
    assert [each.name for each in tmp_path.iterdir()] == ["lakehouse.prom"]


def test_figures_follow_the_lake_and_read_only_the_runs_that_are_new(
    revised_once: Lake, tmp_path: Path, settings_of: Callable[[str], Settings]
) -> None:
    lake = revised_once.copy(tmp_path / "lake")
    figures = LakeFigures(lake.store.root)
    first = figures.read()
    assert figures.read() is first
    lake.land(response([period("2024-01-02T00:00", region(12), region(13))], "2024-01-02T03:00"))
    derived(settings_of(lake.store.root))
    later = figures.read()
    assert later.totals.runs == {("run", "ok"): 3}
    assert later.totals.rows["silver.regional_half_hourly", "inserted"] == 9
    assert later == LakeFigures(lake.store.root).read()


def test_a_lake_that_does_not_exist_has_no_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["--root", str(tmp_path / "none"), "metrics"]) == 0
    assert "lakehouse_lake_version 0.0\n" in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_one_sentence(revised_once: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"The metrics cannot be written to .*/none/x\.prom: No such file"):
        exposition.write(LakeFigures(revised_once.store.root).read(), tmp_path / "none" / "x.prom")


def test_a_table_that_cannot_be_read_is_told_to_the_monitor(lake: Lake, condition: Condition) -> None:
    log = Path(lake.store.root) / "silver" / "quarantine" / "_delta_log"
    for entry in log.glob("*.json"):
        entry.write_text("nonsense")
    reading = health.Health(condition, LakeFigures(lake.store.root).read)
    with health.served(reading, "127.0.0.1", 0) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 500
        assert "silver/quarantine" in answer.read().decode()


def test_a_port_that_is_taken_is_one_sentence(condition: Condition) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = health.served(health.Health(condition, LakeFigures("/nowhere").read), "127.0.0.1", port)
        with (
            pytest.raises(UsageError, match=rf"^Port {port} on 127\.0\.0\.1 is taken by another program; choose"),
            served,
        ):
            pass


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--every", "30"], {}, "--every takes a number with s, m or h behind it, as 90s, 30m or 1h, not '30'."),
        (["--every", "0s"], {}, "The setting watch.every_seconds is wrong in the command line: "),
        (["--every", "30s"], {"DELAY_SECONDS": "40"}, "watch.delay_seconds and watch.jitter_seconds are 41 together, "),
        ([], {"PORT": "70000"}, "The setting watch.port is wrong in the environment variable LAKEHOUSE_WATCH__PORT: "),
    ],
)
def test_settings_that_are_wrong_or_contradict_are_refused_before_anything_is_done(
    lake_root: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    variables: dict[str, str],
    sentence: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"LAKEHOUSE_WATCH__{name}", value)
    assert cli.exit_code(["--root", lake_root, "watch", *arguments]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith(f"error: {sentence}")
    assert not Path(lake_root).exists()


def test_systemd_is_told_through_its_socket_and_no_child_inherits_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(place)
        monkeypatch.setenv("NOTIFY_SOCKET", place)
        notifier = Notifier()
        assert "NOTIFY_SOCKET" not in os.environ
        notifier.tell("WATCHDOG=1", "STATUS=bronze: begins")
        assert systemd.recv(1000) == b"WATCHDOG=1\nSTATUS=bronze: begins"
        notifier.close()
    Notifier().tell("READY=1")  # without systemd nothing is sent
