"""Pairing the two sides of a cross-border referral: which sending record and which arrival are one episode.

Belongs here: duplicates, deterministic links by person token, probabilistic links where tokens fail, and the statement for
each record. Does not belong here: making tokens (`methods.pseudonym`), reading servers, storing.

Specification: docs/methods/referral-linkage.md. *Source*: I. Fellegi and A. Sunter, A Theory for Record Linkage, JASA 64
(1969); the share of agreement among true pairs is learned from the token links of the same batch.
"""

import bisect
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import polars as pl

Record = Mapping[str, Any]

RECORD_COLUMNS: Final = (
    "instance_code", "enrollment_uid", "person_token", "token_basis_code", "key_id", "sex_code", "birth_year",
    "nationality_code", "migrant_status_code", "migrant_basis_code", "disease_code", "direction_code", "referred_on",
    "from_org_unit_uid", "from_country_code", "from_area_code", "to_facility_code", "to_country_code", "to_area_code",
    "received_on", "confirmed_on",
    "treatment_started_on", "outcome_code", "outcome_on", "is_practice", "receipt_id",
)  # fmt: skip
"""Columns of core.referral_record that pairing reads."""

REFERRAL_SCHEMA: Final = {
    "referral_code": pl.String, "person_token": pl.String, "disease_code": pl.String, "sex_code": pl.String,
    "nationality_code": pl.String, "migrant_status_code": pl.String, "migrant_basis_code": pl.String,
    "from_org_unit_uid": pl.String, "from_country_code": pl.String, "from_area_code": pl.String,
    "to_facility_code": pl.String, "to_country_code": pl.String, "to_area_code": pl.String,
    "link_code": pl.String, "referred_on": pl.Date, "received_on": pl.Date, "registered_on": pl.Date,
    "days_to_arrival": pl.Int64, "treatment_started_on": pl.Date, "outcome_code": pl.String, "outcome_on": pl.Date,
    "sending_instance_code": pl.String, "sending_enrollment_uid": pl.String, "receiving_instance_code": pl.String,
    "receiving_enrollment_uid": pl.String, "is_practice": pl.Boolean, "receipt_id": pl.String,
}  # fmt: skip
"""Columns of core.referral in order."""


@dataclass(frozen=True)
class LinkagePolicy:
    """The thresholds of pairing; the defaults are those of the specification."""

    longest_days: int = 180
    """An arrival later than this after the referral is another episode."""
    early_days: int = 7
    """An arrival may be dated this many days before its referral: the sender writes the form afterwards."""
    duplicate_days: int = 30
    """Two records of one person on one side within this many days are one episode."""
    twin_days: int = 2
    """Two people with one name and birth date whose dates lie this close cannot be told apart."""
    least_probability: float = 0.85
    """A probabilistic link is made when it is this probable seen from both sides."""
    least_prior: float = 0.2
    most_prior: float = 0.95
    """Bounds of the prior probability that a sending record has an arrival in the batch."""


@dataclass
class _Decisions:
    """What pairing decided so far, by position of the record in its side's list."""

    partner_of_sent: dict[int, int] = field(default_factory=dict)
    partner_of_arrival: dict[int, int] = field(default_factory=dict)
    ambiguous_sent: set[int] = field(default_factory=set)
    ambiguous_arrivals: set[int] = field(default_factory=set)
    duplicate_sent: set[int] = field(default_factory=set)
    duplicate_arrivals: set[int] = field(default_factory=set)

    def link(self, sent: int, arrival: int) -> None:
        self.partner_of_sent[sent] = arrival
        self.partner_of_arrival[arrival] = sent

    def is_free_sent(self, sent: int) -> bool:
        return not (sent in self.partner_of_sent or sent in self.ambiguous_sent or sent in self.duplicate_sent)

    def is_free_arrival(self, arrival: int) -> bool:
        return not (
            arrival in self.partner_of_arrival
            or arrival in self.ambiguous_arrivals
            or arrival in self.duplicate_arrivals
        )


