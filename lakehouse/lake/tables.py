"""Every Delta table declared once: path, columns, key, checks, comments and properties.

Types are Spark SQL DDL. What a column means stands in its comment, which goes into the table itself and into the data
dictionary. A quantity has its unit beside that, for programs; its comment names the same unit or counts in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

FUELS = ("biomass", "coal", "gas", "hydro", "imports", "nuclear", "other", "solar", "wind")
"""The nine fuels of the regional mix, in the order of our columns. A half-hour without one of them is refused."""
LATER_FUELS: tuple[str, ...] = ()
"""Fuels that the API added later: their columns are null where a half-hour does not state them."""
KNOWN_FUELS = FUELS + LATER_FUELS
LABELS = ("very low", "low", "moderate", "high", "very high")
"""Labels of intensity, least severe first."""
PERIODS_PER_DAY = 48
"""Half-hours in a UTC day, on clock-change days too."""

SCHEMA_PROPERTY = "lakehouse.schema"
"""Table property: the number of the declaration that a table was made by, or brought up to (``upgrades``)."""
GRAMS, PERCENT, HALF_HOURS, DAYS = "gCO2/kWh", "percent", "half-hours", "days"
"""Units of columns; percent is of a region's generation, imports included."""
FOREVER = "interval 36500 days"
"""Delta refuses versions older than a table's retention, vacuumed or not; a hundred years means never."""


@dataclass(frozen=True)
class Column:
    """One column: its Spark SQL type, meaning, whether it may be null, and the unit where it is a quantity."""

    name: str
    type: str
    comment: str
    nullable: bool = False
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """A Delta table. ``name`` is ``schema.table``; ``path`` is the same place under the lake's root.

    ``schema`` numbers the declaration; it rises when columns or properties change, with an entry in ``upgrades``.
    ``indexed``: the columns that files keep statistics of, none for all; they cost time with every row that is written.
    ``clustered_by``: the column that files are laid out by, so that a MERGE of neighbours reads few of them.
    ``in_commit_timestamps``: commits carry their time, so that it survives a copy; delta-rs cannot write such tables.
    ``alias``: what people call it inside its schema. ``time``: the column by which a reader asks for a range.
    """

    name: str
    comment: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    checks: Mapping[str, str] = field(default_factory=dict)
    append_only: bool = False
    in_commit_timestamps: bool = True
    provenance: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()
    clustered_by: str = ""
    schema: int = 1
    alias: str = ""
    time: str = ""

    @property
    def path(self) -> str:
        """The place under the root, such as ``silver/regional_half_hourly``."""
        return self.name.replace(".", "/")

    @property
    def short_name(self) -> str:
        """The name without its schema, as PostgreSQL has it."""
        return self.name.split(".")[1]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in table order."""
        return tuple(column.name for column in self.columns)

    @property
    def values(self) -> tuple[str, ...]:
        """The columns that carry the row's value: neither key nor provenance."""
        return tuple(name for name in self.column_names if name not in (*self.key, *self.provenance))

    @property
    def beside_key(self) -> tuple[str, ...]:
        """All columns but the key."""
        return tuple(name for name in self.column_names if name not in self.key)

    @property
    def order(self) -> tuple[str, ...]:
        """The key, the column first that files are laid out by."""
        return (self.clustered_by, *(name for name in self.key if name != self.clustered_by))

    @property
    def ddl(self) -> str:
        """The columns as a Spark schema string, nullability left out (a frame's own may be looser)."""
        return ", ".join(f"`{column.name}` {column.type}" for column in self.columns)

    @property
    def properties(self) -> dict[str, str]:
        """Delta table properties, set at creation."""
        statistics = {"delta.dataSkippingStatsColumns": ",".join(self.indexed)} if self.indexed else {}
        return {
            **statistics,
            SCHEMA_PROPERTY: str(self.schema),
            "delta.appendOnly": str(self.append_only).lower(),
            "delta.enableChangeDataFeed": "true",
            "delta.enableInCommitTimestamps": str(self.in_commit_timestamps).lower(),
            "delta.enableDeletionVectors": "false",
            "delta.checkpointPolicy": "classic",
            "delta.checkpointInterval": "100",  # one costs a small run 5 s; maintenance makes one, too
            "delta.deletedFileRetentionDuration": FOREVER,
            "delta.logRetentionDuration": FOREVER,
        }


