"""The run above a run: the lakehouse's own for a stage, an orchestrator's for that."""

from collections.abc import Mapping

from openlineage.client.generated.parent_run import Job, ParentRunFacet, Root, RootJob, RootRun, Run

PARENT, ROOT = "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"
"""``namespace/job/run id``, as orchestrators hand them to what they start."""
Identifier = tuple[str, str, str]


def from_environment(variables: Mapping[str, str]) -> tuple[ParentRunFacet | None, str | None]:
    """The orchestrator's run, if the environment names one, and a warning where what it says cannot be read."""
    if not variables.get(PARENT):
        return None, None
    try:
        parent = facet(_parsed(variables[PARENT]))
        if variables.get(ROOT):
            parent.root = _root(_parsed(variables[ROOT]))
    except ValueError:
        return None, f"{PARENT} or {ROOT} is not namespace/job/run-id; lineage events name no parent."
    return parent, None


def facet(parent: Identifier, outer: ParentRunFacet | None = None) -> ParentRunFacet:
    """The facet that names a parent; its root is the root of ``outer``, the parent's own parent, or the parent."""
    namespace, job, run_id = parent
    if outer is None:
        root = _root(parent)
    else:
        root = outer.root or _root((outer.job.namespace, outer.job.name, outer.run.runId))
    return ParentRunFacet(run=Run(run_id), job=Job(namespace, job), root=root)


def _root(root: Identifier) -> Root:
    namespace, job, run_id = root
    return Root(run=RootRun(run_id), job=RootJob(namespace, job))


def _parsed(text: str) -> Identifier:
    namespace, job, run_id = text.rsplit("/", 2)
    return namespace, job, run_id
