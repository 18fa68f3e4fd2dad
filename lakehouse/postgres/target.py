"""One PostgreSQL database and how to log in: parsed from a URL into typed fields, never passed through.

What reaches a driver is built from an allow-list. pgjdbc runs the code of classes named in its URL, so a URL of
the user's own never gets there.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg2
from sqlalchemy import URL, Engine, NullPool, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from lakehouse import settings
from lakehouse.errors import UsageError
from lakehouse.postgres.waiting import hear_signals

APPLICATION_NAME = "lakehouse"
"""What ``pg_stat_activity`` shows of our connections."""
DEFAULT_PORT = 5432
CONNECT_TIMEOUT_SECONDS = 10
STATEMENT_TIMEOUT_SECONDS = 600.0
"""The longest export measured (200,000 rows) takes seconds; ten minutes means that something hangs."""
LOCK_TIMEOUT_SECONDS = 30.0
IDLE_IN_TRANSACTION_TIMEOUT_SECONDS = 300.0
"""A client that was frozen in the middle of a transaction must not hold its row locks for ever."""
KEEPALIVE_SECONDS = 60
"""Both ends notice within minutes that the other machine is gone, so that a lock of the dead is freed."""

OTHERS = 0o077
"""Permission bits of group and others: libpq ignores a password file that has one of them."""
LIBPQ_PREFIX = "PG"
"""Of libpq's environment variables. ``PGPASSWORD`` and ``PGPASSFILE`` are read with the URL; all else the URL decides,
as for pgjdbc, which reads none: with ``PGHOSTADDR`` the two drivers would ask different servers."""
QUERY_KEYS = ("sslmode", "sslrootcert", "connect_timeout", "application_name")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
PUBLIC_AUTHORITIES = "system"
"""The value of ``sslrootcert`` that means the certificate authorities the machine trusts."""
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_FORM = "postgresql://user@host:port/database"


@dataclass(frozen=True)
class PostgresTarget:
    """A database, a login and how to reach it. The password never shows in ``repr`` or ``str``.

    Without a password libpq looks for one in ``passfile``. ``takes_options``: whether a session can begin with
    settings. (``connection.probe`` finds out both for drivers that are not libpq.)
    """

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(default=None, repr=False)
    passfile: str | None = field(default=None, repr=False)
    sslmode: str = "verify-full"
    sslrootcert: str | None = None
    connect_timeout: int = CONNECT_TIMEOUT_SECONDS
    application_name: str = APPLICATION_NAME
    takes_options: bool = field(default=True, repr=False)

    @classmethod
    def parse(cls, url: str, *, environ: Mapping[str, str], password_file: Path | None = None) -> "PostgresTarget":
        """The target that a URL names.

        The password is the URL's, else that of ``password_file``, else ``PGPASSWORD``, else libpq's password file has
        it. ``sslmode`` defaults to ``verify-full``, on loopback to ``prefer``.

        Raises:
            UsageError: one sentence that quotes nothing of the URL, as any part of it may hold a password.
        """
        parsed, query = _parsed(url)
        host = str(parsed.host)
        sslmode = query.get("sslmode") or ("prefer" if _is_loopback(host) else "verify-full")
        if sslmode not in SSL_MODES:
            raise UsageError(f"sslmode in the PostgreSQL URL must be one of {', '.join(SSL_MODES)}.")
        password = (
            parsed.password
            or (_read_secret(password_file) if password_file else None)
            or environ.get("PGPASSWORD")
            or None
        )
        return cls(
            host=host,
            port=parsed.port or DEFAULT_PORT,
            database=str(parsed.database),
            user=str(parsed.username),
            password=password,
            passfile=None if password else _passfile(environ),
            sslmode=sslmode,
            sslrootcert=query.get("sslrootcert") or _default_authorities(sslmode, environ),
            connect_timeout=_seconds(query.get("connect_timeout")),
            application_name=query.get("application_name", APPLICATION_NAME),
        )

    @property
    def safe(self) -> str:
        """``user@host:port/database``, for messages and logs."""
        return f"{self.user}@{self.address}/{self.database}"

    @property
    def address(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return self.safe

    def engine(
        self,
        *,
        statement_timeout: float = STATEMENT_TIMEOUT_SECONDS,
        lock_timeout: float = LOCK_TIMEOUT_SECONDS,
        idle_in_transaction_timeout: float = IDLE_IN_TRANSACTION_TIMEOUT_SECONDS,
    ) -> Engine:
        """A SQLAlchemy engine without a pool: a closed connection is closed, and its locks are freed.

        Timeouts are in seconds; 0 means none. Each session is given its settings once it stands, for a pooler may
        refuse to begin one with them; so they hold whatever the defaults of the role or the database are.
        """
        chosen = _settings(statement_timeout, lock_timeout, idle_in_transaction_timeout)
        return create_engine(
            "postgresql+psycopg2://", poolclass=NullPool, creator=partial(self._session, chosen), hide_parameters=True
        )

    def _session(self, chosen: Mapping[str, str]) -> psycopg2.extensions.connection:
        session = self.log_in()
        try:
            session.autocommit = True
            with session.cursor() as cursor:
                calls = ", ".join(["set_config(%s, %s, false)"] * len(chosen))
                cursor.execute(f"SELECT {calls}", [text for each in chosen.items() for text in each])
            session.autocommit = False
        except psycopg2.Error:
            session.close()
            raise
        return session

    def log_in(self, database: str | None = None, options: str = "") -> psycopg2.extensions.connection:
        """A bare session of psycopg2's, where the URL says and as it says, whatever libpq's variables say."""
        hear_signals()
        with settings.without_variables(LIBPQ_PREFIX):
            return psycopg2.connect(
                host=self.host,
                port=self.port,
                dbname=database or self.database,
                user=self.user,
                password=self.password,
                sslmode=self.sslmode,
                sslrootcert=self.sslrootcert,
                connect_timeout=self.connect_timeout,
                application_name=self.application_name,
                client_encoding="UTF8",
                keepalives_idle=KEEPALIVE_SECONDS,
                **({"options": options} if options else {}),
                **({"passfile": self.passfile} if self.passfile else {}),
            )

    def jdbc(self) -> tuple[str, dict[str, str]]:
        """The JDBC URL (without any secret) and the connection properties, for Spark and pgjdbc.

        Spark gives no session settings of ours; without ``options`` the driver itself watches the time.
        """
        properties = {
            "driver": "org.postgresql.Driver",
            "user": self.user,
            "ApplicationName": self.application_name,
            "sslmode": self.sslmode,
            "connectTimeout": str(self.connect_timeout),
            "loginTimeout": str(self.connect_timeout),
            "tcpKeepAlive": "true",
            "reWriteBatchedInserts": "true",
        }
        if self.takes_options:
            properties["options"] = " ".join(f"-c {name}={value}" for name, value in _settings().items())
        else:
            properties["queryTimeout"] = f"{STATEMENT_TIMEOUT_SECONDS:.0f}"
        if self.password is not None:
            properties["password"] = self.password
        if self.sslrootcert == PUBLIC_AUTHORITIES:
            properties["sslfactory"] = "org.postgresql.ssl.DefaultJavaSSLFactory"
        elif self.sslrootcert:
            properties["sslrootcert"] = self.sslrootcert
        return f"jdbc:postgresql://{self.address}/{quote(self.database, safe='')}", properties


def _parsed(url: str) -> tuple[URL, dict[str, str]]:
    """The parts of a URL, checked, and its query."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError(f"The PostgreSQL URL cannot be read; it has the form {_FORM}.") from None
    if parsed.drivername not in ("postgresql", "postgres"):
        raise UsageError(f"The PostgreSQL URL must begin with postgresql://, as in {_FORM}.")
    if not parsed.host or not parsed.database or not parsed.username:
        raise UsageError(f"The PostgreSQL URL must name a user, a host and a database, as in {_FORM}.")
    if not _is_host(parsed.host):
        raise UsageError("The host in the PostgreSQL URL is neither a name nor an IP address.")
    query = {key: value for key, value in parsed.query.items() if isinstance(value, str)}
    if len(query) != len(parsed.query) or not set(query) <= set(QUERY_KEYS):
        raise UsageError(f"The PostgreSQL URL takes only {', '.join(QUERY_KEYS)}, each once, after the '?'.")
    return parsed, query


