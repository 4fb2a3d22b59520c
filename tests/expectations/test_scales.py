"""The scales on a live DuckDB connection: uncommitted rows, complete row sets, faults that are failures, transactions that survive."""

from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from expectations.belief_book import Book, rules_for
from expectations.scales import GreatExpectationsScales, TransactionLostError, weigh_rules
from warehouse.catalogue.table_catalogue import Table
from warehouse.quality import RuleOutcome, Scales, WeighingContext
from warehouse.schema import create_statement

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)

VISIT = Table.model_validate(
    {
        "name": "staging.visit",
        "row": "one visit on one server",
        "description": "A made-up table for the tests of the scales.",
        "group": "operations",
        "owner": "team:test",
        "key": ["instance_code", "visit_uid"],
        "column": [
            {"name": "instance_code", "type": "varchar", "nullable": False, "description": "Server of the visit."},
            {
                "name": "visit_uid",
                "type": "varchar",
                "nullable": False,
                "description": "Identifier of the visit.",
                "data_class": "personal",
            },
            {"name": "visited_on", "type": "date", "description": "Day of the visit."},
            {"name": "tested", "type": "bigint", "description": "Persons tested."},
            {"name": "positive_text", "type": "varchar", "description": "Persons positive, as received."},
        ],
    }
)


def book(*beliefs: dict[str, Any]) -> Book:
    defaults = {
        "says": "Something that is believed.",
        "why": "Because the test says so.",
        "severity": "critical",
        "level": "row",
        "broken_by": {"tested": "-1"},
    }
    return Book.model_validate(
        {"table": VISIT.name, "owner": "team:test", "belief": [{**defaults, **belief} for belief in beliefs]}
    )


@pytest.fixture
def connection() -> Any:
    connection = duckdb.connect(config={"python_enable_replacements": "false"})
    connection.execute("create schema staging")
    connection.execute(create_statement(VISIT).replace(" not null", ""))
    connection.execute(
        """insert into staging.visit
        select 'vnm', 'v' || range, date '2026-07-01', range % 50, (range % 7)::varchar, 'r1', 'page1'
        from range(1000)"""
    )
    yield connection
    connection.close()


def weigh(connection: Any, *beliefs: dict[str, Any], scope: dict[str, str] | None = None) -> dict[str, RuleOutcome]:
    rules = rules_for(VISIT, book(*beliefs))
    outcomes = weigh_rules(connection, VISIT, rules, WeighingContext(AT, scope or {}))
    assert [outcome.rule_code for outcome in outcomes] == [f"staging.visit.{rule.code}" for rule in rules]
    return {outcome.rule_code.removeprefix("staging.visit."): outcome for outcome in outcomes}


def failing(outcomes: dict[str, RuleOutcome]) -> set[str]:
    return {code for code, outcome in outcomes.items() if not outcome.passed}


def test_the_scales_satisfy_the_protocol() -> None:
    scales: Scales = GreatExpectationsScales()
    names = [check.rule_code for check in scales.checks_for(VISIT)]
    assert "staging.visit.columns_and_types" in names
    assert len(names) == len(set(names))


def test_sound_rows_pass_every_rule(connection: Any) -> None:
    outcomes = weigh(connection, {"rule": "tested_not_negative", "never": "tested < 0"})
    assert failing(outcomes) == set()
    assert all(outcome.evaluated_count == 1000 for outcome in outcomes.values())
    assert all(outcome.unexpected_rowid_sql is None for outcome in outcomes.values())


def test_uncommitted_rows_are_seen_and_the_transaction_survives(connection: Any) -> None:
    connection.execute("begin")
    connection.execute("insert into staging.visit values ('vnm', 'x', null, -1, '0', 'r2', 'page2')")
    outcomes = weigh(connection, {"rule": "tested_not_negative", "never": "tested < 0"})
    assert failing(outcomes) == {"tested_not_negative"}
    assert outcomes["tested_not_negative"].unexpected_count == 1
    assert connection.sql("select count(*) from staging.visit").fetchall() == [(1001,)]
    connection.execute("rollback")
    assert connection.sql("select count(*) from staging.visit").fetchall() == [(1000,)]


