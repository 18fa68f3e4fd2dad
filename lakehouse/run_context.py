"""What every stage is given and what it reports: the tables of the lake, and how its commits describe the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from lakehouse.errors import LakehouseError, QualityError
from lakehouse.lake import delta_log
from lakehouse.lake.commits import Commit
from lakehouse.lake.delta_log import Snapshot
from lakehouse.lake.rule_results import RuleResult
from lakehouse.lake.store import Store
from lakehouse.lake.tables import Table
from lakehouse.messages.progress import OnProgress, unheard
from lakehouse.spark import session


@dataclass(frozen=True)
class StageReport:
    """What a stage did. ``version`` is the one it wrote, None when there was nothing to write.

    ``account`` is what the stage knows of its table's progress, for runs that leave no commit to say it. ``outcome``
    says what there is now, where that is no version. ``writes`` names the tables of the lake that the stage keeps, each
    with the version that it wrote, None when there was nothing to write.
    """

    stage: str
    version: int | None
    counts: Mapping[str, int]
    reads: Mapping[str, int] = field(default_factory=dict)
    quality: tuple[RuleResult, ...] = ()
    seconds: float = 0.0
    status: str = "ok"
    account: str | None = None
    outcome: str | None = None
    writes: Mapping[str, int | None] = field(default_factory=dict)


class GateError(QualityError):
    """A rule, or the contract with the API, stopped a stage; nothing was written. Carries the stage's report."""

    def __init__(self, sentence: str, report: StageReport) -> None:
        super().__init__(sentence)
        self.report = replace(report, status="failed")


@dataclass(frozen=True)
class RunContext:
    """What every stage needs: the tables, and what its commits say about the run.

    ``lake_version`` is the number that the run will have in ``ops.runs``; None outside of a run. ``accept_loss``: what
    the sources no longer hold may be deleted. ``max_deleted_share``: of a table's rows that a stage may delete.
    ``on_progress`` is told how far a stage is.
    """

    store: Store
    run_id: str
    code_version: str
    settings_hash: str
    lake_version: int | None = None
    accept_loss: bool = False
    max_deleted_share: float = 1.0
    on_progress: OnProgress = unheard

    def commit(
        self,
        stage: str,
        reads: Mapping[str, Snapshot] | None = None,
        landing: int | None = None,
        *,
        writes: tuple[Table, Snapshot] | None = None,
    ) -> Commit:
        """What a commit of this run says about itself.

        ``reads`` are the tables read, by name; ``writes`` the table written and how it stood.
        """
        pins = {name: snapshot.pin for name, snapshot in (reads or {}).items()}
        generation = self.store.hold.generation
        commit = Commit(stage, self.run_id, self.code_version, self.settings_hash, pins, landing, generation=generation)
        if writes is not None:
            table, now = writes
            commit = replace(commit, based_on=now.version, schema=table.schema)
        return commit

    @cached_property
    def is_local(self) -> bool:
        """Whether Spark works on this machine alone, so that this process does what needs no cluster: asked once."""
        return session.is_local()

    def open_session(self) -> None:
        """Have Spark open, for a stage that has something to write: without a session no column can be described."""
        _ = self.store.spark

    def snapshot(self, table: Table) -> Snapshot:
        """The table's newest version.

        Raises:
            LakehouseError: it does not exist.
        """
        found = delta_log.open_table(self.store.path(table))
        if found is None:
            raise LakehouseError(f"There is no table at {self.store.path(table)}; run the stage before this one first.")
        return found
