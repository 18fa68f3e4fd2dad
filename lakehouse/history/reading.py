"""Whether a statement only reads tables of the lake: by what Spark makes of it, since its text proves nothing.

The parsed plan is looked at first: some statements act as soon as Spark resolves names in them. Then the resolved one,
which says where every row would come from. Neither executes anything.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from pyspark.sql import SparkSession

from lakehouse.errors import UsageError
from lakehouse.lake.tables import GOLD, TABLES

Plan: TypeAlias = Any
"""A logical plan of Spark, in the JVM."""

LOOKING = ("Show", "Describe", "Explain")
"""How the names of those commands begin that tell about tables and change nothing."""
ACTING = (
    *("InsertIntoDir", "InsertIntoStatement", "UnresolvedExecuteImmediate", "Call", "ScriptTransformation"),
    *("PlanWithUnresolvedIdentifier", "ExpressionWithUnresolvedIdentifier"),  # a name that is yet to be computed
)
"""What acts and is no command to Spark, or hides what it names."""
RUNNING = ("java_method", "reflect", "try_reflect", "from_avro", "from_protobuf", "to_protobuf")
"""Functions that call any code, or read a file."""
ROWLESS = ("OneRowRelation", "LocalRelation", "Range", "CTERelationRef", "UnionLoopRef")
"""Leaves whose rows come from no file: they stand in the statement."""
NAMING = ("UnresolvedRelation", "UnresolvedTable", "UnresolvedTableOrView", "UnresolvedView")
"""What stands in a parsed plan for the name of a table."""
SCHEMAS = {table.name.split(".")[0] for table in TABLES}
_LOGICAL = "org.apache.spark.sql.catalyst.plans.logical"


def check(spark: SparkSession, statement: str, root: str) -> None:
    """Whether a statement only looks at tables under the root.

    Raises:
        UsageError: it would write, run something, or read what is not of the lake.
        PySparkException: Spark cannot parse it, or does not know a name in it.
    """
    state: Any = spark._jsparkSession.sessionState()
    _check(spark, state.sqlParser().parsePlan(statement), root)


def _check(spark: SparkSession, parsed: Plan, root: str) -> None:
    kind = _kind(parsed)
    if kind == "ExplainCommand":
        _check(spark, parsed.logicalPlan(), root)
    elif kind == "DescribeQueryCommand":
        _check(spark, parsed.plan(), root)
    is_looking = kind.startswith(LOOKING)
    for node in _nodes(parsed):
        if not (is_looking and node is parsed):
            _refuse_to_act(spark, node)
        _refuse_names(node, root)
    if not is_looking:
        jvm: Any = spark._jvm
        state: Any = spark._jsparkSession.sessionState()
        skipping = jvm.org.apache.spark.sql.execution.CommandExecutionMode.SKIP()
        for node in _nodes(state.executePlan(parsed, skipping).analyzed()):
            _refuse_to_act(spark, node)
            _refuse_rows(spark, node, root)


def _refuse_to_act(spark: SparkSession, node: Plan) -> None:
    """Whatever writes or runs something: commands, and what Spark does not call one."""
    kind = _kind(node)
    if kind in ACTING or _is(spark, node, f"{_LOGICAL}.Command") or _is(spark, node, f"{_LOGICAL}.ParsedStatement"):
        raise UsageError(
            f"`lakehouse sql` only looks, and this statement would do more ({kind}): ask with SELECT, SHOW, DESCRIBE "
            "or EXPLAIN."
        )


def _refuse_names(node: Plan, root: str) -> None:
    """Functions that run code or read files, and names of tables that are none of the lake's."""
    kind = _kind(node)
    for expression in _expressions(node):
        named = _kind(expression)
        if named in ACTING or (named == "UnresolvedFunction" and _list(expression.nameParts())[-1].lower() in RUNNING):
            raise UsageError(f"`lakehouse sql` only looks at tables of the lake: {expression.sql()} is refused.")
    if kind == "RelationTimeTravel":  # a leaf to Spark
        _refuse_names(node.relation(), root)
    elif kind.startswith("UnresolvedPathBased"):
        _refuse_place(node.path(), root)
    elif kind in NAMING:
        *before, schema, name = ["", *_list(node.multipartIdentifier())]
        if schema.lower() == "delta":
            _refuse_place(name, root)
        elif schema and (schema.lower() not in SCHEMAS or before not in ([""], ["", "spark_catalog"])):
            raise _outside(f"{schema}.{name}", root)


def _refuse_rows(spark: SparkSession, node: Plan, root: str) -> None:
    """Rows that come from somewhere else than a Delta table under the root."""
    kind = _kind(node)
    if kind != "LogicalRelation":
        if kind not in ROWLESS and not node.children().size():
            raise _outside(kind, root)
        return
    relation = node.relation()
    if _is(spark, relation, "org.apache.spark.sql.delta.commands.cdc.CDCReader$DeltaCDFRelation"):
        _refuse_place(relation.deltaLog().dataPath().toString(), root)
    elif _is(spark, relation, "org.apache.spark.sql.execution.datasources.HadoopFsRelation") and _is(
        spark, relation.location(), "org.apache.spark.sql.delta.files.TahoeFileIndex"
    ):
        _refuse_place(relation.location().path().toString(), root)
    else:
        raise _outside(_kind(relation), root)


def _refuse_place(place: str, root: str) -> None:
    if "://" in root:
        parts = place.split("/")
        is_inside = place.startswith(root.rstrip("/") + "/") and ".." not in parts
    else:
        is_inside = Path(os.path.realpath(place.removeprefix("file:"))).is_relative_to(os.path.realpath(root))
    if not is_inside:
        raise _outside(place, root)


def _outside(what: str, root: str) -> UsageError:
    return UsageError(f"`lakehouse sql` reads tables of the lake at {root}, such as {GOLD.name}, and not {what}.")


def _nodes(plan: Plan) -> Iterator[Plan]:
    """A plan and all under it, those of subqueries and of WITH, too."""
    yield plan
    inner, subqueries = plan.innerChildren(), plan.subqueries()
    for under in (plan.children(), inner, *(() if subqueries.equals(inner) else (subqueries,))):
        for node in _list(under):
            yield from _nodes(node)


def _expressions(node: Plan) -> Iterator[Plan]:
    left = _list(node.expressions())
    while left:
        yield (expression := left.pop())
        left += _list(expression.children())


def _list(items: Any) -> list[Any]:
    """A Scala Seq."""
    return [items.apply(number) for number in range(items.size())]


def _kind(node: Plan) -> str:
    return str(node.getClass().getSimpleName())


def _is(spark: SparkSession, node: Plan, name: str) -> bool:
    jvm: Any = spark._jvm
    return bool(jvm.java.lang.Class.forName(name, True, node.getClass().getClassLoader()).isInstance(node))