def _is_host(host: str) -> bool:
    return bool(_HOST.fullmatch(host)) or _ip(host) is not None


def _is_loopback(host: str) -> bool:
    address = _ip(host)
    return host == "localhost" if address is None else address.is_loopback


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _seconds(text: str | None) -> int:
    if text is None:
        return CONNECT_TIMEOUT_SECONDS
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 600:
        raise UsageError("connect_timeout in the PostgreSQL URL must be a number of seconds from 1 to 600.")
    return int(text)


def _default_authorities(sslmode: str, environ: Mapping[str, str]) -> str | None:
    """Whom to trust when nothing is said: the root certificate in libpq's place, else the machine's own."""
    if sslmode != "verify-full":
        return None
    own = Path(environ.get("HOME") or "/nonexistent") / ".postgresql" / "root.crt"
    return None if own.exists() else PUBLIC_AUTHORITIES


def _passfile(environ: Mapping[str, str]) -> str | None:
    """The password file that libpq reads: that of ``PGPASSFILE``, by default ``~/.pgpass``; None where there is none.

    Raises:
        UsageError: others may read it, so that libpq would not.
    """
    home = environ.get("HOME")
    named = environ.get("PGPASSFILE") or (f"{home}/.pgpass" if home else None)
    if named is None or not Path(named).is_file():
        return None
    _refuse_readable_by_others(Path(named))
    return named


def _read_secret(file: Path) -> str:
    try:
        _refuse_readable_by_others(file)
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise UsageError(f"The password file {file} cannot be read: {error.strerror}.") from None


def _refuse_readable_by_others(file: Path) -> None:
    if file.stat().st_mode & OTHERS:
        raise UsageError(f"The password file {file} can be read by others; run: chmod 600 {file}")


def _settings(
    statement_timeout: float = STATEMENT_TIMEOUT_SECONDS,
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    idle_in_transaction_timeout: float = IDLE_IN_TRANSACTION_TIMEOUT_SECONDS,
) -> dict[str, str]:
    """The settings of every session of ours; times in milliseconds."""
    return {
        "statement_timeout": str(round(statement_timeout * 1000)),
        "lock_timeout": str(round(lock_timeout * 1000)),
        "idle_in_transaction_session_timeout": str(round(idle_in_transaction_timeout * 1000)),
        "tcp_keepalives_idle": str(KEEPALIVE_SECONDS),
        "timezone": "UTC",
        "search_path": "carbon_data",
    }