def _fuel_columns(type_: str, what: str) -> tuple[Column, ...]:
    return tuple(
        Column(
            f"fuel_{fuel}",
            type_,
            f"{what} from {fuel}, {PERCENT} of generation",
            nullable=fuel in LATER_FUELS,
            unit=PERCENT,
        )
        for fuel in KNOWN_FUELS
    )


BRONZE = Table(
    name="bronze.regional_intensity",
    comment="API responses exactly as they were received, one row per response; append-only, never pruned",
    alias="responses",
    time="ingestion_timestamp",
    key=("response_id",),
    append_only=True,
    columns=(
        Column("response_id", "STRING", "SHA-256 of source, window or file, ingestion time and body hash"),
        Column("source", "STRING", "The API that the lake is filled from: its address, or simulator:seed=N"),
        Column("source_url", "STRING", "The URL asked", nullable=True),
        Column("source_file", "STRING", "Name of the imported file", nullable=True),
        Column("window_start", "TIMESTAMP", "Start of the window, tested on a period's end, inclusive"),
        Column("window_end", "TIMESTAMP", "End of the window, tested on a period's end, inclusive"),
        Column("regionid", "INT", "The region that the response is about; null for all, 0 if neither", nullable=True),
        Column("http_status", "INT", "HTTP status of the answer", nullable=True),
        Column("headers", "MAP<STRING,STRING>", "Headers of the answer, names in lower case"),
        Column("attempts", "INT", "Requests it took until this answer came"),
        Column("body", "BINARY", "The body, decompressed, byte for byte"),
        Column("body_sha256", "STRING", "SHA-256 of the body, hexadecimal"),
        Column("n_periods", "INT", "Half-hours in the body; 0 for an empty answer", unit=HALF_HOURS),
        Column("absent", "ARRAY<TIMESTAMP>", "Half-hours of the window (their starts) of which it has no record"),
        Column("ingestion_timestamp", "TIMESTAMP", "When it was received, by the lake's clock, UTC"),
        Column("landing", "BIGINT", "Number of the commit that brought it, rising by one"),
        Column("run_id", "STRING", "The run that received it"),
        Column("ingest_date", "DATE", "UTC day of ingestion_timestamp"),
    ),
    checks={"sha256_is_hex": "body_sha256 rlike '^[0-9a-f]{64}$'", "attempts_counted": "attempts >= 1"},
)

SILVER = Table(
    name="silver.regional_half_hourly",
    comment="The newest good value of every half-hour and region",
    alias="half_hours",
    time="timestamp",
    key=("regionid", "timestamp"),
    clustered_by="timestamp",
    provenance=("response_id", "ingestion_timestamp"),
    indexed=("regionid", "timestamp"),
    columns=(
        Column("regionid", "INT", "Region, 1 to 18; see gold.dim_region"),
        Column("timestamp", "TIMESTAMP", "Start of the half-hour, UTC"),
        Column("shortname", "STRING", "Name of the region as the API gave it"),
        Column("dno", "STRING", "Distribution network operator as the API gave it"),
        Column("intensity_forecast", "INT", f"Forecast carbon intensity, {GRAMS}", unit=GRAMS),
        Column("intensity_index", "STRING", "Label of the intensity: very low, low, moderate, high, very high"),
        *_fuel_columns("DECIMAL(5,2)", "Share"),
        Column(
            "extra", "STRING", "What the API said beside this, as JSON with sorted keys; null: nothing", nullable=True
        ),
        Column("response_id", "STRING", "A Bronze response that carried this value"),
        Column("ingestion_timestamp", "TIMESTAMP", "When that response was received, UTC"),
    ),
    checks={
        "region_known": "regionid BETWEEN 1 AND 18",
        "on_the_grid": "minute(timestamp) IN (0, 30) AND second(timestamp) = 0",
    },
)

QUARANTINE = Table(
    name="silver.quarantine",
    comment="Records that broke a rule, with the reasons; one row per record",
    time="ingestion_timestamp",
    key=("response_id", "position"),
    clustered_by="response_id",
    columns=(
        Column("response_id", "STRING", "The Bronze response that holds the record"),
        Column("position", "BIGINT", "Place in the body: period number * 1000 + region number, from 0"),
        Column("landing", "BIGINT", "The Bronze commit that brought the response"),
        Column("ingestion_timestamp", "TIMESTAMP", "When the response was received, UTC"),
        Column("regionid", "STRING", "Region id as it stands in the record", nullable=True),
        Column("period_from", "STRING", "Start of the period as it stands in the record", nullable=True),
        Column("reasons", "ARRAY<STRING>", "Names of the rules it broke"),
        Column("piece", "STRING", "The record, as JSON"),
    ),
)

