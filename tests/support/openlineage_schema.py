"""What OpenLineage's published JSON schemas ask of the events that we send.

Written down from https://openlineage.io/spec/2-0-2/OpenLineage.json (RunEvent) and the facets' own files, whose
addresses stand beside them: required fields, types, formats and values. Stricter in one point: a facet that is not
listed, or a field that its schema does not name, is refused, so that a misspelled one is found.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker

SPEC = "https://openlineage.io/spec"
CORE = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
URI, UUID, TIME = ({"type": "string", "format": name} for name in ("uri", "uuid", "date-time"))
LINEAGE_FORMATS = FormatChecker(["uuid"])


@LINEAGE_FORMATS.checks("date-time", ValueError)
def _is_time(text: object) -> bool:
    return datetime.fromisoformat(str(text)).tzinfo is not None


@LINEAGE_FORMATS.checks("uri", ValueError)
def _is_uri(text: object) -> bool:
    parts = urlsplit(str(text))
    return bool(parts.scheme and (parts.netloc or parts.path))


def fields(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": [*required],
        "additionalProperties": False,
    }


def facet(address: str, required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """A facet whose schema is published at ``address``; its definition is called as the file."""
    name = address.rpartition("/")[2].removesuffix(".json")
    base = {"_producer": URI, "_schemaURL": {"const": f"{SPEC}/facets/{address}#/$defs/{name}"}}
    return fields({**base, **required}, **optional)


def several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


NO_FACETS = {"type": "object", "additionalProperties": False}
"""A parent may be given its facets, too; ours has none."""
RUN, JOB = fields({"runId": UUID}, facets=NO_FACETS), fields({"namespace": TEXT, "name": TEXT}, facets=NO_FACETS)
ASSERTION = fields(
    {"assertion": TEXT, "success": {"type": "boolean"}},
    **{name: TEXT for name in ("column", "severity", "name", "description", "expected", "actual", "content")},
    contentType=TEXT,
    params={"type": "object"},
)
COLUMN = fields({"name": TEXT}, type=TEXT, description=TEXT, ordinal_position=NUMBER, fields=several({}))
RUN_FACETS = fields(
    {},
    parent=facet("1-2-0/ParentRunFacet.json", {"run": RUN, "job": JOB}, root=fields({"run": RUN, "job": JOB})),
    errorMessage=facet(
        "1-0-1/ErrorMessageRunFacet.json", {"message": TEXT, "programmingLanguage": TEXT}, stackTrace=TEXT
    ),
    tags=facet("1-0-0/TagsRunFacet.json", {}, tags=several(fields({"key": TEXT, "value": TEXT}, source=TEXT))),
)
JOB_FACETS = fields(
    {}, jobType=facet("2-0-4/JobTypeJobFacet.json", {"processingType": TEXT, "integration": TEXT}, jobType=TEXT)
)
DATASET_FACETS = fields(
    {},
    version=facet("1-0-1/DatasetVersionDatasetFacet.json", {"datasetVersion": TEXT}),
    schema=facet(
        "1-2-0/SchemaDatasetFacet.json",
        {},
        fields=several(
            fields({"name": TEXT}, type=TEXT, description=TEXT, ordinal_position=NUMBER, fields=several({}))
        ),
    ),
)
INPUT_FACETS = fields(
    {},
    dataQualityAssertions=facet("1-1-0/DataQualityAssertionsDatasetFacet.json", {"assertions": several(ASSERTION)}),
)
OUTPUT_FACETS = fields(
    {},
    outputStatistics=facet(
        "1-0-2/OutputStatisticsOutputDatasetFacet.json", {}, rowCount=NUMBER, size=NUMBER, fileCount=NUMBER
    ),
)
DATASET = {"namespace": TEXT, "name": TEXT}
RUN_EVENT = fields(
    {
        "eventTime": TIME,
        "producer": URI,
        "schemaURL": {"const": CORE},
        "run": fields({"runId": UUID}, facets=RUN_FACETS),
        "job": fields({"namespace": TEXT, "name": TEXT}, facets=JOB_FACETS),
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
    },
    inputs=several(fields(DATASET, facets=DATASET_FACETS, inputFacets=INPUT_FACETS)),
    outputs=several(fields(DATASET, facets=DATASET_FACETS, outputFacets=OUTPUT_FACETS)),
)
VALIDATOR = Draft202012Validator(RUN_EVENT, format_checker=LINEAGE_FORMATS)


def faults(event: Any) -> list[str]:
    """What is wrong with an event, a line each; empty where it is as the schemas want it."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(event)]
