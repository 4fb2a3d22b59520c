"""The indicator engine: catalogue entries in, observations out.

Belongs here: running the compiled statements on a live connection, adding intervals, statuses, footnotes and regional rows,
and refusing impossible values. Does not belong here: the SQL text (`warehouse.indicator_sql`), the arithmetic (`methods`),
loading the result (`warehouse.load`), protection. Specification: docs/methods/indicator-engine.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from methods import aggregation, intervals, rates
from warehouse.catalogue.indicator_catalogue import DIMENSIONS, Indicator, IndicatorCatalogue, indicator_catalogue
from warehouse.indicator_sql import compile_sql, compile_weight_sql
from warehouse.store import fetch_frame

STATUS_PRECEDENCE = "BOMLHQJSDKWIFEPNUVGA"
"""SDMX CL_OBS_STATUS codes, the one that is shown first when only one can be. Source: SDMX guideline 2.0 (2019)."""
EMPTY_STATUSES = "OMLHQK"
"""Statuses that say why a value is absent."""

KEY_COLUMNS: tuple[str, ...] = ("indicator_code", "definition_version", "area_code", "period_code", *DIMENSIONS)

OBSERVATION_SCHEMA: Mapping[str, Any] = {
    "indicator_code": pl.String,
    "definition_version": pl.String,
    "area_code": pl.String,
    "period_code": pl.String,
    **dict.fromkeys(DIMENSIONS, pl.String),
    "period_type_code": pl.String,
    "period_start_on": pl.Date,
    "period_end_on": pl.Date,
    "value": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "se": pl.Float64,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "n": pl.Int64,
    "unit_code": pl.String,
    "method_code": pl.String,
    "interval_code": pl.String,
    "obs_status": pl.String,
    "obs_flags": pl.List(pl.String),
    "coverage_share": pl.Float64,
    "membership_version": pl.String,
    "source_codes": pl.List(pl.String),
    "receipt_ids": pl.List(pl.String),
    "footnote_codes": pl.List(pl.String),
    "is_practice": pl.Boolean,
}
"""Columns of `indicator.observation`, in catalogue order."""

_CELL_SCHEMA: Mapping[str, Any] = {
    "area_code": pl.String,
    "period_type_code": pl.String,
    "period_start_on": pl.Date,
    "period_end_on": pl.Date,
    **dict.fromkeys(DIMENSIONS, pl.String),
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "value": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "se": pl.Float64,
    "interval_code": pl.String,
    "figures": pl.Int64,
    "quantities": pl.List(pl.Float64),
    "are_observed": pl.List(pl.Boolean),
    "n": pl.Int64,
    "is_practice": pl.Boolean,
    "source_codes": pl.List(pl.String),
    "receipt_ids": pl.List(pl.String),
    "status_codes": pl.List(pl.String),
    "footnote_codes": pl.List(pl.String),
}

GROUP = "ASEAN"
"""The area of regional rows."""
PARTIAL_FOOTNOTE = "period_open"
DELAY_FOOTNOTE = "reports_still_arriving"
COVERAGE_FOOTNOTE = "coverage_low"
IMPLAUSIBLE_FOOTNOTE = "outside_plausible_range"
NO_DENOMINATOR_FOOTNOTE = "denominator_missing"
IMPOSSIBLE_FOOTNOTE = "impossible_withheld"
MEMBERSHIP_FOOTNOTE = "membership_break"


class IndicatorError(Exception):
    """An indicator cannot be computed from what the store holds; the message says which, where and what to do."""

    def __init__(self, message: str, *, indicator: str) -> None:
        super().__init__(message)
        self.indicator = indicator


class ImpossibleValue(IndicatorError):
    """Cells whose value cannot be: a part above its whole, a negative count. `cells` lists them."""

    def __init__(self, message: str, *, indicator: str, cells: Sequence[str]) -> None:
        super().__init__(message, indicator=indicator)
        self.cells = tuple(cells)


@dataclass(frozen=True)
class Finding:
    """Something a person should look at: an impossible or implausible cell. Carries codes and numbers, no persons."""

    indicator_code: str
    kind: str
    cell: str
    value: float | None
    explanation: str


@dataclass(frozen=True)
class Computation:
    """Observations of the requested indicators and what was found while computing them."""

    observations: pl.DataFrame
    findings: tuple[Finding, ...] = field(default=())


def compute(
    connection: Any,
    indicators: Sequence[Indicator],
    as_at: datetime,
    *,
    catalogue: IndicatorCatalogue | None = None,
) -> pl.DataFrame:
    """The observations of `indicators` as the current core views have them at the instant of the refresh.

    *Raises* ImpossibleValue naming the cells; `compute_with_findings` withholds them instead.
    """
    result = compute_with_findings(connection, indicators, as_at, catalogue=catalogue)
    impossible = [finding for finding in result.findings if finding.kind == "impossible"]
    if impossible:
        first = impossible[0]
        raise ImpossibleValue(
            f"{first.indicator_code}: {len(impossible)} impossible cells, first {first.cell}: {first.explanation}. "
            "Find the source rows with `mhwg explain`, correct or quarantine them.",
            indicator=first.indicator_code,
            cells=[finding.cell for finding in impossible],
        )
    return result.observations


def compute_with_findings(
    connection: Any,
    indicators: Sequence[Indicator],
    as_at: datetime,
    *,
    catalogue: IndicatorCatalogue | None = None,
    progress: Callable[[str, int], None] | None = None,
    delays: Mapping[str, int] | None = None,
) -> Computation:
    """Observations with impossible cells withheld (NULL, status O, footnote) and reported among the findings.

    `progress` is told each indicator's code and number of rows as it is done. `delays`: how many days after a period's end
    figures of a source still move; until then a cell is provisional.
    """
    known = catalogue or indicator_catalogue()
    membership = fetch_frame(
        connection,
        "select membership_version, area_code, valid_from_on, valid_to_on from core.area_membership_current "
        "where group_code = 'ASEAN' order by all",
    )
    starts = membership.group_by("membership_version").agg(pl.col("valid_from_on").min())["valid_from_on"].sort()
    accessions = starts.to_list()[1:]
    weights = _Weights(connection, known, as_at)
    frames: list[pl.DataFrame] = [pl.DataFrame(schema=dict(OBSERVATION_SCHEMA))]
    findings: list[Finding] = []
    for indicator in indicators:
        cells = _fetch_cells(connection, indicator, known, as_at)
        sound, impossible = _without_impossible(cells, indicator)
        region = _regional(connection, sound, indicator, membership, weights)
        measured = _with_intervals(_joined(sound.filter(pl.col("area_code") != GROUP), region), indicator)
        observed = _observations(indicator, measured, known, as_at.astimezone(UTC).date(), accessions, delays or {})
        frames.append(observed)
        findings += [*impossible, *_implausible_findings(indicator, measured)]
        if progress is not None:
            progress(indicator.code, observed.height)
    return Computation(pl.concat(frames).sort(KEY_COLUMNS), tuple(findings))


class _Weights:
    """Denominator entries by country and year, each read once."""

    def __init__(self, connection: Any, catalogue: IndicatorCatalogue, as_at: datetime) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._as_at = as_at
        self._read: dict[str, pl.DataFrame] = {}

    def named(self, name: str) -> pl.DataFrame:
        """area_code, year, weight of one entry of the denominator registry."""
        if name not in self._read:
            entry = self._catalogue.denominators[name]
            sql = compile_weight_sql(entry, self._as_at, self._catalogue)
            self._read[name] = fetch_frame(self._connection, sql).select(
                pl.col("area_code"),
                pl.col("period_start_on").dt.year().alias("year"),
                pl.col("total").cast(pl.Float64).alias("weight"),
            )
        return self._read[name]


def _fetch_cells(connection: Any, indicator: Indicator, catalogue: IndicatorCatalogue, as_at: datetime) -> pl.DataFrame:
    cells = fetch_frame(connection, compile_sql(indicator, as_at, catalogue)).select(
        [pl.col(name).cast(kind) for name, kind in _CELL_SCHEMA.items()]
    )
    doubled = cells.filter(pl.col("figures") > 1)
    if indicator.numerator.aggregate == "published" and doubled.height:
        raise IndicatorError(
            f"{indicator.code}: {doubled.height} cells have more than one published figure, first "
            f"{_cell_name(doubled.row(0, named=True))}; narrow the filter or add the dimension that tells them apart.",
            indicator=indicator.code,
        )
    return cells


def _cell_name(row: Mapping[str, Any]) -> str:
    parts = [str(row["area_code"]), str(row["period_start_on"])]
    parts += [f"{name.removesuffix('_code')}={row[name]}" for name in DIMENSIONS if row[name] != "_T"]
    return " ".join(parts)


def _regional(
    connection: Any, cells: pl.DataFrame, indicator: Indicator, membership: pl.DataFrame, weights: _Weights
) -> pl.DataFrame | None:
    rule = indicator.regional
    if rule.rule == "not_aggregated" or cells.is_empty() or membership.is_empty():
        return None
    if rule.rule == "pooled_microdata":
        return aggregation.pooled_estimates(
            cells,
            _pool_parts(connection, indicator),
            dimensions=DIMENSIONS,
            membership=membership,
            population=weights.named(rule.coverage_population),
            minimum_coverage=rule.minimum_coverage,
            group_code=GROUP,
        )
    return aggregation.regional_cells(
        cells,
        aggregation.RegionalRule(rule.rule, indicator.factor, rule.minimum_coverage, rule.target),
        dimensions=DIMENSIONS,
        membership=membership,
        population=weights.named(rule.coverage_population),
        weights=weights.named(rule.weight) if rule.weight is not None else None,
    )


def _pool_parts(connection: Any, indicator: Indicator) -> pl.DataFrame:
    """Country by country what is in the pools of the indicator's measure, with the receipts; pools are dated to a year."""
    return fetch_frame(
        connection,
        """with part as (
            select distinct measure_code, period_code, unnest(part_area_codes) as area_code
            from estimate.survey_estimate_current
            where area_code = $area and list_contains($measures, measure_code) and length(period_code) = 4
        )
        -- Many to many on purpose: a country's wave has one row per breakdown, and distinct leaves one per receipt.
        select distinct 'A' as period_type_code, make_date(part.period_code::integer, 1, 1) as period_start_on,
            make_date(part.period_code::integer, 12, 31) as period_end_on, part.area_code, wave.receipt_id
        from part
        left join estimate.survey_estimate_current as wave
          on wave.area_code = part.area_code and wave.measure_code = part.measure_code
         and left(wave.period_code, 4) = part.period_code
        order by all""",
        {"area": GROUP, "measures": list(indicator.numerator.filter["measure_code"])},
    )


