"""Silver's half-hours as literal rows, for the tests of what is made of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from lakehouse.lake.tables import FUELS, SILVER

DAY = datetime(2024, 1, 2, tzinfo=UTC)


def half_hours(spark: SparkSession, *rows: dict[str, Any]) -> DataFrame:
    """Half-hours of London, from 2024-01-02T00:00Z on, each with the values that a test names."""
    made = [
        {
            "regionid": 13,
            "timestamp": DAY + number * timedelta(minutes=30),
            "shortname": "London",
            "dno": "UKPN London",
            "intensity_forecast": 100,
            "intensity_index": "low",
            **{f"fuel_{fuel}": Decimal(0) for fuel in FUELS},
            "extra": None,
            "response_id": "r",
            "ingestion_timestamp": DAY,
            **row,
        }
        for number, row in enumerate(rows)
    ]
    schema = StructType.fromDDL(SILVER.ddl)
    table = pa.Table.from_pylist(made, to_arrow_schema(schema, timezone="UTC"))
    return spark.createDataFrame(table, schema).coalesce(1)
