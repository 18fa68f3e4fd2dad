"""Explanations and revisions as a person reads them on stdout."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lakehouse.history.explanation import Explanation
from lakehouse.history.revisions import Revisions
from lakehouse.lake.tables import BRONZE, GOLD, SILVER
from lakehouse.messages import console

ID_DIGITS = 8
"""Of a response's id; all digits stand beneath."""


METRICS = {
    "numOutputRows": "written",
    "numTargetRowsInserted": "inserted",
    "numTargetRowsUpdated": "updated",
    "numTargetRowsDeleted": "deleted",
}
"""What Delta counts of a commit, as we say it; what a MERGE has put out includes rows that it only copied."""


def version_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A version of a table (``status.history``) for a table of text."""
    counts = {word: entry["metrics"].get(name, 0) for name, word in METRICS.items()}
    if entry["operation"] == "MERGE":
        del counts["written"]
    rows = [f"{number:,} {word}" for word, number in counts.items() if number]
    return {**{name: entry[name] for name in ("version", "timestamp", "operation", "stage", "run_id")}, "rows": rows}


def tell_explanation(found: Explanation) -> None:
    """From the figure down to the bytes."""
    versions = ", ".join(f"{table.name} {found.state.versions[table.name]}" for table in (GOLD, SILVER, BRONZE))
    console.say(f"region {found.regionid} on {found.day} in {found.state.name} ({versions})")
    if found.gold is None:
        print("Gold has no such day.")
    else:
        shown = [{"": "gold", **_without_key(found.gold)}]
        if found.recomputed is not None:
            shown.append({"": "computed anew", **found.recomputed})
        console.print_rows(_turned(shown))
    _tell_half_hours(found)
    _tell_responses(found)
    if found.agrees:
        console.say("Gold is what its half-hours give, and each of them what its response says.", style=console.OK)
    else:
        for name, (table, recomputed) in found.disagreements.items():
            console.say(f"{name}: the table says {table}, recomputed it is {recomputed}", style=console.FAILURE)


def _tell_half_hours(found: Explanation) -> None:
    """The half-hours, how they make the mean and the label, and the answers that do not count."""
    silver = [half["silver"] for half in found.half_hours if half["silver"]]
    if silver:
        total = sum(row["intensity_forecast"] for row in silver)
        labels = Counter(row["intensity_index"] for row in silver)
        print(f"intensity: {total} / {len(silver)} = {found.recomputed and found.recomputed['intensity_avg']}")
        console.say(f"labels: {', '.join(f'{label} {count}' for label, count in labels.most_common())}")
    console.print_rows([_half_hour(half) for half in found.half_hours], least=("answers",))
    lost = [
        {
            "half-hour": half["timestamp"],
            "forecast": statement["intensity_forecast"],
            "label": statement["intensity_index"],
            "received": statement["received_at"],
            "response": statement["response_id"][:ID_DIGITS],
            "why it does not count": statement["outcome"],
        }
        for half in found.half_hours
        for statement in half["statements"]
        if statement["outcome"] != "counts"
    ]
    if lost:
        print("Other answers about these half-hours:")
        console.print_rows(lost)


def _tell_responses(found: Explanation) -> None:
    if found.responses:
        print("Responses:")
        console.print_rows(
            [
                {
                    "response": key[:ID_DIGITS],
                    "received": response["fetched_at"],
                    "attempts": response["attempts"],
                    "from": response["url"] or response["file"],
                    "SHA-256 of the body": response["body_sha256"],
                }
                for key, response in found.responses.items()
            ],
            least=("attempts",),
        )


def tell_revisions(found: Revisions) -> None:
    """Every answer about the half-hours, then how large revisions are by age."""
    rows = [
        {
            "half-hour": statement["timestamp"],
            "received": statement["received_at"],
            "age (h)": statement["age_hours"],
            "forecast": statement["intensity_forecast"],
            "change": statement["change"],
            "label": statement["intensity_index"],
            "counts": statement["counts"],
            "refused": list(statement["reasons"]),
        }
        for statement in found.statements
    ]
    if rows:
        console.print_rows(rows, least=("age (h)", "label", "counts"))
    else:
        console.remark("No half-hour of this range was revised.")
    if found.by_age:
        print("Revisions by age (hours since the half-hour began, gCO2/kWh):")
        console.print_rows(found.by_age)


def _half_hour(half: dict[str, Any] | Any) -> dict[str, Any]:
    row = half["silver"]
    if row is None:
        missing = f"missing: {half['cause']}{', ' + half['detail'] if half['detail'] else ''}"
        return {
            "half-hour": half["timestamp"],
            "forecast": "",
            "label": missing,
            "received": "",
            "response": "",
            "answers": "",
        }
    return {
        "half-hour": half["timestamp"],
        "forecast": row["intensity_forecast"],
        "label": row["intensity_index"],
        "received": row["ingestion_timestamp"],
        "response": row["response_id"][:ID_DIGITS],
        "answers": len(half["statements"]),
    }


def _without_key(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in GOLD.key}


def _turned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns as rows: a wide row is easier to read downwards."""
    names = [name for name in rows[0] if name]
    return [{"column": name, **{row[""]: row.get(name) for row in rows}} for name in names]