def test_nothing_is_left_on_the_connection(connection: Any) -> None:
    weigh(connection, {"rule": "tested_not_negative", "never": "tested < 0"})
    assert connection.sql("select view_name from duckdb_views() where not internal").fetchall() == []


@pytest.mark.parametrize(
    "belief",
    [
        {"rule": "broken", "never": "tested = -1"},
        {"rule": "broken", "query": "select _rowid from {rows} as batch where batch.tested = -1"},
        {
            "rule": "broken",
            "expect": {"type": "expect_column_values_to_be_between", "column": "tested", "min_value": 0},
        },
        {
            "rule": "broken",
            "expect": {"type": "expect_column_values_to_match_regex", "column": "pointer", "regex": "^page[0-9]+$"},
        },
        {"rule": "broken", "expect": {"type": "expect_column_values_to_not_be_null", "column": "visited_on"}},
    ],
)
def test_the_rows_to_quarantine_are_all_of_them(connection: Any, belief: dict[str, Any]) -> None:
    """Great Expectations itself returns at most 200 values and 20 indices."""
    connection.execute(
        """insert into staging.visit
        select 'vnm', 'bad' || range, null, -1, '0', 'r2', 'sheet ' || range from range(731)"""
    )
    outcome = weigh(connection, belief)["broken"]
    assert not outcome.passed
    assert outcome.unexpected_count == 731
    rows = connection.sql(
        f"select visit_uid from staging.visit where rowid in (select rowid from ({outcome.unexpected_rowid_sql}))"
    ).fetchall()
    assert {row[0] for row in rows} == {f"bad{number}" for number in range(731)}


def test_all_copies_of_a_doubled_key_are_named(connection: Any) -> None:
    connection.execute("insert into staging.visit select * replace (-5 as tested) from staging.visit limit 250")
    outcome = weigh(connection)["key_is_unique"]
    assert (outcome.passed, outcome.unexpected_count) == (False, 500)


def test_scope_limits_what_is_weighed_and_what_is_condemned(connection: Any) -> None:
    connection.execute("insert into staging.visit values ('khm', 'k1', null, -1, '0', 'r2', 'p')")
    belief = {"rule": "tested_not_negative", "never": "tested < 0"}
    assert failing(weigh(connection, belief, scope={"instance_code": "vnm"})) == set()
    outcome = weigh(connection, belief, scope={"instance_code": "khm"})["tested_not_negative"]
    assert (outcome.passed, outcome.unexpected_count, outcome.evaluated_count) == (False, 1, 1)


def test_a_scope_value_with_a_quote_is_data_not_sql(connection: Any) -> None:
    outcomes = weigh(connection, scope={"instance_code": "x' or 'a'='a"})
    assert {outcome.evaluated_count for outcome in outcomes.values()} == {0}


def test_an_empty_batch_says_so(connection: Any) -> None:
    connection.execute("delete from staging.visit")
    outcomes = weigh(connection, {"rule": "tested_not_negative", "never": "tested < 0"})
    assert failing(outcomes) == set()
    assert {outcome.evaluated_count for outcome in outcomes.values()} == {0}


def test_the_refresh_instant_is_at_hand(connection: Any) -> None:
    connection.execute("insert into staging.visit values ('vnm', 'x', date '2026-07-09', 1, '0', 'r2', 'p')")
    belief = {"rule": "not_in_the_future", "never": "visited_on > cast({as_at} as date) + 1"}
    assert weigh(connection, belief)["not_in_the_future"].unexpected_count == 1


def test_a_rule_that_names_a_missing_column_has_failed_and_spoils_nothing(connection: Any) -> None:
    connection.execute("begin")
    outcomes = weigh(
        connection,
        {"rule": "of_nothing", "never": "no_such_column > 1"},
        {"rule": "also_of_nothing", "query": "select _rowid from {rows} join staging.nowhere using (visit_uid)"},
        {"rule": "of_no_column", "expect": {"type": "expect_column_values_to_be_unique", "column": "gone"}},
        {"rule": "tested_not_negative", "never": "tested < 0"},
    )
    assert failing(outcomes) == {"of_nothing", "also_of_nothing", "of_no_column"}
    assert all(outcomes[code].raised for code in failing(outcomes))
    assert connection.sql("select count(*) from staging.visit").fetchall() == [(1000,)]
    connection.execute("rollback")


