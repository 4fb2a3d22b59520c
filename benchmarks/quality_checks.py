"""What weighing costs: the suite of staging.data_value through Great Expectations against the same rules as one hand-written scan.

Belongs here: the measurement and its numbers, printed; on a store as the pipeline opens it, memory limit included. Does not belong
here: any bound on them in a test; machines differ. Run with `python benchmarks/quality_checks.py [rows]`; 10 million rows by default.
"""

import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expectations.belief_book import rules_for
from expectations.rules import Expect, Never, Query
from expectations.scales import batch_of, weigh_rules
from warehouse.catalogue.table_catalogue import tables
from warehouse.quality import WeighingContext
from warehouse.schema import create_statement
from warehouse.store import Warehouse

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)


def build(connection: Any, rows: int) -> None:
    """A staging.data_value of `rows` sound values and one bad one in ten thousand."""
    connection.execute("drop table staging.data_value")
    connection.execute(create_statement(tables()["staging.data_value"]).replace(" not null", ""))
    connection.execute(
        f"""insert into staging.data_value by name
        select 'vnm' as instance_code, 'de' || (range % 20) as data_element_uid, '2024' || lpad((range // 20 % 12 + 1)::varchar, 2, '0')
          as period_code, 'ou' || (range // 240 % 5000) as org_unit_uid, 'coc' || (range // 1200000) as category_option_combo_uid,
          'HllvX50cXC0' as attribute_option_combo_uid, 'TB_NOTIFIED' as concept_code, '_T' as category_code,
          (range % 90)::varchar as value_text, case when range % 10000 = 7 then -1 else range % 90 end as value_number,
          'M' as period_type_code, date '2024-01-01' as period_start_on, date '2024-01-31' as period_end_on,
          timestamp '2024-02-05' as updated_at, false as is_deleted, true as is_practice, 'r1' as receipt_id, 'p' as pointer
        from range({rows})"""
    )


def floor(connection: Any) -> int:
    """The same rules by hand: one scan for all that look at one row, one query for the key."""
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
    connection.execute(f"select {', '.join(counts)} from {batch.source}").fetchall()
    for query in queries:
        connection.execute(query).fetchall()
    return len(counts) + len(queries)


def main(rows: int) -> None:
    """Prints seconds of both and their ratio, and the peak memory of the process."""
    with tempfile.TemporaryDirectory() as folder, Warehouse(Path(folder) / "warehouse.duckdb").connect() as connection:
        build(connection, rows)
        built = peak_gib()
        table = tables()["staging.data_value"]
        weigh_rules(connection, table, rules_for(table), WeighingContext(AT, {"instance_code": "nobody"}))  # imports
        started = time.perf_counter()
        rules = floor(connection)
        by_hand = time.perf_counter() - started
        by_hand_peak = peak_gib()
        started = time.perf_counter()
        outcomes = weigh_rules(connection, table, rules_for(table), WeighingContext(AT))
        weighed = time.perf_counter() - started
    failed = [outcome.rule_code for outcome in outcomes if not outcome.passed]
    print(
        f"{rows:,} rows, {rules} rules: by hand {by_hand:.2f} s, weighed {weighed:.2f} s, ratio {weighed / by_hand:.2f}"
    )
    print(f"peak memory so far: table built {built:.2f}, by hand {by_hand_peak:.2f}, weighed {peak_gib():.2f} GiB")
    print(f"failed: {', '.join(failed)}")


def peak_gib() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
