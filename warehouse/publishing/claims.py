"""The claims of a release: every published statement beside what the release and the public series say, with the verdict.

Belongs here: finding the figure that a claim is compared with, and the table `claim`. Does not belong here: the statements
(`catalogue.claim_catalogue`), the arithmetic (`methods.claims`), pages and files. Specification: docs/claims.md.

A claim is compared with what anybody may see: figures after disclosure control, series of other producers, public registers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import product
from operator import and_
from pathlib import Path
from typing import Any

import polars as pl

from methods.claims import difference, verdict
from warehouse.catalogue.claim_catalogue import (
    Claim,
    ClaimTarget,
    FigureTarget,
    RegisterTarget,
    SeriesTarget,
    claims,
)
from warehouse.catalogue.indicator_catalogue import DIMENSIONS
from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.history import as_naive_utc
from warehouse.publishing.display import DASH, MINUS, PRACTICE_MARK, period_order, period_type, value_text
from warehouse.store import fetch_frame

_TEXT, _NUMBER = pl.String(), pl.Float64()
SCHEMA: dict[str, pl.DataType] = {
    "claim_code": _TEXT,
    "claim_order": pl.Int32(),
    "checklist_rows": pl.List(_TEXT),
    "statement_en": _TEXT,
    "statement_vi": _TEXT,
    "sense_code": _TEXT,
    "stated_value": _NUMBER,
    "stated_upper": _NUMBER,
    "rounding": _NUMBER,
    "unit_code": _TEXT,
    "area_code": _TEXT,
    "period_code": _TEXT,
    "stated_in": _TEXT,
    "edition": _TEXT,
    "citation": _TEXT,
    "confidence_code": _TEXT,
    "verdict_code": _TEXT,
    "compared_with": _TEXT,
    "compared_period_code": _TEXT,
    "compared_value": _NUMBER,
    "difference": _NUMBER,
    "difference_percent": _NUMBER,
    "reason_en": _TEXT,
    "reason_vi": _TEXT,
    "is_practice": pl.Boolean(),
}
"""Columns of `release.claim`; all numbers are in the claim's unit."""

SERIES_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("series_code", "edition_code", "area_code"), _TEXT),
    "year": pl.Int32(),
    **dict.fromkeys(("sex_code", "age_code", "origin_code", "destination_code", "category_code"), _TEXT),
    "value": _NUMBER,
    "is_current_edition": pl.Boolean(),
    "is_practice": pl.Boolean(),
}
"""Columns of the public series that claims are compared with."""

VERDICT_ORDER = ("contradicted", "superseded", "agrees", "no_data", "not_comparable")
"""What a reader must know first stands first."""

_INCOMPLETE = "year_to_date_"
"""Footnote of a year's figure that holds part of the year only."""

_REASONS = {
    "absent": ("The release has no such figure yet.", "Bản công bố chưa có số liệu này."),
    "hidden": (
        "The figure is hidden or withheld in the release.",
        "Số liệu bị che hoặc không công bố trong bản phát hành.",
    ),
    "incomplete": (
        "The warehouse holds part of the year only.",
        "Kho dữ liệu mới có một phần của năm.",
    ),
    "same_report": (
        "The register holds the number from this same report; there is no count of another origin.",
        "Sổ ghi chép lấy số từ chính bài báo này; không có số đếm từ nguồn khác.",
    ),
    "later_period": ("A later period is on record.", "Đã có số liệu của kỳ sau."),
    "newer_edition": ("A newer edition says otherwise.", "Ấn bản mới hơn nêu khác."),
    "practice": (
        "Compared with practice data, which are made up: the verdict says nothing about the statement.",
        "So sánh với dữ liệu thực hành (giả lập): kết quả không nói gì về phát biểu.",
    ),
}


@dataclass(frozen=True)
class Found:
    """What was found for a claim: the figure in the claim's unit, or why there is none; and whether it is made up."""

    value: float | None
    what: str
    period_code: str = ""
    reason: str = ""
    is_practice: bool = False
    is_independent: bool = True
    """False where the warehouse holds the number from the very report that makes the claim."""


def no_claims() -> pl.DataFrame:
    """The table of a release made aside from the store."""
    return pl.DataFrame(schema=SCHEMA)


