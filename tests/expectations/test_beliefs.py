"""Proof by mutation: the sound world passes everything, and each rule is broken by a change that breaks it and nothing else."""

import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.belief_book import Book, books, rules_for
from expectations.rules import Rule, literal
from expectations.scales import weigh_rules
from warehouse.catalogue.table_catalogue import OPEN_END, Column, Table, load_codelist, tables
from warehouse.quality import WeighingContext
from warehouse.schema import create_statement, current_view_statement

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)
WORLD: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parent / "good_world.toml").read_text(encoding="utf-8")
)
WEIGHED = [name for name, table in tables().items() if rules_for(table)]
BELIEFS = [(rule.table, rule.code) for name in WEIGHED for rule in rules_for(tables()[name]) if not rule.is_structural]


def plain_value(column: Column) -> Any:
    """The plainest sound value of a column that the world does not mention."""
    if column.name == "recorded_from":
        return AT
    if column.name == "recorded_to":
        return datetime.fromisoformat(OPEN_END)
    if column.nullable:
        return None
    if column.codelist:
        return load_codelist(column.codelist)[0].code
    plain: dict[str, Any] = {
        "varchar": "x",
        "integer": 1,
        "bigint": 1,
        "double": 1.0,
        "boolean": False,
        "date": date(2024, 1, 1),
        "timestamp": AT,
        "varchar[]": [],
        "json": "{}",
    }
    return [] if column.type == "varchar[]" else plain[column.type]


def sql_value(value: Any, column: Column) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]::varchar[]"
    return f"{literal(value)}::{column.type}"


def insert(connection: Any, table: Table, row: dict[str, Any]) -> None:
    unknown = set(row) - set(table.column_names)
    assert not unknown, f"good_world.toml: {table.name} has no columns {sorted(unknown)}"
    values = [sql_value(row.get(column.name, plain_value(column)), column) for column in table.columns]
    connection.execute(f"insert into {table.name} ({', '.join(table.column_names)}) values ({', '.join(values)})")


@pytest.fixture(scope="module")
def world() -> Any:
    """Every table of the catalogue with the sound rows; NOT NULL left out, so that presence can be broken."""
    connection = duckdb.connect(config={"python_enable_replacements": "false"})
    for table in tables().values():
        connection.execute(f"create schema if not exists {table.schema_name}")
        connection.execute(create_statement(table).replace(" not null", ""))
        if table.history:
            connection.execute(current_view_statement(table))
        for row in WORLD.get(table.name, [{}]):
            insert(connection, table, row)
    yield connection
    connection.close()


@pytest.fixture
def connection(world: Any) -> Any:
    """The sound world, restored after the test."""
    world.execute("begin")
    yield world
    world.execute("rollback")


def failing(connection: Any, table: Table, rules: tuple[Rule, ...]) -> dict[str, str | None]:
    outcomes = weigh_rules(connection, table, rules, WeighingContext(AT))
    return {
        outcome.rule_code.removeprefix(f"{table.name}."): outcome.raised for outcome in outcomes if not outcome.passed
    }


def test_every_table_of_the_river_has_a_suite() -> None:
    river = {name for name, table in tables().items() if table.schema_name not in ("ops", "quarantine")}
    assert set(WEIGHED) == river


def test_providers_read_every_rule_in_vietnamese() -> None:
    """Rules of staging and core stand on the pages that providers are sent; those of later layers do not."""
    told = [rule for name in WEIGHED if name.split(".")[0] in ("staging", "core") for rule in rules_for(tables()[name])]
    assert [rule.full_code for rule in told if not rule.description_vi or rule.description_vi == rule.description] == []
    sent = [
        rule
        for rule in told
        if tables()[rule.table].group in ("dhis2", "labour", "survey", "programme")
        and rule.code
        not in {override.rule for override in books().get(rule.table, Book(table="", owner="")).structural}
    ]
    assert [rule.full_code for rule in sent if not rule.why_vi] == []


def test_every_book_is_about_a_catalogued_table() -> None:
    assert set(books()) <= set(tables())


def test_every_world_row_is_about_a_catalogued_table() -> None:
    assert set(WORLD) <= set(tables())


@pytest.mark.parametrize("name", WEIGHED)
def test_the_sound_world_passes(connection: Any, name: str) -> None:
    assert failing(connection, tables()[name], rules_for(tables()[name])) == {}


@pytest.mark.parametrize(("name", "code"), BELIEFS)
def test_a_belief_is_broken_by_its_mutation_and_nothing_else_is(connection: Any, name: str, code: str) -> None:
    table = tables()[name]
    (rule,) = [rule for rule in rules_for(table) if rule.code == code]
    # A structural rule about a column that is not changed passes as before; leaving it out saves 5 ms each.
    changed = tuple(f"{column}_is_" for column in rule.broken_by)
    rules = tuple(
        r for r in rules_for(table) if not r.is_structural or r.code == "key_is_unique" or r.code.startswith(changed)
    )
    changes = ", ".join(
        f"{column} = " + expression.replace("{as_at}", literal(AT)) for column, expression in rule.broken_by.items()
    )
    connection.execute(f"update {name} set {changes} where rowid = (select min(rowid) from {name})")
    assert failing(connection, table, rules) == {code: None}


def mutated_copy(table: Table, column: Column, expression: str) -> str:
    """Statement that adds a copy of the first row with one column broken."""
    columns = ", ".join(table.column_names)
    return (
        f"insert into {table.name} ({columns}) select * exclude (surprise) replace ({expression}::{column.type} as {column.name}) "
        f"from {table.name} where rowid = (select min(rowid) from {table.name})"
    )


@pytest.mark.parametrize("name", WEIGHED)
def test_every_structural_rule_is_broken_by_its_own_change_alone(connection: Any, name: str) -> None:
    table = tables()[name]
    structural = tuple(rule for rule in rules_for(table) if rule.is_structural)
    connection.execute(f"alter table {name} add column surprise integer")
    for rule in structural:
        column = next((c for c in table.columns if rule.code.startswith(f"{c.name}_is_")), None)
        if rule.code == "columns_and_types":
            continue
        if rule.code == "key_is_unique":
            connection.execute(mutated_copy(table, table.columns[0], table.columns[0].name))
            continue
        assert column is not None
        if rule.code.endswith("_is_present"):
            connection.execute(mutated_copy(table, column, "null"))
        else:
            connection.execute(
                mutated_copy(table, column, "['no such code']" if column.type == "varchar[]" else "'no such code'")
            )
    outcomes = {
        o.rule_code.removeprefix(f"{name}."): o for o in weigh_rules(connection, table, structural, WeighingContext(AT))
    }
    assert {code: (o.passed, o.raised) for code, o in outcomes.items()} == {
        rule.code: (False, None) for rule in structural
    }
    # Each rule about a column objects to its own broken row and to none of those broken for other rules.
    about_columns = {code for code in outcomes if code not in ("columns_and_types", "key_is_unique")}
    assert {code: outcomes[code].unexpected_count for code in about_columns} == dict.fromkeys(about_columns, 1)
