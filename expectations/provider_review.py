"""What the review found about one provider's data beyond its rows: reports owed, findings by unit, changed fields, an outage.

Belongs here: reading `core.quality_finding`, `core.quality_measure` and the store's books into plain values. Does not belong here:
rules and held records (`provider_report`), how a page looks (`quality_page`).
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from methods.outliers import statement
from warehouse.catalogue.table_catalogue import load_codelist

WORST_UNITS = 10
SHOWN_SLICES = 20
SHOWN_VALUES = 25

_NAMED = """
    select finding.review_code, finding.severity_code, coalesce(unit.name, finding.org_unit_uid, '') as unit, finding.org_unit_uid,
      coalesce(finding.period_code, '') as period_code, coalesce(finding.concept_code, '') as concept_code,
      finding.observed_value, finding.expected_value, finding.silence_code, finding.tail_probability
    from core.quality_finding_current as finding
    left join core.org_unit_current as unit  /* many to one */
      on unit.instance_code = finding.instance_code and unit.org_unit_uid = finding.org_unit_uid
    where finding.instance_code = ?
"""


@dataclass(frozen=True)
class FindingCount:
    """Open findings of one kind."""

    name_en: str
    name_vi: str
    findings: int


@dataclass(frozen=True)
class UnitToAsk:
    """One reporting unit and what is open about it."""

    unit: str
    missing_reports: int
    other_findings: int


@dataclass(frozen=True)
class ValueToCheck:
    """One reported value or rule to look at: what it is, what was found and what was expected; `silence_code` where DHIS2's own
    outlier screen would not show it."""

    name_en: str
    name_vi: str
    unit: str
    period_code: str
    concept_code: str
    found: float | None
    expected: float | None
    silence_code: str | None


@dataclass(frozen=True)
class Silence:
    """Why DHIS2's outlier screen says nothing, of how many of all series."""

    silence_code: str
    series: int
    all_series: int


@dataclass(frozen=True)
class PeriodRate:
    """Reports of one period: share that came and share that came in time, of those owed."""

    period_code: str
    received: float
    in_time: float


@dataclass(frozen=True)
class RowsExpected:
    """One slice of the last load: its rows, the band they were expected in, and for reports how many of those owed came."""

    series: str
    slice: str
    rows: int
    low: int
    high: int
    is_outside: bool
    owed: int | None
    received: int | None


@dataclass(frozen=True)
class ProviderReview:
    """Everything that a page shows of the review of one provider."""

    findings: tuple[FindingCount, ...] = ()
    units: tuple[UnitToAsk, ...] = ()
    values: tuple[ValueToCheck, ...] = ()
    silences: tuple[Silence, ...] = ()
    rates: tuple[PeriodRate, ...] = ()
    changed_fields: tuple[str, ...] = ()
    slices: tuple[RowsExpected, ...] = ()
    last_good_on: date | None = None
    """Set while the last refresh of the source failed: the day of the data that are used meanwhile."""

    fault: str | None = None


def provider_review(connection: Any, source_code: str) -> ProviderReview:
    """The review of one source as of now; a source that is no DHIS2 server has no reports and no units."""
    instance = source_code.removeprefix("dhis2_")
    outages = connection.execute(
        "select last_good_on, fault from ops.source_outage where source_code = ?", [source_code]
    ).fetchall()
    changed = connection.execute(
        """select part_code || ': ' || sentence || ' (' || answer_code || ')' from ops.field_drift where source_code = ?
        order by first_at desc, part_code, sentence limit 20""",
        [source_code],
    ).fetchall()
    is_server = source_code.startswith("dhis2_")
    return ProviderReview(
        findings=_findings(connection, instance) if is_server else (),
        units=_units(connection, instance) if is_server else (),
        values=_values(connection, instance) if is_server else (),
        silences=_silences(connection, instance) if is_server else (),
        rates=_rates(connection, instance) if is_server else (),
        changed_fields=tuple(row[0] for row in changed),
        slices=_slices(connection, source_code),
        last_good_on=outages[0][0] if outages else None,
        fault=outages[0][1] if outages else None,
    )


def _slices(connection: Any, source_code: str) -> tuple[RowsExpected, ...]:
    """Of the last judgement of each series: every slice outside its band, and the newest one."""
    rows = connection.execute(
        """with last as (
          select *, row_number() over (partition by series_code order by slice_code desc) as place from ops.row_band
          where source_code = $source and low_count is not null
          qualify refresh_at = max(refresh_at) over (partition by series_code)
        )
        select series_code, slice_code, row_count, low_count, high_count, state_code <> 'within', owed_count, received_count
        from last where state_code <> 'within' or place = 1
        order by state_code = 'within', series_code, slice_code desc limit $shown""",
        {"source": source_code, "shown": SHOWN_SLICES},
    ).fetchall()
    return tuple(RowsExpected(*row) for row in rows)


