"""The embedded PostgreSQL: started by the first command that needs it, stopped by the last.

Every command holds a shared lock on one file while it uses the server. The kernel drops that lock when the
process ends, however it ends, so a killed command never counts. Starting and stopping happen under a second,
exclusive lock; whoever leaves stops the server if nobody else holds the first.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from lakehouse.errors import LakehouseError
from lakehouse.postgres.binaries import shipped_binaries
from lakehouse.postgres.cluster import LOOPBACK, SUPERUSER, Cluster
from lakehouse.postgres.connection import connect
from lakehouse.postgres.target import PostgresTarget

DATABASE = "carbon"
PASSWORD_BYTES = 24


class EmbeddedPostgres:
    """A PostgreSQL of our own in the directory ``home``; ``with`` gives the :class:`PostgresTarget`.

    ``home`` holds ``data`` (the cluster), ``password`` (mode 0600) and two lock files. It listens on loopback
    only, on a port chosen at each start. It may be entered any number of times, by any number of processes.
    """

    def __init__(self, home: Path, *, binaries: Path | None = None) -> None:
        self.home = home.absolute()
        self.binaries = binaries or shipped_binaries()
        self.cluster = Cluster(self.home / "data", self.binaries)
        self._held: list[int] = []

    def __repr__(self) -> str:
        return f"EmbeddedPostgres({str(self.home)!r})"

    @property
    def psql(self) -> Path:
        """The ``psql`` program that belongs to this server."""
        return self.binaries / "psql"

    def __enter__(self) -> PostgresTarget:
        """Use the server, starting it if nobody does.

        Raises:
            LakehouseError: it cannot be made or started; the sentence says why and where its log is.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with self._transition():
                held = self._open("users.lock")
                try:
                    fcntl.flock(held, fcntl.LOCK_SH)
                    target = self._started()
                except BaseException:
                    self._leave(held)
                    raise
        except OSError as error:
            raise LakehouseError(
                f"The embedded PostgreSQL cannot use {error.filename or self.home}: {error.strerror}."
            ) from error
        self._held.append(held)
        return target

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it to the others, or stop it if there are none."""
        with self._transition():
            self._leave(self._held.pop())

    def _started(self) -> PostgresTarget:
        password = self._password()
        self.cluster.create(password)
        port = self.cluster.start()
        target = PostgresTarget(LOOPBACK, port, DATABASE, SUPERUSER, password, sslmode="disable")
        _ensure_database(target)
        return target

    def _leave(self, held: int) -> None:
        os.close(held)
        probe = self._open("users.lock")
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            self.cluster.stop()
        finally:
            os.close(probe)

    def _password(self) -> str:
        """The generated password, made together with the data directory."""
        file = self.home / "password"
        if self.cluster.data.exists():
            try:
                return file.read_text(encoding="ascii").strip()
            except FileNotFoundError:
                raise LakehouseError(
                    f"{file} is missing, and with it the password of {self.cluster.data}; "
                    f"move that directory away: the next export fills a new one."
                ) from None
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(password + "\n")
            new.flush()
            os.fsync(new.fileno())
        return password

    def _open(self, name: str) -> int:
        return os.open(self.home / name, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def _transition(self) -> Iterator[None]:
        """Only one process at a time starts or stops the server."""
        lock = self._open("transition.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _ensure_database(target: PostgresTarget) -> None:
    with connect(replace(target, database="postgres")) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        found = connection.exec_driver_sql("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
        if found.first() is None:
            connection.exec_driver_sql(f'CREATE DATABASE "{DATABASE}"')
