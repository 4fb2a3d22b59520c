"""What one provider needs to know about its data: failed rules, rejected records by reason, units with most of them, and the trend.

Belongs here: reading the store's books (`ops.*`, `quarantine.record`) into plain values. Does not belong here: how a page looks
(`quality_page`), weighing. No value of a record is read except the unit it belongs to; `rejected_records` is the one exception,
and is for the provider's eyes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import polars as pl

from expectations.belief_book import rules_for
from expectations.rules import Rule
from warehouse import row_bands
from warehouse.catalogue.table_catalogue import tables
from warehouse.victims import held_records

HELD_REASONS = 20
WORST_UNITS = 10
POINTERS = 3


@dataclass(frozen=True)
class Finding:
    """One rule that the provider's last load broke."""

    rule_code: str
    table: str
    severity: str
    says: str
    why: str
    owner: str
    rows: int
    evaluated: int
    raised: str | None
    says_vi: str = ""
    why_vi: str = ""


@dataclass(frozen=True)
class HeldReason:
    """One reason for which records are held, how many, and where a few of them stand in the files received."""

    table: str
    reason: str
    records: int
    pointers: tuple[str, ...]


@dataclass(frozen=True)
class UnitWithRejections:
    """One reporting unit and its held records."""

    unit: str
    records: int


@dataclass(frozen=True)
class TrendPoint:
    """One load that changed something: rules weighed and failed, rows received and held."""

    refresh_at: datetime
    rules: int
    failed: int
    received: int
    held: int


@dataclass(frozen=True)
class Reconciliation:
    """One table of the last load: received = staged + quarantined + duplicates, or somebody lost rows."""

    table: str
    received: int
    staged: int
    quarantined: int
    duplicates: int

    @property
    def is_balanced(self) -> bool:
        """True when every row received is accounted for."""
        return self.received == self.staged + self.quarantined + self.duplicates


@dataclass(frozen=True)
class ProviderReport:
    """Everything a page about one provider shows."""

    source_code: str
    refresh_at: datetime
    findings: tuple[Finding, ...]
    held: tuple[HeldReason, ...]
    units: tuple[UnitWithRejections, ...]
    trend: tuple[TrendPoint, ...]
    reconciliation: tuple[Reconciliation, ...]
    rules: int


@cache
def _rules() -> dict[str, Rule]:
    return {rule.full_code: rule for table in tables().values() for rule in rules_for(table)}


def providers(connection: Any) -> list[str]:
    """Sources that have been weighed or have held records, in name order."""
    rows = connection.execute(
        f"select source_code from ops.check_result union select source_code from {held_records(connection)} order by 1"
    ).fetchall()
    return [row[0] for row in rows]


def provider_report(connection: Any, source_code: str) -> ProviderReport | None:
    """The report on one source as of its last load; None for a source that was never loaded."""
    ((last,),) = connection.execute(
        "select max(refresh_at) from ops.load where source_code = ?", [source_code]
    ).fetchall()
    if last is None:
        return None
    weighed = connection.execute(
        """select rule_code, any_value(table_name), any_value(severity_code), bool_and(is_passed), any_value(why),
             sum(unexpected_count), sum(evaluated_count), max(raised)
        from ops.check_result where source_code = ? and refresh_at = ? group by rule_code order by rule_code""",
        [source_code, last],
    ).fetchall()
    return ProviderReport(
        source_code=source_code,
        refresh_at=last,
        findings=tuple(_finding(row) for row in sorted(weighed, key=_gravity) if not row[3]),
        held=_held(connection, source_code),
        units=_units(connection, source_code),
        trend=_trend(connection, source_code),
        reconciliation=_reconciliation(connection, source_code, last),
        rules=len(weighed),
    )


def _gravity(row: Sequence[Any]) -> tuple[int, int, str]:
    return (["critical", "warning", "info"].index(row[2]), -int(row[5]), row[0])


