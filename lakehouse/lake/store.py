"""The only door to Delta through Spark: create, read at a version, append, merge.

Every write is one commit that carries its own account (``Commit``); nothing here decides what to write.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
from delta.tables import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.errors import LakehouseError
from lakehouse.lake import catalog, damage, delta_log, tables, upgrades
from lakehouse.lake.changes import CHANGE, DELETE, INSERT, UPDATE
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.locking import Hold, Unshared
from lakehouse.lake.tables import Table
from lakehouse.spark import failures
from lakehouse.spark.opening import SessionOpener

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
MATERIALIZE = "spark.databricks.delta.merge.materializeSource"
REGISTERED = "lakehouse.registered"
"""Session setting: what the table names stand for: tables or views, of which root, at which versions."""
ROWS_PER_FILE = 18 * 1667
"""About a month of Silver, whole half-hours: a later one-day MERGE then copies one file of this size, not years."""

Rows: TypeAlias = DataFrame | pa.Table | pa.RecordBatchReader
"""Spark's, or those of this process: a table, or batches that come while they are consumed, once."""


@dataclass(frozen=True)
class Written:
    """A commit that was made: its version and Delta's own metrics."""

    version: int
    metrics: Mapping[str, int]


class Store:
    """The tables of one lake, through one Spark session.

    The session may be given as a function that opens it: it is called when Spark is needed, since a run that finds
    nothing to do needs none. ``elsewhere``: tables that stand outside the root, by name. ``hold``: what keeps other
    writers away, asked before each commit.
    """

    def __init__(
        self,
        spark: SparkSession | Callable[[], SparkSession],
        root: str,
        elsewhere: Mapping[str, str] | None = None,
        hold: Hold | None = None,
    ) -> None:
        self.root = root
        self.hold = hold or Unshared()
        self._spark = spark
        self._elsewhere = dict(elsewhere or {})

    @property
    def spark(self) -> SparkSession:
        """The session, opened now if it was not yet."""
        return self._spark if isinstance(self._spark, SparkSession) else self._spark()

    def begin_session(self) -> None:
        """Let the session open beside other work, where it is yet to be opened by one who can do that."""
        if isinstance(self._spark, SessionOpener):
            self._spark.begin()

    def at(self, root: str) -> "Store":
        """The tables of another root through the same session."""
        return Store(self._spark, root, hold=self.hold)

    def path(self, table: Table) -> str:
        """Where a table stands."""
        return self._elsewhere.get(table.name) or f"{self.root.rstrip('/')}/{table.path}"

    def open(self, table: Table) -> Snapshot | None:
        """The table at its newest version without a JVM; None where there is none."""
        return delta_log.open_table(self.path(table))

    def ensure(self, *wanted: Table) -> None:
        """As :meth:`prepare`, and make all tables readable by name."""
        self.prepare(*wanted)
        self.register()

    def prepare(self, *wanted: Table, on_create: Callable[[int], None] = lambda _: None) -> bool:
        """Create the tables that do not exist yet, bring those of older releases up to this one; whether any was.

        ``on_create`` is called with the number of tables to create, if any, before they are: in a cold JVM that takes
        seconds. They are created side by side.

        Raises:
            LakehouseError: a newer release wrote one, or no upgrade leads from it to this one; there are data files
                where a table is to be made.
        """
        for table in wanted:
            damage.clear(self.path(table))
        found = [(table, delta_log.open_table(self.path(table))) for table in wanted]
        new = [table for table, snapshot in found if snapshot is None]
        if new:
            on_create(len(new))
            spark = self.spark  # opened by this thread, if it is not open yet
            with ThreadPoolExecutor(len(new)) as threads:
                list(threads.map(lambda table: self._create(spark, table), new))
        upgraded = [self._upgrade(table, snapshot) for table, snapshot in found if snapshot is not None]
        return bool(new) or any(upgraded)

    def register(self, versions: Mapping[str, int] | None = None) -> None:
        """Make every existing table of this root readable as ``schema.table``, time travel included.

        With ``versions`` each name stands for that version of its table, and for no other.
        """
        kind, meant = ("TABLE", self.root) if versions is None else ("VIEW", f"{self.root} {dict(versions)}")
        before = self.spark.conf.get(REGISTERED, None)
        for table in tables.TABLES:
            if before not in (None, f"{kind} {meant}"):  # the name may still stand for another place; its files stay
                self.spark.sql(f"DROP {str(before).split()[0]} IF EXISTS {table.name}")
            if delta_log.open_table(self.path(table)) is None or table.name not in (versions or {table.name: 0}):
                continue
            self.spark.sql(catalog.database_of(table.name))
            if versions is None:
                self.spark.sql(catalog.table_as(table.name, self.path(table)))
            else:
                what = f"AS SELECT * FROM delta.`{self.path(table)}` VERSION AS OF {versions[table.name]}"  # noqa: S608 (our own names)
                self.spark.sql(f"CREATE VIEW IF NOT EXISTS {table.name} {what}")
        self.spark.conf.set(REGISTERED, f"{kind} {meant}")

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """All rows, at ``version`` or the newest.

        The newest is not asked for by its number: Delta refuses a number older than the retention, even if nothing
        has been committed since.

        Raises:
            LakehouseError: the version is older than the table's retention.
        """
        reader = self.spark.read.format("delta")
        newest = delta_log.open_table(self.path(table))
        if version is not None and (newest is None or version != newest.version):
            reader = reader.option("versionAsOf", version)
        try:
            return reader.load(self.path(table))
        except PySparkException as error:
            if failures.is_beyond_retention(error):
                raise LakehouseError(f"{table.name} version {version} {failures.BEYOND_RETENTION}") from None
            raise

    def read_with_schema(self, table: Table, version: int) -> DataFrame:
        """All rows at a version with the columns declared today; one that the version has not is null."""
        rows = self.read(table, version)
        there = set(rows.columns)
        return rows.select(
            *(
                F.col(column.name) if column.name in there else F.lit(None).cast(column.type).alias(column.name)
                for column in table.columns
            )
        )

    def to_spark(self, rows: Rows) -> DataFrame:
        """The rows for Spark, wherever they are. In one part: after an empty batch Spark reads no further."""
        if isinstance(rows, DataFrame):
            return rows
        table = rows if isinstance(rows, pa.Table) else rows.read_all()
        return self.spark.createDataFrame(table.combine_chunks())

    def of_file(self, file: Path, table: Table, *added: str) -> DataFrame:
        """Rows of a table that stand in a Parquet file on this machine; ``added``: columns that it has beside."""
        return self.spark.read.schema(", ".join((table.ddl, *added))).parquet(file.as_uri())

    @contextmanager
    def in_even_parts(self) -> Iterator[None]:
        """A file that is read meanwhile is shared out evenly, a part for each core, each in the file's order.

        (Spark puts some megabytes on top of each file, for the time to open it; one of the parts is then smaller.)
        """
        with self._setting("spark.sql.files.openCostInBytes", "0"):
            yield

    def append(self, frame: DataFrame, table: Table, commit: Commit, *, replacing: bool = False) -> Written:
        """Append rows in one commit; ``replacing``: they take the place of all others, which need not be readable."""
        self.hold.check()
        mode = "overwrite" if replacing else "append"
        writer = frame.select(*table.column_names).write.format("delta").mode(mode)
        writer = writer.option("userMetadata", commit.to_json()).option("maxRecordsPerFile", ROWS_PER_FILE)
        writer.save(self.path(table))
        return self._written(table)

    def merge(
        self,
        changes: DataFrame,
        table: Table,
        commit: Commit,
        bounds: Column,
        kinds: Collection[str],
        *,
        are_in_file: bool,
    ) -> Written:
        """Apply rows that carry ``_change`` (insert, update or delete) by key, in one MERGE.

        ``kinds`` are those that occur: where rows are only inserted, no file is looked through for matches to change.
        ``bounds`` is a condition on the target (``t``) and literals alone: it keeps MERGE from reading files that
        hold none of the keys. Rows that stand in a file (``are_in_file``) Delta needs not write down first for fear
        that they come out otherwise the second time.
        """
        condition = bounds
        for key in table.key:
            condition = condition & (F.col(f"t.{key}") == F.col(f"s.{key}"))
        assignments = {name: F.col(f"s.{name}") for name in table.column_names}
        target = DeltaTable.forPath(self.spark, self.path(table)).alias("t")
        with (
            self.with_commit_info(commit),
            self._setting("spark.sql.files.maxRecordsPerFile", str(ROWS_PER_FILE)),
            self._setting(MATERIALIZE, "none") if are_in_file else nullcontext(),
        ):
            merge = target.merge(changes.alias("s"), condition)
            if DELETE in kinds:
                merge = merge.whenMatchedDelete(F.col(f"s.{CHANGE}") == DELETE)
            if UPDATE in kinds:
                merge = merge.whenMatchedUpdate(F.col(f"s.{CHANGE}") == UPDATE, set=assignments)  # type: ignore[arg-type]  # a dict of columns is one of texts or columns
            if INSERT in kinds:
                merge = merge.whenNotMatchedInsert(F.col(f"s.{CHANGE}") == INSERT, values=assignments)  # type: ignore[arg-type]  # as above
            merge.execute()
        return self._written(table)

    def _create(self, spark: SparkSession, table: Table) -> None:
        self.hold.check()
        builder = DeltaTable.createIfNotExists(spark).location(self.path(table)).comment(table.comment)
        for column in table.columns:
            builder = builder.addColumn(column.name, column.type, nullable=column.nullable, comment=column.comment)
        for key, value in table.properties.items():
            builder = builder.property(key, value)
        for name, check in table.checks.items():
            # As a property at creation: one commit, where ALTER TABLE ADD CONSTRAINT makes one for each.
            builder = builder.property(f"delta.constraints.{name}", check)
        builder.execute()

    def _upgrade(self, table: Table, snapshot: Snapshot) -> bool:
        """Add what upgrades declare; whether there was any.

        Each step can be done again, should a run die between two of them.
        """
        self.hold.check()
        found = int(snapshot.properties.get(tables.SCHEMA_PROPERTY, "1"))
        path = f"delta.`{self.path(table)}`"
        for addition in upgrades.additions(table, found, snapshot.column_names):
            column = addition.column
            self.spark.sql(
                f"ALTER TABLE {path} ADD COLUMNS "
                f"({column.name} {column.type} COMMENT '{catalog.escaped(column.comment)}' AFTER {addition.after})"
            )
        if found < table.schema:
            number = f"'{tables.SCHEMA_PROPERTY}' = '{table.schema}'"
            self.spark.sql(f"ALTER TABLE {path} SET TBLPROPERTIES ({number})")
        return found < table.schema

    def checkpoint(self, table: Table) -> None:
        """Sum the log up in one file, so that readers need not read every commit."""
        self.hold.check()
        jvm: Any = self.spark._jvm
        log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(table))
        log.checkpoint()

    @contextmanager
    def with_commit_info(self, commit: Commit) -> Iterator[None]:
        """Let every commit made meanwhile carry this account; it is unset whatever happens."""
        self.hold.check()
        with self._setting(USER_METADATA, commit.to_json()):
            yield

    @contextmanager
    def _setting(self, name: str, value: str) -> Iterator[None]:
        """The session's setting meanwhile; afterwards it is what it was, whoever had set it."""
        before = self.spark.conf.get(name, None)
        self.spark.conf.set(name, value)
        try:
            yield
        finally:
            if before is None:
                self.spark.conf.unset(name)
            else:
                self.spark.conf.set(name, before)

    def _written(self, table: Table) -> Written:
        snapshot = delta_log.open_table(self.path(table))
        if snapshot is None:  # the table was there a moment ago
            raise LakehouseError(f"{table.name} vanished from {self.path(table)} while it was written.")
        metrics = snapshot.newest_commits(1)[0].get("operationMetrics") or {}
        return Written(snapshot.version, {name: int(value) for name, value in metrics.items()})