def _findings(connection: Any, instance: str) -> tuple[FindingCount, ...]:
    names = {code.code: code for code in load_codelist("quality_review")}
    rows = connection.execute(
        """select review_code, count(*) from core.quality_finding_current where instance_code = ?
        group by review_code order by count(*) desc, review_code""",
        [instance],
    ).fetchall()
    return tuple(FindingCount(names[code].name_en, names[code].name_vi, int(count)) for code, count in rows)


def _units(connection: Any, instance: str) -> tuple[UnitToAsk, ...]:
    rows = connection.execute(
        """select coalesce(unit.name, finding.org_unit_uid), count(*) filter (where review_code = 'missing_report') as missing,
          count(*) filter (where review_code not in ('missing_report', 'unexpected_report')) as other
        from core.quality_finding_current as finding
        left join core.org_unit_current as unit  /* many to one */
          on unit.instance_code = finding.instance_code and unit.org_unit_uid = finding.org_unit_uid
        where finding.instance_code = ? and finding.org_unit_uid is not null
        group by unit.name, finding.org_unit_uid having missing + other > 0
        order by missing + other desc, 1 limit ?""",
        [instance, WORST_UNITS],
    ).fetchall()
    return tuple(UnitToAsk(row[0], int(row[1]), int(row[2])) for row in rows)


def _values(connection: Any, instance: str) -> tuple[ValueToCheck, ...]:
    """The least likely values first, then broken rules; reports are not values."""
    names = {code.code: code for code in load_codelist("quality_review")}
    rows = connection.execute(
        f"""with named as ({_NAMED})
        select review_code, unit, period_code, concept_code, observed_value, expected_value, silence_code from named
        where review_code not in ('missing_report', 'unexpected_report')
        order by tail_probability nulls last, review_code, period_code desc, unit, concept_code limit {SHOWN_VALUES}""",
        [instance],
    ).fetchall()
    return tuple(ValueToCheck(names[row[0]].name_en, names[row[0]].name_vi, *row[1:]) for row in rows)


def _silences(connection: Any, instance: str) -> tuple[Silence, ...]:
    rows = connection.execute(
        """select subject_code, numerator, denominator from core.quality_measure_current
        where provider_code = ? and measure_code = 'outlier_screen_silent' order by numerator desc, subject_code""",
        [instance],
    ).fetchall()
    return tuple(Silence(code, int(series), int(all_series)) for code, series, all_series in rows)


def open_findings(connection: Any, source_code: str) -> pl.DataFrame:
    """Every open finding of a server, for that provider alone: kind, unit, period, concept, found, expected, note."""
    names = {code.code: code for code in load_codelist("quality_review")}
    rows = connection.execute(
        f"{_NAMED} order by review_code, unit, period_code, concept_code, finding.subject_code",
        [source_code.removeprefix("dhis2_")],
    ).fetchall()
    return pl.DataFrame(
        [
            (names[code].name_en, severity, unit, uid, period, concept, found, expected, statement(silence))
            for code, severity, unit, uid, period, concept, found, expected, silence, _ in rows
        ],
        schema={
            **dict.fromkeys(("kind", "severity", "unit", "unit_uid", "period", "concept"), pl.String),
            "found": pl.Float64, "expected": pl.Float64, "note": pl.String,
        },
        orient="row",
    )  # fmt: skip


def _rates(connection: Any, instance: str) -> tuple[PeriodRate, ...]:
    """Monthly reports of all data sets together, in the order of the periods."""
    rows = connection.execute(
        """select period_code,
          coalesce(sum(numerator) filter (where measure_code = 'reports_received'), 0)
            / sum(denominator) filter (where measure_code = 'reports_received'),
          coalesce(sum(numerator) filter (where measure_code = 'reports_in_time'), 0)
            / sum(denominator) filter (where measure_code = 'reports_in_time')
        from core.quality_measure_current
        where provider_code = ? and measure_code in ('reports_received', 'reports_in_time') and length(period_code) = 6
          and period_code not like '%Q%'
        group by period_code order by period_code""",
        [instance],
    ).fetchall()
    return tuple(PeriodRate(row[0], float(row[1]), float(row[2] or 0)) for row in rows)
