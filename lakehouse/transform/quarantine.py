"""The records that were refused: what a person sees of them, and by which rules they are judged."""

from typing import Any

from lakehouse.errors import UsageError
from lakehouse.lake import delta_log
from lakehouse.lake.tables import QUARANTINE
from lakehouse.settings import Settings
from lakehouse.transform.quality import RULES
from lakehouse.transform.silver_job import Contract


def contract(settings: Settings) -> Contract:
    """The rules and the contract with the API, as set.

    Raises:
        UsageError: a rule is named that does not exist.
    """
    try:
        rules = RULES.failing(settings.quality.fail)
    except KeyError as error:
        known = ", ".join(rule.name for rule in RULES.all)
        raise UsageError(f"quality.fail names {error.args[0]!r}, which is no rule; known: {known}.") from None
    return Contract(rules, is_frozen=settings.quality.contract == "freeze")


def listed(settings: Settings, reason: str | None = None) -> list[dict[str, Any]]:
    """The records in quarantine, newest responses first; with ``reason`` those that broke this rule. No JVM.

    Raises:
        UsageError: there is no such rule.
    """
    if reason is not None and reason not in {rule.name for rule in RULES.records}:
        raise UsageError(f"There is no rule {reason!r}; known: {', '.join(rule.name for rule in RULES.records)}.")
    found = delta_log.open_table(settings.path(QUARANTINE.path))
    rows = found.rows(QUARANTINE.column_names).to_pylist() if found else []
    wanted = [row for row in rows if reason is None or reason in row["reasons"]]
    wanted.sort(key=lambda row: (row["response_id"], row["position"]))
    return sorted(wanted, key=lambda row: row["ingestion_timestamp"], reverse=True)