def _period_code() -> pl.Expr:
    start = pl.col("period_start_on")
    year = start.dt.year().cast(pl.String)
    return (
        pl.when(pl.col("period_type_code") == "A")
        .then(year)
        .when(pl.col("period_type_code") == "Q")
        .then(year + "Q" + start.dt.quarter().cast(pl.String))
        .when(pl.col("period_type_code") == "M")
        .then(start.dt.strftime("%Y%m"))
        .otherwise(start.dt.iso_year().cast(pl.String) + "W" + start.dt.week().cast(pl.String))
        .alias("period_code")
    )


def _impossible(indicator: Indicator) -> pl.Expr:
    """True where the cell cannot be: a part above its whole, or a negative part."""
    checks = pl.lit(False)
    if indicator.is_bounded:
        if indicator.denominator is not None:
            checks = checks | (pl.col("numerator") > pl.col("denominator") * (1 + 1e-12))
        checks = checks | (pl.col("value") > indicator.factor * (1 + 1e-9)) if indicator.method != "median" else checks
    if indicator.method in ("proportion_wilson", "rate_garwood", "share", "count"):
        checks = checks | (pl.col("numerator") < 0) | (pl.col("denominator") < 0)
    return checks.fill_null(False)


def _with_intervals(cells: pl.DataFrame, indicator: Indicator) -> pl.DataFrame:
    """Bounds and interval code by the indicator's method; published bounds stay as they came."""
    if cells.is_empty():
        return cells
    if indicator.method == "median":
        return _with_median(cells)
    if indicator.method not in ("proportion_wilson", "rate_garwood"):
        return cells
    is_usable = (
        cells["numerator"].is_not_null() & cells["denominator"].fill_null(0).gt(0) & cells["value"].is_not_null()
    ).to_numpy()
    x = np.where(is_usable, cells["numerator"].fill_null(0).to_numpy(), 0.0)
    n = np.where(is_usable, cells["denominator"].fill_null(0).to_numpy(), 1.0)
    if indicator.method == "proportion_wilson":
        bounds, codes = intervals.proportion(x, n)
        lower, upper = bounds.lower * indicator.factor, bounds.upper * indicator.factor
    else:
        lower, upper = rates.rate_interval(x, n, indicator.factor)
        codes = np.full(len(x), intervals.GARWOOD_CODE)
    usable = pl.Series("is_usable", is_usable)
    return cells.with_columns(
        pl.when(usable).then(pl.Series(lower)).alias("lower"),
        pl.when(usable).then(pl.Series(upper)).alias("upper"),
        pl.when(usable).then(pl.Series(codes.astype(str))).alias("interval_code"),
    )


