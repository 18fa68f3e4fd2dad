"""What PostgreSQL has of the lake, as its export log says; a server that cannot be asked is told, never an error."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

PATIENCE_SECONDS = 3
"""For a server that does not answer: whoever only looks at a lake does not wait for longer."""


@dataclass(frozen=True)
class Published:
    """The newest entry of the export log.

    ``note`` says why there is none. ``versions``: by the short names of tables; ``table_ids`` Delta's ids of them.
    ``is_failure``: a server that should answer did not.
    """

    note: str | None = None
    lake_version: int | None = None
    exported_at: datetime | None = None
    versions: Mapping[str, int] | None = None
    table_ids: Mapping[str, str] | None = None
    is_failure: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As ``status --json`` has it."""
        return {
            "note": self.note,
            "lake_version": self.lake_version,
            "exported_at": self.exported_at,
            "versions": dict(self.versions) if self.versions is not None else None,
        }


def read(settings: Settings) -> Published:
    """Ask the database that is set, or the embedded one if its server runs: it is not started to be looked at."""
    if settings.postgres.url is None:
        if not settings.embedded_data.exists():
            return Published("no export yet")
        if not (settings.embedded_data / "data" / "postmaster.pid").exists():
            return Published("the embedded server is not running; commands start it when they need it")
    try:
        return _asked(settings)
    except LakehouseError as error:
        return Published(str(error), is_failure=True)


def _asked(settings: Settings) -> Published:
    from lakehouse.postgres import connect  # with SQLAlchemy: as long as all the rest of `status`
    from lakehouse.publishing import database, export_log

    with database.database(settings, must_exist=True) as at:
        target = replace(at.target, connect_timeout=min(PATIENCE_SECONDS, at.target.connect_timeout))
        with connect(target, statement_timeout=PATIENCE_SECONDS) as connection:
            is_there = connection.exec_driver_sql("SELECT to_regclass('carbon_data.export_log') IS NOT NULL").scalar()
            connection.rollback()
            last = export_log.last_export(connection) if is_there else None
    if last is None:
        return Published("nothing has been exported into this database yet")
    return Published(
        lake_version=last.state.lake_version,
        exported_at=last.exported_at,
        versions={name: pin.version for name, pin in last.state.tables.items()},
        table_ids={name: pin.table_id for name, pin in last.state.tables.items() if pin.table_id},
    )
