"""Rebuilding a release from its own Bronze with the code of today, and holding the result against it bit for bit.

Provenance is left out: a row of Silver names a response that carried its value, the first one where several did, while
a rebuild sees all of them at once and names the newest.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse import provenance
from lakehouse.errors import LakehouseError
from lakehouse.history import comparison, manifests, states
from lakehouse.history.comparison import Comparison
from lakehouse.history.states import LakeVersion
from lakehouse.lake import delta_log
from lakehouse.lake.store import Store
from lakehouse.lake.tables import BRONZE, QUARANTINE, SILVER, TABLES, Table
from lakehouse.messages.progress import OnProgress, each, unheard
from lakehouse.messages.wording import counted
from lakehouse.run_context import RunContext
from lakehouse.settings import Settings
from lakehouse.spark import session
from lakehouse.transform import gold_job, quarantine, silver_job
from lakehouse.transform.models import MODELS
from lakehouse.transform.quality import RULES

SHOWN = 20
"""Differing rows of a table that are told."""


@dataclass(frozen=True)
class Reproduced:
    """A release beside what its Bronze gives today. ``rules``: names of rules that were declared otherwise then."""

    state: LakeVersion
    code_version: str
    comparisons: Sequence[Comparison]
    rules: Sequence[str]

    @property
    def is_identical(self) -> bool:
        """Whether not one bit of one value differs."""
        return not any(each.differing for each in self.comparisons)

    def describe(self) -> list[str]:
        """Lines for a person: a table each, and the verdict."""
        lines = [each.describe() for each in self.comparisons]
        if self.rules:
            lines.append(f"Rules that are not what they were: {', '.join(self.rules)}.")
        made_by = self.state.run["made_by"]
        if self.is_identical:
            rows = counted(sum(each.rows_after for each in self.comparisons), "row")
            lines.append(f"Identical: {rows} of {self.state.name}, made by {made_by}, anew by {self.code_version}.")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "release": self.state.run["release"],
            "made_by": self.state.run["made_by"],
            "reproduced_by": self.code_version,
            "is_identical": self.is_identical,
            "changed_rules": list(self.rules),
            "tables": [each.as_dict() for each in self.comparisons],
        }


def reproduce(
    settings: Settings,
    name: str,
    tell: Callable[[str], None] = lambda _: None,
    on_progress: OnProgress = unheard,
) -> Reproduced:
    """Derive all that a release holds from its Bronze in a scratch root, and compare; the lake itself is not touched.

    Raises:
        UsageError: there is no such release.
        LakehouseError: it cannot be read, or there is no room for the scratch.
    """
    session.check()
    state = states.of_release(settings, name)
    with _scratch(settings) as place:
        store = Store(session.open_session(), place, {BRONZE.name: state.path(BRONZE)})
        store.prepare(*(table for table in TABLES if table is not BRONZE))
        context = RunContext(
            store,
            f"reproduce {name}",
            provenance.code_version(),
            provenance.settings_hash(settings),
            on_progress=on_progress,
        )
        tell(f"silver: from {counted(state.run['tables'][BRONZE.name]['rows'], 'response')} of {state.name}")
        silver_job.build_silver(context, full=True, contract=quarantine.contract(settings))
        tell("gold: from that")
        models = [model for model in MODELS if state.holds(model.table)]
        for model in models:
            gold_job.build_model(context, model, full=True)
        comparisons = [
            comparison.compare(
                table,
                state.snapshot(table),
                _opened(store, table),
                state.name,
                "what its Bronze gives today",
                SHOWN,
                exact=False,
            )
            for table in each(
                (SILVER, QUARANTINE, *(model.table for model in models)), on_progress, "compares", "table"
            )
        ]
    return Reproduced(state, context.code_version, comparisons, _changed_rules(manifests.read(settings, name)["rules"]))


def _opened(store: Store, table: Table) -> delta_log.Snapshot:
    found = delta_log.open_table(store.path(table))
    if found is None:
        raise LakehouseError(f"The scratch of {table.name} vanished from {store.path(table)}.")
    return found


def _changed_rules(then: Sequence[dict[str, Any]]) -> list[str]:
    old = {rule["name"]: (rule["level"], rule["keeps"]) for rule in then}
    new = {rule.name: (rule.level, rule.keeps) for rule in RULES.all}
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


@contextmanager
def _scratch(settings: Settings) -> Iterator[str]:
    """A root of its own that goes when the block ends: inside the lake's, or for an object store on this machine."""
    parent = Path(settings.root) if settings.is_local else None
    try:
        place = tempfile.mkdtemp(prefix=".reproduce-", dir=parent)
    except OSError as error:
        raise LakehouseError(
            f"No scratch can be made at {parent or tempfile.gettempdir()}: {error.strerror}."
        ) from error
    try:
        yield place
    finally:
        shutil.rmtree(place)
