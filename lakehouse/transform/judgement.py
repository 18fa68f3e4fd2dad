"""What is found of the pieces before anything is written, and the two places where it is found (``near``, ``far``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from pyspark.sql import DataFrame

from lakehouse.lake.store import Rows
from lakehouse.run_context import RuleResult
from lakehouse.transform.merge import ChangeCounts
from lakehouse.transform.quality import DRIFT


@dataclass(frozen=True)
class ValidationSummary:
    """What the pieces are, counted: all of it about pending ones but ``refused``, which is of all that were read.

    ``results``: every rule's, and what the API said that it did not say before, with the number of pieces that hold it.
    """

    received: int
    quarantined: int
    refused: int
    results: tuple[RuleResult, ...]

    def counts(self, counted: ChangeCounts, keys: int | None = None) -> dict[str, int]:
        """Idea 6's counts: received = quarantined + duplicates + ``keys`` that pending pieces speak of.

        By default these are all that should be there.
        """
        rows = counted.counts()
        if keys is None:
            keys = rows["inserted"] + rows["updated"] + rows["unchanged"]
        duplicates = self.received - self.quarantined - keys
        return {"received": self.received, "duplicates": duplicates, **rows, "quarantined": self.quarantined}


def drifted(name: str, pieces: int, received: int) -> RuleResult:
    """The result for a field or a fuel that nobody knew."""
    return RuleResult(name, DRIFT, pieces, received)


class Judged(Protocol):
    """All pieces of a scope, each with the rules it breaks; held until ``close``."""

    @property
    def found(self) -> ValidationSummary:
        """The counts."""

    def refused(self, *, with_consumed: bool) -> DataFrame:
        """The pieces that a rule refuses, of pending responses, or of all that were read."""

    def newest(self) -> Rows:
        """Silver's rows: of each key the newest good piece. They are here where they are few and were judged here.

        Where consumed responses were read beside pending ones, only keys of which a pending one speaks: of another
        the newest may stand in a response that was not read.
        """

    @contextmanager
    def laid_out(self) -> Iterator[DataFrame]:
        """As :meth:`newest`; what is written inside the context lies in files of about a month each.

        A later day's MERGE then copies one file and not years.
        """

    def pending_keys(self) -> int:
        """The number of keys of which good pieces of pending responses speak."""

    def close(self) -> None:
        """Let go of what is held."""
