"""Whether bodies are still the bytes that were received: held against their SHA-256 whenever they are read.

Hadoop's own check sums lie in hidden files beside the data, which many copies leave behind; object stores have none.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import QualityError

NEEDED = ("response_id", "body", "body_sha256")
"""The columns of Bronze that a check takes."""
BEFORE, AFTER = (
    "The body of response ",
    " in Bronze is not what was received, for its SHA-256 differs from body_sha256: bring Bronze back from a backup or "
    "a release; nothing was made of it.",
)


def checked_rows(rows: pa.Table) -> pa.Table:
    """Rows of Bronze with the columns ``NEEDED``, as they are.

    Raises:
        QualityError: a body is not what was received.
    """
    bodies, stated = (rows[name].combine_chunks() for name in ("body", "body_sha256"))

    def is_whole(place: int) -> bool:
        return hashlib.sha256(bodies[place].as_buffer()).hexdigest() == str(stated[place].as_py())

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Python lets its lock go while it hashes
        for place, whole in enumerate(threads.map(is_whole, range(rows.num_rows))):
            if not whole:
                raise QualityError(f"{BEFORE}{rows['response_id'][place]}{AFTER}")
    return rows


def checked(bronze: DataFrame) -> DataFrame:
    """Responses as they are; to read the body of one that is not what was received is an error of Spark's.

    ``session.stopped_by_us`` tells it from others. Nothing is checked of a response whose body is not read.
    """
    message = F.concat(F.lit(BEFORE), F.col("response_id"), F.lit(AFTER))
    is_whole = F.sha2("body", 256) == F.col("body_sha256")
    return bronze.withColumn("body", F.when(is_whole, F.col("body")).otherwise(F.raise_error(message)))