def _with_median(cells: pl.DataFrame) -> pl.DataFrame:
    found, codes = [], []
    for quantities, are_observed in zip(cells["quantities"].to_list(), cells["are_observed"].to_list(), strict=True):
        values = [] if quantities is None else quantities
        observed = [True] * len(values) if are_observed is None else are_observed
        if all(observed):
            found.append(intervals.order_statistic_median(values))
            codes.append(intervals.ORDER_STATISTIC_CODE)
        else:
            found.append(intervals.kaplan_meier_median(values, observed))
            codes.append(intervals.KAPLAN_MEIER_CODE)
    columns = {
        name: pl.Series([getattr(median, name) for median in found], dtype=pl.Float64).fill_nan(None)
        for name in ("value", "lower", "upper")
    }
    has_interval = columns["lower"].is_not_null() | columns["upper"].is_not_null()
    return cells.with_columns(**columns, interval_code=pl.when(has_interval).then(pl.Series(codes, dtype=pl.String)))


def _ordered_flags(flags: Sequence[str], is_empty: bool) -> list[str]:
    kept = {flag for flag in flags if flag in STATUS_PRECEDENCE and flag != "A"}
    if is_empty and not kept & set(EMPTY_STATUSES):
        kept.add("O")
    if not is_empty:
        kept -= set(EMPTY_STATUSES)
    return sorted(kept, key=STATUS_PRECEDENCE.index) or ["A"]


