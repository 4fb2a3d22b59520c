"""The cross-border referral episodes of the practice world, and what each server comes to know of them.

An episode is drawn once, whole, from the seed and its week; the acts of registration desks that follow from it carry
instants, and a server's state is the fold of the acts up to an instant. Aggregate figures do not belong here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from practice.world import geography
from practice.world.draws import stream, uid
from practice.world.people import Person, person, sibling, written
from practice.world.records import Enrollment, Event, TrackedEntity

FIRST_MONDAY = date(2024, 1, 1)


@dataclass(frozen=True)
class TrueReferral:
    """What really happened in one episode, whatever the servers know.

    `kind`: linked, sent_not_arrived, arrived_unannounced, duplicate (the receiving side registered the patient twice),
    ambiguous (two people whom no desk can tell apart). `sending_known_at` and `receiving_known_at` say from when the server
    has the record; None = never.
    """

    code: str
    person_code: str
    disease_code: str
    kind: str
    from_facility_code: str
    to_facility_code: str
    sending_server: str
    receiving_server: str
    referred_on: date
    received_on: date | None
    registered_on: date | None
    sending_enrollment_uid: str | None
    sending_known_at: datetime | None
    receiving_enrollment_uids: tuple[str, ...]
    receiving_known_at: datetime | None


@dataclass(slots=True)
class Act:
    """One thing that somebody entered at one instant."""

    at: datetime
    kind: str
    target: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Dossier:
    """All acts on one tracked entity of one server, in time order."""

    server: str
    tracked_entity_uid: str
    acts: list[Act] = field(default_factory=list)


def week_start(week: int) -> date:
    """The Monday of a week counted from the first of January 2024."""
    return FIRST_MONDAY + timedelta(weeks=week)


def weeks_until(instant: datetime) -> int:
    """How many weeks have begun by the instant."""
    return max(0, (instant.date() - FIRST_MONDAY).days // 7 + 1)


def _office_hour(day: date, draw: Random) -> datetime:
    at = datetime.combine(day, time(1, 0), tzinfo=UTC)
    return at + timedelta(milliseconds=draw.randrange(8 * 3600 * 1000))


def _pick_facility(server: str, draw: Random) -> geography.OrgUnit:
    facilities = geography.referring_facilities(server)
    return draw.choices(facilities, weights=[12 - min(i, 9) for i in range(len(facilities))])[0]


class _Desk:
    """Writes the acts of one tracked entity; a small fluent notebook."""

    def __init__(self, seed: int, server: str, name: str) -> None:
        self.seed, self.server, self.name = seed, server, name
        self.dossier = Dossier(server, uid(seed, server, "te", name))

    def act(self, at: datetime, kind: str, target: str, **data: Any) -> None:
        self.dossier.acts.append(Act(at, kind, target, data))

    def uid(self, *parts: object) -> str:
        return uid(self.seed, self.server, self.name, *parts)

    def enroll(self, at: datetime, who: dict[str, str], facility_uid: str, on: date) -> str:
        self.act(at, "te", self.dossier.tracked_entity_uid, org_unit=facility_uid, attributes=who)
        enrollment = self.uid("enrollment")
        self.act(at, "enrollment", enrollment, org_unit=facility_uid, on=on)
        return enrollment

    def event(
        self, at: datetime, stage: str, facility_uid: str, occurred: date | None, values: dict[str, str], *,
        scheduled: date | None = None, name: str = "", enrollment: str = "",
    ) -> str:  # fmt: skip
        event = self.uid("event", stage, name)
        self.act(
            at, "event", event, enrollment=enrollment or self.uid("enrollment"), stage=stage, org_unit=facility_uid, occurred=occurred,
            scheduled=scheduled, values=values, status="SCHEDULE" if occurred is None else "COMPLETED",
        )  # fmt: skip
        return event


@dataclass
class Episode:
    """One drawn episode: the truth and the dossiers that it leaves behind."""

    truths: list[TrueReferral]
    dossiers: list[Dossier]
    people: list[Person]


_DISEASES = ("TB", "HIV", "MAL")
_OUTCOMES = ("CURED", "COMPLETED", "LOST_TO_FOLLOW_UP", "DIED", "FAILURE", "NOT_EVALUATED")
_OUTCOME_WEIGHTS = (38, 42, 7, 4, 2, 7)


class ReferralWorld:
    """Draws the episodes of any week, once, and folds them to the state of a server."""

    def __init__(self, seed: int, *, weekly_episodes: int, canary_every: int, faults: frozenset[str]) -> None:
        self.seed = seed
        self.weekly_episodes = weekly_episodes
        self.canary_every = canary_every
        self.faults = faults
        self._weeks: dict[int, list[Episode]] = {}

    def week(self, week: int) -> list[Episode]:
        """The episodes that begin in a week, with all that follows from them later."""
        if week not in self._weeks:
            draw = stream(self.seed, "week", week)
            count = max(4, round(draw.gauss(self.weekly_episodes, self.weekly_episodes**0.5)))
            episodes = [self._episode(week, number) for number in range(count)]
            episodes += [e for n in range(count) for e in self._ambiguous(week, n)]
            episodes += [self._error(week, n) for n in range(2)]
            self._weeks[week] = episodes
        return self._weeks[week]

    def episodes(self, instant: datetime) -> Iterable[Episode]:
        """Every episode that has begun by the instant."""
        for week in range(weeks_until(instant)):
            yield from self.week(week)

    def dossiers(self, server: str, instant: datetime) -> Iterable[Dossier]:
        """The dossiers of a server on which something had been entered by the instant."""
        for episode in self.episodes(instant):
            for dossier in episode.dossiers:
                if dossier.server == server and dossier.acts and dossier.acts[0].at <= instant:
                    yield dossier

    def _person(self, week: int, number: int, draw: Random) -> Person:
        index = week * 1000 + number
        # One patient in twelve was referred before: the way home after treatment, or a relapse.
        if week > 10 and draw.random() < 0.08:
            index = draw.randrange(week - 9) * 1000 + draw.randrange(4)
        country = "VNM" if stream(self.seed, "country", index).random() < 0.55 else "KHM"
        return person(self.seed, index, country, is_canary=index % self.canary_every == 0)

    def _episode(self, week: int, number: int) -> Episode:
        draw = stream(self.seed, "episode", week, number)
        someone = self._person(week, number, draw)
        sending = "vnm" if draw.random() < 0.58 else "khm"
        share = draw.random()
        kind = (
            "sent_not_arrived" if share < 0.17
            else "arrived_unannounced" if share < 0.23
            else "duplicate" if share < 0.27
            else "linked"
        )  # fmt: skip
        return self._play(week, someone, sending, kind, draw, name=f"{week}.{number}")

    def _ambiguous(self, week: int, number: int) -> list[Episode]:
        draw = stream(self.seed, "ambiguous", week, number)
        if draw.random() >= 0.008:
            return []
        first = person(self.seed, week * 1000 + 500 + number, "KHM", is_canary=False)
        first = sibling(first, first.number)
        second = sibling(first, first.number + 250)
        episodes = []
        for place, someone in enumerate((first, second)):
            same = stream(self.seed, "ambiguous pair", week, number)
            episodes.append(self._play(week, someone, "khm", "ambiguous", same, name=f"{week}.a{number}.{place}"))
        return episodes

    def _play(
        self, week: int, someone: Person, sending: str, kind: str, draw: Random, *, name: str
    ) -> Episode:  # fmt: skip
        receiving = geography.PARTNER[sending]
        origin, goal = _pick_facility(sending, draw), _pick_facility(receiving, draw)
        disease = draw.choices(_DISEASES, weights=(78, 13, 9))[0]
        referred_on = week_start(week) + timedelta(days=draw.choices(range(7), weights=(22, 20, 20, 18, 15, 3, 2))[0])
        treated_on = referred_on - timedelta(days=draw.randrange(0, 60)) if draw.random() < 0.6 else None
        days = min(75, int(draw.lognormvariate(1.4, 0.9)))
        arrives = kind != "sent_not_arrived"
        received_on = referred_on + timedelta(days=days) if arrives else None
        registered_on = (
            received_on + timedelta(days=draw.randrange(0, 12)) if received_on and draw.random() < 0.93 else None
        )
        outcome = (
            draw.choices(_OUTCOMES, weights=_OUTCOME_WEIGHTS)[0] if registered_on and draw.random() < 0.85 else None
        )
        outcome_on = registered_on + timedelta(days=draw.randrange(150, 230)) if registered_on and outcome else None
        if disease == "MAL" and outcome_on and registered_on:
            outcome_on = registered_on + timedelta(days=draw.randrange(14, 29))
        dossiers: list[Dossier] = []
        sender = None
        if kind != "arrived_unannounced":
            sender = self._send(
                name, sending, someone, origin, goal, disease, referred_on, treated_on, received_on, outcome,
                outcome_on, draw,
            )  # fmt: skip
            dossiers.append(sender.dossier)
        receivers = []
        if received_on:
            copies = 2 if kind == "duplicate" else 1
            for copy in range(copies):
                receivers.append(
                    self._receive(
                        f"{name}.{copy}",
                        receiving,
                        someone,
                        origin,
                        goal,
                        disease,
                        referred_on,
                        received_on,
                        registered_on,
                        outcome,
                        outcome_on,
                        kind,
                        copy,
                        draw,
                    )
                )
            dossiers += [r.dossier for r in receivers]
        truth = TrueReferral(
            code=f"E{name}", person_code=f"P{someone.number}", disease_code=disease, kind=kind, from_facility_code=origin.code,
            to_facility_code=goal.code, sending_server=sending, receiving_server=receiving, referred_on=referred_on,
            received_on=received_on, registered_on=registered_on,
            sending_enrollment_uid=sender.uid("enrollment") if sender else None,
            sending_known_at=sender.dossier.acts[0].at if sender else None,
            receiving_enrollment_uids=tuple(r.uid("enrollment") for r in receivers),
            receiving_known_at=receivers[0].dossier.acts[0].at if receivers else None,
        )  # fmt: skip
        truths = [truth]
        if receivers and outcome_on and kind == "linked" and draw.random() < 0.06:
            truths.append(self._send_home(receivers[0], name, truth, origin, goal, outcome_on, draw))
        for dossier in dossiers:
            dossier.acts.sort(key=lambda act: act.at)
        return Episode(truths, dossiers, [someone])

    def _send_home(
        self,
        desk: _Desk,
        name: str,
        first: TrueReferral,
        origin: geography.OrgUnit,
        goal: geography.OrgUnit,
        on: date,
        draw: Random,
    ) -> TrueReferral:
        """The treated patient is referred home: a second enrollment of the same tracked entity, which nobody answers."""
        at = _office_hour(on + timedelta(days=25), draw)
        enrollment = desk.uid("enrollment", "home")
        referred_on = on + timedelta(days=24)
        desk.act(at, "enrollment", enrollment, org_unit=goal.uid, on=referred_on)
        values = {"direction": "outgoing", "disease": first.disease_code, "from_org_unit": goal.uid,
                  "to_org_unit": geography.partner_uid(desk.server, origin)}  # fmt: skip
        desk.event(at + timedelta(minutes=1), "sent", goal.uid, referred_on, values, name="home", enrollment=enrollment)
        return TrueReferral(
            code=f"E{name}.home", person_code=first.person_code, disease_code=first.disease_code, kind="sent_not_arrived",
            from_facility_code=goal.code, to_facility_code=origin.code, sending_server=first.receiving_server,
            receiving_server=first.sending_server, referred_on=referred_on, received_on=None, registered_on=None,
            sending_enrollment_uid=enrollment, sending_known_at=at, receiving_enrollment_uids=(), receiving_known_at=None,
        )  # fmt: skip

    def _send(
        self, name: str, server: str, someone: Person, origin: geography.OrgUnit,
        goal: geography.OrgUnit, disease: str, referred_on: date, treated_on: date | None, received_on: date | None,
        outcome: str | None, outcome_on: date | None, draw: Random,
    ) -> _Desk:  # fmt: skip
        desk = _Desk(self.seed, server, f"s{name}")
        entered_at = _office_hour(referred_on + timedelta(days=draw.choice((0, 0, 0, 1, 1, 2, 3, 6))), draw)
        who = dict(written(someone, server, draw, sure=True).values)
        desk.enroll(entered_at, who, origin.uid, referred_on)
        goal_uid = geography.partner_uid(server, goal)
        values = {"direction": "outgoing", "disease": disease, "to_org_unit": goal_uid, "from_org_unit": origin.uid}
        if treated_on:
            values["treatment_started_on"] = treated_on.isoformat()
        if draw.random() < 0.3:
            values["reason"] = f"{someone.family_name} {someone.given_name}, {someone.phone}"
        if draw.random() < 0.2:
            values["needs_interpreter"] = "true"
        sent = desk.event(entered_at + timedelta(minutes=2), "sent", origin.uid, referred_on, values)
        by_event = draw.random() < 0.5
        if by_event:
            desk.event(entered_at + timedelta(minutes=3), "received", goal_uid, None, {"direction": "outgoing"},
                       scheduled=referred_on + timedelta(days=3))  # fmt: skip
        else:
            desk.act(entered_at + timedelta(minutes=5), "owner", desk.dossier.tracked_entity_uid, org_unit=goal_uid)
        if received_on and draw.random() < 0.7:
            told_at = _office_hour(received_on + timedelta(days=draw.randrange(0, 21)), draw)
            told_at = max(told_at, entered_at + timedelta(hours=1))
            said = received_on + timedelta(days=draw.choice((0, 0, 0, 0, 1)))
            desk.event(told_at, "received", goal_uid, said, {"direction": "outgoing"})
            if outcome and outcome_on and draw.random() < 0.6:
                heard = outcome if draw.random() < 0.95 else "NOT_EVALUATED"
                back_at = max(
                    _office_hour(outcome_on + timedelta(days=draw.randrange(5, 60)), draw), told_at + timedelta(hours=1)
                )
                desk.event(
                    back_at, "outcome", origin.uid, outcome_on, {"outcome": heard, "reported_by": "receiving unit"}
                )
                desk.act(back_at + timedelta(minutes=1), "complete", desk.uid("enrollment"))
        self._second_thoughts(desk, sent, entered_at, draw)
        return desk

    def _receive(
        self, name: str, server: str, someone: Person, origin: geography.OrgUnit,
        goal: geography.OrgUnit, disease: str, referred_on: date, received_on: date, registered_on: date | None,
        outcome: str | None, outcome_on: date | None, kind: str, copy: int, draw: Random,
    ) -> _Desk:  # fmt: skip
        seen_on = received_on + timedelta(days=copy * draw.randrange(1, 9))
        entered_at = _office_hour(seen_on + timedelta(days=draw.choice((0, 0, 1, 1, 2, 4, 9))), draw)
        desk = _Desk(self.seed, server, f"r{name}")
        place = goal
        if copy:
            others = [f for f in geography.referring_facilities(server) if f.code != goal.code]
            place = draw.choice(others)
        who = dict(written(someone, server, draw, sure=draw.random() < 0.8).values)
        desk.enroll(entered_at, who, place.uid, seen_on)
        origin_uid = geography.partner_uid(server, origin)
        event = ""
        if kind != "arrived_unannounced" and draw.random() < 0.85:
            on_form = referred_on + timedelta(days=draw.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, -1)))
            values = {"direction": "incoming", "disease": disease, "from_org_unit": origin_uid, "to_org_unit": goal.uid}
            event = desk.event(entered_at + timedelta(minutes=1), "sent", place.uid, min(on_form, seen_on), values)
        values = {"direction": "incoming", "disease": disease}
        if draw.random() < 0.9:
            values["from_org_unit"] = origin_uid
        received = desk.event(entered_at + timedelta(minutes=2), "received", place.uid, seen_on, values)
        if registered_on:
            registered_on = max(registered_on, seen_on)
            at = max(
                _office_hour(registered_on + timedelta(days=draw.randrange(0, 5)), draw),
                entered_at + timedelta(minutes=9),
            )
            started = registered_on + timedelta(days=draw.choice((0, 0, 1, 2)))
            values = {"register_number": f"{place.code}/{draw.randrange(1, 9999)}/{registered_on.year}"}
            if draw.random() < 0.9:
                values["treatment_started_on"] = started.isoformat()
            desk.event(at, "registered", place.uid, registered_on, values)
            end = outcome_on or registered_on + timedelta(days=120)
            visit, visits = registered_on + timedelta(days=30), 0
            while visit < end and visits < 6:
                visits += 1
                seen = {
                    "adherence_percent": str(draw.choice((100, 100, 95, 90, 75))),
                    "symptoms": draw.choice(("NONE", "COUGH", "COUGH,FEVER")),
                }
                if draw.random() < 0.1:
                    seen["note"] = f"Gọi {someone.phone or someone.given_name}"
                visit_at = max(
                    _office_hour(visit + timedelta(days=draw.randrange(0, 4)), draw), at + timedelta(minutes=visits)
                )
                made = desk.event(visit_at, "follow_up", place.uid, visit, seen, name=str(visits))
                if draw.random() < 0.03:
                    desk.act(visit_at + timedelta(days=draw.randrange(2, 40)), "delete event", made)
                visit += timedelta(days=30)
            if outcome and outcome_on and not copy:
                out_at = max(
                    _office_hour(outcome_on + timedelta(days=draw.randrange(0, 20)), draw), at + timedelta(hours=1)
                )
                desk.event(
                    out_at, "outcome", place.uid, outcome_on, {"outcome": outcome, "reported_by": "treating unit"}
                )
                desk.act(out_at + timedelta(minutes=1), "complete", desk.uid("enrollment"))
        self._second_thoughts(desk, event or received, entered_at, draw)
        return desk

    def _second_thoughts(self, desk: _Desk, event: str, entered_at: datetime, draw: Random) -> None:
        """Later corrections: an attribute amended, or a value of the first event taken away."""
        later = _office_hour(entered_at.date() + timedelta(days=draw.randrange(3, 60)), draw)
        share = draw.random()
        if share < 0.03:
            desk.act(later, "attributes", desk.dossier.tracked_entity_uid, attributes={"address": "moved away"})
        elif share < 0.06:
            desk.act(later, "attributes", desk.dossier.tracked_entity_uid, attributes={"migrant_status": "6"})
        elif share < 0.09:
            desk.act(later, "value removed", event, concept="from_org_unit")
        if "unknown-code" in self.faults and draw.random() < 0.02:
            desk.act(later, "attributes", desk.dossier.tracked_entity_uid, attributes={"nationality": "XX-UNKNOWN"})

    def _error(self, week: int, number: int) -> Episode:
        """A patient entered by mistake, deleted later and at last purged.

        Every fourth week one of them is deleted and purged within two days, so that a weekly client never sees it marked.
        """
        draw = stream(self.seed, "error", week, number)
        server = geography.SERVERS[(week + number) % 2]
        someone = person(self.seed, week * 1000 + 900 + number, geography.COUNTRY[server], is_canary=False)
        desk = _Desk(self.seed, server, f"x{week}.{number}")
        place, goal = _pick_facility(server, draw), _pick_facility(geography.PARTNER[server], draw)
        day = week_start(week) + timedelta(days=draw.randrange(0, 5))
        at = _office_hour(day, draw)
        desk.enroll(at, dict(written(someone, server, draw, sure=True).values), place.uid, day)
        values = {
            "direction": "outgoing",
            "disease": "TB",
            "from_org_unit": place.uid,
            "to_org_unit": geography.partner_uid(server, goal),
        }
        desk.event(at + timedelta(minutes=1), "sent", place.uid, day, values)
        quick = week % 4 == 0 and number == 0
        # The deletion falls on the same day some weeks later: every week has one.
        deleted_at = at + timedelta(weeks=2, hours=1)
        target = desk.dossier.tracked_entity_uid if number == 0 else desk.uid("enrollment")
        desk.act(deleted_at, "delete te" if number == 0 else "delete enrollment", target)
        if number == 0:
            desk.act(deleted_at + (timedelta(minutes=90) if quick else timedelta(weeks=9)), "purge", target)
        return Episode([], [desk.dossier], [someone])


def _bump(entity: TrackedEntity, act: Act, instant: datetime) -> None:
    """Move the entity's own time some seconds after the act, as the importer's later step does."""
    after = act.at + timedelta(milliseconds=2000 + sum(map(ord, act.target)) * 7 % 5000)
    if after <= instant:
        entity.updated_at = max(entity.updated_at, after)


def fold(dossier: Dossier, instant: datetime) -> TrackedEntity | None:
    """The tracked entity as it stands at the instant; None before its first act and after it was purged."""
    entity: TrackedEntity | None = None
    enrollments: dict[str, Enrollment] = {}
    events: dict[str, Event] = {}
    for act in dossier.acts:
        if act.at > instant:
            break
        data = act.data
        if act.kind == "te":
            entity = TrackedEntity(
                dossier.tracked_entity_uid, data["org_unit"], data["org_unit"], act.at, act.at,
                dict(data["attributes"]), dict.fromkeys(data["attributes"], act.at),
            )  # fmt: skip
            continue
        assert entity is not None
        if act.kind == "enrollment":
            made = Enrollment(act.target, entity.uid, data["org_unit"], data["on"], "ACTIVE", act.at, act.at)
            enrollments[act.target] = made
            entity.enrollments.append(made)
        elif act.kind == "event":
            event = events.get(act.target)
            if event is None:
                event = Event(
                    act.target, data["stage"], data["enrollment"], entity.uid, data["org_unit"],
                    data["status"], data["occurred"], data["scheduled"], act.at, act.at,
                )  # fmt: skip
                events[act.target] = event
                enrollments[data["enrollment"]].events.append(event)
            event.status, event.occurred_on, event.updated_at = data["status"], data["occurred"], act.at
            event.scheduled_on = event.scheduled_on or data["scheduled"]
            event.values.update(data["values"])
            event.value_times.update(dict.fromkeys(data["values"], act.at))
            event.completed_at = act.at if event.status == "COMPLETED" else None
        elif act.kind == "attributes":
            entity.attributes.update(data["attributes"])
            entity.attribute_times.update(dict.fromkeys(data["attributes"], act.at))
        elif act.kind == "value removed":
            changed = events[act.target]
            changed.values.pop(data["concept"], None)
            changed.updated_at = act.at
        elif act.kind == "owner":
            entity.owner_uid = data["org_unit"]
        elif act.kind == "complete":
            done = enrollments[act.target]
            done.status, done.completed_at, done.updated_at = "COMPLETED", act.at, act.at
        elif act.kind == "delete event":
            events[act.target].deleted, events[act.target].updated_at = True, act.at
        elif act.kind == "delete enrollment":
            _delete(enrollments[act.target], act.at)
        elif act.kind == "delete te":
            entity.deleted = True
            for enrollment in entity.enrollments:
                _delete(enrollment, act.at)
        elif act.kind == "purge":
            return None
        _bump(entity, act, instant)
    return entity


def _delete(enrollment: Enrollment, at: datetime) -> None:
    enrollment.deleted, enrollment.updated_at = True, at
    for event in enrollment.events:
        if not event.deleted:
            event.deleted, event.updated_at = True, at
