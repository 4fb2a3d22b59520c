"""The numbers of people behind the rows of a release, and the sums that tie them, as one linear system.

Belongs here: which counts a row gives away, which of them are small by the policy, and what earlier releases add. Does not
belong here: choosing what to hide (`methods.disclosure`), the verdict on it (`audit`), the marked frame (`protection`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl

from methods.disclosure import SystemBuilder, find_relations, is_primary_count
from methods.disclosure.relations import AreaLink
from methods.disclosure.rounded import counts_behind
from methods.disclosure.system import BoolArray
from warehouse.catalogue.disclosure import ATTRIBUTES, UNCROSSED, DisclosurePolicy, Rules, crossed_attributes
from warehouse.publishing.content import KEY_COLUMNS

_READ_COLUMNS: Final = ("value", "numerator", "denominator", "n", "obs_status", "conf_status", "method_code")

_SERIES_DIMENSIONS: Final = ("series", *KEY_COLUMNS[2:])
_NEVER_SUMMED: Final = ("series", "migrant_basis_code")
# Methods whose value is itself a number of people; everything else is a share, a rate, a median or an index.
COUNTING_METHODS: Final = ("count", "reference_count", "regional_sum")
_PER: Final = re.compile(r"per_(\d+)(k?)(?:_|$)")
_UNBOUNDED: Final = int(np.iinfo(np.int64).max)

CountKey = tuple[str, ...]


@dataclass(frozen=True)
class Meaning:
    """What a cell is, for the audit: the observation that names it and the role of the count in it."""

    key: tuple[Any, ...]
    role: str
    is_earlier: bool = False
    offset: int = 0
    """What the cell holds above the count that it stands for: a change may be negative, a cell may not."""


@dataclass
class Counts:
    """Builds the linear system of one release: current rows first, then what earlier releases add."""

    policy: DisclosurePolicy
    areas: list[AreaLink]
    builder: SystemBuilder = field(default_factory=SystemBuilder)
    versions: dict[CountKey, list[int]] = field(default_factory=dict)
    now: dict[CountKey, int] = field(default_factory=dict)
    meaning: dict[int, Meaning] = field(default_factory=dict)
    row_keys: list[tuple[Any, ...]] = field(default_factory=list)
    primary: list[bool] = field(default_factory=list)
    decided: set[tuple[Any, ...]] = field(default_factory=set)
    rules_of: dict[CountKey, Rules] = field(default_factory=dict)
    sums: set[tuple[int, tuple[int, ...]]] = field(default_factory=set)
    findings: dict[str, int] = field(default_factory=dict)
    read: dict[str, tuple[int, int]] = field(default_factory=dict)
    once_large: set[int] = field(default_factory=set)
    primary_counts: set[CountKey] = field(default_factory=set)

    # Current release
    # ----------------------------------------------------------------------------------------------------------------

    def read_current(self, frame: pl.DataFrame, also_primary: Mapping[tuple[Any, ...], int]) -> None:
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
        return {row["indicator_code"] for row in frame.iter_rows(named=True) if not is_exempt(row, self.policy)}

    def _add_row(
        self, row: dict[str, Any], also_primary: Mapping[tuple[Any, ...], int], spans: dict[str, tuple[date, date]]
    ) -> None:
        key = tuple(row[column] for column in KEY_COLUMNS)
        if row["period_start_on"] is not None and row["period_end_on"] is not None:
            spans[row["period_code"]] = (row["period_start_on"], row["period_end_on"])
        exempt = is_exempt(row, self.policy)
        is_decided = row["obs_status"] == "Q"
        counts = counts_of(row, self.policy)
        rules = self.policy.rules_of(row)
        is_told_nearly = not exempt and self._is_told_nearly(row, counts, rules)
        if not counts and not is_decided and not is_told_nearly and key not in also_primary:
            return
        crossed = crossed_attributes(row)
        cells = []
        is_named = key in also_primary or 0 < rules.maximum_crossed < len(crossed)
        is_primary = is_decided or is_named or is_told_nearly
        for role, truth in counts.items():
            cell = self._cell(_count_key(key, role), truth, rules, Meaning(key, role))
            self.now[_count_key(key, role)] = cell
            self.rules_of[_count_key(key, role)] = rules
            cells.append(cell)
            if exempt:
                continue
            is_small = self._is_small(row, role, truth, rules)
            if is_small or (is_named and role != "denominator"):
                low, high = self._range_of_small(role, rules) if is_small and not is_named else (0, _UNBOUNDED)
                self.builder.demand(cell, max(self.policy.width(rules), also_primary.get(key, 0)), low, high)
            is_primary = is_primary or is_small
            if role == "n" and truth < max(self._minimum_n(row, rules), 1):
                is_primary = True
        if not exempt:
            is_primary = self._add_complement(Meaning(key, "complement"), counts, rules, self.now) or is_primary
        if {"numerator", "denominator"} <= counts.keys() and counts["numerator"] <= counts["denominator"]:
            numerator, denominator = self.now[_count_key(key, "numerator")], self.now[_count_key(key, "denominator")]
            if (denominator, (numerator,)) not in self.sums:
                self.sums.add((denominator, (numerator,)))
                self.builder.add_limit(denominator, numerator)
        self.builder.add_row(cells, self._weight(row, counts), hideable=not exempt)
        self.row_keys.append(key)
        self.primary.append(is_primary and not exempt)
        if self.primary[-1]:
            self.primary_counts.update(_count_key(key, role) for role in counts)

    def _cell(self, key: CountKey, truth: int, rules: Rules, meaning: Meaning, *, known: bool = False) -> int:
        """The cell of this count at this value. Releases are read from the newest back: a count that is the same in two
        releases in a row is one cell, a revised count is another, also when it had that value once before.
        """
        chain = self.versions.setdefault(key, [])
        if not chain or self.builder.truth[chain[-1]] != truth:
            large_low = rules.threshold if truth >= rules.threshold else 0
            chain.append(self.builder.add_cell(truth, known=known, large_low=large_low))
            self.meaning[chain[-1]] = meaning
        if known:
            self.builder.known[chain[-1]] = True
        return chain[-1]

    def was_primary(self, row: Mapping[str, Any]) -> bool:
        """Whether a hidden row of an earlier release was small itself; yes where its figures are not known any more."""
        rules = self.policy.rules_of(row)
        counts = counts_of(row, self.policy)
        if not counts or 0 < rules.maximum_crossed < len(crossed_attributes(row)):
            return True
        if any(self._is_small(row, role, truth, rules) for role, truth in counts.items()):
            return True
        has_rest = rules.protects_complement and {"numerator", "denominator"} <= counts.keys()
        rest = counts["denominator"] - counts["numerator"] if has_rest else -1
        if rest >= 0 and is_primary_count(rest, rules.threshold, rules.zeros_are_sensitive):
            return True
        return "n" in counts and counts["n"] < max(self._minimum_n(row, rules), 1)

    def _is_small(self, row: Mapping[str, Any], role: str, truth: int, rules: Rules) -> bool:
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

    def _is_told_nearly(self, row: Mapping[str, Any], counts: Mapping[str, int], rules: Rules) -> bool:
        """Whether a rate printed without its numerator leaves only values for it of which some are small, closer together than
        the policy allows. Where it leaves a single one, that is a count of the row like any other.
        """
        between = None if "numerator" in counts else numerator_between(row)
        if between is None or between[1] - between[0] >= self.policy.width(rules):
            return False
        return any(self._is_small(row, "numerator", count, rules) for count in range(between[0], between[1] + 1))

    @staticmethod
    def _range_of_small(role: str, rules: Rules) -> tuple[int, int]:
        """What the status 'small' tells about this count. A proportion may be hidden for its denominator: its
        numerator may then be zero.
        """
        low = 1 if role in ("count", "n") and not rules.zeros_are_sensitive else 0
        return low, rules.threshold - 1

    @staticmethod
    def _minimum_n(row: Mapping[str, Any], rules: Rules) -> int:
        return rules.minimum_records if _is_survey(row) and rules.minimum_records else rules.minimum_contributors

    def _add_complement(
        self, meaning: Meaning, counts: Mapping[str, int], rules: Rules, cells: Mapping[CountKey, int]
    ) -> bool:
        """Denominator minus numerator as a cell of its own; True when it is small and the topic protects it."""
        if not rules.protects_complement or not {"numerator", "denominator"} <= counts.keys():
            return False
        rest = counts["denominator"] - counts["numerator"]
        if rest < 0:
            return False
        numerator, denominator = (cells[_count_key(meaning.key, role)] for role in ("numerator", "denominator"))
        latent = self._cell(_count_key(meaning.key, "complement"), rest, rules, meaning)
        self.builder.add_equation([(denominator, 1), (numerator, -1), (latent, -1)])
        self.sums.add((denominator, (numerator,)))
        if not is_primary_count(rest, rules.threshold, rules.zeros_are_sensitive):
            return False
        self.builder.demand(latent, self.policy.width(rules), 0, _UNBOUNDED)
        return True

    def _weight(self, row: dict[str, Any], counts: Mapping[str, int]) -> float:
        weights = self.policy.weights
        weight = 1.0 + float(np.log1p(max(counts.values(), default=0))) / 10
        weight *= weights.total_dimension ** sum(row[column] in UNCROSSED for column in ATTRIBUTES)
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
        self.meaning[latent] = Meaning(meaning.key, role)
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
        # An indicator that reads the same as in the release after it adds nothing: most weeks move few of them.
        for indicator, part in release.select(*KEY_COLUMNS, *_READ_COLUMNS).group_by("indicator_code"):
            print_of_part = (part.height, int(part.hash_rows(seed=1).sum()))
            if self.read.get(str(indicator[0])) == print_of_part:
                covered.discard(str(indicator[0]))
            self.read[str(indicator[0])] = print_of_part
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
        rules = self.policy.rules_of(row)
        was_hidden = row["obs_status"] == "Q"
        for role, truth in counts_of(row, self.policy).items():
            count_key = _count_key(key, role)
            cell = self._cell(count_key, truth, rules, Meaning(key, role, is_earlier=True), known=not was_hidden)
            counts[count_key] = cell
            self.rules_of.setdefault(count_key, rules)
            is_now = self.now.get(count_key) == cell
            if was_hidden and not is_now and row["conf_status"] == "C" and self._is_small(row, role, truth, rules):
                self.builder.demand(cell, self.policy.width(rules), *self._range_of_small(role, rules))
            if was_hidden and row["conf_status"] == "D":
                self.once_large.add(cell)
        told = counts_of(row, self.policy)
        if was_hidden and not is_exempt(row, self.policy):
            self._add_complement(Meaning(key, "complement", is_earlier=True), told, rules, counts)
        if was_hidden and not told:
            for role in ("count", "numerator", "denominator", "n"):
                count_key = _count_key(key, role)
                if (cell_now := self.now.get(count_key)) is not None:
                    counts[count_key] = cell_now
                    assumed.add(cell_now)

    def demand_differences(self) -> None:
        """Few people came or went between two releases: what is shown of one must not tell how many.

        A count that was shown is compared with each value that is still unknown; a value that may be shown now, with each
        hidden one of the past.
        """
        may_be_shown = {
            cell for key, cell in self.now.items() if not self.builder.known[cell] and key not in self.primary_counts
        }
        for key, cells in list(self.versions.items()):
            rules = self.rules_of.get(key)
            if rules is None or not rules.release_differences or len(cells) < 2:
                continue
            shown = [cell for cell in cells if self.builder.known[cell]]
            hidden = [cell for cell in cells if not self.builder.known[cell]]
            for cell in hidden:
                # All that were shown bound the same unknown: the nearest one asks for what all ask for.
                for then in sorted(self._near(cell, shown, rules), key=lambda at: (self._moved(cell, at), at))[:1]:
                    self._demand_difference(key, cell, then, rules)
            for cell in may_be_shown.intersection(hidden):
                for then in self._near(cell, hidden, rules):
                    self._demand_difference(key, cell, then, rules)

    def _moved(self, cell: int, other: int) -> int:
        return abs(self.builder.truth[cell] - self.builder.truth[other])

    def _near(self, cell: int, others: Sequence[int], rules: Rules) -> list[int]:
        return [other for other in others if 0 < self._moved(cell, other) < rules.threshold]

    def _demand_difference(self, key: CountKey, cell: int, then: int, rules: Rules) -> None:
        meaning = self.meaning[cell]
        # Nobody knows which of the two is the larger: the offset leaves room for either.
        offset = 20 * rules.threshold
        more, less = (cell, then) if self.builder.truth[cell] > self.builder.truth[then] else (then, cell)
        role = f"{meaning.role} change since an earlier release"
        latent = self.builder.add_cell(self._moved(cell, then) + offset)
        self.meaning[latent] = Meaning(meaning.key, role, offset=offset)
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
    numerator = row["numerator"]
    if numerator is None and (between := numerator_between(row)) is not None and between[0] == between[1]:
        numerator = between[0]
    if _is_survey(row) or numerator is None:
        return _whole({"n": row["n"]})
    named = {"numerator": numerator}
    if not policy.has_public_denominator(row["indicator_code"], method):
        named["denominator"] = row["denominator"]
    return _whole(named) or _whole({"n": row["n"]})


def numerator_between(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """The least and the greatest number of people that a rate printed without its numerator can stand for; None where it is no
    rate of people, is a weighted estimate, or does not say what it is a share of.
    """
    factor = _factor_of(row.get("unit_code"))
    if factor is None or _is_survey(row) or row["numerator"] is not None or None in (row["value"], row["denominator"]):
        return None
    return counts_behind(row["value"], row["denominator"], factor)


def _factor_of(unit: str | None) -> float | None:
    """How many people the unit of a rate speaks of: 100 for percent, 100 000 for per_100k; None for other units."""
    if unit == "percent":
        return 100.0
    found = _PER.match(unit or "")
    return float(found[1]) * (1000 if found[2] else 1) if found else None


def _whole(named: Mapping[str, float | int | None]) -> dict[str, int]:
    return {
        role: round(value)
        for role, value in named.items()
        if value is not None and value >= 0 and abs(value - round(value)) < 1e-6
    }


def _is_survey(row: Mapping[str, Any]) -> bool:
    return (row["method_code"] or "").startswith(("survey", "svy"))


def is_exempt(row: Mapping[str, Any], policy: DisclosurePolicy) -> bool:
    """True for figures that are public already or count no persons."""
    return (
        policy.exemption_of(
            row["indicator_code"], row["method_code"] or "", row["area_code"] or "", row["source_codes"] or ()
        )
        is not None
    )


def _count_key(key: tuple[Any, ...], role: str) -> CountKey:
    return (f"{key[0]}|{key[1]}|{role}", *("" if part is None else str(part) for part in key[2:]))


def _names(key: CountKey, name: str) -> bool:
    indicator, _, role = key[0].split("|", 2)
    return f"{indicator}.{role}" == name


def area_links_of(areas: pl.DataFrame) -> list[AreaLink]:
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


@dataclass(frozen=True)
class LastPattern:
    """Per row of today: whether the last release hid it, whether it was small itself then, and whether its counts are the same."""

    hidden: BoolArray
    small: BoolArray
    unmoved: BoolArray


def last_pattern(counts: Counts, earlier: Sequence[pl.DataFrame]) -> LastPattern:
    """What the last release did with each row of today.

    The letter alone does not tell which rows were small: where letters are silent, rows that only protect others carry a C too.
    """
    hidden, small, figures = set(), set(), {}
    wanted = {key[0] for key in counts.row_keys}
    for row in earlier[-1].filter(pl.col("indicator_code").is_in(sorted(wanted))).iter_rows(named=True):
        key = tuple(row[column] for column in KEY_COLUMNS)
        figures[key] = counts_of(row, counts.policy)
        if row["conf_status"] not in ("C", "D"):
            continue
        hidden.add(key)
        if row["conf_status"] == "C" and counts.was_primary(row):
            small.add(key)

    def is_unmoved(key: tuple[Any, ...]) -> bool:
        return key in figures and all(
            counts.builder.truth[counts.now[_count_key(key, role)]] == truth
            for role, truth in figures[key].items()
            if _count_key(key, role) in counts.now
        )

    marks = [(key in hidden, key in small, is_unmoved(key)) for key in counts.row_keys]
    return LastPattern(*np.array(marks, dtype=bool).reshape(-1, 3).T)