def _without_impossible(cells: pl.DataFrame, indicator: Indicator) -> tuple[pl.DataFrame, list[Finding]]:
    """Cells with the numbers of impossible ones taken out, so that they reach no regional row either."""
    marked = cells.with_columns(_impossible(indicator).alias("is_impossible"))
    findings = [_impossible_finding(indicator, row) for row in marked.filter("is_impossible").iter_rows(named=True)]
    numbers = ("value", "lower", "upper", "se", "numerator", "denominator")
    return (
        marked.with_columns([pl.when(~pl.col("is_impossible")).then(pl.col(name)).alias(name) for name in numbers]),
        findings,
    )


def _joined(cells: pl.DataFrame, region: pl.DataFrame | None) -> pl.DataFrame:
    """Country and province cells with the regional rows below them, all with the same columns."""
    members = cells.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("coverage_share"),
        pl.lit(None, dtype=pl.String).alias("membership_version"),
        pl.lit(True).alias("is_covered"),
        pl.lit(False).alias("is_regional"),
    )
    if region is None:
        return members
    regional = region.with_columns(
        pl.lit(True).alias("is_regional"),
        pl.lit(False).alias("is_impossible"),
        pl.lit(1, dtype=pl.Int64).alias("figures"),
    )
    return pl.concat([members, regional.select(members.columns)])


