"""The scales: weigh one table inside the caller's transaction and say what each rule found.

Belongs here: turning rules into one Great Expectations call and its results into outcomes. Does not belong here: what to do about an
outcome (quarantine and abort are the load's), rules.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from expectations.belief_book import rules_for
from expectations.live_duckdb import COUNTED_ROWS, Suite, Verdict
from expectations.rules import ROW_NUMBER, UNEXPECTED, Batch, Expect, Never, Query, Rule
from warehouse.catalogue.table_catalogue import OPEN_END, Table
from warehouse.quality import CheckDescription, RuleOutcome, WeighingContext, WeighingFailed
from warehouse.schema import quote_literal

SAMPLE_SIZE = 5


class TransactionLostError(WeighingFailed):
    """A rule's SQL failed while it ran, and DuckDB has closed the transaction. Roll back; the table keeps its last good rows.

    `rules` holds the codes that may have caused it. Another attempt cannot help: the belief's SQL must tolerate the data (TRY_CAST).
    """

    def __init__(self, table: str, rules: Sequence[str], faults: Iterable[str] = ()) -> None:
        super().__init__(
            f"{table}: a check's own SQL failed on the data and ended the transaction; suspects: {', '.join(rules)}."
            " Nothing was loaded. Make that belief tolerate the value (try_cast)."
        )
        self.table = table
        self.rules = tuple(rules)
        self.ran_out_of_memory = any("OutOfMemory" in fault for fault in faults)


class GreatExpectationsScales:
    """Satisfies `warehouse.quality.Scales` with one Great Expectations call per table, two when something failed."""

    def checks_for(self, table: Table) -> Sequence[CheckDescription]:
        """The rules of the table's suite, cheaply: no data and no Great Expectations."""
        return [rule.described() for rule in rules_for(table)]

    def weigh(self, connection: Any, table: Table, context: WeighingContext) -> Sequence[RuleOutcome]:
        """One outcome per rule of the table's suite, in the suite's order.

        Raises TransactionLostError when a check's SQL broke the caller's transaction.
        """
        return weigh_rules(connection, table, rules_for(table), context)


def weigh_rules(
    connection: Any, table: Table, rules: Sequence[Rule], context: WeighingContext
) -> Sequence[RuleOutcome]:
    """One outcome per rule. Rules that cannot be bound to the table have failed, and do not spoil the others."""
    if not rules:
        return []
    batch = batch_of(table, context)
    row_count = int(connection.execute(f"select count(*) from {batch.source} where {batch.condition}").fetchall()[0][0])
    raised = {rule.code: fault for rule in rules if (fault := _fault_in(connection, batch, rule)) is not None}
    sound = [rule for rule in rules if rule.code not in raised]
    to_run = [rule for rule in sound if row_count > 0 or rule.level == "table"]
    verdicts: dict[str, Verdict] = {}
    offending: dict[str, str] = {}
    if to_run:
        connection.execute(f"create or replace temp view {batch.view_name} as {batch.select(tuple(to_run))}")
        try:
            verdicts, offending = _validate(connection, table, batch, to_run)
        finally:
            if is_alive(connection):
                connection.execute(f"drop view if exists {batch.view_name}")
    return [
        _outcome(connection, table, batch, rule, row_count, verdicts.get(rule.code), offending, raised.get(rule.code))
        for rule in rules
    ]


def batch_of(table: Table, context: WeighingContext) -> Batch:
    """The rows that a weighing looks at: those in scope, and of a table with history only the open ones."""
    conditions = [f"{column} = {quote_literal(value)}" for column, value in context.scope.items()]
    if table.history:
        conditions.append(f"recorded_to = timestamp '{OPEN_END}'")
    for column in context.scope:
        table.column(column)
    return Batch(
        source=table.name,
        condition=" and ".join(conditions) or "true",
        recorded_at=context.recorded_at,
        parameters=context.parameters,
    )


def is_alive(connection: Any) -> bool:
    """False when DuckDB has aborted the open transaction."""
    try:
        connection.execute("select 1").fetchall()
    except Exception as fault:
        if type(fault).__name__ == "TransactionException":
            return False
        raise
    return True


def _fault_in(connection: Any, batch: Batch, rule: Rule) -> str | None:
    """Why the rule cannot even be bound to the table, or None.

    An unfetched relation binds without running, and a failed bind leaves the transaction alive; `execute` and EXPLAIN would end it.
    """
    if isinstance(rule.form, Never):
        statements = [batch.select((rule,))]
    elif isinstance(rule.form, Query):
        statements = [batch.fill(sql, f"({batch.select()}\n)") for sql in (rule.form.sql, rule.form.rowid_sql) if sql]
    else:
        column = rule.form.arguments.get("column")
        statements = [f"select {column} from {batch.source}"] if column else []
    for statement in statements:
        try:
            if len(connection.cursor().extract_statements(statement)) != 1:
                return "not one SQL statement"
            connection.sql(statement)
        except Exception as fault:
            if not is_alive(connection):
                raise TransactionLostError(batch.source, [rule.code], [type(fault).__name__]) from None
            return without_values(fault)
    return None


def without_values(fault: Exception) -> str:
    """The fault's type and first line, with everything quoted taken out: an engine's message may quote a cell."""
    lines = str(fault).splitlines()
    first = re.sub(r"'[^']*'", "'…'", lines[0]) if lines else ""
    return f"{type(fault).__name__}: {first}".rstrip(": ")


