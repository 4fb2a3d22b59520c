"""What a rule is: a code, a reason, a severity, and one of three forms.

Belongs here: the plain value `Rule`, its forms, and the SQL that selects the rows a rule objects to. Does not belong here:
where rules come from (`structure`, `belief_book`), running them (`scales`), Great Expectations (`live_duckdb`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from warehouse.quality import CheckDescription, Level, Severity
from warehouse.schema import quote_literal

Dimension = Literal["structure", "completeness", "timeliness", "internal", "external", "denominator"]
"""The domains of the WHO data quality review, and `structure` for what comes before them."""

ROW_NUMBER = "_rowid"
"""Name under which a batch shows DuckDB's rowid; no catalogue column may begin with an underscore."""

UNEXPECTED = "unexpected__"
"""Prefix of the computed batch columns: true where a `never` predicate holds, NULL elsewhere."""


@dataclass(frozen=True)
class Never:
    """No row may satisfy `predicate`. Becomes a computed column of the batch, so all such rules share one scan."""

    predicate: str
    is_guarded: bool = True
    """False for predicates with a subquery or a window function, which DuckDB's TRY does not take."""

    def column_sql(self) -> str:
        """True where the row offends or cannot be judged, NULL where it is sound.

        A predicate that raises (a bad cast) must not abort the transaction, nor pass: inside TRY it counts as offending.
        """
        judged = f"coalesce(({self.predicate}), false)"
        if self.is_guarded:
            judged = f"coalesce(try({judged}), true)"
        return f"case when {judged} then true end"


@dataclass(frozen=True)
class Query:
    """`sql` returns nothing when all is well; `rowid_sql` selects the offending rows where the rule is about rows."""

    sql: str
    rowid_sql: str | None = None


@dataclass(frozen=True)
class Expect:
    """A Great Expectations expectation by its type name and arguments."""

    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


Form = Never | Query | Expect


@dataclass(frozen=True)
class Rule:
    """One thing believed about one table, why, and what follows when it does not hold."""

    code: str
    table: str
    description: str
    why: str
    severity: Severity
    level: Level
    owner: str
    dimension: Dimension
    form: Form
    is_structural: bool = False
    description_vi: str = ""
    why_vi: str = ""
    broken_by: Mapping[str, str] = field(default_factory=dict)
    """Column -> SQL expression that turns one sound row into one this rule objects to: the proof that it can fail."""

    @property
    def full_code(self) -> str:
        """The rule's code among all suites: `core.data_value.key_is_unique`."""
        return f"{self.table}.{self.code}"

    @property
    def is_blocking(self) -> bool:
        """True when a failure keeps the whole table from being loaded. Only staging rows can be set aside one by one."""
        return self.severity == "critical" and (self.level == "table" or not self.table.startswith("staging."))

    def described(self) -> CheckDescription:
        """The rule as the clock shows it."""
        return CheckDescription(
            rule_code=self.full_code,
            table=self.table,
            description=f"{self.description} {self.why}".strip(),
            severity=self.severity,
            level=self.level,
            is_blocking=self.is_blocking,
        )


@dataclass(frozen=True)
class Batch:
    """The rows under test: those of `source` (base table) that satisfy `condition`, at the refresh's instant."""

    source: str
    condition: str
    recorded_at: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def view_name(self) -> str:
        """Name of the temporary view that shows the batch; one per table."""
        return "weighed__" + self.source.replace(".", "__")

    def fill(self, sql: str, rows: str | None = None) -> str:
        """`sql` with `{rows}`, `{as_at}` and the run's parameters put in as literals."""
        filled = sql.replace("{rows}", rows or self.view_name).replace("{as_at}", literal(self.recorded_at))
        for name, value in self.parameters.items():
            filled = filled.replace("{" + name + "}", literal(value))
        return filled

    def select(self, rules: tuple[Rule, ...] = ()) -> str:
        """SELECT of the batch with its row numbers and the computed columns of the `never` rules among `rules`."""
        computed = "".join(
            f",\n  {self.fill(rule.form.column_sql(), self.source)} as {UNEXPECTED}{rule.code}"
            for rule in rules
            if isinstance(rule.form, Never)
        )
        return f"select rowid as {ROW_NUMBER}, *{computed}\nfrom {self.source}\nwhere {self.condition}"

    def rowid_select(self, rule: Rule) -> str | None:
        """A SELECT that stands alone and returns the rowid of every row `rule` objects to; None for table rules."""
        if isinstance(rule.form, Never):
            inner = self.select((rule,))
            return f"select {ROW_NUMBER} as rowid from ({inner}\n) as batch where {UNEXPECTED}{rule.code} is not null"
        if isinstance(rule.form, Query) and rule.form.rowid_sql is not None:
            inner = self.fill(rule.form.rowid_sql, f"({self.select()}\n)")
            return f"select distinct {ROW_NUMBER} as rowid from ({inner}\n) as offending"
        return None


def literal(value: Any) -> str:
    """A Python value as an SQL literal. Views take no bind parameters, and a rowid query must stand alone."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return f"timestamp '{naive.isoformat(sep=' ')}'"
    return quote_literal(str(value))
