"""Silver's rows among the checked records of a batch, and what is counted of them: one SQL text each.

The texts are in the SQL that DuckDB and Spark have in common, over a table ``{records}`` with the columns of
``records.CHECKED`` and, of the record's response, ``response_id``, ``landing``, ``ingestion_timestamp`` and
``is_pending``: whether Silver has yet to consume it. Other responses are there because they may hold newer values of
the same half-hours.
"""

from lakehouse.lake.tables import QUARANTINE, SILVER
from lakehouse.transform.quality import Rules

_IS_GOOD = "reasons IS NULL"
_SAME_KEY = " AND ".join(f"other.{name} = records.{name}" for name in SILVER.key)

_IS_NEWER = """(other.ingestion_timestamp > records.ingestion_timestamp
        OR other.ingestion_timestamp = records.ingestion_timestamp AND (other.response_id > records.response_id
            OR other.response_id = records.response_id AND other.position > records.position))"""


def newest(*, only_pending_keys: bool) -> str:
    """One row per (regionid, timestamp): the newest good record by (ingestion_timestamp, response_id, position).

    With ``only_pending_keys`` those keys only of which a pending response speaks: of another key the newest record may
    stand in a response that is not in the batch.
    """
    is_pending = f"""
            AND EXISTS (SELECT 1 FROM {{records}} AS other
                        WHERE other.is_pending AND other.{_IS_GOOD} AND {_SAME_KEY})"""
    return f"""
        SELECT {", ".join(SILVER.column_names)} FROM {{records}} AS records
        WHERE {_IS_GOOD}
            AND NOT EXISTS (SELECT 1 FROM {{records}} AS other
                            WHERE other.{_IS_GOOD} AND {_SAME_KEY}
                                AND {_IS_NEWER})
            {is_pending if only_pending_keys else ""}"""


def refused(*, with_consumed: bool) -> str:
    """The rows of the quarantine: the records that a rule refuses, of pending responses or of all."""
    among = "" if with_consumed else "AND is_pending"
    names = {name: name for name in QUARANTINE.column_names} | {"regionid": "region AS regionid"}
    return f"SELECT {', '.join(names.values())} FROM {{records}} WHERE reasons IS NOT NULL {among}"


def summary(rules: Rules) -> str:
    """One row: how many records there are (``received``, ``quarantined``, ``refused``), and broke each rule by name.

    All but ``refused`` are counted of pending responses only.
    """
    counted = {
        "received": "is_pending",
        "quarantined": "is_pending AND reasons IS NOT NULL",
        "refused": "reasons IS NOT NULL",
        **{name: f"is_pending AND {breaks}" for name, breaks in rules.breaks.items()},
    }
    columns = ", ".join(f"count(*) FILTER (WHERE {condition}) AS {name}" for name, condition in counted.items())
    return f"SELECT {columns} FROM {{records}}"


REPEATED = f"""
    SELECT coalesce(sum(n - 1), 0) AS n FROM (
        SELECT count(*) AS n FROM {{records}} WHERE is_pending AND NOT is_regular AND {_IS_GOOD}
        GROUP BY response_id, {", ".join(SILVER.key)} HAVING count(*) > 1) AS repeated"""
"""How many good records of a pending response have a key that another of them has, too, but for one each."""
UNKNOWN = "SELECT unknown, count(*) AS n FROM {records} WHERE is_pending AND unknown IS NOT NULL GROUP BY unknown"
"""The names that nobody knew, as lists, and how many records of pending responses hold exactly these."""
PENDING_KEYS = f"""
    SELECT count(*) AS n FROM (
        SELECT DISTINCT {", ".join(SILVER.key)} FROM {{records}} WHERE is_pending AND {_IS_GOOD}) AS keys"""
"""The number of keys of which good records of pending responses speak."""