def _validate(
    connection: Any, table: Table, batch: Batch, rules: Sequence[Rule]
) -> tuple[dict[str, Verdict], dict[str, str]]:
    """Verdicts by rule, and for rules about columns the query of their offending rows.

    The first pass asks only pass or fail, which Great Expectations bundles into one scan; the second asks for the counts
    and rows of what failed.
    """
    suite = Suite(connection, batch.view_name)
    configurations = {rule.code: _configuration(batch, rule) for rule in rules}
    verdicts = {verdict.rule_code: verdict for verdict in suite.validate(list(configurations.values()))}
    if not is_alive(connection):
        raise TransactionLostError(table.name, _suspects(rules), suite.faults)
    # Of predicates and queries the offending rows are known from the rule itself; only an expectation has to be asked.
    failed = [rule.code for rule in rules if isinstance(rule.form, Expect) and not verdicts[rule.code].passed]
    offending: dict[str, str] = {}
    detailed = suite.validate([configurations[code] for code in failed], index_column=ROW_NUMBER)
    if not is_alive(connection):
        raise TransactionLostError(table.name, _suspects(rules), suite.faults)
    base = batch.select()
    for verdict in detailed:
        verdicts[verdict.rule_code] = verdict
        if verdict.index_query is not None:
            # Great Expectations reads the temporary view, which is gone by the time of the quarantine.
            query = verdict.index_query.strip().rstrip(";")
            query = re.sub(
                rf"\bFROM {batch.view_name}\b",
                lambda _: f"FROM ({base}) AS {batch.view_name}",
                query,
                flags=re.IGNORECASE,
            )
            offending[verdict.rule_code] = f"select {ROW_NUMBER} as rowid from ({query}) as offending"
    return verdicts, offending


def _suspects(rules: Iterable[Rule]) -> list[str]:
    """Rules whose SQL runs unguarded: these alone can end a transaction."""
    return [rule.code for rule in rules if not (isinstance(rule.form, Never) and rule.form.is_guarded)]


def _configuration(batch: Batch, rule: Rule) -> Mapping[str, Any]:
    meta = {"rule": rule.code, "why": rule.why, "owner": rule.owner}
    form = rule.form
    if isinstance(form, Expect):
        return {"type": form.type, "kwargs": dict(form.arguments), "meta": meta, "severity": rule.severity}
    if isinstance(form, Never):
        column = f"{UNEXPECTED}{rule.code}"
        kwargs: dict[str, Any] = {"column": column}
        return {
            "type": "expect_column_values_to_be_null",
            "kwargs": kwargs,
            "meta": meta,
            "severity": rule.severity,
        }
    # Literal braces would be taken for placeholders; `{batch}` in the comment keeps Great Expectations from printing a warning.
    sql = batch.fill(form.sql).replace("{", "{{").replace("}", "}}")
    return {
        "type": COUNTED_ROWS,
        "kwargs": {"unexpected_rows_query": f"{sql}\n/* {{batch}} */"},
        "meta": meta,
        "severity": rule.severity,
    }


def _outcome(
    connection: Any,
    table: Table,
    batch: Batch,
    rule: Rule,
    row_count: int,
    verdict: Verdict | None,
    offending: Mapping[str, str],
    fault: str | None,
) -> RuleOutcome:
    passed = fault is None and (verdict is None or (verdict.passed and verdict.raised is None))
    raised = fault or (verdict.raised if verdict is not None else None)
    rowid_sql: str | None = None
    count = 0
    samples: tuple[str, ...] = ()
    if not passed and raised is None:
        rowid_sql = offending.get(rule.code) if isinstance(rule.form, Expect) else batch.rowid_select(rule)
        if rowid_sql is not None:
            count = int(connection.execute(f"select count(*) from ({rowid_sql}) as offending").fetchall()[0][0])
            samples = _sample_keys(connection, table, rowid_sql)
        elif isinstance(rule.form, Query):
            sql = batch.fill(rule.form.sql, f"({batch.select()}\n)")
            count = int(connection.execute(f"select count(*) from ({sql}\n) as found").fetchall()[0][0])
        else:
            count = verdict.unexpected_count if verdict is not None and verdict.unexpected_count is not None else 1
    return RuleOutcome(
        rule_code=rule.full_code,
        table=rule.table,
        level=rule.level,
        severity=rule.severity,
        passed=passed,
        unexpected_count=count,
        evaluated_count=row_count,
        why=rule.why,
        unexpected_rowid_sql=rowid_sql if rule.level == "row" else None,
        raised=raised,
        sample_keys=samples,
    )


def _sample_keys(connection: Any, table: Table, rowid_sql: str) -> tuple[str, ...]:
    """Keys of a few offending rows, from key columns that are public or internal; columns about persons are left out."""
    shown = [name for name in table.key if table.column(name).data_class in ("public", "internal")]
    if not shown:
        return ()
    parts = " || ', ' || ".join(f"'{name}=' || coalesce({name}::varchar, 'empty')" for name in shown)
    rows = connection.execute(
        f"select distinct {parts} as shown from {table.name} where rowid in ({rowid_sql}) order by 1 limit {SAMPLE_SIZE}"
    ).fetchall()
    return tuple(row[0] for row in rows)
