"""The tables of a root without a JVM: all at their newest versions, or each at one that is pinned."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lakehouse.lake import delta_log
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import RUNS, Table


@dataclass(frozen=True)
class Tables:
    """Where tables stand and at which version; without ``versions`` (by name) at the newest.

    ``ops.runs`` is only ever added to and may have no version of its own: what it held then are the rows up to
    ``last_run``, a lake version.
    """

    root: str
    versions: Mapping[str, int] | None = None
    last_run: int | None = None
    opened: dict[str, Snapshot | None] | None = field(default=None, compare=False, repr=False)
    """What was opened, where that is kept; see :meth:`opened_once`."""

    def opened_once(self) -> "Tables":
        """The same tables, each opened when it is first asked for and kept as it was then."""
        return replace(self, opened={})

    def path(self, table: Table) -> str:
        """Where a table stands."""
        return f"{self.root.rstrip('/')}/{table.path}"

    def open(self, table: Table) -> Snapshot | None:
        """The table; None where there is none.

        Raises:
            LakehouseError: it cannot be read, or its version no longer.
        """
        if self.opened is None:
            return self._opened(table)
        if table.name not in self.opened:
            self.opened[table.name] = self._opened(table)
        return self.opened[table.name]

    def _opened(self, table: Table) -> Snapshot | None:
        if self.versions is None or (table is RUNS and table.name not in self.versions):
            return delta_log.open_table(self.path(table))
        version = self.versions.get(table.name)
        return None if version is None else delta_log.open_table(self.path(table), version)

    @property
    def runs(self) -> str | None:
        """The condition, in SQL, that the runs up to ``last_run`` meet."""
        return None if self.last_run is None else f"lake_version <= {self.last_run}"
