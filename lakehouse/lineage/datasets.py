"""Tables of the lake, of PostgreSQL and the API as OpenLineage's datasets, named as its specification says."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.generated.base import DatasetFacet, InputDatasetFacet, OutputDatasetFacet
from openlineage.client.generated.data_quality_assertions_dataset import Assertion, DataQualityAssertionsDatasetFacet
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet
from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields

from lakehouse import settings as environments
from lakehouse.lake.rule_results import RuleResult
from lakehouse.lake.tables import BRONZE, PUBLISHED, TABLES, Table
from lakehouse.postgres import PostgresTarget
from lakehouse.postgres.embedded import DATABASE
from lakehouse.publishing import export_log, schema
from lakehouse.run_context import StageReport
from lakehouse.settings import Settings
from lakehouse.transform.quality import DRIFT, FAIL

BY_NAME = {table.name: table for table in TABLES}
ENDPOINT = "/regional/intensity"
SEVERITIES = {FAIL: "error"}
"""OpenLineage's word for a rule that stops the stage; every other level warns."""


def inputs(settings: Settings, report: StageReport) -> list[InputDataset]:
    """What a stage read: tables at their versions, for Bronze the API; the checks stand by what was checked."""
    if report.stage == "bronze":
        address = urlsplit(settings.api.url)
        host = address.netloc.rpartition("@")[2]  # no login
        return [InputDataset(f"{address.scheme}://{host}", ENDPOINT)]
    found = []
    for name, version in report.reads.items():
        checks: dict[str, InputDatasetFacet] = {}
        if name == BRONZE.name and report.quality:
            checks["dataQualityAssertions"] = DataQualityAssertionsDatasetFacet([*map(_assertion, report.quality)])
        namespace, path = _place(settings, name)
        found.append(InputDataset(namespace, path, inputFacets=checks, facets=_described(name, version)))
    return found


def outputs(settings: Settings, report: StageReport) -> list[OutputDataset]:
    """What a stage keeps, with the version that it wrote, if any, and how many rows it inserted or updated."""
    if report.stage == "export":
        return [_published(settings, table, report.counts) for table in PUBLISHED]
    main = next(iter(report.writes), None)  # what Silver's stage counts as written is not of its quarantine
    found = []
    for name, version in report.writes.items():
        namespace, path = _place(settings, name)
        statistics = _statistics(report.counts) if name == main else {}
        found.append(OutputDataset(namespace, path, outputFacets=statistics, facets=_described(name, version)))
    return found


def _assertion(result: RuleResult) -> Assertion:
    return Assertion(
        assertion=f"no unknown {result.rule}" if result.level == DRIFT else result.rule,
        success=result.failed == 0,
        severity=SEVERITIES.get(result.level, "warn"),
        expected="0",
        actual=str(result.failed),
        params={"level": result.level, "checked": result.checked},
    )


def _statistics(counts: Mapping[str, int], prefix: str = "") -> dict[str, OutputDatasetFacet]:
    """Rows written, of the counts whose names begin with ``prefix``; those that are zero may be left out."""
    rows = counts.get(f"{prefix}inserted", 0) + counts.get(f"{prefix}updated", 0)
    return {"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows)}


def _place(settings: Settings, name: str) -> tuple[str, str]:
    """Namespace and name: the file system and the path, or the bucket and the key."""
    path = settings.path(BY_NAME[name].path)
    if settings.is_local:
        return "file", str(Path(path).absolute())
    store, _, key = path.partition("://")
    bucket, _, key = key.partition("/")
    return f"{'s3' if store == 's3a' else store}://{bucket}", key


def _described(name: str, version: int | None) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {"schema": _schema(BY_NAME[name])}
    if version is not None:
        facets["version"] = DatasetVersionDatasetFacet(str(version))
    return facets


def _schema(table: Table) -> SchemaDatasetFacet:
    return SchemaDatasetFacet(
        [
            SchemaDatasetFacetFields(name=column.name, type=column.type, description=column.comment)
            for column in table.columns
        ]
    )


def _published(settings: Settings, table: Table, counts: Mapping[str, int]) -> OutputDataset:
    given = settings.postgres.url
    if given is None:
        namespace, database = f"postgres://localhost{settings.embedded_data.absolute()}", DATABASE
    else:
        target = PostgresTarget.parse(given.get_secret_value(), environ=environments.environment())
        namespace, database = f"postgres://{target.address}", target.database
    statistics = _statistics(counts, export_log.prefix_of(table.short_name))
    name = f"{database}.{schema.DATA}.{table.short_name}"
    return OutputDataset(namespace, name, outputFacets=statistics, facets={"schema": _schema(table)})
