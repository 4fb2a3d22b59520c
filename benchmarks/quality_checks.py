"""What weighing costs: the suite of staging.data_value through Great Expectations against the same rules as one hand-written scan.

Belongs here: the work and its floor, each started by `benchmarks.measure.run` in a process of its own.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Row, begin, compare, row, run

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)
WEIGH = "weigh staging.data_value"


def quality_checks(size: int, bench: Bench) -> Iterator[Row]:
    """`size` staged data values weighed by every rule of their table."""
    folder, work = str(bench.folder), partial(_ask, "benchmarks.quality_checks")
    if not bench.wants(WEIGH):
        return
    bench.tell(f"{size:,} staged values: weigh")
    work("build", folder, size)
    weighed, by_hand = compare(lambda: work("weigh", folder), lambda: work("floor", folder), bench.repetitions)
    yield row(
        "weigh staging.data_value", size, weighed, by_hand, "the same rules by hand: one scan, one query for the key"
    )


def _ask(module: str, function: str, *arguments: Any) -> Any:
    return run(f"{module}:{function}", *arguments)


def _store(folder: str) -> Any:
    """A store as the pipeline opens it, its memory limit included."""
    from warehouse.store import Warehouse

    return Warehouse(Path(folder) / "quality.duckdb")


def build(folder: str, rows: int) -> None:
    """A staging.data_value of `rows` sound values and one bad one in ten thousand."""
    from warehouse.catalogue.table_catalogue import tables
    from warehouse.schema import create_statement

    (Path(folder) / "quality.duckdb").unlink(missing_ok=True)
    made = f"""insert into staging.data_value by name
        select 'vnm' as instance_code, 'de' || (range % 20) as data_element_uid, '2024' || lpad((range // 20 % 12 + 1)::varchar, 2, '0')
          as period_code, 'ou' || (range // 240 % 5000) as org_unit_uid, 'coc' || (range // 1200000) as category_option_combo_uid,
          'HllvX50cXC0' as attribute_option_combo_uid, 'TB_NOTIFIED' as concept_code, '_T' as category_code,
          (range % 90)::varchar as value_text, case when range % 10000 = 7 then -1 else range % 90 end as value_number,
          'M' as period_type_code, date '2024-01-01' as period_start_on, date '2024-01-31' as period_end_on,
          timestamp '2024-02-05' as updated_at, false as is_deleted, true as is_practice, 'r1' as receipt_id, 'p' as pointer
        from range({rows})"""
    with _store(folder).connect() as connection:
        connection.execute("drop table staging.data_value")
        connection.execute(create_statement(tables()["staging.data_value"]).replace(" not null", ""))
        connection.execute(made)


def floor(folder: str) -> dict[str, Any]:
    """The same rules by hand: one scan for all that look at one row, one query for the key."""
    from expectations.belief_book import rules_for
    from expectations.rules import Expect, Never, Query
    from expectations.scales import batch_of
    from warehouse.catalogue.table_catalogue import tables
    from warehouse.quality import WeighingContext

    table = tables()["staging.data_value"]
    batch = batch_of(table, WeighingContext(AT))
    counts, queries = [], []
    for rule in rules_for(table):
        form = rule.form
        if isinstance(form, Never):
            counts.append(f"count(*) filter (where {batch.fill(form.predicate)})")
        elif isinstance(form, Expect) and form.type == "expect_column_values_to_not_be_null":
            counts.append(f"count(*) filter (where {form.arguments['column']} is null)")
        elif isinstance(form, Query):
            queries.append(f"select count(*) from ({batch.fill(form.sql, batch.source)})")
        else:
            raise AssertionError(f"no hand-written form of {rule.code}")
    with _store(folder).connect() as connection:
        started = begin()
        connection.execute(f"select {', '.join(counts)} from {batch.source}").fetchall()
        for query in queries:
            connection.execute(query).fetchall()
        return {"seconds": time.perf_counter() - started, "rules": len(counts) + len(queries)}


def weigh(folder: str) -> dict[str, Any]:
    """Every rule of the table through Great Expectations; imports and the first context are not counted."""
    from expectations.belief_book import rules_for
    from expectations.scales import weigh_rules
    from warehouse.catalogue.table_catalogue import tables
    from warehouse.quality import WeighingContext

    table = tables()["staging.data_value"]
    with _store(folder).connect() as connection:
        weigh_rules(connection, table, rules_for(table), WeighingContext(AT, {"instance_code": "nobody"}))
        started = begin()
        outcomes = weigh_rules(connection, table, rules_for(table), WeighingContext(AT))
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "rules": len(outcomes), "failed": sum(not outcome.passed for outcome in outcomes)}


def as_parquet(folder: str) -> None:
    """The staged values as one file, for peers that do not read DuckDB."""
    target = Path(folder) / "quality.parquet"
    with _store(folder).connect() as connection:
        connection.execute(f"copy staging.data_value to '{target}' (format parquet)")
