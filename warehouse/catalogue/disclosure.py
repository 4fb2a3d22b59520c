"""The disclosure policy as typed values: `disclosure.toml`, read strictly.

Answers which topic and which threshold an observation has, and whether it is exempt. The arithmetic is in
`methods.disclosure`; applying it to a release is in `warehouse.publishing.protection`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

POLICY_FILE = Path(__file__).with_name("disclosure.toml")
UNCROSSED = frozenset({"_T", "_Z", None})
ATTRIBUTES = {
    "sex_code": "sex",
    "age_code": "age",
    "migrant_status_code": "migrant_status",
    "origin_code": "origin",
    "destination_code": "destination",
    "category_code": "category",
}
CROSSABLE = ("province", "sex", "age", "migrant_status", "origin", "destination", "category")

T = TypeVar("T")


class DisclosurePolicyError(ValueError):
    """The policy file says something that this version does not understand; the message names the place and the
    nearest valid key.
    """


@dataclass(frozen=True)
class Escalation:
    """A stricter threshold where all these attributes are crossed."""

    crossed: tuple[str, ...]
    threshold: int


@dataclass(frozen=True)
class Rules:
    """The rules that apply to one observation."""

    threshold: int
    zeros_are_sensitive: bool
    protects_complement: bool
    minimum_contributors: int
    minimum_records: int
    maximum_crossed: int
    population_exemption: int
    release_differences: bool
    rounding_base: int


@dataclass(frozen=True)
class Topic:
    """A group of indicators with the rules in which it departs from the defaults."""

    code: str
    why: str
    indicators: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)
    threshold: int | None = None
    zeros_are_sensitive: bool | None = None
    protects_complement: bool | None = None
    minimum_contributors: int | None = None
    minimum_records: int | None = None
    maximum_crossed: int | None = None
    population_exemption: int | None = None
    release_differences: bool | None = None
    rounding_base: int | None = None
    escalation: tuple[Escalation, ...] = ()


@dataclass(frozen=True)
class Exemption:
    """Figures that are never suppressed, with the reason that a reader may ask for."""

    code: str
    reason: str
    indicators: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)
    areas: tuple[str, ...] = ("*",)
    sources: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class PublicDenominator:
    """Denominators that an attacker knows anyway."""

    reason: str
    indicators: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class SharedCount:
    """Two counts of the same people ('equal') or of some among others ('within'), cell by cell."""

    left: str
    right: str
    relation: Literal["equal", "within"]
    why: str


@dataclass(frozen=True)
class Dominance:
    """A total is primary when its `largest` contributors hold more than `share` of it."""

    largest: int
    share: float


@dataclass(frozen=True)
class ProtectionRule:
    """How well hidden a hidden cell must be."""

    width_in_thresholds: float
    informed_width: int
    protects_remainders: bool


@dataclass(frozen=True)
class Weights:
    """What losing a row costs, relative to a fully broken-down provincial month."""

    total_dimension: float
    country: float
    region: float
    year: float
    quarter: float
    zero: float
    stability_discount: float


@dataclass(frozen=True)
class DisclosurePolicy:
    """The whole policy. `version` goes into every release."""

    version: str
    owner: str
    decided_on: date
    review_on: date
    note: str
    defaults: Rules
    protection: ProtectionRule
    weights: Weights
    topic: tuple[Topic, ...]
    exemption: tuple[Exemption, ...] = ()
    dominance: tuple[Dominance, ...] = ()
    public_denominator: tuple[PublicDenominator, ...] = ()
    shared_count: tuple[SharedCount, ...] = ()

    def topic_of(self, indicator_code: str, method_code: str) -> Topic:
        """The first topic whose patterns match.

        *Raises* `DisclosurePolicyError` when none does: a figure without a rule must not be published.
        """
        for topic in self.topic:
            if _matches(indicator_code, topic.indicators) and _matches(method_code, topic.methods):
                return topic
        raise DisclosurePolicyError(
            f"no topic covers indicator {indicator_code} (method {method_code}); add one to disclosure.toml"
        )

    def rules_for(self, topic: Topic, crossed: Iterable[str]) -> Rules:
        """Defaults, overlaid by the topic, overlaid by its escalations for these crossed attributes."""
        values = {
            rule.name: getattr(self.defaults, rule.name)
            if getattr(topic, rule.name) is None
            else getattr(topic, rule.name)
            for rule in fields(Rules)
        }
        present = set(crossed)
        for escalation in topic.escalation:
            if present.issuperset(escalation.crossed):
                values["threshold"] = max(values["threshold"], escalation.threshold)
        return Rules(**values)

    def rules_of(self, row: Mapping[str, Any]) -> Rules:
        """The rules of one observation, by its indicator, its method and the attributes that it crosses."""
        return self.rules_for(self.topic_of(row["indicator_code"], row["method_code"] or ""), crossed_attributes(row))

    @property
    def rounds(self) -> bool:
        """True when any topic rounds its counts."""
        return self.defaults.rounding_base > 1 or any((topic.rounding_base or 0) > 1 for topic in self.topic)

    def exemption_of(
        self, indicator_code: str, method_code: str, area_code: str, source_codes: Iterable[str]
    ) -> Exemption | None:
        """The exemption that covers an observation, if any. All its sources must be covered; no source, no exemption by source."""
        sources = tuple(source_codes)
        for exemption in self.exemption:
            if (
                _matches(indicator_code, exemption.indicators)
                and _matches(method_code, exemption.methods)
                and _matches(area_code, exemption.areas)
                and (
                    exemption.sources == ("*",)
                    or (bool(sources) and all(_matches(source, exemption.sources) for source in sources))
                )
            ):
                return exemption
        return None

    def has_public_denominator(self, indicator_code: str, method_code: str) -> bool:
        """True when the denominator is known to everybody."""
        return any(
            _matches(indicator_code, entry.indicators) and _matches(method_code, entry.methods)
            for entry in self.public_denominator
        )

    def width(self, rules: Rules) -> int:
        """Least width of the feasible interval of a primary cell under these rules."""
        return max(1, round(self.protection.width_in_thresholds * rules.threshold))


def crossed_attributes(row: Mapping[str, Any]) -> list[str]:
    """The attributes that an observation is broken down by; `province` when its area is one."""
    crossed = [attribute for column, attribute in ATTRIBUTES.items() if row[column] not in UNCROSSED]
    return ["province", *crossed] if "-" in (row["area_code"] or "") else crossed


def load_policy(path: Path = POLICY_FILE) -> DisclosurePolicy:
    """The policy in this file.

    *Raises* `DisclosurePolicyError` for an unknown key, a missing one, a wrong type, or numbers that contradict each
    other.
    """
    with path.open("rb") as file:
        document = tomllib.load(file)
    policy = _build(DisclosurePolicy, document, path.name)
    _check(policy)
    return policy


@cache
def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _build(kind: type[T], values: Any, place: str) -> T:
    if not isinstance(values, Mapping):
        raise DisclosurePolicyError(f"{place}: expected a table, got {values!r}")
    hints = get_type_hints(kind)
    for key in values:
        if key not in hints:
            near = get_close_matches(key, hints, n=1)
            raise DisclosurePolicyError(
                f"{place}: unknown key '{key}'" + (f"; did you mean '{near[0]}'?" if near else "")
            )
    built = {key: _value(hints[key], value, f"{place}, {key}") for key, value in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        missing = sorted(set(hints) - set(built))
        raise DisclosurePolicyError(f"{place}: a required key is missing (not given: {', '.join(missing)})") from error


def _value(hint: Any, value: Any, place: str) -> Any:
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if not isinstance(value, list):
            raise DisclosurePolicyError(f"{place}: expected a list, got {value!r}")
        return tuple(_value(item, entry, f"{place}[{number}]") for number, entry in enumerate(value, 1))
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise DisclosurePolicyError(f"{place}: expected one of {', '.join(get_args(hint))}, got {value!r}")
        return value
    options = [option for option in (get_args(hint) or (hint,)) if option is not type(None)]
    target = options[0]
    if hasattr(target, "__dataclass_fields__"):
        return _build(target, value, place)
    if target is float and type(value) is int:
        return float(value)
    if type(value) is not target:
        raise DisclosurePolicyError(f"{place}: expected {target.__name__}, got {value!r}")
    return value


def _check(policy: DisclosurePolicy) -> None:
    if policy.review_on <= policy.decided_on:
        raise DisclosurePolicyError("review_on must be after decided_on")
    for topic in policy.topic:
        rules = policy.rules_for(topic, ())
        if rules.threshold < 2:
            raise DisclosurePolicyError(
                f"topic {topic.code}: a threshold under 2 hides nothing; exempt the figures instead"
            )
        if rules.rounding_base < 0 or rules.rounding_base > 2 * rules.threshold:
            raise DisclosurePolicyError(
                f"topic {topic.code}: rounding_base {rules.rounding_base} must be 0 (exact) to {2 * rules.threshold}"
            )
        for escalation in topic.escalation:
            if unknown := set(escalation.crossed) - set(CROSSABLE):
                raise DisclosurePolicyError(
                    f"topic {topic.code}: unknown attribute {sorted(unknown)[0]}; known: {', '.join(CROSSABLE)}"
                )
    if len({topic.code for topic in policy.topic}) != len(policy.topic):
        raise DisclosurePolicyError("two topics have the same code")
    for shared in policy.shared_count:
        for side in (shared.left, shared.right):
            if side.partition(".")[2] not in ("count", "numerator", "denominator"):
                raise DisclosurePolicyError(
                    f"shared_count: '{side}' must be INDICATOR.count, .numerator or .denominator"
                )