def pair_referrals(records: pl.DataFrame, policy: LinkagePolicy | None = None) -> pl.DataFrame:
    """One row per episode, person and direction, from the records of all servers.

    *Rows*: every record is in exactly one row, as its sending or its receiving side. Rows without a sending record have no
    `referred_on`: the initiated referrals are the rows with a sending record and a link other than `duplicate`.
    *Columns*: REFERRAL_SCHEMA. `days_to_arrival` is empty for a patient who has not arrived (see `time_to_arrival`) and
    where the visit is dated before the referral.
    The result depends only on the content of the records, not on their order.
    """
    policy = policy or LinkagePolicy()
    rows = sorted(
        records.select(RECORD_COLUMNS).to_dicts(), key=lambda row: (row["instance_code"], row["enrollment_uid"])
    )
    sent = [row for row in rows if row["direction_code"] == "outgoing"]
    arrivals = [row for row in rows if row["direction_code"] == "incoming"]
    decisions = _Decisions()
    _link_by_token(sent, arrivals, decisions, policy)
    _link_by_likeness(sent, arrivals, decisions, policy)
    return pl.DataFrame(_referral_rows(sent, arrivals, decisions), schema=REFERRAL_SCHEMA, orient="row").sort(
        "referral_code"
    )


# Dates and blocks ----------------------------------------------------------------------------------------------------


def _arrived_on(record: Record) -> date | None:
    """When the patient was there: first visit, else registration."""
    day: date | None = record["received_on"] or record["confirmed_on"]
    return day


def _days(later: date | None, earlier: date | None) -> int | None:
    return (later - earlier).days if later is not None and earlier is not None else None


def _is_possible(sent: Record, arrival: Record, policy: LinkagePolicy) -> bool:
    """True when nothing recorded forbids that the two are one episode: disease, corridor, order and distance of dates."""
    for name in ("disease_code", "from_country_code", "to_country_code"):
        ours, theirs = sent[name], arrival[name]
        if ours != theirs and ours not in (None, "_U") and theirs not in (None, "_U"):
            return False
    gap = _days(_arrived_on(arrival), sent["referred_on"])
    if gap is not None and not -policy.early_days <= gap <= policy.longest_days:
        return False
    apart = _days(arrival["referred_on"], sent["referred_on"])
    return apart is None or abs(apart) <= policy.duplicate_days


def _distance(sent: Record, arrival: Record) -> tuple[float, str, str]:
    """How far apart the two accounts of one person's episodes lie; smaller is nearer. Ends with the UIDs, so ties never
    depend on order. The date of referral that the patient brought along beats the time of travel."""
    apart = _days(arrival["referred_on"], sent["referred_on"])
    gap = _days(_arrived_on(arrival), sent["referred_on"])
    travel = 90.0 if gap is None else float(abs(gap))
    return (travel / 100 + (30 if apart is None else abs(apart)), sent["enrollment_uid"], arrival["enrollment_uid"])


# By token ------------------------------------------------------------------------------------------------------------


def _link_by_token(
    sent: Sequence[Record], arrivals: Sequence[Record], decisions: _Decisions, policy: LinkagePolicy
) -> None:
    """Records with one token are one person: nearest dates first, each record once; what is left over is a duplicate."""
    by_token_sent, by_token_arrivals = _by_token(sent), _by_token(arrivals)
    for token in sorted(by_token_sent.keys() | by_token_arrivals.keys()):
        ours, theirs = by_token_sent.get(token, []), by_token_arrivals.get(token, [])
        candidates = sorted(
            (_distance(sent[one], arrivals[other]), one, other)
            for one in ours
            for other in theirs
            if _is_possible(sent[one], arrivals[other], policy)
        )
        for _, one, other in candidates:
            if decisions.is_free_sent(one) and decisions.is_free_arrival(other):
                decisions.link(one, other)
        _mark_twins(sent, arrivals, ours, decisions, policy)
        _mark_repeats(sent, ours, decisions.partner_of_sent, decisions.duplicate_sent, decisions, policy)
        _mark_repeats(arrivals, theirs, decisions.partner_of_arrival, decisions.duplicate_arrivals, decisions, policy)
        _prefer_first_visit(sent, arrivals, theirs, decisions, policy)


