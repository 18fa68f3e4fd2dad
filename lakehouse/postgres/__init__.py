"""PostgreSQL: where it is (:class:`PostgresTarget`), a connection with clear errors, and the embedded server."""

from lakehouse.postgres.connection import ANEW, PrivilegeError, connect, explain, probe, translate
from lakehouse.postgres.embedded import EmbeddedPostgres
from lakehouse.postgres.target import PostgresTarget

__all__ = [
    "ANEW",
    "EmbeddedPostgres",
    "PostgresTarget",
    "PrivilegeError",
    "connect",
    "explain",
    "probe",
    "translate",
]