GOLD = Table(
    name="gold.carbon_intensity_daily",
    comment="One row per region and UTC day",
    alias="daily",
    time="date_recorded",
    key=("regionid", "date_recorded"),
    clustered_by="date_recorded",
    indexed=("regionid", "date_recorded"),
    columns=(
        Column("regionid", "INT", "Region, 1 to 18; see gold.dim_region"),
        Column("date_recorded", "DATE", "UTC day of the half-hours' starts"),
        Column("shortname", "STRING", "Name of the region in the day's last half-hour"),
        Column("dno", "STRING", "Network operator in the day's last half-hour"),
        Column(
            "intensity_avg", "DECIMAL(10,2)", f"Mean forecast intensity, {GRAMS}, rounded once, half up", unit=GRAMS
        ),
        Column("index_mode", "STRING", "Most frequent label of the day; of equals the more severe"),
        *_fuel_columns("DECIMAL(10,2)", "Mean share"),
        Column("n_periods", "INT", "Half-hours that the day's figures rest on", unit=HALF_HOURS),
        Column("n_expected", "INT", "Half-hours of a whole day: 48", unit=HALF_HOURS),
        Column("is_complete", "BOOLEAN", "Whether all 48 half-hours are there"),
        Column("intensity_min", "INT", f"Lowest half-hour of the day, {GRAMS}", unit=GRAMS),
        Column("intensity_max", "INT", f"Highest half-hour of the day, {GRAMS}", unit=GRAMS),
    ),
    checks={
        "region_known": "regionid BETWEEN 1 AND 18",
        "periods_counted": "n_periods BETWEEN 1 AND n_expected",
        "complete_means_all": "is_complete = (n_periods = n_expected)",
        "mean_within_range": "intensity_avg BETWEEN intensity_min AND intensity_max",
    },
)

DIM_REGION = Table(
    name="gold.dim_region",
    comment="One row per region",
    alias="regions",
    key=("regionid",),
    clustered_by="regionid",
    columns=(
        Column("regionid", "INT", "Region, 1 to 18"),
        Column("shortname", "STRING", "Name in the newest half-hour"),
        Column("dno", "STRING", "Network operator in the newest half-hour"),
        Column("kind", "STRING", "dno_region, nation or gb; nations and gb are aggregates of dno_regions"),
        Column("parent_regionid", "INT", "The nation of a dno_region, gb for a nation", nullable=True),
    ),
    checks={
        "region_known": "regionid BETWEEN 1 AND 18",
        "kind_known": "kind IN ('dno_region', 'nation', 'gb')",
    },
)

INTENSITY_PROFILE = Table(
    name="gold.intensity_profile",
    comment="One row per region, UTC month and half-hour of the day: what that half-hour is like in that month",
    alias="profile",
    time="month",
    key=("regionid", "month", "half_hour"),
    indexed=("regionid", "month"),
    clustered_by="month",
    columns=(
        Column("regionid", "INT", "Region, 1 to 18; see gold.dim_region"),
        Column("month", "DATE", "First day of the UTC month"),
        Column("half_hour", "SMALLINT", "Half-hour of the UTC day, 0 (from 00:00) to 47 (from 23:30)"),
        Column("n_days", "INT", "Days of the month that have this half-hour", unit=DAYS),
        Column(
            "intensity_avg", "DECIMAL(10,2)", f"Mean forecast intensity, {GRAMS}, rounded once, half up", unit=GRAMS
        ),
        Column("intensity_min", "INT", f"Lowest forecast of these half-hours, {GRAMS}", unit=GRAMS),
        Column("intensity_max", "INT", f"Highest forecast of these half-hours, {GRAMS}", unit=GRAMS),
    ),
    checks={
        "region_known": "regionid BETWEEN 1 AND 18",
        "month_begins": "day(month) = 1",
        "half_hour_of_day": "half_hour BETWEEN 0 AND 47",
        "days_counted": "n_days BETWEEN 1 AND 31",
        "mean_within_range": "intensity_avg BETWEEN intensity_min AND intensity_max",
    },
)