def claims_at(
    connection: Any, at: datetime, observations: pl.DataFrame, registers: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """Every claim with its verdict, beside the protected observations and the public registers of the same release; series as the
    store held them at the instant."""
    wanted = {t.series for claim in claims() for t in (claim.against, claim.newer) if isinstance(t, SeriesTarget)}
    series = fetch_frame(
        connection,
        f"select {', '.join(SERIES_SCHEMA)} from core.reference_value_as_of($at)"
        " where list_contains($series, series_code) order by all",
        {"at": as_naive_utc(at), "series": sorted(wanted)},
    )
    return check_claims(claims(), observations, series, registers)


def check_claims(
    entries: Sequence[Claim], observations: pl.DataFrame, series: pl.DataFrame, registers: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """One row per claim, in the order of the ledger: what was stated, the figure beside it, the difference and the verdict."""
    known = _Known({claim.code: claim for claim in entries}, observations, series, registers)
    rows = [_checked(claim, known, order) for order, claim in enumerate(entries, start=1)]
    return pl.DataFrame(rows, schema=SCHEMA)


def _checked(claim: Claim, known: "_Known", order: int) -> dict[str, Any]:
    own = known.find(claim, claim.against) if claim.against is not None else None
    newer = known.find_newer(claim)
    shown, told, reason = own, "not_comparable", ""
    rounding = getattr(claim.against, "rounding", 0.0)
    if own is None:
        reason = ""
    elif not own.is_independent:
        shown, reason = Found(None, own.what, own.period_code), "same_report"
    else:
        told = verdict(
            claim.stated,
            own.value,
            newer.value if newer is not None else None,
            is_of_an_edition=bool(claim.edition),
            other_rounding=rounding,
        )
        reason = own.reason if told == "no_data" else ""
        if told == "superseded":
            shown = newer if newer is not None else own
            is_later = shown.period_code != claim.period and period_order(shown.period_code) > period_order(
                claim.period
            )
            reason = "later_period" if is_later else "newer_edition"
    texts = [claim.not_comparable.en, claim.not_comparable.vi] if claim.not_comparable else ["", ""]
    is_practice = shown is not None and shown.value is not None and shown.is_practice
    for key in (reason, "practice" if is_practice else ""):
        if key:
            texts = [f"{text} {more}".strip() for text, more in zip(texts, _REASONS[key], strict=True)]
    value = shown.value if shown is not None else None
    apart = difference(claim.stated, value) if value is not None else None
    return {
        "claim_code": claim.code,
        "claim_order": order,
        "checklist_rows": [str(row) for row in claim.rows],
        "statement_en": claim.statement.en,
        "statement_vi": claim.statement.vi,
        "sense_code": claim.sense,
        "stated_value": claim.value,
        "stated_upper": claim.upper,
        "rounding": claim.rounding,
        "unit_code": claim.unit,
        "area_code": claim.area,
        "period_code": claim.period,
        "stated_in": claim.stated_in or None,
        "edition": claim.edition or None,
        "citation": claim.citation,
        "confidence_code": claim.confidence,
        "verdict_code": told,
        "compared_with": shown.what if shown is not None else None,
        "compared_period_code": (shown.period_code or None) if value is not None and shown is not None else None,
        "compared_value": value,
        "difference": apart,
        "difference_percent": 100 * apart / abs(claim.value) if apart is not None and claim.value else None,
        "reason_en": texts[0] or None,
        "reason_vi": texts[1] or None,
        "is_practice": is_practice,
    }


class _Known:
    """What claims can be compared with, asked one target at a time."""

    def __init__(
        self,
        ledger: Mapping[str, Claim],
        observations: pl.DataFrame,
        series: pl.DataFrame,
        registers: Mapping[str, pl.DataFrame],
    ) -> None:
        self.ledger = ledger
        self.series = series
        self.registers = registers
        self._by_indicator: dict[str, list[dict[str, Any]]] = {}
        wanted = {
            t.indicator
            for claim in ledger.values()
            for t in (claim.against, claim.newer)
            if isinstance(t, FigureTarget)
        }
        for row in observations.filter(pl.col("indicator_code").is_in(wanted)).iter_rows(named=True):
            self._by_indicator.setdefault(row["indicator_code"], []).append(row)

    def find(self, claim: Claim, target: Any) -> Found:
        """The figure of the claim's own time."""
        match target:
            case FigureTarget():
                return self._figure(claim, target, claim.period)
            case SeriesTarget():
                return self._series(claim, target)
            case RegisterTarget():
                return self._register(target)
            case ClaimTarget():
                return self._claim(target)
        raise TypeError(f"claim {claim.code}: {type(target).__name__} is no target")

    def find_newer(self, claim: Claim) -> Found | None:
        """The figure of a newer edition or of the newest later period, where the claim asks for one and there is one."""
        if claim.newer is not None:
            found = self.find(claim, claim.newer)
            return found if found.value is not None else None
        target = claim.against
        if not isinstance(target, FigureTarget) or target.periods != "newest":
            return None
        later = {
            row["period_code"]
            for row in self._by_indicator.get(target.indicator, ())
            if period_type(row["period_code"]) == period_type(claim.period)
            and period_order(row["period_code"]) > period_order(claim.period)
        }
        for period in sorted(later, key=period_order, reverse=True):
            found = self._figure(claim, target, period)
            if found.value is not None:
                return found
        return None

    def _figure(self, claim: Claim, target: FigureTarget, period: str) -> Found:
        areas = target.areas or (claim.area,)
        listed = " ".join(f"{name.removesuffix('_code')}={'+'.join(codes)}" for name, codes in target.by.items())
        what = " ".join(part for part in (target.indicator, "+".join(areas), listed) if part)
        if target.quantity != "value":
            what += f", {target.quantity}"
        rows = self._by_indicator.get(target.indicator, [])
        periods = [period]
        if target.periods == "sum_to":
            years = {row["period_code"] for row in rows if period_type(row["period_code"]) == "year"}
            periods = sorted(year for year in years if year <= period)
            what += f", all years to {period}"
        if not periods:
            return Found(None, what, period, "absent")
        total, is_practice, held = 0.0, False, 0
        places = [dict(zip(target.by, codes, strict=True)) for codes in product(*target.by.values())]
        for area, at, codes in product(areas, periods, places):
            row = _newest_definition(rows, area, at, codes)
            if row is None and target.periods == "sum_to":
                continue  # a year without a register is a year without people reached
            number = row[target.quantity] if row is not None else None
            if row is None or number is None:
                return Found(None, what, period, "absent" if row is None or row["obs_status"] == "O" else "hidden")
            if any(str(code).startswith(_INCOMPLETE) for code in row["footnote_codes"] or ()):
                return Found(None, what, period, "incomplete")
            total, held = total + number, held + 1
            is_practice = is_practice or bool(row["is_practice"])
        if not held:
            return Found(None, what, period, "absent")
        return Found(total * target.factor, what, period, is_practice=is_practice)

    def _series(self, claim: Claim, target: SeriesTarget) -> Found:
        frame = self.series.filter(
            pl.col("series_code") == target.series,
            pl.col("year").cast(pl.String) == claim.period,
            pl.col("is_current_edition") if target.edition is None else pl.col("edition_code") == target.edition,
            *(pl.col(name) == "_T" for name in ("origin_code", "destination_code", "category_code")),
        )
        edition = frame["edition_code"][0] if frame.height else target.edition
        what = f"{target.series}.{edition}" if edition else target.series
        if target.rank:
            totals = frame.filter(pl.col("sex_code") == "_T", pl.col("age_code") == "_T")
            own = totals.filter(pl.col("area_code") == claim.area)["value"]
            rank = None if own.is_empty() else float(totals.filter(pl.col("value") > own[0]).height + 1)
            return Found(rank, f"{what}, rank among the members", claim.period, "" if rank else "absent")
        mine = frame.filter(pl.col("area_code") == claim.area)
        value = _added(mine, target.sexes, target.ages)
        if target.share_of_ages and value is not None:
            whole = _added(mine, target.sexes, target.share_of_ages)
            value = value / whole if whole else None
        is_practice = bool(mine["is_practice"].any())
        if value is None:
            return Found(None, what, claim.period, "absent")
        return Found(value * target.factor, what, claim.period, is_practice=is_practice)

    def _register(self, target: RegisterTarget) -> Found:
        frame = self.registers[target.table]
        conditions = [pl.col(name).cast(pl.String).is_in(codes) for name, codes in target.where.items()]
        rows = frame.filter(reduce(and_, conditions)) if conditions else frame
        what = f"register {target.table}"
        if rows.is_empty():
            return Found(None, what, reason="absent")
        # A register typed from one report agrees with it by birth.
        is_independent = "confidence_code" not in rows.columns or "as_reported" not in rows["confidence_code"].to_list()
        if target.distinct is not None:
            number: float | None = rows[target.distinct].n_unique()
        else:
            numbers = rows[str(target.column)].drop_nulls()
            number = numbers[0] if len(numbers) else None
        if number is None:
            return Found(None, what, reason="absent")
        return Found(float(number) * target.factor, what, is_independent=is_independent)

    def _claim(self, target: ClaimTarget) -> Found:
        other = self.ledger[target.code]
        if target.over is None:
            return Found(other.value * target.factor, f"{other.citation}: {other.value:g}", other.period)
        below = self.ledger[target.over]
        what = f"{other.value:g} ({other.citation}) / {below.value:g} ({below.citation})"
        return Found(other.value / below.value * target.factor, what, below.period)


def statement_number(row: Mapping[str, Any], language: str) -> str:
    """What a row of `claim` states, as people say it: `about 155,000 persons`, `between 3 and 4 US dollars (billion)`."""
    decimals = 0 if row["rounding"] >= 1 else max(0, -math.floor(math.log10(row["rounding"])))
    low = value_text(row["stated_value"], decimals, language)
    unit = _word("claim_unit", row["unit_code"], language)
    if row["stated_upper"] is not None:
        number = f"{low}{DASH}{value_text(row['stated_upper'], decimals, language)}"
    elif row["sense_code"] == "exactly":
        number = low
    else:
        number = f"{_word('claim_sense', row['sense_code'], language)} {low}"
    return f"{number}%" if row["unit_code"] == "percent" else f"{number} {unit}"


_IN_VIETNAMESE = (
    ("all years to", "cộng các năm đến"),
    ("rank among the members", "thứ hạng trong các nước thành viên"),
    ("numerator", "tử số"),
    ("denominator", "mẫu số"),
    ("register ", "sổ "),
    ("destination=", "thị trường="),
    ("category=", "nhóm="),
    ("sex=", "giới="),
    ("press report", "bài báo"),
)
"""The few words that `compared_with` puts between codes and citations."""


def compared_text(row: Mapping[str, Any], language: str) -> str:
    """What the claim was compared with, in the language: codes and names of publishers stay as they are."""
    text = str(row["compared_with"] or "")
    if language == "vi":
        for english, vietnamese in _IN_VIETNAMESE:
            text = text.replace(english, vietnamese)
    return text


def computed_text(row: Mapping[str, Any], language: str) -> str:
    """The computed figure with the practice mark, at one digit more than the statement gives; empty where there is none."""
    if row["compared_value"] is None:
        return ""
    text = value_text(row["compared_value"], _decimals(row), language)
    return f"{text} {PRACTICE_MARK}" if row["is_practice"] else text


def difference_text(row: Mapping[str, Any], language: str) -> str:
    """By how much the computed figure differs, with its share of what was stated; empty where the two agree."""
    if not row["difference"] or row["verdict_code"] not in ("contradicted", "superseded"):
        return ""
    sign = "+" if row["difference"] > 0 else MINUS
    text = f"{sign}{value_text(abs(row['difference']), _decimals(row), language)}"
    if row["difference_percent"] is None or row["unit_code"] == "percent":
        return text
    return f"{text} ({sign}{value_text(abs(row['difference_percent']), 1, language)}%)"


def read_claims(shelf: Path) -> pl.DataFrame:
    """The claims of the current release. Raises ShelfError when there is none or it was made before there were claims."""
    from warehouse.publishing.release import ShelfError, current_release

    current = current_release(shelf)
    path = current / "data" / "claim.parquet" if current is not None else None
    if path is None or not path.exists():
        raise ShelfError("There is no release with claims yet; run `mhwg refresh` first.", file="claim.parquet")
    return pl.read_parquet(path).sort("claim_order")


def _decimals(row: Mapping[str, Any]) -> int:
    """None for whole persons and things; else one digit more than the statement gives."""
    if row["rounding"] < 1:
        return 1 - math.floor(math.log10(row["rounding"]))
    return 1 if row["unit_code"] in ("percent", "million_persons", "usd_billion") else 0


def _word(codelist: str, code: str, language: str) -> str:
    found = next(entry for entry in load_codelist(codelist) if entry.code == code)
    return found.name_vi if language == "vi" else found.name_en


def _newest_definition(
    rows: Sequence[Mapping[str, Any]], area: str, period: str, codes: Mapping[str, str]
) -> Mapping[str, Any] | None:
    where: dict[str, str] = dict.fromkeys(DIMENSIONS, "_T") | dict(codes) | {"area_code": area, "period_code": period}
    mine = [row for row in rows if all(row[name] == code for name, code in where.items())]
    return max(mine, key=lambda row: row["definition_version"], default=None)


def _added(frame: pl.DataFrame, sexes: Sequence[str], ages: Sequence[str]) -> float | None:
    """The sum over the listed codes; None unless every one of them is published."""
    rows = frame.filter(pl.col("sex_code").is_in(sexes), pl.col("age_code").is_in(ages))
    return float(rows["value"].sum()) if rows.height == len(sexes) * len(ages) else None
