"""The lock of the release: observations go in, a `Protected` set comes out, and writers accept nothing else.

Applies the disclosure policy to one frozen set of observations: finds the counts behind each row, marks the small
ones, hides what else must be hidden because of sums, and audits the result against everything published now and
before. The arithmetic is in `methods.disclosure`; the numbers of the policy are in
`warehouse/catalogue/disclosure.toml`. Labels, symbols and files do not belong here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl

from methods.disclosure import (
    CountSystem,
    SuppressionPattern,
    SystemBuilder,
    choose_suppression,
    feasible_intervals,
    find_relations,
    is_primary_count,
)
from methods.disclosure.relations import AreaLink
from warehouse.catalogue.disclosure import DisclosurePolicy, Rules

KEY_COLUMNS: Final = (
    "indicator_code",
    "definition_version",
    "area_code",
    "period_code",
    "sex_code",
    "age_code",
    "migrant_status_code",
    "migrant_basis_code",
    "origin_code",
    "destination_code",
    "category_code",
)
# Everything from which a suppressed count could be read. The interval method is one of them: Clopper-Pearson is used
# for small counts only.
NULLED_COLUMNS: Final = ("value", "lower", "upper", "se", "numerator", "denominator", "n", "interval_code")
# Status codes that may stand beside a suppressed value (SDMX: the others need a number, and some of them tell that it
# is small).
FLAGS_WITHOUT_NUMBER: Final = frozenset({"B", "J", "Q"})

_READ_COLUMNS: Final = ("value", "numerator", "denominator", "n", "obs_status", "conf_status", "method_code")

_SERIES_DIMENSIONS: Final = ("series", *KEY_COLUMNS[2:])
_NEVER_SUMMED: Final = ("series", "migrant_basis_code")
_ATTRIBUTES: Final = {
    "sex_code": "sex",
    "age_code": "age",
    "migrant_status_code": "migrant_status",
    "origin_code": "origin",
    "destination_code": "destination",
    "category_code": "category",
}
# Methods whose value is itself a number of people; everything else is a share, a rate, a median or an index.
COUNTING_METHODS: Final = ("count", "reference_count", "regional_sum")
_UNCROSSED: Final = frozenset({"_T", "_Z", None})
_UNBOUNDED: Final = int(np.iinfo(np.int64).max)
_TOKEN: Final = object()

CountKey = tuple[str, ...]


class DisclosureFailure(Exception):
    """The release must not leave: a hidden cell can be worked out more closely than the policy allows.

    `cell` names the observation and the count (no value); `required_width` is what the policy demands. What to do:
    look at the audit, widen the suppression or withdraw the table that links to this cell.
    """

    def __init__(self, cell: str, required_width: int, attack: str) -> None:
        super().__init__(f"{cell}: hidden, but {attack} places it in an interval narrower than {required_width}")
        self.cell = cell
        self.required_width = required_width
        self.attack = attack


class Protected:
    """Observations that may be seen by everybody. Only `protect` makes one.

    `frame`: the columns of release.observation, sorted by key. `audit`: one row per hidden count with the interval
    that an attacker can reach (no true value). `policy_version`: the policy under which it was made. `findings`: sums
    that did not add up, as counts by kind.
    """

    __slots__ = ("audit", "findings", "frame", "policy_version")

    frame: pl.DataFrame
    audit: pl.DataFrame
    policy_version: str
    findings: Mapping[str, int]

    def __init__(
        self, token: object, frame: pl.DataFrame, audit: pl.DataFrame, policy_version: str, findings: Mapping[str, int]
    ) -> None:
        if token is not _TOKEN:
            raise TypeError("a Protected set is made by protect() only; publishing without protection is not possible")
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "audit", audit)
        object.__setattr__(self, "policy_version", policy_version)
        object.__setattr__(self, "findings", dict(findings))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Protected set cannot be changed")

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a Protected set cannot be copied through a file; protect() the observations again")


def protect(
    observations: pl.DataFrame,
    policy: DisclosurePolicy,
    *,
    areas: pl.DataFrame,
    earlier: Sequence[pl.DataFrame] = (),
    also_primary: pl.DataFrame | None = None,
) -> Protected:
    """Every count that the policy hides is hidden in every row that reveals it, and cannot be worked out from the
    rest.

    `areas`: area_code, parent_code and, where known, frame_code and membership_version; an area may have several
    parents (a former province lies in a country and in its successor). `earlier`: the frames of earlier releases,
    oldest first, as published; or with the hidden values filled in by `ledger`, which makes the audit against the
    past exact. `also_primary`: keys of rows that are primary for another reason (dominance).

    *Raises* `DisclosureFailure` when the audit finds a cell that is not protected and that this release could
    protect.
    """
    frame = observations.sort(KEY_COLUMNS, nulls_last=True)
    if frame.select(KEY_COLUMNS).is_duplicated().any():
        raise ValueError("two observations have the same key; protection needs one row per key")
    ledger_of_counts = _Counts(policy, _links(areas))
    ledger_of_counts.read_current(frame, _keys(also_primary))
    for release in earlier:
        ledger_of_counts.read_earlier(release)
    system = ledger_of_counts.builder.freeze()
    primary = np.array(ledger_of_counts.primary, dtype=bool)
    pattern = choose_suppression(
        system,
        primary,
        hints=_hints(ledger_of_counts, earlier, ("C", "D")) if earlier else None,
        hint_primary=_hints(ledger_of_counts, earlier, ("C",)) if earlier else None,
        hint_discount=policy.weights.stability_discount,
        informed_width=policy.protection.informed_width,
    )
    audit = _audit(ledger_of_counts, system, pattern, policy)
    marked = _mark(frame, ledger_of_counts, pattern.hidden_rows, primary)
    return Protected(_TOKEN, marked, audit, policy.version, ledger_of_counts.findings)


def ledger(released: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    """The released rows with the true values of suppressed ones put back from the observations of that time.
    Restricted: for the next audit only.
    """
    columns = [column for column in NULLED_COLUMNS if column in released.columns and column in observations.columns]
    truth = observations.select(*KEY_COLUMNS, *(pl.col(column).alias(f"true_{column}") for column in columns))
    joined = released.join(truth, on=list(KEY_COLUMNS), how="left", nulls_equal=True)
    return joined.with_columns(
        pl.when(pl.col("obs_status") == "Q").then(pl.col(f"true_{column}")).otherwise(pl.col(column)).alias(column)
        for column in columns
    ).select(released.columns)


# -- counts behind the rows
# -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Meaning:
    """What a cell is, for the audit: the observation that names it and the role of the count in it."""

    key: tuple[Any, ...]
    role: str
    is_earlier: bool = False


@dataclass
class _Counts:
    """Builds the linear system of one release: current rows first, then what earlier releases add."""

    policy: DisclosurePolicy
    areas: list[AreaLink]
    builder: SystemBuilder = field(default_factory=SystemBuilder)
    cell_of: dict[tuple[CountKey, int], int] = field(default_factory=dict)
    now: dict[CountKey, int] = field(default_factory=dict)
    meaning: dict[int, _Meaning] = field(default_factory=dict)
    row_keys: list[tuple[Any, ...]] = field(default_factory=list)
    primary: list[bool] = field(default_factory=list)
    decided: set[tuple[Any, ...]] = field(default_factory=set)
    rules_of: dict[CountKey, Rules] = field(default_factory=dict)
    sums: set[tuple[int, tuple[int, ...]]] = field(default_factory=set)
    findings: dict[str, int] = field(default_factory=dict)
    read: set[tuple[Any, int, int]] = field(default_factory=set)

    # Current release
    # ----------------------------------------------------------------------------------------------------------------

    def read_current(self, frame: pl.DataFrame, also_primary: frozenset[tuple[Any, ...]]) -> None:
        """Cells, rows, demands and sums of the observations that are about to be published."""
        spans: dict[str, tuple[date, date]] = {}
        linked = self._indicators_under_protection(frame)
        for row in frame.iter_rows(named=True):
            if row["indicator_code"] not in linked:
                continue
            self._add_row(row, also_primary, spans)
        self._add_sums(list(self.now.items()), spans)
        self._add_shared()

    def _indicators_under_protection(self, frame: pl.DataFrame) -> set[str]:
        return {row["indicator_code"] for row in frame.iter_rows(named=True) if not _is_exempt(row, self.policy)}

    def _add_row(
        self, row: dict[str, Any], also_primary: frozenset[tuple[Any, ...]], spans: dict[str, tuple[date, date]]
    ) -> None:
        key = tuple(row[column] for column in KEY_COLUMNS)
        if row["period_start_on"] is not None and row["period_end_on"] is not None:
            spans[row["period_code"]] = (row["period_start_on"], row["period_end_on"])
        is_exempt = _is_exempt(row, self.policy)
        is_decided = row["obs_status"] == "Q"
        counts = counts_of(row, self.policy)
        if not counts and not is_decided and key not in also_primary:
            return
        crossed = _crossed(row)
        rules = self.policy.rules_for(self.policy.topic_of(key[0], row["method_code"] or ""), crossed)
        cells = []
        is_named = key in also_primary or 0 < rules.maximum_crossed < len(crossed)
        is_primary = is_decided or is_named
        for role, truth in counts.items():
            cell = self._cell(_count_key(key, role), truth, rules, _Meaning(key, role))
            self.now[_count_key(key, role)] = cell
            self.rules_of[_count_key(key, role)] = rules
            cells.append(cell)
            if is_exempt:
                continue
            is_small = self._is_small(row, role, truth, rules)
            if is_small or (is_named and role != "denominator"):
                low, high = self._range_of_small(role, rules) if is_small and not is_named else (0, _UNBOUNDED)
                self.builder.demand(cell, self.policy.width(rules), low, high)
            is_primary = is_primary or is_small
            if role == "n" and truth < max(self._minimum_n(row, rules), 1):
                is_primary = True
        if not is_exempt:
            is_primary = self._add_complement(key, counts, rules) or is_primary
        if {"numerator", "denominator"} <= counts.keys() and counts["numerator"] <= counts["denominator"]:
            numerator, denominator = self.now[_count_key(key, "numerator")], self.now[_count_key(key, "denominator")]
            if (denominator, (numerator,)) not in self.sums:
                self.sums.add((denominator, (numerator,)))
                self.builder.add_limit(denominator, numerator)
        self.builder.add_row(cells, self._weight(row, counts), hideable=not is_exempt)
        self.row_keys.append(key)
        self.primary.append(is_primary and not is_exempt)

    def _cell(self, key: CountKey, truth: int, rules: Rules, meaning: _Meaning, *, known: bool = False) -> int:
        """The cell of this count at this value: equal counts in two releases are one cell, a revised count is
        another.
        """
        if (key, truth) not in self.cell_of:
            large_low = rules.threshold if truth >= rules.threshold else 0
            cell = self.builder.add_cell(truth, known=known, large_low=large_low)
            self.cell_of[key, truth] = cell
            self.meaning[cell] = meaning
        cell = self.cell_of[key, truth]
        if known:
            self.builder.known[cell] = True
        return cell

    def _is_small(self, row: dict[str, Any], role: str, truth: int, rules: Rules) -> bool:
        population = row["denominator"]
        if (
            rules.population_exemption
            and role == "numerator"
            and population is not None
            and population >= rules.population_exemption
            and self.policy.has_public_denominator(row["indicator_code"], row["method_code"] or "")
        ):
            return False
        zeros = rules.zeros_are_sensitive and role in ("count", "numerator")
        return is_primary_count(truth, rules.threshold, zeros)

    @staticmethod
    def _range_of_small(role: str, rules: Rules) -> tuple[int, int]:
        """What the status 'small' tells about this count. A proportion may be hidden for its denominator: its
        numerator may then be zero.
        """
        low = 1 if role in ("count", "n") and not rules.zeros_are_sensitive else 0
        return low, rules.threshold - 1

    @staticmethod
    def _minimum_n(row: dict[str, Any], rules: Rules) -> int:
        return rules.minimum_records if _is_survey(row) and rules.minimum_records else rules.minimum_contributors

    def _add_complement(self, key: tuple[Any, ...], counts: Mapping[str, int], rules: Rules) -> bool:
        """Denominator minus numerator as a cell of its own; True when it is small and the topic protects it."""
        if not rules.protects_complement or not {"numerator", "denominator"} <= counts.keys():
            return False
        rest = counts["denominator"] - counts["numerator"]
        if rest < 0:
            return False
        numerator, denominator = self.now[_count_key(key, "numerator")], self.now[_count_key(key, "denominator")]
        latent = self._cell(_count_key(key, "complement"), rest, rules, _Meaning(key, "complement"))
        self.builder.add_equation([(denominator, 1), (numerator, -1), (latent, -1)])
        self.sums.add((denominator, (numerator,)))
        if not is_primary_count(rest, rules.threshold, rules.zeros_are_sensitive):
            return False
        self.builder.demand(latent, self.policy.width(rules), 0, _UNBOUNDED)
        return True

    def _weight(self, row: dict[str, Any], counts: Mapping[str, int]) -> float:
        weights = self.policy.weights
        weight = 1.0 + float(np.log1p(max(counts.values(), default=0))) / 10
        weight *= weights.total_dimension ** sum(row[column] in _UNCROSSED for column in _ATTRIBUTES)
        area = row["area_code"] or ""
        weight *= weights.region if area == "ASEAN" else weights.country if "-" not in area else 1.0
        if row["period_start_on"] is not None and row["period_end_on"] is not None:
            days = (row["period_end_on"] - row["period_start_on"]).days
            weight *= weights.year if days > 300 else weights.quarter if days > 80 else 1.0
        if all(count == 0 for count in counts.values()):
            weight *= weights.zero
        return weight

    # Sums -----------------------------------------------------------------------------------------------------------
    # ----------------

    def _add_sums(
        self,
        counts: Sequence[tuple[CountKey, int]],
        spans: Mapping[str, tuple[date, date]],
        assumed: frozenset[int] = frozenset(),
    ) -> None:
        keys = [key for key, _ in counts]
        cells = [cell for _, cell in counts]
        truth, known = self.builder.truth, self.builder.known
        relations = find_relations(keys, _SERIES_DIMENSIONS, spans=spans, areas=self.areas, group_columns=_NEVER_SUMMED)
        for relation in relations:
            total, parts = cells[relation.total], tuple(sorted({cells[part] for part in relation.parts}))
            if (total, parts) in self.sums or total in parts or (known[total] and all(known[part] for part in parts)):
                continue
            remainder = truth[total] - sum(truth[part] for part in parts)
            if assumed and remainder != 0 and (total in assumed or assumed.intersection(parts)):
                # The hidden values of that time are guessed to be today's; a sum that does not close refutes the
                # guess.
                self._count("sum_of_earlier_release_left_out")
                continue
            self.sums.add((total, parts))
            if remainder < 0:
                self._count(f"parts_exceed_total_{relation.dimension.removesuffix('_code')}")
            latent = self.builder.add_sum(total, parts)
            if latent is not None:
                self._demand_remainder(latent, remainder, keys[relation.total], relation.dimension)

    def _demand_remainder(self, latent: int, remainder: int, key: CountKey, dimension: str) -> None:
        meaning = self.meaning.get(self.now.get(key, -1))
        rules = self.rules_of.get(key)
        if meaning is None or rules is None:
            return
        role = f"{meaning.role} not shown by {dimension.removesuffix('_code')}"
        self.meaning[latent] = _Meaning(meaning.key, role)
        if self.policy.protection.protects_remainders and is_primary_count(remainder, rules.threshold, False):
            self.builder.demand(latent, self.policy.width(rules), 0, _UNBOUNDED)

    def _add_shared(self) -> None:
        """Sums between indicators that count the same people, or some among others."""
        for shared in self.policy.shared_count:
            right = {key[1:]: cell for key, cell in self.now.items() if _names(key, shared.right)}
            for key, cell in list(self.now.items()):
                if not _names(key, shared.left) or (other := right.get(key[1:])) is None or other == cell:
                    continue
                rest = self.builder.truth[other] - self.builder.truth[cell]
                if rest < 0 or (shared.relation == "equal" and rest != 0):
                    self._count("shared_counts_disagree")
                    continue
                if shared.relation == "equal":
                    self.builder.add_equation([(other, 1), (cell, -1)])
                else:
                    self.builder.add_limit(other, cell)

    def _count(self, finding: str) -> None:
        self.findings[finding] = self.findings.get(finding, 0) + 1

    # Earlier releases -----------------------------------------------------------------------------------------------
    # ------------------

    def read_earlier(self, release: pl.DataFrame) -> None:
        """What an attacker who kept that release knows: its figures, its sums, and that figures which did not move
        are the same.
        """
        spans: dict[str, tuple[date, date]] = {}
        counts: dict[CountKey, int] = {}
        assumed: set[int] = set()
        covered = {key[0].partition("|")[0] for key in self.now}
        # An indicator that reads the same as in a release already taken in adds nothing: most weeks move few of them.
        for indicator, part in release.select(*KEY_COLUMNS, *_READ_COLUMNS).group_by("indicator_code"):
            print_of_part = (indicator[0], part.height, int(part.hash_rows(seed=1).sum()))
            if print_of_part in self.read:
                covered.discard(str(indicator[0]))
            self.read.add(print_of_part)
        if not covered:
            return
        for row in (
            release.filter(pl.col("indicator_code").is_in(sorted(covered)))
            .sort(KEY_COLUMNS, nulls_last=True)
            .iter_rows(named=True)
        ):
            self._read_earlier_row(row, counts, assumed, spans)
        self._add_sums(list(counts.items()), spans, frozenset(assumed))

    def _read_earlier_row(
        self, row: dict[str, Any], counts: dict[CountKey, int], assumed: set[int], spans: dict[str, tuple[date, date]]
    ) -> None:
        key = tuple(row[column] for column in KEY_COLUMNS)
        if row["period_start_on"] is not None and row["period_end_on"] is not None:
            spans[row["period_code"]] = (row["period_start_on"], row["period_end_on"])
        rules = self.policy.rules_for(self.policy.topic_of(key[0], row["method_code"] or ""), _crossed(row))
        was_hidden = row["obs_status"] == "Q"
        for role, truth in counts_of(row, self.policy).items():
            count_key = _count_key(key, role)
            cell = self._cell(count_key, truth, rules, _Meaning(key, role, is_earlier=True), known=not was_hidden)
            counts[count_key] = cell
            is_now = self.now.get(count_key) == cell
            if was_hidden and not is_now and row["conf_status"] == "C" and self._is_small(row, role, truth, rules):
                self.builder.demand(cell, self.policy.width(rules), *self._range_of_small(role, rules))
            if not was_hidden and not is_now and rules.release_differences:
                self._demand_difference(count_key, key, role, truth, cell, rules)
        if was_hidden and not counts_of(row, self.policy):
            for role in ("count", "numerator", "denominator", "n"):
                count_key = _count_key(key, role)
                if (cell_now := self.now.get(count_key)) is not None:
                    counts[count_key] = cell_now
                    assumed.add(cell_now)

    def _demand_difference(
        self, count_key: CountKey, key: tuple[Any, ...], role: str, truth: int, cell: int, rules: Rules
    ) -> None:
        """Few people came or went between two releases: the new figure must not tell how many."""
        current = self.now.get(count_key)
        if current is None:
            return
        moved = abs(self.builder.truth[current] - truth)
        if not 0 < moved < rules.threshold:
            return
        latent = self._cell(
            (*count_key, f"since {truth}"), moved, rules, _Meaning(key, f"{role} change since an earlier release")
        )
        more, less = (current, cell) if self.builder.truth[current] > truth else (cell, current)
        self.builder.add_equation([(more, 1), (less, -1), (latent, -1)])
        self.builder.demand(latent, self.policy.width(rules), 0, _UNBOUNDED)


def counts_of(row: Mapping[str, Any], policy: DisclosurePolicy) -> dict[str, int]:
    """The numbers of people that this row gives away, by role: count; numerator and denominator; or n where the value
    is no count itself.

    A figure that is not whole (a weighted total, an index) gives away only the number of records behind it.
    """
    method = row["method_code"] or ""
    if method.startswith(COUNTING_METHODS):
        return _whole({"count": row["value"] if row["numerator"] is None else row["numerator"]}) or _whole(
            {"n": row["n"]}
        )
    if _is_survey(row) or row["numerator"] is None:
        return _whole({"n": row["n"]})
    named = {"numerator": row["numerator"]}
    if not policy.has_public_denominator(row["indicator_code"], method):
        named["denominator"] = row["denominator"]
    return _whole(named) or _whole({"n": row["n"]})


def _whole(named: Mapping[str, float | int | None]) -> dict[str, int]:
    return {
        role: round(value)
        for role, value in named.items()
        if value is not None and value >= 0 and abs(value - round(value)) < 1e-6
    }


def _is_survey(row: Mapping[str, Any]) -> bool:
    return (row["method_code"] or "").startswith(("survey", "svy"))


def _is_exempt(row: Mapping[str, Any], policy: DisclosurePolicy) -> bool:
    return (
        policy.exemption_of(
            row["indicator_code"], row["method_code"] or "", row["area_code"] or "", row["source_codes"] or ()
        )
        is not None
    )


def _crossed(row: Mapping[str, Any]) -> list[str]:
    crossed = [attribute for column, attribute in _ATTRIBUTES.items() if row[column] not in _UNCROSSED]
    return ["province", *crossed] if "-" in (row["area_code"] or "") else crossed


def _count_key(key: tuple[Any, ...], role: str) -> CountKey:
    return (f"{key[0]}|{key[1]}|{role}", *("" if part is None else str(part) for part in key[2:]))


def _names(key: CountKey, name: str) -> bool:
    indicator, _, role = key[0].split("|", 2)
    return f"{indicator}.{role}" == name


def _keys(frame: pl.DataFrame | None) -> frozenset[tuple[Any, ...]]:
    return frozenset() if frame is None else frozenset(frame.select(KEY_COLUMNS).iter_rows())


def _links(areas: pl.DataFrame) -> list[AreaLink]:
    """Area links as given; without a frame code, what stands before the hyphen tells the frame (VN63-89, VN34-91)."""
    links = []
    for row in areas.filter(pl.col("parent_code").is_not_null()).unique().iter_rows(named=True):
        frame = (
            row.get("frame_code") or row["area_code"].partition("-")[0]
            if "-" in row["area_code"]
            else row.get("frame_code") or "country"
        )
        links.append(AreaLink(row["area_code"], row["parent_code"], frame, row.get("membership_version")))
    return sorted(links, key=str)


def _hints(counts: _Counts, earlier: Sequence[pl.DataFrame], statuses: tuple[str, ...]) -> Any:
    """Rows that the last release hid with one of these statuses."""
    hidden = {
        key
        for release in earlier[-1:]
        for key in release.filter(pl.col("conf_status").is_in(statuses)).select(KEY_COLUMNS).iter_rows()
    }
    return np.array([key in hidden for key in counts.row_keys], dtype=bool)


# -- audit and marks
# --------------------------------------------------------------------------------------------------------------------

_AUDIT_SCHEMA: Final = {
    **dict.fromkeys(KEY_COLUMNS, pl.String),
    "count_role": pl.String,
    "conf_status": pl.String,
    "lower": pl.Int64,
    "upper": pl.Int64,
    "width": pl.Int64,
    "required_width": pl.Int64,
    "informed_width": pl.Int64,
    "is_exact": pl.Boolean,
    "verdict": pl.String,
    "policy_version": pl.String,
}


def _audit(counts: _Counts, system: CountSystem, pattern: SuppressionPattern, policy: DisclosurePolicy) -> pl.DataFrame:
    """The interval of each hidden count, recomputed from the equations alone.

    *Raises* `DisclosureFailure` unless each interval is wide enough or was already too narrow before this release
    said anything.
    """
    hidden_rows = pattern.hidden_rows
    found = feasible_intervals(system, hidden_rows, certificates=pattern.certificates)
    informed = {
        interval.cell: interval.width
        for interval in feasible_intervals(
            system, hidden_rows, is_informed=True, only_demanded=True, certificates=pattern.certificates
        )
    }
    hidden = {interval.cell for interval in found}
    for cell in np.flatnonzero(system.need):
        if int(cell) not in hidden and not system.known[cell]:
            raise DisclosureFailure(_label(counts, int(cell)), int(system.need[cell]), "a published row")
    narrow = {i.cell for i in found if i.width is not None and i.width < int(system.need[i.cell])}
    guessed = {
        cell for cell, width in informed.items() if width is not None and width < policy.protection.informed_width
    }
    # What stays narrow although everything that can be hidden is hidden was public before this release, or is small by
    # its sums; anything else must not leave.
    everything = system.row_is_hideable | hidden_rows
    _refuse(counts, system, narrow, everything, policy, is_informed=False)
    _refuse(counts, system, guessed - narrow, everything, policy, is_informed=True)
    lines: list[dict[str, Any]] = []
    for interval in found:
        need = int(system.need[interval.cell])
        verdict = "protected" if need else "no demand"
        if interval.cell in narrow:
            verdict = "already public"
        elif interval.cell in guessed:
            verdict = "small by its sums"
        meaning = counts.meaning.get(interval.cell)
        if meaning is None:
            continue  # slack of an inequality: no count of people that a reader could name
        lines.append(
            {
                **{
                    column: None if part is None else str(part)
                    for column, part in zip(KEY_COLUMNS, meaning.key, strict=True)
                },
                "count_role": meaning.role + (" in an earlier release" if meaning.is_earlier else ""),
                "conf_status": "C" if need else "D",
                "lower": interval.lower,
                "upper": interval.upper,
                "width": interval.width,
                "required_width": need,
                "informed_width": informed.get(interval.cell),
                "is_exact": interval.is_exact,
                "verdict": verdict,
                "policy_version": policy.version,
            }
        )
    return pl.DataFrame(lines, schema=_AUDIT_SCHEMA).sort(*KEY_COLUMNS, "count_role", nulls_last=True)


def _refuse(
    counts: _Counts,
    system: CountSystem,
    cells: set[int],
    everything: Any,
    policy: DisclosurePolicy,
    *,
    is_informed: bool,
) -> None:
    """Nothing, if hiding every row would leave each of these cells as narrow; else the release fails at the first."""
    widest = (
        feasible_intervals(system, everything, is_informed=is_informed, only_demanded=True, only=cells) if cells else []
    )
    for interval in widest:
        need = policy.protection.informed_width if is_informed else int(system.need[interval.cell])
        if interval.width is None or interval.width >= need:
            attack = "the status of the cells" if is_informed else "the sum of published figures"
            raise DisclosureFailure(_label(counts, interval.cell), need, attack)


def _label(counts: _Counts, cell: int) -> str:
    meaning = counts.meaning.get(cell)
    if meaning is None:
        return f"remainder {cell}"
    return f"{meaning.key[0]} {meaning.role} (" + ", ".join(str(part) for part in meaning.key[2:]) + ")"


def _mark(frame: pl.DataFrame, counts: _Counts, hidden_rows: Any, primary: Any) -> pl.DataFrame:
    """The frame with statuses set and every revealing column NULL where hidden."""
    status = {key: "C" if primary[row] else "D" for row, key in enumerate(counts.row_keys) if hidden_rows[row]}
    conf = [
        status.get(key, "C" if was == "Q" else "F")
        for key, was in zip(frame.select(KEY_COLUMNS).iter_rows(), frame["obs_status"], strict=True)
    ]
    marked = frame.with_columns(pl.Series("conf_status", conf, dtype=pl.String))
    is_hidden = pl.col("conf_status") != "F"
    changes = [
        pl.when(is_hidden).then(None).otherwise(pl.col(column)).alias(column)
        for column in NULLED_COLUMNS
        if column in frame.columns
    ]
    changes.append(pl.when(is_hidden).then(pl.lit("Q")).otherwise(pl.col("obs_status")).alias("obs_status"))
    if "obs_flags" in frame.columns and frame.schema["obs_flags"] == pl.List(pl.String):
        kept = pl.col("obs_flags").list.set_intersection(pl.lit(sorted(FLAGS_WITHOUT_NUMBER)))
        flags = pl.concat_list(kept.fill_null([]), pl.lit(["Q"])).list.unique().list.sort()
        changes.append(pl.when(is_hidden).then(flags).otherwise(pl.col("obs_flags")).alias("obs_flags"))
    elif "obs_flags" in frame.columns:
        changes.append(pl.when(is_hidden).then(pl.lit("Q")).otherwise(pl.col("obs_flags")).alias("obs_flags"))
    return marked.with_columns(changes)