def _by_token(records: Sequence[Record]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        if record["person_token"]:
            found[(str(record["key_id"]), record["person_token"])].append(place)
    return found


def _mark_twins(
    sent: Sequence[Record],
    arrivals: Sequence[Record],
    ours: Sequence[int],
    decisions: _Decisions,
    policy: LinkagePolicy,
) -> None:
    """Two linked pairs of one name token with the same dates on both sides: two people, or one written twice; not decided.

    A national number tells people apart, so this concerns tokens that rest on name and birth date only.
    """
    linked = [
        one for one in ours if one in decisions.partner_of_sent and sent[one]["token_basis_code"] != "national_id"
    ]
    twins: set[int] = set()
    for place, one in enumerate(linked):
        for two in linked[place + 1 :]:
            pairs = (
                (sent[one]["referred_on"], sent[two]["referred_on"]),
                (
                    _arrived_on(arrivals[decisions.partner_of_sent[one]]),
                    _arrived_on(arrivals[decisions.partner_of_sent[two]]),
                ),
            )
            if all((days := _days(*pair)) is not None and abs(days) <= policy.twin_days for pair in pairs):
                twins |= {one, two}
    for one in sorted(twins):
        other = decisions.partner_of_sent.pop(one)
        del decisions.partner_of_arrival[other]
        decisions.ambiguous_sent.add(one)
        decisions.ambiguous_arrivals.add(other)


def _mark_repeats(
    records: Sequence[Record],
    places: Sequence[int],
    partners: Mapping[int, int],
    duplicates: set[int],
    decisions: _Decisions,
    policy: LinkagePolicy,
) -> None:
    """Records of one person on one side close in time: one stands for the episode, linked before unlinked, early before late."""

    def day(place: int) -> date:
        record = records[place]
        on: date | None = record["referred_on"] if record["direction_code"] == "outgoing" else _arrived_on(record)
        return on or record["referred_on"] or date.max

    ambiguous = decisions.ambiguous_sent | decisions.ambiguous_arrivals
    kept: list[int] = []
    for place in sorted(places, key=lambda item: (item not in partners, day(item), records[item]["enrollment_uid"])):
        repeats = any(
            day(place) != date.max
            and abs((day(place) - day(other)).days) <= policy.duplicate_days
            and records[place]["disease_code"] == records[other]["disease_code"]
            and records[place]["to_country_code"] == records[other]["to_country_code"]
            for other in kept
        )
        if repeats and place not in partners and place not in ambiguous:
            duplicates.add(place)
        else:
            kept.append(place)


def _prefer_first_visit(
    sent: Sequence[Record],
    arrivals: Sequence[Record],
    theirs: Sequence[int],
    decisions: _Decisions,
    policy: LinkagePolicy,
) -> None:
    """Of two records of one arrival the earlier visit is the arrival: the time to arrival ends there."""
    for later in [place for place in theirs if place in decisions.partner_of_arrival]:
        one = decisions.partner_of_arrival[later]
        earlier = [
            place
            for place in theirs
            if place in decisions.duplicate_arrivals
            and (days := _days(_arrived_on(arrivals[later]), _arrived_on(arrivals[place]))) is not None
            and 0 < days <= policy.duplicate_days
            and _is_possible(sent[one], arrivals[place], policy)
            and (_days(_arrived_on(arrivals[place]), sent[one]["referred_on"]) or 0) >= 0
        ]
        if earlier:
            first = min(earlier, key=lambda place: (_arrived_on(arrivals[place]) or date.max, place))
            del decisions.partner_of_arrival[later]
            decisions.duplicate_arrivals.add(later)
            decisions.duplicate_arrivals.discard(first)
            decisions.link(one, first)


# By likeness ---------------------------------------------------------------------------------------------------------

_GAP_BANDS: Final = ((-1, "before"), (3, "0-3"), (14, "4-14"), (45, "15-45"), (10_000, "46+"))
_APART_BANDS: Final = ((0, "same day"), (1, "1"), (7, "2-7"), (10_000, "8+"))


def _band(days: int | None, bands: Sequence[tuple[int, str]]) -> str | None:
    if days is None:
        return None
    return next(name for limit, name in bands if days <= limit)


def _agreement(one: Any, other: Any) -> str | None:
    """`agree:<value>`, `disagree`, or None when either side says nothing: silence is no evidence."""
    if one in (None, "_U", "99") or other in (None, "_U", "99"):
        return None
    return f"agree:{one}" if one == other else "disagree"


def _year_agreement(one: int | None, other: int | None) -> str | None:
    if one is None or other is None:
        return None
    return "agree" if one == other else "1 year" if abs(one - other) == 1 else "disagree"


_COMPARISONS: Final[dict[str, Callable[[Record, Record], str | None]]] = {
    "sex": lambda sent, arrival: _agreement(sent["sex_code"], arrival["sex_code"]),
    "birth year": lambda sent, arrival: _year_agreement(sent["birth_year"], arrival["birth_year"]),
    "nationality": lambda sent, arrival: _agreement(sent["nationality_code"], arrival["nationality_code"]),
    "migrant status": lambda sent, arrival: _agreement(sent["migrant_status_code"], arrival["migrant_status_code"]),
    "from area": lambda sent, arrival: _agreement(sent["from_area_code"], arrival["from_area_code"]),
    "to area": lambda sent, arrival: _agreement(sent["to_area_code"], arrival["to_area_code"]),
    "gap": lambda sent, arrival: _band(_days(_arrived_on(arrival), sent["referred_on"]), _GAP_BANDS),
    "referral date": lambda sent, arrival: _band(
        None if (days := _days(arrival["referred_on"], sent["referred_on"])) is None else abs(days), _APART_BANDS
    ),
    "own arrival date": lambda sent, arrival: _band(
        None if (days := _days(_arrived_on(arrival), sent["received_on"])) is None else abs(days), _APART_BANDS
    ),
}

# Shares of agreement among true pairs before any are seen, weighing as much as this many pairs.
_PRIOR_WEIGHT: Final = 20.0
_PRIOR_TRUE: Final[dict[str, dict[str, float]]] = {
    "sex": {"agree": 0.98, "disagree": 0.02},
    "birth year": {"agree": 0.93, "1 year": 0.03, "disagree": 0.04},
    "nationality": {"agree": 0.97, "disagree": 0.03},
    "migrant status": {"agree": 0.85, "disagree": 0.15},
    "from area": {"agree": 0.95, "disagree": 0.05},
    "to area": {"agree": 0.95, "disagree": 0.05},
    "gap": {"before": 0.02, "0-3": 0.4, "4-14": 0.38, "15-45": 0.15, "46+": 0.05},
    "referral date": {"same day": 0.8, "1": 0.12, "2-7": 0.06, "8+": 0.02},
    "own arrival date": {"same day": 0.8, "1": 0.12, "2-7": 0.06, "8+": 0.02},
}


@dataclass(frozen=True)
class _Likelihoods:
    """For each comparison, the share of each outcome among true and among chance pairs."""

    true: Mapping[str, Mapping[str, float]]
    chance: Mapping[str, Mapping[str, float]]

    def ratio(self, sent: Record, arrival: Record) -> float:
        """How many times likelier the comparison's outcomes are in a true pair than in a chance pair."""
        logarithm = 0.0
        for name, compare in _COMPARISONS.items():
            outcome = compare(sent, arrival)
            if outcome is None:
                continue
            # Agreement on a rare value says more than on a common one: the chance share is that of the value.
            among_true = self.true[name].get(outcome.split(":")[0], 0.001)
            among_chance = self.chance[name].get(outcome, 0.001)
            logarithm += math.log(among_true) - math.log(among_chance)
            if ":" in outcome:
                logarithm += math.log(self.true[name].get(f"value:{outcome.split(':', 1)[1]}", 1.0))
        return math.exp(logarithm)


def _learn(
    sent: Sequence[Record], arrivals: Sequence[Record], decisions: _Decisions, candidates: Mapping[int, Sequence[int]]
) -> _Likelihoods:
    """Agreement among token-linked pairs (smoothed by the prior), and among the possible pairs that are open."""
    true: dict[str, Counter[str]] = {name: Counter() for name in _COMPARISONS}
    chance: dict[str, Counter[str]] = {name: Counter() for name in _COMPARISONS}
    for one, other in decisions.partner_of_sent.items():
        for name, compare in _COMPARISONS.items():
            if (outcome := compare(sent[one], arrivals[other])) is not None:
                true[name][outcome] += 1
    for one, others in candidates.items():
        for other in others:
            for name, compare in _COMPARISONS.items():
                if (outcome := compare(sent[one], arrivals[other])) is not None:
                    chance[name][outcome] += 1
    return _Likelihoods(
        {name: _true_shares(true[name], _PRIOR_TRUE[name]) for name in _COMPARISONS},
        {name: _chance_shares(chance[name], _PRIOR_TRUE[name]) for name in _COMPARISONS},
    )


def _true_shares(counts: Counter[str], prior: Mapping[str, float]) -> dict[str, float]:
    """Shares by kind of outcome, and `value:<v>`: the share of a value among agreements, for value-specific weights."""
    kinds: Counter[str] = Counter()
    values: Counter[str] = Counter()
    for outcome, count in counts.items():
        kind, _, value = outcome.partition(":")
        kinds[kind] += count
        if value:
            values[value] += count
    total = sum(kinds.values()) + _PRIOR_WEIGHT
    shares = {kind: (kinds[kind] + _PRIOR_WEIGHT * share) / total for kind, share in prior.items()}
    agreed = sum(values.values())
    # A value seen too rarely to have a share of its own is taken as one among ten.
    shares |= {f"value:{value}": (count + 1) / (agreed + 10) for value, count in values.items()}
    return shares


def _chance_shares(counts: Counter[str], prior: Mapping[str, float]) -> dict[str, float]:
    total = sum(counts.values()) + _PRIOR_WEIGHT
    even = _PRIOR_WEIGHT / max(1, len(prior))
    shares = {kind: (counts[kind] + even) / total for kind in prior}
    shares |= {outcome: (count + 1) / total for outcome, count in counts.items() if ":" in outcome}
    return shares


def _candidates(
    sent: Sequence[Record], arrivals: Sequence[Record], decisions: _Decisions, policy: LinkagePolicy
) -> dict[int, list[int]]:
    """Sending record -> possible arrivals among those that tokens left open, blocked by disease, corridor and date.

    Records without disease or corridor have no block and stay unlinked: comparing them with everybody would link by chance.
    Two national numbers that differ rule a pair out.
    """
    blocks: dict[tuple[str, str, str], list[tuple[date, int]]] = defaultdict(list)
    for place, record in enumerate(sent):
        if (key := _block(record)) is not None and record["referred_on"] is not None:
            blocks[key].append((record["referred_on"], place))
    for dated in blocks.values():
        dated.sort()
    found: dict[int, list[int]] = defaultdict(list)
    for place, arrival in enumerate(arrivals):
        key, day = _block(arrival), _arrived_on(arrival)
        if key is None or day is None or not decisions.is_free_arrival(place):
            continue
        dated = blocks.get(key, [])
        first = bisect.bisect_left(dated, (day - timedelta(days=policy.longest_days), -1))
        last = bisect.bisect_right(dated, (day + timedelta(days=policy.early_days), len(sent)))
        for _, one in dated[first:last]:
            if _is_possible(sent[one], arrival, policy) and not _differ_for_sure(sent[one], arrival):
                found[one].append(place)
    return dict(sorted(found.items()))


def _block(record: Record) -> tuple[str, str, str] | None:
    key = (record["disease_code"], record["from_country_code"], record["to_country_code"])
    return None if any(part in (None, "_U") for part in key) else key


def _differ_for_sure(sent: Record, arrival: Record) -> bool:
    """True for two national numbers under one key that are not the same. Names get misspelt; numbers were copied from a card."""
    return bool(
        sent["token_basis_code"] == arrival["token_basis_code"] == "national_id"
        and sent["key_id"] == arrival["key_id"]
        and sent["person_token"] != arrival["person_token"]
    )


def _link_by_likeness(
    sent: Sequence[Record], arrivals: Sequence[Record], decisions: _Decisions, policy: LinkagePolicy
) -> None:
    """What tokens left open is linked where it is probable from both sides, called ambiguous where it is not decidable, and
    a left-over arrival that can only belong to an episode already linked is its duplicate."""
    candidates = _candidates(sent, arrivals, decisions, policy)
    likelihoods = _learn(sent, arrivals, decisions, candidates)
    prior = (len(decisions.partner_of_sent) + 1) / (len(sent) + 2)
    prior = min(policy.most_prior, max(policy.least_prior, prior))
    odds_against = (1 - prior) / prior
    ratios: dict[tuple[int, int], float] = {}
    rivals_of_sent: dict[int, list[int]] = defaultdict(list)
    rivals_of_arrival: dict[int, list[int]] = defaultdict(list)
    for one, others in candidates.items():
        for other in others:
            if decisions.is_free_arrival(other) and (decisions.is_free_sent(one) or one in decisions.partner_of_sent):
                ratios[one, other] = likelihoods.ratio(sent[one], arrivals[other])
                if decisions.is_free_sent(one):
                    rivals_of_sent[one].append(other)
                rivals_of_arrival[other].append(one)

    def share_for_sent(one: int, other: int) -> float:
        rivals = rivals_of_sent[one]
        return ratios[one, other] / (len(rivals) * odds_against + sum(ratios[one, rival] for rival in rivals))

    def share_for_arrival(other: int, one: int) -> float:
        rivals = rivals_of_arrival[other]
        return ratios[one, other] / (len(rivals) * odds_against + sum(ratios[rival, other] for rival in rivals))

    chosen: list[tuple[int, int]] = []
    for one, others in sorted(rivals_of_sent.items()):
        for other in others:
            if (
                share_for_sent(one, other) >= policy.least_probability
                and share_for_arrival(other, one) >= policy.least_probability
            ):
                chosen.append((one, other))
    for one, other in chosen:
        decisions.link(one, other)
    _judge_leftovers(
        sent, arrivals, decisions, policy, rivals_of_sent, rivals_of_arrival, share_for_sent, share_for_arrival
    )


def _judge_leftovers(
    sent: Sequence[Record],
    arrivals: Sequence[Record],
    decisions: _Decisions,
    policy: LinkagePolicy,
    rivals_of_sent: Mapping[int, Sequence[int]],
    rivals_of_arrival: Mapping[int, Sequence[int]],
    share_for_sent: Callable[[int, int], float],
    share_for_arrival: Callable[[int, int], float],
) -> None:
    for other, ones in sorted(rivals_of_arrival.items()):
        if not decisions.is_free_arrival(other):
            continue
        taken = [one for one in ones if one in decisions.partner_of_sent]
        best = max(taken, key=lambda one: share_for_arrival(other, one), default=None)
        if best is not None and share_for_arrival(other, best) >= policy.least_probability:
            first = arrivals[decisions.partner_of_sent[best]]
            days = _days(_arrived_on(arrivals[other]), _arrived_on(first))
            if days is not None and abs(days) <= policy.duplicate_days:
                decisions.duplicate_arrivals.add(other)
                continue
        free = [one for one in ones if decisions.is_free_sent(one)]
        if len(free) > 1 and sum(share_for_arrival(other, one) for one in free) >= policy.least_probability:
            decisions.ambiguous_arrivals.add(other)
    for one, others in sorted(rivals_of_sent.items()):
        open_arrivals = [
            other for other in others if decisions.is_free_arrival(other) or other in decisions.ambiguous_arrivals
        ]
        if (
            decisions.is_free_sent(one)
            and len(open_arrivals) > 1
            and sum(share_for_sent(one, other) for other in open_arrivals) >= policy.least_probability
        ):
            decisions.ambiguous_sent.add(one)


# Rows ----------------------------------------------------------------------------------------------------------------


def _referral_rows(
    sent: Sequence[Record], arrivals: Sequence[Record], decisions: _Decisions
) -> Iterable[dict[str, Any]]:
    rows = []
    for place, record in enumerate(sent):
        partner = decisions.partner_of_sent.get(place)
        arrival = arrivals[partner] if partner is not None else None
        if place in decisions.duplicate_sent:
            link = "duplicate"
        elif place in decisions.ambiguous_sent:
            link = "ambiguous"
        else:
            seen = (arrival is not None and _arrived_on(arrival)) or _arrived_on(record)
            link = "linked" if seen else "sent_not_arrived"
        rows.append(_referral_row(record, arrival, link))
    for place, record in enumerate(arrivals):
        if place in decisions.partner_of_arrival:
            continue
        link = (
            "duplicate"
            if place in decisions.duplicate_arrivals
            else "ambiguous"
            if place in decisions.ambiguous_arrivals
            else "arrived_unannounced"
        )
        rows.append(_referral_row(None, record, link))
    return rows


def _referral_row(sent: Record | None, arrival: Record | None, link: str) -> dict[str, Any]:
    """One episode. Who the patient is, is taken from the sending side where it says; dates of arrival from the receiving side.

    The sender owns the outcome; where it has none, or says "not evaluated", the receiving side's stands.
    """
    main = sent or arrival
    assert main is not None
    other = arrival if sent is not None else None

    def told(name: str, unknown: tuple[Any, ...] = (None, "_U")) -> Any:
        value = main[name]
        return other[name] if value in unknown and other is not None and other[name] is not None else value

    received_on = (arrival and _arrived_on(arrival)) or (sent and _arrived_on(sent)) or None
    referred_on = sent["referred_on"] if sent is not None else None
    days = _days(received_on, referred_on)
    outcome = main
    if other is not None and main["outcome_code"] in (None, "NOT_EVALUATED") and other["outcome_code"] is not None:
        outcome = other
    return {
        "referral_code": _digest(main),
        "person_token": told("person_token"),
        "disease_code": told("disease_code"),
        "sex_code": told("sex_code"),
        "nationality_code": told("nationality_code"),
        "migrant_status_code": told("migrant_status_code", (None, "99")),
        "migrant_basis_code": main["migrant_basis_code"],
        # A unit has another UID on each server: each side names its own end.
        "from_org_unit_uid": main["from_org_unit_uid"],
        "from_country_code": told("from_country_code"),
        "from_area_code": told("from_area_code"),
        "to_facility_code": (arrival or main)["to_facility_code"],
        "to_country_code": told("to_country_code"),
        "to_area_code": told("to_area_code"),
        "link_code": link,
        "referred_on": referred_on,
        "received_on": received_on,
        "registered_on": (arrival and arrival["confirmed_on"]) or (sent and sent["confirmed_on"]) or None,
        "days_to_arrival": days if days is not None and days >= 0 else None,
        "treatment_started_on": told("treatment_started_on"),
        "outcome_code": outcome["outcome_code"],
        "outcome_on": outcome["outcome_on"],
        "sending_instance_code": sent["instance_code"] if sent is not None else None,
        "sending_enrollment_uid": sent["enrollment_uid"] if sent is not None else None,
        "receiving_instance_code": arrival["instance_code"] if arrival is not None else None,
        "receiving_enrollment_uid": arrival["enrollment_uid"] if arrival is not None else None,
        "is_practice": bool(main["is_practice"]),
        "receipt_id": main["receipt_id"],
    }


def _digest(record: Record) -> str:
    """The episode's code: that of its sending record, so that it stays the same when the arrival becomes known."""
    return hashlib.sha256(f"{record['instance_code']}\n{record['enrollment_uid']}".encode()).hexdigest()[:16]


# What follows from pairs ---------------------------------------------------------------------------------------------


def time_to_arrival(by_referral: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Days from referral to arrival, right-censored: who has not arrived by `as_of` has waited at least that long.

    *Rows*: initiated referrals that are linked or not arrived. *Columns* added: waited_days, is_arrived.
    A visit dated before the referral has no usable time and is left out.
    """
    started = by_referral.filter(
        pl.col("link_code").is_in(["linked", "sent_not_arrived"]) & pl.col("referred_on").is_not_null()
    )
    has_arrived = pl.col("received_on").is_not_null() & (pl.col("received_on") <= as_of)
    waited = pl.when(has_arrived).then(pl.col("received_on")).otherwise(pl.lit(as_of)) - pl.col("referred_on")
    return started.with_columns(waited_days=waited.dt.total_days(), is_arrived=has_arrived).filter(
        pl.col("waited_days") >= 0
    )


@dataclass(frozen=True)
class LinkQuality:
    """How the links compare with the truth: of the links made, the share that is right; of the true ones, the share found."""

    made: int
    true: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of the links made that are right; None without any."""
        return self.right / self.made if self.made else None

    @property
    def recall(self) -> float | None:
        """Share of the true links that were made; None without any."""
        return self.right / self.true if self.true else None

    @property
    def summary(self) -> str:
        """One line for people, as docs/methods/referral-linkage.md has it."""
        shares = [
            "none" if share is None else f"{share:.1%}".replace("%", " %") for share in (self.precision, self.recall)
        ]
        return f"{self.true:,} true links, {self.made:,} made, {self.right:,} right: precision {shares[0]}, recall {shares[1]}"


def link_quality(by_referral: pl.DataFrame, true_pairs: Iterable[tuple[str, str]]) -> LinkQuality:
    """Links of `by_referral` against true pairs (sending enrollment UID, receiving enrollment UID)."""
    both = by_referral.filter(
        pl.col("sending_enrollment_uid").is_not_null() & pl.col("receiving_enrollment_uid").is_not_null()
    )
    made = set(both.select("sending_enrollment_uid", "receiving_enrollment_uid").iter_rows())
    truth = set(true_pairs)
    return LinkQuality(len(made), len(truth), len(made & truth))


def outcome_disagreements(records: pl.DataFrame, by_referral: pl.DataFrame) -> pl.DataFrame:
    """Linked episodes whose two sides report different outcomes: a finding for both programmes, not an error of ours.

    *Columns*: referral_code, sending_outcome_code, receiving_outcome_code.
    """
    outcomes = records.select("instance_code", "enrollment_uid", "outcome_code")
    # cardinality: each side of a referral names one record
    return (
        by_referral.join(
            outcomes.rename({"outcome_code": "sending_outcome_code"}),
            left_on=["sending_instance_code", "sending_enrollment_uid"],
            right_on=["instance_code", "enrollment_uid"],
        )
        .join(
            outcomes.rename({"outcome_code": "receiving_outcome_code"}),
            left_on=["receiving_instance_code", "receiving_enrollment_uid"],
            right_on=["instance_code", "enrollment_uid"],
        )
        .filter(pl.col("sending_outcome_code") != pl.col("receiving_outcome_code"))
        .select("referral_code", "sending_outcome_code", "receiving_outcome_code")
        .sort("referral_code")
    )
