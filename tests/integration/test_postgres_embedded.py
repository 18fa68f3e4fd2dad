"""The embedded server with real processes: shared, stopped by the last, and surviving kill -9 of anyone."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from lakehouse.errors import LakehouseError
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, cluster, connect
from lakehouse.postgres.binaries import major_version, runnable_by, shipped_binaries, system_binaries

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root switches to another account")

HOLD = """
import sys
from pathlib import Path
from lakehouse.postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as target:
    print(target.port, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "postgres"
    running = EmbeddedPostgres(tmp_path / "postgres").cluster.postmaster()
    assert running is None, "the test left its server running"


@pytest.fixture(params=["embedded", "system"])
def any_home(request: pytest.FixtureRequest, home: Path) -> EmbeddedPostgres:
    binaries = shipped_binaries() if request.param == "embedded" else system_binaries()
    if binaries is None:
        pytest.skip("no system PostgreSQL of version 15 or later was found")
    return EmbeddedPostgres(home, binaries=binaries)


class Holder:
    """Another process that uses the server until told to leave."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.communicate("\n", timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@contextmanager
def holding(home: Path) -> Iterator[Holder]:
    holder = Holder(home)
    try:
        yield holder
    finally:
        if holder.process.poll() is None:
            holder.leave()


def put(target: PostgresTarget, value: int) -> None:
    with connect(target) as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS public.kept (value INT)")
        connection.exec_driver_sql("INSERT INTO public.kept VALUES (%s)", (value,))


def kept(target: PostgresTarget) -> list[int]:
    with connect(target) as connection:
        return [int(row[0]) for row in connection.exec_driver_sql("SELECT value FROM public.kept ORDER BY 1")]


def test_keeps_data_from_one_start_to_the_next(any_home: EmbeddedPostgres):
    with any_home as target:
        put(target, 1)
        with connect(target) as connection:
            settings = connection.exec_driver_sql(
                "SELECT current_setting('server_encoding'), current_setting('fsync'),"
                " current_setting('data_checksums'), current_setting('TimeZone'),"
                " current_setting('listen_addresses'), current_database(), current_user"
            ).one()
    assert tuple(settings) == ("UTF8", "on", "on", "UTC", "127.0.0.1", "carbon", "lakehouse")
    assert any_home.cluster.postmaster() is None
    with any_home as target:
        assert kept(target) == [1]


def test_keeps_its_secrets_to_its_owner(any_home: EmbeddedPostgres):
    with any_home as target:
        assert (any_home.home / "password").stat().st_mode & 0o777 == 0o600
        assert (any_home.home / "data").stat().st_mode & 0o777 == 0o700
        assert target.password is not None
        assert len(target.password) >= 32
        assert target.password == (any_home.home / "password").read_text().strip()
        running = any_home.cluster.postmaster()
        assert running is not None
        arguments = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
        assert not [words for words in arguments if target.password in " ".join(words or [])]
        assert target.password not in (any_home.home / "data" / "server.log").read_text()


def test_ships_a_client(home: Path):
    server = EmbeddedPostgres(home)
    with server as target:
        answer = subprocess.run(
            [
                server.psql,
                "-XAtc",
                "SELECT 6 * 7",
                f"host={target.host} port={target.port} user={target.user} dbname={target.database}",
            ],
            env={"PGPASSWORD": str(target.password)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert answer.stdout == "42\n"


def test_is_shared_by_processes_and_stopped_by_the_last(home: Path):
    server = EmbeddedPostgres(home)
    with holding(home) as first, holding(home) as second:
        assert first.port == second.port
        first.leave()
        with server as target:
            assert target.port == second.port
            second.leave()
            assert server.cluster.postmaster() is not None
            with server as again:
                assert again == target
            put(target, 1)
        assert server.cluster.postmaster() is None


def test_counts_no_user_that_was_killed(home: Path):
    server = EmbeddedPostgres(home)
    with holding(home) as first, holding(home) as second:
        first.kill()
        second.kill()
    left = server.cluster.postmaster()
    assert left is not None
    with server as target:
        assert target.port == left.port
    assert server.cluster.postmaster() is None


def test_recovers_after_the_server_was_killed(any_home: EmbeddedPostgres):
    with any_home as target:
        put(target, 1)
        running = any_home.cluster.postmaster()
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        with any_home as target:
            assert kept(target) == [1]
            put(target, 2)
            running = any_home.cluster.postmaster()
            assert running is not None
        os.kill(running.pid, signal.SIGKILL)
    with any_home as target:
        assert kept(target) == [1, 2]


def test_starts_despite_a_pid_file_whose_number_another_program_has(home: Path):
    server = EmbeddedPostgres(home)
    with server as target:
        put(target, 1)
    account = server.cluster.account
    stranger = subprocess.Popen(["sleep", "600"], user=account.pw_uid if account else None)
    try:
        lines = (stranger.pid, home / "data", 1, 5432, "", "127.0.0.1", "0 0", "ready")
        (home / "data" / "postmaster.pid").write_text("".join(f"{line}\n" for line in lines))
        with server as target:
            assert kept(target) == [1]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_takes_another_port_when_the_first_was_taken_meanwhile(home: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        free_port, ports = cluster._free_port, [taken]
        monkeypatch.setattr(cluster, "_free_port", lambda: ports.pop() if ports else free_port())
        with EmbeddedPostgres(home) as target:
            assert target.port != taken
            put(target, 1)


def test_begins_again_after_a_first_start_that_was_interrupted(home: Path):
    (home / "data.new").mkdir(parents=True)
    (home / "data.new" / "PG_VERSION").write_text("18\n")
    (home / "password").write_text("old")
    with EmbeddedPostgres(home) as target:
        put(target, 1)


def test_says_what_to_do_when_the_password_is_lost(home: Path):
    with EmbeddedPostgres(home):
        pass
    (home / "password").unlink()
    with pytest.raises(LakehouseError, match="password is missing"), EmbeddedPostgres(home):
        pass


def test_says_that_the_password_is_wrong(home: Path):
    with EmbeddedPostgres(home):
        pass
    (home / "password").write_text("edited\n")
    with pytest.raises(LakehouseError, match="did not accept the login"), EmbeddedPostgres(home):
        pass


def test_says_why_it_did_not_start(home: Path):
    with EmbeddedPostgres(home):
        pass
    (home / "data" / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(LakehouseError, match=r"did not start; see .*server\.log: .*FATAL"), EmbeddedPostgres(home):
        pass


def test_refuses_data_of_another_major_version(home: Path):
    with EmbeddedPostgres(home):
        pass
    (home / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(LakehouseError, match="made by PostgreSQL 14"), EmbeddedPostgres(home):
        pass


def test_finds_programs_of_a_version_that_will_do():
    assert major_version(shipped_binaries()) >= 18
    found = system_binaries(minimum=15)
    assert found is None or major_version(found) >= 15
    assert system_binaries(minimum=1000) is None


@as_root
def test_root_loosens_nobodys_permissions(tmp_path: Path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    modes = [(path, path.stat().st_mode) for path in (locked, *locked.parents)]
    with EmbeddedPostgres(locked / "postgres") as target:
        put(target, 1)
    assert [(path, path.stat().st_mode) for path in (locked, *locked.parents)] == modes


@as_root
def test_root_copies_programs_that_the_servers_account_cannot_reach(tmp_path: Path):
    account = cluster._server_account()
    package = shipped_binaries().parent.parent
    hidden = tmp_path / package.name
    shutil.copytree(shipped_binaries().parent, hidden / "pginstall18")
    shutil.copytree(package.with_name(package.name + ".libs"), tmp_path / (package.name + ".libs"))
    hidden.chmod(0o700)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copies = Path(folder)
        assert runnable_by(account, shipped_binaries(), copies=copies) == shipped_binaries()
        copy = runnable_by(account, hidden / "pginstall18" / "bin", copies=copies)
        assert copy.is_relative_to(copies)
        made = copy.stat().st_ino
        assert runnable_by(account, hidden / "pginstall18" / "bin", copies=copies).stat().st_ino == made
        assert len(list(copies.iterdir())) == 1
        with EmbeddedPostgres(tmp_path / "postgres", binaries=copy) as target:
            put(target, 1)


@as_root
def test_runs_as_an_ordinary_user(database: PostgresTarget):
    """In a fork, because an ordinary user may not even reach root's Python interpreter."""
    put(database, 1)  # everything that is imported on first use is imported now
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgroups([])
                os.setgid(nobody.pw_gid)
                os.setuid(nobody.pw_uid)
                server = EmbeddedPostgres(Path(folder) / "postgres")
                with server as target:
                    put(target, 1)
                    with server as again:
                        status = 0 if kept(again) == [1] else 2
                if server.cluster.postmaster() is not None:
                    status = 3
            except Exception:  # noqa: BLE001 - the child's own test report
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        owner = (Path(folder) / "postgres" / "data").stat().st_uid
        assert owner == nobody.pw_uid


def test_gives_no_shell_the_name_of_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / 'a "$(touch here)" `lake`'
    called: list[tuple[list[str], Path]] = []

    def run(command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[bytes]:
        called.append((list(map(str, command)), cwd))
        return subprocess.CompletedProcess(command, 0)

    made = cluster.Cluster(home / "data", shipped_binaries())
    monkeypatch.setattr(cluster.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cluster.subprocess, "run", run)
    (home / "data").mkdir(parents=True)
    made.start()
    ((command, cwd),) = called
    assert cwd == home / "data"
    assert command[1:5] == ["-D", ".", "-l", "./server.log"]
    assert not any("touch" in word for word in command)
