"""Which columns a model's columns come from, read out of its SQL by DuckDB's own parser.

Belongs here: from the text of one SELECT to column lineage. Does not belong here: running it, showing it (`assets.declare`).
Only what a column is computed from counts; filters and join conditions decide which rows there are, not what they say.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from warehouse.catalogue.table_catalogue import tables

MODELS = Path(__file__).parent / "models"

Origin = tuple[str, str]
"""Table (schema.name) and column."""
Lineage = dict[str, frozenset[Origin]]


@dataclass(frozen=True)
class _Relation:
    """Something in a FROM: what its columns come from. `table` is a base table of the catalogue, else `columns` are known."""

    table: str | None
    columns: Mapping[str, frozenset[Origin]]

    def origins(self, column: str) -> frozenset[Origin]:
        if self.table is not None:
            return frozenset({(self.table, column)}) if self.has(column) else frozenset()
        return self.columns.get(column, frozenset())

    def has(self, column: str) -> bool:
        if self.table is None:
            return column in self.columns
        known = _columns_of(self.table)
        return known is None or column in known


@cache
def _columns_of(table: str) -> frozenset[str] | None:
    """The columns of a table of the catalogue; None where it has no such table. Put together anew for each question, they were
    half a second of a first refresh."""
    entry = tables().get(table)
    return None if entry is None else frozenset(entry.column_names)


@cache
def model_lineage(table: str) -> Lineage:
    """Origins of each column of the model of `table`; empty when it has no SQL model."""
    text = model_text(table)
    return column_lineage(text.strip().rstrip(";")) if text else {}


def model_text(table: str) -> str:
    """The SQL model of a table; empty when it is made otherwise."""
    schema, _, name = table.partition(".")
    path = MODELS / schema / f"{name}.sql"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def column_lineage(sql: str) -> Lineage:
    """Origins of each column of one SELECT. A column made of constants has none; one whose origin cannot be told has none
    either: lineage is an aid, never a fault."""
    with _parser().cursor() as connection:
        ((text,),) = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    statements = json.loads(text).get("statements") or []
    return dict(_node(statements[0]["node"], {})) if statements else {}


def joint_lineage(models: Iterable[str]) -> Lineage:
    """Origins of each column of a table that several SELECTs fill."""
    found: Lineage = {}
    for sql in models:
        for column, origins in column_lineage(sql).items():
            found[column] = found.get(column, frozenset()) | origins
    return found


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """DuckDB's parser. Opened once: for each of the 32 models anew it took 0.6 s of every start of Dagster's definitions."""
    return duckdb.connect(":memory:", config={"threads": 1})


def _node(node: Mapping[str, Any], known: Mapping[str, _Relation]) -> Lineage:
    names = dict(known)
    for entry in (node.get("cte_map") or {}).get("map", []):
        inner = entry["value"].get("query_node") or entry["value"]["query"]["node"]
        names[entry["key"].lower()] = _Relation(None, _node(inner, names))
    if node["type"] == "SET_OPERATION_NODE":
        sides = [_node(side, names) for side in node.get("children") or (node["left"], node["right"])]
        first = list(sides[0])
        return {
            name: frozenset().union(*(list(side.values())[n] for side in sides if n < len(side)))
            for n, name in enumerate(first)
        }
    if node["type"] != "SELECT_NODE":
        return {}
    relations = dict(_relations(node["from_table"], names))
    found: Lineage = {}
    for expression in node["select_list"]:
        if expression["class"] == "STAR":
            for relation in relations.values():
                found |= {name: relation.origins(name) for name in _columns(relation)}
            continue
        name = (expression.get("alias") or (expression.get("column_names") or [""])[-1]).lower()
        if name:
            found[name] = frozenset(
                origin for reference in _references(expression) for origin in _resolve(reference, relations)
            )
    return found


def _columns(relation: _Relation) -> list[str]:
    if relation.table is None:
        return list(relation.columns)
    entry = tables().get(relation.table)
    return list(entry.column_names) if entry else []


def _relations(source: Mapping[str, Any], names: Mapping[str, _Relation]) -> Iterator[tuple[str, _Relation]]:
    kind = source["type"]
    if kind == "JOIN":
        yield from _relations(source["left"], names)
        yield from _relations(source["right"], names)
    elif kind == "BASE_TABLE":
        name = source["table_name"].lower()
        alias = (source.get("alias") or name).lower()
        if not source.get("schema_name") and name in names:
            yield alias, names[name]
        else:
            whole = f"{source.get('schema_name', '')}.{name}".lower().lstrip(".")
            yield alias, _Relation(whole.removesuffix("_current"), {})
    elif kind == "SUBQUERY":
        inner = source["subquery"]["node"]
        yield (source.get("alias") or "subquery").lower(), _Relation(None, _node(inner, names))


def _references(expression: Any) -> Iterator[list[str]]:
    if isinstance(expression, Mapping):
        if expression.get("class") == "COLUMN_REF":
            yield [name.lower() for name in expression["column_names"]]
            return
        for value in expression.values():
            yield from _references(value)
    elif isinstance(expression, list):
        for value in expression:
            yield from _references(value)


def _resolve(reference: list[str], relations: Mapping[str, _Relation]) -> frozenset[Origin]:
    if len(reference) > 1 and reference[-2] in relations:
        return relations[reference[-2]].origins(reference[-1])
    column = reference[-1] if len(reference) == 1 else reference[0]
    holders = [relation for relation in relations.values() if relation.has(column)]
    return holders[0].origins(column) if holders else frozenset()
