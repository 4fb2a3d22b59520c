"""What a check says about a table: the words that the store, the scales and the clock share.

Belongs here: the `Scales` protocol and its plain values, so that assets can weigh tables without knowing Great
Expectations. Does not belong here: rules, suites, any check.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from warehouse.catalogue.table_catalogue import Table


class WeighingFailed(Exception):
    """A check's own SQL failed on the data and ended the transaction. Nothing was loaded; the check must be mended.

    Unless it `ran_out_of_memory`: then the same work with more memory may succeed (`Warehouse.with_room`).
    """

    ran_out_of_memory = False


Severity = Literal["critical", "warning", "info"]
Level = Literal["row", "table"]


@dataclass(frozen=True)
class CheckDescription:
    """One rule as Dagster shows it: name, why it exists, severity, and whether failing it stops what follows."""

    rule_code: str
    table: str
    description: str
    severity: Severity
    level: Level
    is_blocking: bool = False


@dataclass(frozen=True)
class WeighingContext:
    """What a suite may ask: the refresh's instant, and which rows are under test (`scope`: column -> value)."""

    recorded_at: datetime
    scope: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RuleOutcome:
    """What one rule found. `unexpected_rowid_sql` selects the rowids of all offending rows, for quarantine.

    `raised` holds the fault of a rule that could not be evaluated: such a rule has failed, never passed. No field
    carries a personal value.
    """

    rule_code: str
    table: str
    level: Level
    severity: Severity
    passed: bool
    unexpected_count: int
    evaluated_count: int
    why: str
    unexpected_rowid_sql: str | None = None
    raised: str | None = None
    sample_keys: tuple[str, ...] = ()


class Scales(Protocol):
    """Weighs one table on a live connection, inside the caller's transaction."""

    def weigh(self, connection: Any, table: Table, context: WeighingContext) -> Sequence[RuleOutcome]:
        """One outcome per rule of the table's suite."""
        ...

    def checks_for(self, table: Table) -> Sequence[CheckDescription]:
        """The rules of the table's suite, cheaply: no data and no Great Expectations."""
        ...