def _finding(row: Sequence[Any]) -> Finding:
    rule = _rules().get(row[0])
    is_band = row[0].endswith(f".{row_bands.RULE}")
    return Finding(
        rule_code=row[0],
        table=row[1],
        severity=row[2],
        says=rule.description if rule else (row_bands.SAYS if is_band else row[0]),
        why_vi=rule.why_vi if rule else (row_bands.WHY_VI if is_band else ""),
        says_vi=rule.description_vi if rule else (row_bands.SAYS_VI if is_band else ""),
        why=row[4],
        owner=rule.owner if rule else "",
        rows=int(row[5]),
        evaluated=int(row[6]),
        raised=row[7],
    )


def _held(connection: Any, source_code: str) -> tuple[HeldReason, ...]:
    rows = connection.execute(
        f"""select table_name, reason, count(*) as records, list(pointer order by pointer)[1:?] as pointers
        from (select table_name, pointer, unnest(reasons) as reason from {held_records(connection)}
              where source_code = ? and status_code = 'held')
        group by all order by records desc, table_name, reason limit ?""",
        [POINTERS, source_code, HELD_REASONS],
    ).fetchall()
    return tuple(HeldReason(row[0], row[1], int(row[2]), tuple(p for p in row[3] if p)) for row in rows)


def _units(connection: Any, source_code: str) -> tuple[UnitWithRejections, ...]:
    """Units by held records; their names where the core has them."""
    known = "core.org_unit" in tables()
    named = (
        "left join core.org_unit_current as unit /* many to one */ on unit.instance_code = held.instance_code "
        "and unit.org_unit_uid = held.org_unit_uid"
        if known
        else "left join (select null::varchar as name) as unit on false"
    )
    rows = connection.execute(
        f"""select coalesce(any_value(unit.name), held.org_unit_uid), count(*) as records
        from (select json_extract_string(record, '$.instance_code') as instance_code,
                coalesce(json_extract_string(record, '$.org_unit_uid'), json_extract_string(record, '$.from_org_unit_uid'))
                  as org_unit_uid
              from {held_records(connection)} where source_code = ? and status_code = 'held') as held
        {named}
        where held.org_unit_uid is not null
        group by held.instance_code, held.org_unit_uid order by records desc, 1 limit ?""",
        [source_code, WORST_UNITS],
    ).fetchall()
    return tuple(UnitWithRejections(row[0], int(row[1])) for row in rows)


def _trend(connection: Any, source_code: str) -> tuple[TrendPoint, ...]:
    rows = connection.execute(
        """with weighed as (
          select refresh_at, count(distinct rule_code) as rules, count(distinct rule_code) filter (where not is_passed) as failed
          from ops.check_result where source_code = $source group by all
        ), moved as (
          select refresh_at, sum(received) filter (where staged is not null) as received, sum(quarantined) as held
          from ops.load where source_code = $source group by all
        )
        select moved.refresh_at, coalesce(rules, 0), coalesce(failed, 0), coalesce(received, 0), coalesce(held, 0)
        from moved left join weighed using (refresh_at)  /* one to one */
        order by 1""",
        {"source": source_code},
    ).fetchall()
    return tuple(TrendPoint(row[0], int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in rows)


def _reconciliation(connection: Any, source_code: str, refresh_at: datetime) -> tuple[Reconciliation, ...]:
    rows = connection.execute(
        """select table_name, received, staged, quarantined, duplicates from ops.load
        where source_code = ? and refresh_at = ? and staged is not null order by table_name""",
        [source_code, refresh_at],
    ).fetchall()
    return tuple(Reconciliation(row[0], *(int(number or 0) for number in row[1:])) for row in rows)


def rejected_records(connection: Any, source_code: str) -> pl.DataFrame:
    """The provider's own held records with reasons and pointers, as it sent them, to be handed to that provider and nobody else.

    Columns: table_name, pointer, reasons (joined by ` | `), record (JSON), first_at. Never part of a release.
    """
    rows = connection.execute(
        f"""select table_name, pointer, array_to_string(reasons, ' | '), record::varchar, first_at
        from {held_records(connection)} where source_code = ? and status_code = 'held'
        order by table_name, pointer, quarantine_id""",
        [source_code],
    ).fetchall()
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "table_name": pl.String,
        "pointer": pl.String,
        "reasons": pl.String,
        "record": pl.String,
        "first_at": pl.Datetime("us"),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