def test_an_expectation_that_great_expectations_cannot_run_has_failed(connection: Any) -> None:
    outcomes = weigh(
        connection,
        {
            "rule": "increasing",
            "expect": {"type": "expect_column_values_to_be_dateutil_parseable", "column": "positive_text"},
        },
    )
    assert not outcomes["increasing"].passed


def test_a_value_that_breaks_the_predicate_counts_as_offending(connection: Any) -> None:
    """A conversion error would abort the DuckDB transaction; inside TRY it condemns its row instead."""
    connection.execute("begin")
    connection.execute("insert into staging.visit values ('vnm', 'x', null, 1, 'bad entry', 'r2', 'p')")
    outcomes = weigh(connection, {"rule": "positive_in_tested", "never": "cast(positive_text as bigint) > tested + 7"})
    assert outcomes["positive_in_tested"].unexpected_count == 1
    assert connection.sql("select count(*) from staging.visit").fetchall() == [(1001,)]
    connection.execute("rollback")


def test_a_query_that_breaks_the_transaction_is_reported_as_such(connection: Any, caplog: Any, capsys: Any) -> None:
    connection.execute("begin")
    connection.execute("insert into staging.visit values ('vnm', 'x', null, 1, 'CANARY-0917', 'r2', 'p')")
    belief = {"rule": "careless", "query": "select _rowid from {rows} where cast(positive_text as bigint) > 100"}
    with pytest.raises(TransactionLostError, match="careless") as caught:
        weigh(connection, belief)
    connection.execute("rollback")
    assert "careless" in caught.value.rules
    assert not caught.value.ran_out_of_memory
    said = capsys.readouterr()
    assert "CANARY" not in caplog.text + said.out + said.err + str(caught.value)


def test_a_query_that_finds_nothing_is_asked_once(connection: Any) -> None:
    # Great Expectations' own expectation for queries runs each twice; of ten million rows that was half of the weighing.
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        weighed = weigh(connection, {"rule": "counted", "query": "select _rowid from {rows} where tested < -917"})
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert failing(weighed) == set()
    assert sum("-917" in statement for statement in asked) == 1


def test_a_query_that_does_not_fit_into_memory_is_told_from_a_careless_one(connection: Any) -> None:
    connection.execute("set memory_limit = '64MiB'")
    connection.execute("begin")
    huge = "(select length(string_agg(hash(range)::varchar || repeat('x', 60), ',')) from range(1500000))"
    with pytest.raises(TransactionLostError) as caught:
        weigh(connection, {"rule": "greedy", "query": f"select _rowid from {{rows}} where tested > {huge}"})
    connection.execute("rollback")
    assert caught.value.ran_out_of_memory


def test_a_retyped_column_is_a_fault_of_structure(connection: Any) -> None:
    connection.execute("alter table staging.visit alter tested type double")
    connection.execute("alter table staging.visit add column extra integer")
    outcome = weigh(connection)["columns_and_types"]
    assert (outcome.passed, outcome.unexpected_count) == (False, 2)


def test_samples_show_no_personal_key(connection: Any) -> None:
    connection.execute("insert into staging.visit values ('vnm', 'CANARY', null, -1, '0', 'r2', 'p')")
    outcome = weigh(connection, {"rule": "tested_not_negative", "never": "tested < 0"})["tested_not_negative"]
    assert outcome.sample_keys == ("instance_code=vnm",)
    assert "CANARY" not in repr(outcome)


def test_importing_the_room_does_not_import_great_expectations() -> None:
    import subprocess
    import sys

    code = (
        "import sys, expectations.scales; from expectations.scales import GreatExpectationsScales as S;"
        "from warehouse.catalogue.table_catalogue import tables;"
        "[S().checks_for(t) for t in tables().values()];"
        "sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