def _impossible_finding(indicator: Indicator, row: Mapping[str, Any]) -> Finding:
    return Finding(
        indicator.code,
        "impossible",
        _cell_name(row),
        row["value"],
        f"numerator {row['numerator']}, denominator {row['denominator']}, value {row['value']}: "
        "a part above its whole, or below zero",
    )


def _outside(indicator: Indicator) -> pl.Expr:
    if indicator.plausible is None:
        return pl.lit(False)
    value = pl.col("value")
    return ((value < indicator.plausible.lower) | (value > indicator.plausible.upper)).fill_null(False)


def _implausible_findings(indicator: Indicator, cells: pl.DataFrame) -> list[Finding]:
    if indicator.plausible is None or cells.is_empty():
        return []
    bounds = indicator.plausible
    return [
        Finding(
            indicator.code,
            "implausible",
            _cell_name(row),
            row["value"],
            f"outside the plausible range {bounds.lower:g} to {bounds.upper:g}; check and sign off",
        )
        for row in cells.filter(_outside(indicator)).iter_rows(named=True)
    ]


def _observations(
    indicator: Indicator,
    cells: pl.DataFrame,
    catalogue: IndicatorCatalogue,
    today: date,
    accessions: Sequence[date],
    delays: Mapping[str, int],
) -> pl.DataFrame:
    cells = cells.with_columns(_outside(indicator).alias("is_outside"))
    standing = list(indicator.footnotes)
    if indicator.denominator is not None and indicator.denominator.named is not None:
        standing.append(catalogue.denominators[indicator.denominator.named].footnote)
    statuses, flags, notes = [], [], []
    for row in cells.iter_rows(named=True):
        found = list(row["status_codes"] or [])
        note = {*standing, *(row["footnote_codes"] or [])}
        is_open = row["period_end_on"] >= today
        if is_open:
            found.append("P")
            note.add(PARTIAL_FOOTNOTE)
        else:
            delay = max((delays.get(source, 0) for source in row["source_codes"] or ()), default=0)
            if delay and row["period_end_on"] + timedelta(days=delay) >= today:
                found.append("P")
                note.add(DELAY_FOOTNOTE)
        if row["is_regional"]:
            found.append("E")
            if not row["is_covered"]:
                note.add(COVERAGE_FOOTNOTE)
            if row["value"] is not None and any(
                row["period_start_on"] <= day <= row["period_end_on"] for day in accessions
            ):
                # The first period with the new member is not comparable with those before.
                found.append("B")
                note.add(MEMBERSHIP_FOOTNOTE)
        if indicator.experimental:
            found.append("G")
        if row["is_impossible"]:
            note.add(IMPOSSIBLE_FOOTNOTE)
        elif indicator.denominator is not None and not row["denominator"] and row["is_covered"]:
            note.add(NO_DENOMINATOR_FOOTNOTE)
        if row["is_outside"]:
            found.append("V")
            note.add(IMPLAUSIBLE_FOOTNOTE)
        ordered = _ordered_flags(found, row["value"] is None)
        statuses.append(ordered[0])
        flags.append(ordered)
        notes.append(sorted(note))
    regional_unit = indicator.regional.unit or indicator.unit
    return cells.with_columns(
        _period_code(),
        pl.lit(indicator.code).alias("indicator_code"),
        pl.lit(indicator.definition_version).alias("definition_version"),
        pl.when("is_regional").then(pl.lit(regional_unit)).otherwise(pl.lit(indicator.unit)).alias("unit_code"),
        pl.when("is_regional")
        .then(pl.lit(f"regional_{indicator.regional.rule}"))
        .otherwise(pl.lit(indicator.method))
        .alias("method_code"),
        pl.Series("obs_status", statuses, dtype=pl.String),
        pl.Series("obs_flags", flags, dtype=pl.List(pl.String)),
        pl.Series("footnote_codes", notes, dtype=pl.List(pl.String)),
    ).select([pl.col(name).cast(kind) for name, kind in OBSERVATION_SCHEMA.items()])
