"""One PostgreSQL data directory and its server: made once, started, recovered and stopped through ``pg_ctl``.

PostgreSQL refuses to run as root. Root therefore runs it as an account of its own, which owns the data directory
only. That directory is handed over as an open descriptor (``/proc/self/fd/N``), so the account needs no right to
pass through the directories above it, such as /root, and nobody's permissions have to be loosened.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from lakehouse.errors import LakehouseError
from lakehouse.postgres.binaries import major_version, runnable_by

SERVER_ACCOUNT = "pgserver"
"""The system account that root runs the server as; created when it is missing."""
SUPERUSER = "lakehouse"
LOOPBACK = "127.0.0.1"
START_SECONDS = 120
"""Long enough for crash recovery; a plain start takes half a second."""
STOP_SECONDS = 60
ATTEMPTS = 120
PAUSE_SECONDS = 0.25
"""Between attempts: 30 s in all for the last processes of a killed server to notice and end."""
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "50",
    "shared_buffers": "64MB",
    # no replica ever reads this log, so the smallest one that survives a crash is enough
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    # fsync stays on: an answered COMMIT survives a power cut
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Postmaster:
    """A living server: its process, its port and whether it takes connections."""

    pid: int
    port: int
    ready: bool


@dataclass(frozen=True)
class Cluster:
    """The data directory ``data``, run with the programs in ``binaries``."""

    data: Path
    binaries: Path

    @cached_property
    def account(self) -> pwd.struct_passwd | None:
        """Whose processes the server's are; None for our own user's."""
        if os.geteuid() != 0:
            return None
        if not sys.platform.startswith("linux"):
            raise LakehouseError("The embedded PostgreSQL cannot run as root on this system; run as an ordinary user.")
        if self.data.exists() and (owner := self.data.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
        return _server_account()

    @cached_property
    def programs(self) -> Path:
        """The ``bin`` directory as the server's account can run it."""
        return runnable_by(self.account, self.binaries) if self.account else self.binaries

    def create(self, password: str) -> None:
        """Make the data directory unless it is there: UTF-8, checksums, scram passwords. All of it or nothing."""
        if self.data.exists():
            self._refuse_other_version()
            return
        new = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self.account:
            os.chown(new, self.account.pw_uid, self.account.pw_gid)
        locale = ["--locale=C"]
        if major_version(self.programs) >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        with _secret_file(password, by_descriptor=self.account is not None) as (secret, descriptors):
            arguments = ["--encoding=UTF8", *locale, "--data-checksums", "--auth=scram-sha-256"]
            arguments += [f"--username={SUPERUSER}", f"--pwfile={secret}"]
            status, output = self._run(new, "initdb", arguments, descriptors)
        if status != 0:
            raise LakehouseError(f"initdb could not make {self.data}: {_last_line(output)}")
        new.rename(self.data)

    def start(self) -> int:
        """Start the server unless it runs; the port it listens on. After a crash it recovers first.

        The caller makes sure that no other process starts or stops it meanwhile.
        """
        for _ in range(ATTEMPTS):
            if (running := self._settled()) is not None:
                return running.port
            if self._leftovers():  # of a killed server; they guard the shared memory that they still use
                time.sleep(PAUSE_SECONDS)
                continue
            # its number may by now belong to another program, or to a process that nobody has buried yet,
            # and PostgreSQL would respect either
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            port = _free_port()
            status, _ = self._run(
                self.data,
                "pg_ctl",
                ["start", "-w", "-s", "-t", str(START_SECONDS), "-o", _server_options(port)],
            )
            if status == 0:
                return port
            if _is_free(port):  # else somebody took it meanwhile
                break
        raise LakehouseError(f"The embedded PostgreSQL did not start; see {self.log}: {self._log_line()}")

    def stop(self) -> None:
        """Stop the server if it runs; open sessions are ended and rolled back."""
        if self.postmaster() is None:
            return
        options = ["stop", "-w", "-s", "-t", str(STOP_SECONDS), "-m"]
        status, _ = self._run(self.data, "pg_ctl", [*options, "fast"])
        if status != 0 and self.postmaster() is not None:
            self._run(self.data, "pg_ctl", [*options, "immediate"])

    def postmaster(self) -> Postmaster | None:
        """The server that serves this directory, None when there is none (whatever ``postmaster.pid`` says)."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        if not self._is_ours(pid):
            return None
        return Postmaster(pid, port, ready=len(lines) > 7 and lines[7].strip() == "ready")

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data / "server.log"

    def _settled(self) -> Postmaster | None:
        """The server once it neither starts nor stops; None when it is gone."""
        deadline = time.monotonic() + START_SECONDS
        while (running := self.postmaster()) is not None and not running.ready:
            if time.monotonic() > deadline:
                raise LakehouseError(f"The embedded PostgreSQL is not ready after {START_SECONDS} s; see {self.log}.")
            time.sleep(PAUSE_SECONDS)
        return running

    def _is_ours(self, pid: int) -> bool:
        """Whether it is a living process of this server: every one of them works inside the data directory."""
        try:
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and os.path.samefile(process.cwd(), self.data)
        except (psutil.Error, OSError):
            return False

    def _leftovers(self) -> bool:
        return any(
            self._is_ours(process.pid)
            for process in psutil.process_iter(["name"])
            if (process.info["name"] or "").startswith("postgres")
        )

    def _run(
        self, data: Path, command: str, arguments: Sequence[str], descriptors: Sequence[int] = ()
    ) -> tuple[int, str]:
        """Run one of PostgreSQL's programs on ``data`` as the server's account: its status and its output."""
        account = self.account
        with (
            tempfile.TemporaryFile() as output,
            _reference(data, by_descriptor=account is not None) as (place, opened, cwd),
        ):
            log = ["-l", f"{place}/server.log"] if command == "pg_ctl" else []
            finished = subprocess.run(  # noqa: S603 (PostgreSQL's own programs)
                [self.programs / command, "-D", place, *log, *arguments],
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                cwd=cwd,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,  # a file, because the server inherits it: a pipe would never end
                pass_fds=[*opened, *descriptors],
                check=False,
            )
            output.seek(0)
            return finished.returncode, output.read().decode(errors="replace")

    def _refuse_other_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = str(major_version(self.programs))
        if made_by != ours:
            raise LakehouseError(
                f"{self.data} was made by PostgreSQL {made_by} and cannot be read by {ours}; "
                f"move it away: the next export fills a new one."
            )

    def _log_line(self) -> str:
        try:
            return _last_line(self.log.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            return str(error.strerror)


@contextmanager
def _reference(data: Path, *, by_descriptor: bool) -> Iterator[tuple[str, tuple[int, ...], Path]]:
    """How the server names its directory, descriptors to hand to it, and where it starts.

    By a descriptor, or from inside: ``pg_ctl`` puts the name into a line for a shell, where ``$`` means something else.
    """
    if not by_descriptor:
        yield ".", (), data
        return
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,), Path("/")
    finally:
        os.close(descriptor)


@contextmanager
def _secret_file(secret: str, *, by_descriptor: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A file that holds ``secret``: in memory where another account has to read it, else one of our own."""
    if not by_descriptor:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(secret + "\n")
            file.flush()
            yield file.name, ()
        return
    descriptor = os.memfd_create("password")
    try:
        os.write(descriptor, f"{secret}\n".encode())
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def _server_account() -> pwd.struct_passwd:
    """The account for root's servers, made like any service's: no home, no shell, no password."""
    try:
        return pwd.getpwnam(SERVER_ACCOUNT)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_ACCOUNT]
    try:
        subprocess.run(command, check=False, capture_output=True)  # noqa: S603 (words of ours alone)
        return pwd.getpwnam(SERVER_ACCOUNT)
    except (OSError, KeyError):
        raise LakehouseError(
            f"PostgreSQL does not run as root and the account {SERVER_ACCOUNT} could not be made: "
            f"run as an ordinary user, make that account, or set LAKEHOUSE_POSTGRES__URL."
        ) from None


def _server_options(port: int) -> str:
    """Settings for this start, as words for the shell that ``pg_ctl`` uses; none needs quoting."""
    return " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, "port": str(port)}.items())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
