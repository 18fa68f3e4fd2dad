"""Makes an OpenLineage event when a run or one of its stages begins, ends or fails; nothing of it can stop a run."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState, set_producer
from openlineage.client.generated.base import RunFacet
from openlineage.client.generated.error_message_run import ErrorMessageRunFacet
from openlineage.client.generated.job_type_job import JobTypeJobFacet
from openlineage.client.generated.parent_run import ParentRunFacet
from openlineage.client.generated.tags_run import TagsRunFacet, TagsRunFacetFields
from openlineage.client.uuid import generate_static_uuid

from lakehouse import __version__
from lakehouse.clock import machine_clock
from lakehouse.lineage import datasets, delivery, parents
from lakehouse.lineage.transports import transport_of
from lakehouse.messages import endings
from lakehouse.messages.text import without_logins
from lakehouse.run_context import StageReport
from lakehouse.run_record import RunObserver, RunReport
from lakehouse.settings import Settings, environment

PRODUCER = f"urn:x-carbon-lakehouse:{__version__}"
INTEGRATION = "LAKEHOUSE"

log = logging.getLogger(__name__)


def run_uuid(run_id: str, stage: str = "") -> str:
    """OpenLineage's id of a run, or of one of its stages: always the same for the same names."""
    began = datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return str(generate_static_uuid(began, f"{run_id}/{stage}".encode()))


class LineageObserver(RunObserver):
    """Tells a run and its stages. A warning at the run's end says how many events could not be sent, if any.

    Raises:
        UsageError: the server's address or the file with its key cannot be used.
    """

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = machine_clock) -> None:
        set_producer(PRODUCER)  # of facets; the library keeps it for the process
        self._settings, self._clock = settings, clock
        self._transport = transport_of(settings.lineage)
        self._run_id = self._command = ""
        self._outer: ParentRunFacet | None = None
        self._delivery: delivery.Delivery | None = None

    def run_began(self, report: RunReport, started_at: datetime) -> None:
        """START of the run, below the orchestrator's run where the environment names one."""
        self._run_id, self._command = report.run_id, report.command.replace(" ", "_")
        self._outer, warning = parents.from_environment(environment())
        if warning:
            log.warning("%s", warning)
        self._delivery = delivery.Delivery(self._transport)
        self._emit(lambda: self._run_event(RunState.START))

    def stage_started(self, stage: str) -> None:
        """START of a stage."""
        self._emit(lambda: self._stage_event(RunState.START, stage))

    def stage_ended(self, report: StageReport) -> None:
        """COMPLETE, with what was read and written."""
        self._emit(lambda: self._stage_event(RunState.COMPLETE, report.stage, report))

    def stage_failed(self, stage: str, reached: StageReport | None, error: BaseException) -> None:
        """FAIL with the sentence, or ABORT of a stage that was told to end; with what it has come to."""
        state = RunState.ABORT if endings.is_interruption(error) else RunState.FAIL
        self._emit(lambda: self._stage_event(state, stage, reached, _sentence(endings.sentence(error))))

    def run_ended(self, report: RunReport) -> None:
        """COMPLETE, FAIL or ABORT of the run, with the lake version that it has become."""
        state = RunState.COMPLETE if report.status == "ok" else RunState.FAIL
        if report.exit_code == endings.INTERRUPTED:
            state = RunState.ABORT
        facets = _sentence(report.error) if report.error else {}
        self._emit(lambda: self._run_event(state, report.lake_version, facets))
        if self._delivery is not None and (unsent := self._delivery.close(self._settings.lineage.timeout_seconds)):
            log.warning("%s.", unsent)

    def _run_event(
        self, state: RunState, lake_version: int | None = None, facets: dict[str, RunFacet] | None = None
    ) -> RunEvent:
        tags = {"run_id": self._run_id, **({"lake_version": str(lake_version)} if lake_version else {})}
        fields = [TagsRunFacetFields(key, value, INTEGRATION) for key, value in tags.items()]
        found: dict[str, RunFacet] = {"tags": TagsRunFacet(fields), **(facets or {})}
        if self._outer is not None:
            found["parent"] = self._outer
        return self._event(state, run_uuid(self._run_id), self._command, "RUN", found, [], [])

    def _stage_event(
        self,
        state: RunState,
        stage: str,
        report: StageReport | None = None,
        facets: dict[str, RunFacet] | None = None,
    ) -> RunEvent:
        above = (self._settings.lineage.namespace, self._command, run_uuid(self._run_id))
        found: dict[str, RunFacet] = {"parent": parents.facet(above, self._outer), **(facets or {})}
        read = datasets.inputs(self._settings, report) if report else []
        written = datasets.outputs(self._settings, report) if report else []
        name = f"{self._command}.{stage.replace(' ', '_')}"
        return self._event(state, run_uuid(self._run_id, stage), name, "STAGE", found, read, written)

    def _event(
        self,
        state: RunState,
        run_id: str,
        job: str,
        kind: str,
        facets: dict[str, RunFacet],
        read: list[InputDataset],
        written: list[OutputDataset],
    ) -> RunEvent:
        return RunEvent(
            eventTime=self._clock().isoformat(),
            eventType=state,
            run=Run(run_id, facets=facets),
            job=Job(
                self._settings.lineage.namespace,
                job,
                facets={"jobType": JobTypeJobFacet(processingType="BATCH", integration=INTEGRATION, jobType=kind)},
            ),
            inputs=read,
            outputs=written,
            producer=PRODUCER,
        )

    def _emit(self, made: Callable[[], RunEvent]) -> None:
        """Make an event and hand it over; a run goes on whatever happens here."""
        try:
            if self._delivery is not None:
                self._delivery.send(made())
        except Exception as error:  # noqa: BLE001 (whatever it is, the run is worth more than its events)
            log.warning("A lineage event could not be made: %s.", delivery.what(error))


def _sentence(text: str) -> dict[str, RunFacet]:
    return {"errorMessage": ErrorMessageRunFacet(message=without_logins(text), programmingLanguage="PYTHON")}
