"""The only door to Delta through Spark: create, read at a version, append, merge.

Every write is one commit that carries its own account (``Commit``); nothing here decides what to write.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_log, tables, upgrades
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.tables import Table
from lakehouse.refinement.difference import CHANGE, DELETE, INSERT, UPDATE

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
REGISTERED_ROOT = "lakehouse.root"
"""Session setting: the root that the table names stand for."""
ROWS_PER_FILE = 30_000
"""About a month of Silver: a later one-day MERGE then copies one file of this size, not years."""


@dataclass(frozen=True)
class Written:
    """A commit that was made: its version and Delta's own metrics."""

    version: int
    metrics: Mapping[str, int]


@dataclass(frozen=True)
class Store:
    """The tables of one lake, through one Spark session."""

    spark: SparkSession
    root: str

    def path(self, table: Table) -> str:
        """Where a table stands."""
        return f"{self.root.rstrip('/')}/{table.path}"

    def ensure(self, *wanted: Table) -> None:
        """Create the tables that do not exist yet, bring those of older releases up to this one, make all readable.

        Raises:
            LakehouseError: a newer release wrote one, or no upgrade leads from it to this one.
        """
        for table in wanted:
            snapshot = delta_log.open_table(self.path(table))
            if snapshot is None:
                self._create(table)
            else:
                self._upgrade(table, snapshot)
        self.register()

    def register(self) -> None:
        """Make every existing table of this root readable as ``schema.table``, time travel included."""
        moved = self.spark.conf.get(REGISTERED_ROOT, None) != self.root
        for table in tables.TABLES:
            if moved:  # the name may still stand for another root's table; its files stay
                self.spark.sql(f"DROP TABLE IF EXISTS {table.name}")
            if delta_log.open_table(self.path(table)) is None:
                continue
            schema = table.name.split(".")[0]
            self.spark.sql(f"CREATE DATABASE IF NOT EXISTS {schema} LOCATION '{_quoted(self.root)}/{schema}'")
            self.spark.sql(
                f"CREATE TABLE IF NOT EXISTS {table.name} USING delta LOCATION '{_quoted(self.path(table))}'"
            )
        self.spark.conf.set(REGISTERED_ROOT, self.root)

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """All rows, at ``version`` or the newest."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def changes(self, table: Table, after: int, until: int) -> DataFrame:
        """Rows that changed in the versions ``(after, until]``, with Delta's change columns."""
        reader = self.spark.read.format("delta").option("readChangeFeed", "true")
        reader = reader.option("startingVersion", after + 1).option("endingVersion", until)
        return reader.load(self.path(table))

    def append(self, frame: DataFrame, table: Table, commit: Commit) -> Written:
        """Append rows in one commit."""
        writer = frame.select(*table.column_names).write.format("delta").mode("append")
        writer = writer.option("userMetadata", commit.to_json()).option("maxRecordsPerFile", ROWS_PER_FILE)
        writer.save(self.path(table))
        return self._written(table)

    def merge(self, changes: DataFrame, table: Table, commit: Commit, bounds: Column) -> Written:
        """Apply rows that carry ``_change`` (insert, update or delete) by key, in one MERGE.

        ``bounds`` is a condition on the target (``t``) and literals alone: it keeps MERGE from reading files that
        hold none of the keys.
        """
        condition = bounds
        for key in table.key:
            condition = condition & (F.col(f"t.{key}") == F.col(f"s.{key}"))
        assignments = {name: F.col(f"s.{name}") for name in table.column_names}
        target = DeltaTable.forPath(self.spark, self.path(table)).alias("t")
        with self._saying(commit):
            (
                target.merge(changes.alias("s"), condition)
                .whenMatchedDelete(F.col(f"s.{CHANGE}") == DELETE)
                .whenMatchedUpdate(F.col(f"s.{CHANGE}") == UPDATE, set=assignments)  # type: ignore[arg-type]
                .whenNotMatchedInsert(F.col(f"s.{CHANGE}") == INSERT, values=assignments)  # type: ignore[arg-type]
                .execute()
            )
        return self._written(table)

    def _create(self, table: Table) -> None:
        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).comment(table.comment)
        for column in table.columns:
            builder = builder.addColumn(column.name, column.type, nullable=column.nullable, comment=column.comment)
        for key, value in table.properties.items():
            builder = builder.property(key, value)
        for name, check in table.checks.items():
            # As a property at creation: one commit, where ALTER TABLE ADD CONSTRAINT makes one for each.
            builder = builder.property(f"delta.constraints.{name}", check)
        builder.execute()

    def _upgrade(self, table: Table, snapshot: Snapshot) -> None:
        """Add what upgrades declare. Each step can be done again, should a run die between two of them."""
        found = int(snapshot.properties.get(tables.SCHEMA_PROPERTY, "1"))
        path = f"delta.`{self.path(table)}`"
        for addition in upgrades.additions(table, found, snapshot.column_names):
            column = addition.column
            self.spark.sql(
                f"ALTER TABLE {path} ADD COLUMNS "
                f"({column.name} {column.type} COMMENT '{_escaped(column.comment)}' AFTER {addition.after})"
            )
        if found < table.schema:
            number = f"'{tables.SCHEMA_PROPERTY}' = '{table.schema}'"
            self.spark.sql(f"ALTER TABLE {path} SET TBLPROPERTIES ({number})")

    @contextmanager
    def _saying(self, commit: Commit) -> Iterator[None]:
        """MERGE takes its metadata from the session's settings; unset it whatever happens."""
        self.spark.conf.set(USER_METADATA, commit.to_json())
        try:
            yield
        finally:
            self.spark.conf.unset(USER_METADATA)

    def _written(self, table: Table) -> Written:
        snapshot = delta_log.open_table(self.path(table))
        if snapshot is None:  # the table was there a moment ago
            raise LakehouseError(f"{table.name} vanished from {self.path(table)} while it was written.")
        metrics = snapshot.newest_commits(1)[0].get("operationMetrics") or {}
        return Written(snapshot.version, {name: int(value) for name, value in metrics.items()})


def _quoted(path: str) -> str:
    return _escaped(path.rstrip("/"))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
