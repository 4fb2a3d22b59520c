"""Published figures against each other: which cannot all be true, and which single figure would repair them.

Belongs here: the relations that published deployment figures must keep, within their printed precision, and the search for
repairs. Does not belong here: reading, storing or correcting figures; nothing is altered. Specification:
docs/methods/reconciliation.md.

Every figure is an interval: an exact count is a point, "about" spreads by its last digit, "over" is open above, a printed
percentage may be rounded or cut. A relation is broken only when no values inside the intervals satisfy it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise, product
from math import inf, isinf
from typing import Any, Literal

import polars as pl

from methods.contracts import stock_on
from methods.periods import parse_period

Severity = Literal["error", "warning", "note"]
Interval = tuple[float, float]

YEAR_ON_YEAR_BOUNDS = (0.2, 5.0)
"""Ratio to the same period of the year before outside which a figure is looked at. A judgement, not a limit."""

JUMP_FLOOR = 1_000
"""Persons below which a ratio to the year before says nothing: small markets double and vanish."""


@dataclass(frozen=True)
class Claim:
    """One published figure: what it is about, who says so, and how precisely it was printed."""

    series: str
    window: str
    period: str
    destination: str
    sex: str
    document: str
    value: float
    published_on: date = date.min
    precision: str = "exact"
    resolution: float = 1.0
    is_practice: bool = False

    @property
    def fact(self) -> tuple[str, str, str, str, str]:
        """What the figure is about, whoever says so."""
        return (self.series, self.window, self.period, self.destination, self.sex)

    @property
    def name(self) -> str:
        """The figure in words for a report."""
        parts = [self.series, self.window, self.period]
        parts += [part for part in (self.destination, self.sex) if part != "_T"]
        return " ".join(parts)

    @property
    def interval(self) -> Interval:
        """The values that the print allows."""
        if self.precision == "at_least":
            return (self.value, inf)
        if self.precision == "rounded" or self.series.endswith("_percent"):
            # The press cuts as often as it rounds: 114.53 % was printed as 114 %, so a whole unit either way.
            return (self.value - self.resolution, self.value + self.resolution)
        return (self.value, self.value)


@dataclass(frozen=True)
class Relation:
    """One relation between claims. `linear`: sum of coefficient x value lies in `bounds`. `ratio`: the first claim is 100 x
    second / third."""

    rule: str
    kind: Literal["linear", "ratio"]
    claims: tuple[Claim, ...]
    coefficients: tuple[float, ...] = ()
    bounds: Interval = (0.0, 0.0)
    severity: Severity = "error"

    def spread(self, intervals: Mapping[Claim, Interval]) -> Interval:
        """Range of the left side when every claim may be anywhere in its interval."""
        if self.kind == "linear":
            low = high = 0.0
            for claim, coefficient in zip(self.claims, self.coefficients, strict=True):
                ends = sorted(coefficient * end if not isinf(end) else end * coefficient for end in intervals[claim])
                low, high = low + ends[0], high + ends[1]
            return (low, high)
        percent, part, whole = (intervals[claim] for claim in self.claims)
        ratios = [100 * end / base for end in part for base in whole if base > 0 and not isinf(base)]
        if not ratios:
            return (-inf, inf)
        high = inf if isinf(whole[1]) or isinf(part[1]) else max(ratios)
        return (min(ratios) - percent[1], high - percent[0])

    def holds(self, intervals: Mapping[Claim, Interval]) -> bool:
        """True when values inside the intervals satisfy the relation. A thousandth of slack covers binary fractions."""
        low, high = self.spread(intervals)
        return low <= self.bounds[1] + 1e-6 and high >= self.bounds[0] - 1e-6

    def required(self, claim: Claim, intervals: Mapping[Claim, Interval]) -> Interval:
        """The values of one claim that would satisfy the relation, the others staying as printed."""
        if self.kind == "linear":
            position = self.claims.index(claim)
            own = self.coefficients[position]
            others = {other: intervals[other] for other in self.claims if other != claim}
            rest = Relation(
                self.rule,
                "linear",
                tuple(others),
                tuple(c for other, c in zip(self.claims, self.coefficients, strict=True) if other != claim),
            ).spread(others)
            ends = sorted([(self.bounds[0] - rest[1]) / own, (self.bounds[1] - rest[0]) / own])
            return (ends[0], ends[1])
        percent, part, whole = self.claims
        if claim == percent:
            ratios = [100 * end / base for end in intervals[part] for base in intervals[whole] if base > 0]
            return (min(ratios) - percent.resolution, max(ratios) + percent.resolution)
        shares = [end / 100 for end in intervals[percent]]
        if claim == part:
            products = [share * end for share in shares for end in intervals[whole]]
            return (min(products), max(products))
        quotients = [end / share for share in shares for end in intervals[part] if share > 0]
        return (min(quotients), max(quotients))


@dataclass(frozen=True)
class Repair:
    """One figure that, changed to a value between `low` and `high`, would make every broken relation true.

    `is_slip`: that value differs from the printed one by one digit or by two neighbours exchanged.
    """

    claim: Claim
    low: float
    high: float
    is_slip: bool = False

    @property
    def value(self) -> float:
        """The whole number nearest to the printed one within the range."""
        if self.low <= self.claim.value <= self.high:
            return self.claim.value
        nearest = self.low if self.claim.value < self.low else self.high
        return (
            float(round(nearest)) if self.claim.resolution >= 1 and self.low <= round(nearest) <= self.high else nearest
        )


@dataclass(frozen=True)
class Finding:
    """Published figures that cannot all be true, the relations they break, and what would repair them.

    `repair` is set only when a single figure can repair everything and no other can, or when only one of several would be a
    slip of typing. `alternatives` lists every single-figure repair.
    """

    rules: tuple[str, ...]
    severity: Severity
    claims: tuple[Claim, ...]
    statement: str
    repair: Repair | None = None
    alternatives: tuple[Repair, ...] = field(default=())

    @property
    def documents(self) -> tuple[str, ...]:
        """The documents that said so."""
        return tuple(dict.fromkeys(claim.document for claim in self.claims))


def reconcile(claims: Iterable[Claim]) -> list[Finding]:
    """Every contradiction among the claims, worst first. Synthetic and real claims are never compared with each other."""
    findings: list[Finding] = []
    every = sorted(set(claims), key=lambda claim: (claim.document, claim.fact))
    for is_practice in (False, True):
        group = [claim for claim in every if claim.is_practice is is_practice]
        findings.extend(_contradictions(group))
        findings.extend(_revisions(group))
        findings.extend(_jumps(group))
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: (order[finding.severity], finding.statement))


# --- relations ---------------------------------------------------------------------------------------------------


def relations(claims: Sequence[Claim]) -> list[Relation]:
    """Every relation that these claims must keep."""
    by_document: dict[str, dict[tuple[str, str, str, str, str], Claim]] = {}
    for claim in claims:
        by_document.setdefault(claim.document, {})[claim.fact] = claim
    found: list[Relation] = []
    for facts in by_document.values():
        found.extend(_within_document(facts))
    found.extend(_across_periods(claims))
    return found


def _within_document(facts: Mapping[tuple[str, str, str, str, str], Claim]) -> Iterator[Relation]:
    cells = {(window, period, sex) for series, window, period, _, sex in facts if series == "deployments"}
    for window, period, sex in sorted(cells):
        total = facts.get(("deployments", window, period, "_T", sex))
        parts = [
            claim for (series, w, p, place, s), claim in facts.items()
            if (series, w, p, s) == ("deployments", window, period, sex) and place != "_T"
        ]  # fmt: skip
        if total is None or not parts:
            continue
        is_whole = any(claim.destination == "_O" for claim in parts)
        if is_whole and sex == "F":
            # A destination whose women were not printed leaves the women of the parts incomplete.
            both = {
                claim.destination
                for claim in facts.values()
                if claim.fact[:3] == ("deployments", window, period) and claim.sex == "_T"
            }
            is_whole = both <= {claim.destination for claim in (*parts, total)}
        yield Relation(
            "parts_of_total" if is_whole else "parts_within_total", "linear", (total, *parts),
            (1.0, *(-1.0 for _ in parts)), (0.0, 0.0 if is_whole else inf),
        )  # fmt: skip
    for (series, window, period, place, sex), claim in facts.items():
        both_sexes = facts.get((series, window, period, place, "_T"))
        if series == "deployments" and sex == "F" and both_sexes is not None:
            yield Relation("women_within_total", "linear", (both_sexes, claim), (1.0, -1.0), (0.0, inf))
    for (series, window, period, place, sex), claim in facts.items():
        if series != "plan_achievement_percent" or (place, sex) != ("_T", "_T") or window == "plan_period":
            continue
        total = facts.get(("deployments", window, period, "_T", "_T"))
        # The published percentage of a range is taken on its upper bound; `plan` holds that bound.
        plan = facts.get(("plan", "year", period[:4], "_T", "_T"))
        if total is not None and plan is not None:
            yield Relation("plan_percentage", "ratio", (claim, total, plan))


def _versions(claims: Sequence[Claim]) -> dict[tuple[str, str, str, str, str], list[Claim]]:
    """Fact -> its vintages, newest first."""
    found: dict[tuple[str, str, str, str, str], list[Claim]] = {}
    for claim in sorted(claims, key=lambda claim: (claim.published_on, claim.document), reverse=True):
        found.setdefault(claim.fact, []).append(claim)
    return found


def _best(candidates: list[Relation]) -> Relation | None:
    """The relation over vintages that holds, else the one with the newest vintages: several releases may all be right in
    their own time, and only a month that fits none is a contradiction."""
    for relation in candidates:
        if relation.holds({claim: claim.interval for claim in relation.claims}):
            return relation
    return candidates[0] if candidates else None


def _across_periods(claims: Sequence[Claim]) -> Iterator[Relation]:
    versions = _versions(claims)
    for (series, window, period, place, sex), months in sorted(versions.items()):
        if series != "deployments" or window != "month":
            continue
        year, month = period[:4], int(period[4:])
        closing = (
            ("deployments", "cumulative", period, place, sex)
            if month < 12
            else ("deployments", "year", year, place, sex)
        )
        opening = ("deployments", "cumulative", f"{year}{month - 1:02}", place, sex)
        if closing not in versions or (month > 1 and opening not in versions):
            continue
        candidates = [
            Relation(
                "month_from_cumulative", "linear", (now, one, *before), (1.0, -1.0, *(-1.0 for _ in before)), (0.0, 0.0)
            )
            for now, one, *before in product(versions[closing], months, *([versions[opening]] if month > 1 else []))
        ]
        relation = _best(candidates)
        if relation is not None:
            yield relation
    yield from _sums_of_months(versions)
    yield from _growing(versions)
    for fact, percents in sorted(versions.items()):
        series, window, period, place, sex = fact
        if series != "year_on_year_percent":
            continue
        now, before = (
            ("deployments", window, period, place, sex),
            ("deployments", window, f"{int(period[:4]) - 1}{period[4:]}", place, sex),
        )
        if now in versions and before in versions:
            relation = _best(
                [
                    Relation("year_on_year", "ratio", chosen)
                    for chosen in product(percents, versions[now], versions[before])
                ]
            )
            if relation is not None:
                yield relation


def _sums_of_months(versions: Mapping[tuple[str, str, str, str, str], list[Claim]]) -> Iterator[Relation]:
    """All months of a year to date, when each was published, sum to the cumulative figure."""
    for (series, window, period, place, sex), totals in sorted(versions.items()):
        if series != "deployments" or window not in ("cumulative", "year"):
            continue
        last = int(period[4:]) if window == "cumulative" else 12
        months = [
            versions.get(("deployments", "month", f"{period[:4]}{month:02}", place, sex))
            for month in range(1, last + 1)
        ]
        if last < 2 or not all(months):
            continue
        newest = [found[0] for found in months if found]
        yield Relation(
            "months_to_cumulative", "linear", (totals[0], *newest), (1.0, *(-1.0 for _ in newest)), (0.0, 0.0)
        )


def _growing(versions: Mapping[tuple[str, str, str, str, str], list[Claim]]) -> Iterator[Relation]:
    """A cumulative figure does not fall within its year, unless a revision took something back."""
    ladders: dict[tuple[str, str, str], list[tuple[int, list[Claim]]]] = {}
    for (series, window, period, place, sex), found in versions.items():
        if series == "deployments" and window in ("cumulative", "year"):
            ladders.setdefault((period[:4], place, sex), []).append((int(period[4:] or 12), found))
    for steps in ladders.values():
        for (_, earlier), (_, later) in zip(
            sorted(steps, key=lambda step: step[0]), sorted(steps, key=lambda step: step[0])[1:], strict=False
        ):
            candidates = [
                Relation("cumulative_grows", "linear", (now, before), (1.0, -1.0), (0.0, inf), "warning")
                for now, before in product(later, earlier)
            ]
            relation = _best(candidates)
            if relation is not None:
                yield relation


# --- contradictions and repairs ----------------------------------------------------------------------------------


def _contradictions(claims: Sequence[Claim]) -> list[Finding]:
    every = relations(claims)
    intervals = {claim: claim.interval for claim in claims}
    broken = [relation for relation in every if not relation.holds(intervals)]
    findings = []
    for component in _components(broken):
        involved = tuple(dict.fromkeys(claim for relation in component for claim in relation.claims))
        repairs = single_repairs(component, every, intervals)
        slips = [repair for repair in repairs if repair.is_slip]
        chosen = repairs[0] if len(repairs) == 1 else slips[0] if len(slips) == 1 else None
        severity: Severity = "error" if any(relation.severity == "error" for relation in component) else "warning"
        findings.append(
            Finding(
                rules=tuple(dict.fromkeys(relation.rule for relation in component)),
                severity=severity,
                claims=involved,
                statement=" ".join(_sentence(relation) for relation in component) + _advice(chosen, repairs),
                repair=chosen,
                alternatives=tuple(repairs),
            )
        )
    return findings


def _components(broken: Sequence[Relation]) -> list[list[Relation]]:
    """Broken relations that share a figure belong together: one wrong figure breaks several."""
    components: list[list[Relation]] = []
    for relation in broken:
        touching = [found for found in components if any(set(relation.claims) & set(other.claims) for other in found)]
        merged = [other for found in touching for other in found] + [relation]
        components = [found for found in components if found not in touching] + [merged]
    return components


def single_repairs(
    component: Sequence[Relation], every: Sequence[Relation], intervals: Mapping[Claim, Interval]
) -> list[Repair]:
    """The claims that could each alone repair the component without breaking a relation that holds."""
    shared = set(component[0].claims).intersection(*(relation.claims for relation in component[1:]))
    repairs = []
    for claim in sorted(shared, key=lambda claim: (claim.document, claim.fact)):
        low, high = (0.0, inf)
        for relation in every:
            if claim in relation.claims:
                needed = relation.required(claim, intervals)
                low, high = max(low, needed[0]), min(high, needed[1])
        if low <= high + 1e-9:
            repair = Repair(claim, low, high)
            repairs.append(Repair(claim, low, high, is_slip(claim.value, repair.value)))
    return repairs


def is_slip(printed: float, right: float) -> bool:
    """True when two whole numbers differ by one digit, one missing or extra digit, or two neighbours exchanged."""
    if printed != int(printed) or right != int(right) or printed == right:
        return False
    one, other = str(int(printed)), str(int(right))
    if len(one) == len(other):
        different = [index for index in range(len(one)) if one[index] != other[index]]
        if len(different) == 1:
            return True
        return (
            len(different) == 2
            and different[1] == different[0] + 1
            and one[different[0]] == other[different[1]]
            and one[different[1]] == other[different[0]]
        )
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return len(longer) - len(shorter) == 1 and any(
        longer[:index] + longer[index + 1 :] == shorter for index in range(len(longer))
    )


def _shown(value: float) -> str:
    if isinf(value):
        return "any larger number"
    return f"{value:,.0f}".replace(",", " ") if value == round(value) else f"{value:.2f}"


def _sentence(relation: Relation) -> str:
    first, *others = relation.claims
    said = f"{first.document} says {_shown(first.value)} for {first.name}"
    if relation.kind == "ratio":
        percent, part, whole = relation.claims
        right = 100 * part.value / whole.value if whole.value else inf
        return (
            f"{relation.rule}: {percent.document} prints {percent.value:g} % where {_shown(part.value)} of "
            f"{_shown(whole.value)} is {right:.2f} %."
        )
    rest = sum(-c * claim.value for claim, c in zip(others, relation.coefficients[1:], strict=True))
    named = (
        f"the {len(others)} figures {', '.join(claim.name for claim in others[:3])}{', ...' if len(others) > 3 else ''}"
    )
    if len(others) == 1:
        named = f"{others[0].name} ({others[0].document})"
    elif others[0].document != first.document:
        named += f" ({', '.join(dict.fromkeys(claim.document for claim in others))})"
    verb = "gives" if len(others) == 1 else "give"
    wanted = "must be equal" if relation.bounds[1] == 0 else "must not be more"
    return (
        f"{relation.rule}: {said}, while {named} {verb} {_shown(rest)}, which {wanted}; "
        f"they differ by {_shown(abs(first.value - rest))}."
    )


def _advice(chosen: Repair | None, repairs: Sequence[Repair]) -> str:
    if chosen is not None:
        slip = " (a slip of typing)" if chosen.is_slip else ""
        return f" One figure would repair this: {chosen.claim.name} in {chosen.claim.document} as {_shown(chosen.value)}{slip}."
    if repairs:
        return f" Any one of {len(repairs)} figures could be wrong; the print alone does not say which."
    return " No single figure repairs this."


# --- vintages and jumps ------------------------------------------------------------------------------------------


def _revisions(claims: Sequence[Claim]) -> list[Finding]:
    """The same fact from two documents with values that no print explains: a revision, told once per pair of documents."""
    pairs: dict[tuple[str, str], list[tuple[Claim, Claim]]] = {}
    for found in _versions(claims).values():
        oldest_first = list(reversed(found))
        for earlier, later in pairwise(oldest_first):
            low, high = max(earlier.interval[0], later.interval[0]), min(earlier.interval[1], later.interval[1])
            if low > high + 1e-9:
                pairs.setdefault((earlier.document, later.document), []).append((earlier, later))
    findings = []
    for (first, second), moved in sorted(pairs.items()):
        moved.sort(key=lambda pair: (pair[0].destination != "_T", pair[0].fact))
        told = "; ".join(
            f"{earlier.name} {_shown(earlier.value)} -> {_shown(later.value)} ({'+' if later.value >= earlier.value else '-'}"
            f"{_shown(abs(later.value - earlier.value))})"
            for earlier, later in moved
        )
        fell = [later for earlier, later in moved if later.value < earlier.value and later.series == "deployments"]
        findings.append(
            Finding(
                rules=("same_fact",),
                severity="warning" if fell else "note",
                claims=tuple(claim for pair in moved for claim in pair),
                statement=f"same_fact: {second} differs from {first}: {told}. Both are kept; the stated rule says which is current."
                + (f" {len(fell)} figures fell, so a month derived as a difference may be negative." if fell else ""),
            )
        )
    return findings


def _jumps(claims: Sequence[Claim]) -> list[Finding]:
    """Figures more than five times, or less than a fifth, of the same period a year before."""
    versions = _versions(claims)
    findings = []
    low, high = YEAR_ON_YEAR_BOUNDS
    for fact, found in sorted(versions.items()):
        series, window, period, place, sex = fact
        if series != "deployments" or window == "plan_period":
            continue
        before = versions.get((series, window, f"{int(period[:4]) - 1}{period[4:]}", place, sex))
        if not before or before[0].value <= 0 or max(found[0].value, before[0].value) < JUMP_FLOOR:
            continue
        ratio = found[0].value / before[0].value
        if not low <= ratio <= high:
            findings.append(
                Finding(
                    ("year_on_year_jump",), "warning", (found[0], before[0]),
                    f"year_on_year_jump: {found[0].name} is {ratio:.2f} times the same period a year before "
                    f"({_shown(before[0].value)} in {before[0].document}, {_shown(found[0].value)} in {found[0].document}).",
                )
            )  # fmt: skip
    return findings


# --- frames ------------------------------------------------------------------------------------------------------

FINDING_SCHEMA: dict[str, Any] = {
    "finding_code": pl.String,
    "rule_codes": pl.List(pl.String),
    "severity_code": pl.String,
    "document_codes": pl.List(pl.String),
    "statement": pl.String,
    "repair_figure": pl.String,
    "repair_value": pl.Float64,
    "alternatives": pl.Int64,
    "is_practice": pl.Boolean,
}


def claims_from(figures: pl.DataFrame) -> list[Claim]:
    """Claims of a frame with the columns of core.labour_figure. Unverified figures are no claims: nobody published them."""
    return [
        Claim(
            row["series_code"], row["window_code"], row["period_code"], row["destination_code"], row["sex_code"],
            row["document_code"], row["value"], row["published_on"], row["precision_code"], row["resolution"],
            row["is_practice"],
        )
        for row in figures.filter(pl.col("confidence_code") != "unverified").iter_rows(named=True)
    ]  # fmt: skip


def register_claims(contracts: pl.DataFrame, complete_to: date) -> list[Claim]:
    """What the contracts of core.labour_contract say in the terms of a bulletin: departures by month, destination and sex.

    Only months that ended by `complete_to`, the day of the last register, are claimed. The document is named `register`.
    """
    left = contracts.filter(pl.col("departed_on").is_not_null()).with_columns(
        period=pl.col("departed_on").dt.strftime("%Y%m"), end=pl.col("departed_on").dt.month_end()
    )
    left = left.filter(pl.col("end") <= complete_to)
    found: list[Claim] = []
    for keys in ([], ["destination_code"], ["sex_code"], ["destination_code", "sex_code"]):
        for row in left.group_by("period", "is_practice", *keys).len().sort("period", *keys).iter_rows(named=True):
            sex = row.get("sex_code", "_T")
            if sex in ("_T", "F", "M"):
                found.append(
                    Claim("deployments", "month", row["period"], row.get("destination_code", "_T"), sex, "register",
                          float(row["len"]), complete_to, is_practice=row["is_practice"])
                )  # fmt: skip
    return found


def register_stock_claims(contracts: pl.DataFrame, claims: Sequence[Claim], complete_to: date) -> list[Claim]:
    """For each published stock: the contracts whose worker was abroad at the end of its last day, as a lower bound.

    A bound, not a count: workers who left before the first register are abroad too. Days after `complete_to` are not claimed.
    *Columns* of `contracts`: departed_on, returned_on, destination_code, sex_code, is_practice.
    """
    wanted = {
        (c.period, c.destination, c.sex, c.is_practice) for c in claims if (c.series, c.window) == ("stock", "point")
    }
    found = []
    for period, destination, sex, is_practice in sorted(wanted):
        last = parse_period(period).end_on
        group = contracts.filter(
            pl.col("is_practice") == is_practice,
            pl.lit(destination == "_T") | (pl.col("destination_code") == destination),
            pl.lit(sex == "_T") | (pl.col("sex_code") == sex),
        )
        abroad = int(stock_on(group, last)["contracts"][0]) if last <= complete_to else 0
        if abroad:
            found.append(
                Claim("stock", "point", period, destination, sex, "register", float(abroad), complete_to, "at_least",
                      is_practice=is_practice)
            )  # fmt: skip
    return found


def reconcile_frame(figures: pl.DataFrame) -> pl.DataFrame:
    """Findings over a frame with the columns of core.labour_figure. *Rows* one finding, worst first. *Columns* those of
    core.labour_finding but the receipt."""
    return findings_frame(reconcile(claims_from(figures)))


def finding_code(finding: Finding) -> str:
    """The same name for the same contradiction: made of rules, facts and documents, not of words."""
    parts = [*finding.rules, *sorted(f"{claim.document} {' '.join(claim.fact)}" for claim in finding.claims)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def findings_frame(findings: Sequence[Finding]) -> pl.DataFrame:
    """Findings as rows of core.labour_finding."""
    rows = [
        {
            "finding_code": finding_code(finding),
            "rule_codes": list(finding.rules),
            "severity_code": finding.severity,
            "document_codes": list(finding.documents),
            "statement": finding.statement,
            "repair_figure": f"{finding.repair.claim.name} in {finding.repair.claim.document}"
            if finding.repair
            else None,
            "repair_value": finding.repair.value if finding.repair else None,
            "alternatives": len(finding.alternatives),
            "is_practice": finding.claims[0].is_practice,
        }
        for finding in findings
    ]
    return pl.DataFrame(rows, schema=FINDING_SCHEMA, orient="row")
