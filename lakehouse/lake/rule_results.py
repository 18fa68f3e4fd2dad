"""What ``ops.runs`` keeps of a stage's checks. Pure, because every Python worker of Spark's imports it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleResult:
    """How many of the records checked broke a rule; for level ``drift``, held the field called ``rule``."""

    rule: str
    level: str
    failed: int
    checked: int