GOLD_MONTHLY = Table(
    name="gold.carbon_intensity_monthly",
    comment="One row per region and UTC month, from its half-hours",
    alias="monthly",
    time="month",
    key=("regionid", "month"),
    indexed=("regionid", "month"),
    clustered_by="month",
    columns=(
        Column("regionid", "INT", "Region, 1 to 18; see gold.dim_region"),
        Column("month", "DATE", "First day of the UTC month"),
        Column("n_days", "INT", "Days with at least one half-hour", unit=DAYS),
        Column("n_complete_days", "INT", "Days with all 48 half-hours", unit=DAYS),
        Column("n_periods", "INT", "Half-hours that the month's figures rest on", unit=HALF_HOURS),
        Column(
            "intensity_avg", "DECIMAL(10,2)", f"Mean forecast intensity, {GRAMS}, rounded once, half up", unit=GRAMS
        ),
        Column("intensity_min", "INT", f"Lowest half-hour of the month, {GRAMS}", unit=GRAMS),
        Column("intensity_max", "INT", f"Highest half-hour of the month, {GRAMS}", unit=GRAMS),
        *_fuel_columns("DECIMAL(10,2)", "Mean share"),
    ),
    checks={
        "region_known": "regionid BETWEEN 1 AND 18",
        "month_begins": "day(month) = 1",
        "days_counted": "n_complete_days BETWEEN 0 AND n_days AND n_days BETWEEN 1 AND 31",
        "periods_counted": "n_periods BETWEEN n_days AND 48 * n_days",
        "mean_within_range": "intensity_avg BETWEEN intensity_min AND intensity_max",
    },
)

_STAGE = (
    "STRUCT<stage: STRING, status: STRING, seconds: DOUBLE, version: BIGINT, "
    "reads: MAP<STRING,BIGINT>, counts: MAP<STRING,BIGINT>, account: STRING>"
)

RUNS = Table(
    name="ops.runs",
    comment="One row per run, written last; its number is the lake version",
    time="finished_at",
    key=("run_id",),
    append_only=True,
    schema=2,
    in_commit_timestamps=False,  # its rows say when; a run that finds nothing to do writes this row without a JVM
    columns=(
        Column("lake_version", "BIGINT", "Number of this row, rising by one; pins every table"),
        Column("run_id", "STRING", "The run"),
        Column("command", "STRING", "What was asked: run, bronze, import, ..."),
        Column("status", "STRING", "ok or failed"),
        Column("error", "STRING", "Why it failed, in one sentence", nullable=True),
        Column("exit_code", "INT", "What the command ended with; null in rows of older releases", nullable=True),
        Column("code_version", "STRING", "Version of this package, with the git commit where there is one"),
        Column("settings_hash", "STRING", "SHA-256 of the settings without secrets, first 16 digits"),
        Column("lake_clock", "TIMESTAMP", "The API's clock when asked, UTC; null if it was not", nullable=True),
        Column("started_at", "TIMESTAMP", "Machine clock at the start, UTC"),
        Column("finished_at", "TIMESTAMP", "Machine clock at the end, UTC"),
        Column(
            "stages",
            f"ARRAY<{_STAGE}>",
            "What each stage read, wrote and counted; seconds of wall time; account: JSON of what its table is made of",
        ),
        Column("versions", "MAP<STRING,BIGINT>", "Version of every table after this run"),
        Column(
            "failed_windows",
            "ARRAY<STRUCT<window_start: TIMESTAMP, window_end: TIMESTAMP, error: STRING>>",
            "Windows that the API did not answer, with the last error",
        ),
        Column(
            "quality",
            "ARRAY<STRUCT<stage: STRING, rule: STRING, level: STRING, failed: BIGINT, checked: BIGINT>>",
            "Records that broke each rule, zeros included, of those checked; level drift: a field not known before",
        ),
    ),
)

TABLES = (BRONZE, SILVER, QUARANTINE, GOLD, DIM_REGION, INTENSITY_PROFILE, GOLD_MONTHLY, RUNS)
PUBLISHED = (DIM_REGION, GOLD, INTENSITY_PROFILE, GOLD_MONTHLY)
"""The tables that PostgreSQL has, in the order of their foreign keys: one that others refer to comes before them."""


def by_name(name: str) -> Table | None:
    """The table called ``schema.table``, or ``schema/table``, or just ``table``; None when there is none."""
    wanted = name.replace("/", ".")
    return next((table for table in TABLES if wanted in (table.name, table.short_name)), None)
