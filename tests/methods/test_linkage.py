"""Pairing of referral records: worlds checkable by pencil, then properties, then the practice region's truth."""

import random
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.linkage import (
    RECORD_COLUMNS,
    REFERRAL_SCHEMA,
    link_quality,
    outcome_disagreements,
    pair_referrals,
    time_to_arrival,
)

START = date(2026, 3, 2)
SCHEMA = {
    **dict.fromkeys(RECORD_COLUMNS, pl.String),
    "birth_year": pl.Int64,
    "is_practice": pl.Boolean,
    **dict.fromkeys(["referred_on", "received_on", "confirmed_on", "treatment_started_on", "outcome_on"], pl.Date),
}
COUNTER = iter(range(1_000_000))


def record(direction: str, **known: Any) -> dict[str, Any]:
    """One side's record; days are counted from START."""
    for name in ("referred_on", "received_on", "confirmed_on", "outcome_on"):
        if isinstance(known.get(name), int):
            known[name] = START + timedelta(days=known[name])
    return {
        "instance_code": "vnm" if direction == "outgoing" else "khm",
        "enrollment_uid": f"E{next(COUNTER):06d}",
        "person_token": None,
        "token_basis_code": "national_id" if known.get("person_token") else "_U",
        "key_id": "k1",
        "sex_code": "F",
        "birth_year": 1980,
        "nationality_code": "KHM",
        "migrant_status_code": "2",
        "migrant_basis_code": "C",
        "disease_code": "TB",
        "direction_code": direction,
        "referred_on": None,
        "from_org_unit_uid": "ClinicVnm01" if direction == "outgoing" else "ClinicVnm0K",
        "from_country_code": "VNM",
        "from_area_code": "VN34-91",
        "to_facility_code": "ClinicKhm0V" if direction == "outgoing" else "ClinicKhm01",
        "to_country_code": "KHM",
        "to_area_code": "KH-21",
        "received_on": None,
        "confirmed_on": None,
        "treatment_started_on": None,
        "outcome_code": None,
        "outcome_on": None,
        "is_practice": True,
        "receipt_id": "r1",
        **known,
    }


def sent(**known: Any) -> dict[str, Any]:
    return record("outgoing", **{"referred_on": 0, **known})


def arrival(**known: Any) -> dict[str, Any]:
    return record("incoming", **{"received_on": 5, **known})


def paired(*records: dict[str, Any]) -> list[dict[str, Any]]:
    return pair_referrals(pl.DataFrame(list(records), schema=SCHEMA, orient="row")).to_dicts()


def test_each_side_names_its_own_facility() -> None:
    """A unit has another UID on each server; the columns say whose it is by the instance code beside it."""
    ends = ("sending_instance_code", "from_org_unit_uid", "receiving_instance_code", "to_facility_code")
    (linked,) = paired(sent(person_token="t"), arrival(person_token="t"))
    assert [linked[name] for name in ends] == ["vnm", "ClinicVnm01", "khm", "ClinicKhm01"]
    (alone,) = paired(sent(person_token="t"))
    assert [alone[name] for name in ends] == ["vnm", "ClinicVnm01", None, "ClinicKhm0V"]
    (unannounced,) = paired(arrival(person_token="t"))
    assert [unannounced[name] for name in ends] == [None, "ClinicVnm0K", "khm", "ClinicKhm01"]


def test_one_token_on_both_sides_is_one_linked_episode() -> None:
    ours, theirs = (
        sent(person_token="t"),
        arrival(person_token="t", confirmed_on=7, outcome_code="CURED", outcome_on=180),
    )
    (row,) = paired(ours, theirs)
    assert row["link_code"] == "linked"
    assert (row["sending_enrollment_uid"], row["receiving_enrollment_uid"]) == (
        ours["enrollment_uid"],
        theirs["enrollment_uid"],
    )
    assert (row["referred_on"], row["received_on"]) == (START, START + timedelta(days=5))
    assert row["registered_on"] == START + timedelta(days=7)
    assert (row["days_to_arrival"], row["outcome_code"]) == (5, "CURED")


def test_a_sent_patient_without_arrival_and_an_arrival_without_sender_stay_apart() -> None:
    rows = paired(sent(person_token="a"), arrival(person_token="b"))
    assert sorted(row["link_code"] for row in rows) == ["arrived_unannounced", "sent_not_arrived"]
    unannounced = next(row for row in rows if row["link_code"] == "arrived_unannounced")
    assert unannounced["referred_on"] is None  # nobody initiated it, so it is not counted as initiated
    assert unannounced["sending_enrollment_uid"] is None


def test_an_arrival_that_the_sender_recorded_itself_counts() -> None:
    (row,) = paired(sent(person_token="a", received_on=9))
    assert (row["link_code"], row["days_to_arrival"], row["receiving_enrollment_uid"]) == ("linked", 9, None)


def test_a_receiving_record_of_a_visit_still_to_come_is_no_arrival() -> None:
    (row,) = paired(sent(person_token="a"), arrival(person_token="a", received_on=None))
    assert row["link_code"] == "sent_not_arrived"
    assert row["receiving_enrollment_uid"] is not None


@pytest.mark.parametrize(
    "differs",
    [{"disease_code": "HIV"}, {"to_country_code": "LAO"}, {"received_on": -8}, {"received_on": 181}],
)
def test_what_cannot_be_one_episode_is_not_linked(differs: dict[str, Any]) -> None:
    rows = paired(sent(person_token="a"), arrival(person_token="a", **differs))
    assert len(rows) == 2


@pytest.mark.parametrize(
    "allowed", [{"received_on": -7}, {"received_on": 180}, {"disease_code": "_U"}, {"from_country_code": None}]
)
def test_what_can_be_one_episode_is_linked(allowed: dict[str, Any]) -> None:
    assert len(paired(sent(person_token="a"), arrival(person_token="a", **allowed))) == 1


def test_a_visit_dated_before_the_referral_gives_no_interval() -> None:
    (row,) = paired(sent(person_token="a"), arrival(person_token="a", received_on=-3))
    assert (row["link_code"], row["days_to_arrival"]) == ("linked", None)


def test_two_episodes_of_one_person_are_paired_by_date() -> None:
    first, second = sent(person_token="a", referred_on=0), sent(person_token="a", referred_on=90)
    late, early = arrival(person_token="a", received_on=97), arrival(person_token="a", received_on=4)
    pairs = {
        (row["sending_enrollment_uid"], row["receiving_enrollment_uid"]) for row in paired(first, second, late, early)
    }
    assert pairs == {
        (first["enrollment_uid"], early["enrollment_uid"]),
        (second["enrollment_uid"], late["enrollment_uid"]),
    }


def test_the_referral_date_that_the_patient_brought_beats_the_travel_time() -> None:
    first, second = sent(person_token="a", referred_on=0), sent(person_token="a", referred_on=20)
    visit = arrival(person_token="a", received_on=24, referred_on=0)
    rows = paired(first, second, visit)
    linked = next(row for row in rows if row["link_code"] == "linked")
    assert linked["sending_enrollment_uid"] == first["enrollment_uid"]


def test_a_second_registration_is_a_duplicate_and_the_first_visit_is_the_arrival() -> None:
    ours = sent(person_token="a")
    later = arrival(person_token="a", received_on=8, referred_on=0)
    earlier = arrival(person_token="a", received_on=3)
    rows = {row["link_code"]: row for row in paired(ours, later, earlier)}
    assert set(rows) == {"linked", "duplicate"}
    assert rows["linked"]["receiving_enrollment_uid"] == earlier["enrollment_uid"]
    assert rows["linked"]["days_to_arrival"] == 3
    assert rows["duplicate"]["receiving_enrollment_uid"] == later["enrollment_uid"]


def test_a_referral_written_twice_counts_once() -> None:
    rows = paired(sent(person_token="a"), sent(person_token="a", referred_on=2), arrival(person_token="a"))
    assert sorted(row["link_code"] for row in rows) == ["duplicate", "linked"]


def test_two_people_with_one_name_token_and_the_same_dates_are_not_decided() -> None:
    name = {"person_token": "a", "token_basis_code": "name_birth"}
    rows = paired(sent(**name), sent(**name), arrival(**name), arrival(**name))
    assert [row["link_code"] for row in rows] == ["ambiguous"] * 4
    assert sum(row["referred_on"] is not None for row in rows) == 2  # two were sent, and two are counted


def test_the_sender_owns_the_outcome_unless_it_has_none() -> None:
    (row,) = paired(
        sent(person_token="a", outcome_code="NOT_EVALUATED"),
        arrival(person_token="a", outcome_code="CURED", outcome_on=170),
    )
    assert (row["outcome_code"], row["outcome_on"]) == ("CURED", START + timedelta(days=170))
    both = [sent(person_token="b", outcome_code="DIED"), arrival(person_token="b", outcome_code="CURED")]
    (row,) = paired(*both)
    assert row["outcome_code"] == "DIED"
    records = pl.DataFrame(both, schema=SCHEMA, orient="row")
    found = outcome_disagreements(records, pair_referrals(records)).to_dicts()
    assert [(item["sending_outcome_code"], item["receiving_outcome_code"]) for item in found] == [("DIED", "CURED")]


def crowd(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """People with tokens on both sides: what the likelihoods are learned from, and whom the unsure are compared with."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        day = draw.randrange(0, 200)
        who = {
            "person_token": f"crowd{number}",
            "sex_code": draw.choice("FM"),
            "birth_year": draw.randrange(1940, 2010),
            "nationality_code": draw.choice(("VNM", "KHM")),
            "from_area_code": draw.choice(("VN34-91", "VN34-80")),
            "to_area_code": draw.choice(("KH-20", "KH-21")),
        }
        rows.append(sent(**who, referred_on=day))
        if draw.random() < 0.85:
            rows.append(arrival(**who, received_on=day + draw.randrange(0, 20), referred_on=day))
    return rows


PERSON = {"sex_code": "M", "birth_year": 1931, "nationality_code": "VNM", "from_area_code": "VN34-80"}


def test_without_a_common_token_likeness_links() -> None:
    ours = sent(person_token="card number", referred_on=50, **PERSON)
    theirs = arrival(person_token="name", token_basis_code="name_birth", received_on=53, referred_on=50, **PERSON)
    rows = paired(*crowd(150), ours, theirs)
    (row,) = [row for row in rows if row["sending_enrollment_uid"] == ours["enrollment_uid"]]
    assert (row["link_code"], row["receiving_enrollment_uid"]) == ("linked", theirs["enrollment_uid"])


def test_two_national_numbers_that_differ_are_two_people() -> None:
    ours = sent(person_token="one card", referred_on=50, **PERSON)
    theirs = arrival(person_token="another card", received_on=53, referred_on=50, **PERSON)
    rows = paired(*crowd(150), ours, theirs)
    (row,) = [row for row in rows if row["sending_enrollment_uid"] == ours["enrollment_uid"]]
    assert row["link_code"] == "sent_not_arrived"


def test_two_equally_likely_senders_make_an_arrival_ambiguous() -> None:
    ours = [sent(referred_on=50, **PERSON) for _ in range(2)]
    theirs = arrival(received_on=53, referred_on=50, **PERSON)
    rows = paired(*crowd(150), *ours, theirs)
    by_uid = {row["receiving_enrollment_uid"]: row for row in rows}
    assert by_uid[theirs["enrollment_uid"]]["link_code"] == "ambiguous"


def test_an_unlikely_pair_is_left_alone() -> None:
    ours = sent(referred_on=50, sex_code="M", birth_year=1931, nationality_code="VNM")
    theirs = arrival(received_on=160, sex_code="F", birth_year=1999, nationality_code="KHM")
    rows = paired(*crowd(150), ours, theirs)
    assert {row["link_code"] for row in rows if ours["enrollment_uid"] == row["sending_enrollment_uid"]} == {
        "sent_not_arrived"
    }
    assert {row["link_code"] for row in rows if theirs["enrollment_uid"] == row["receiving_enrollment_uid"]} == {
        "arrived_unannounced"
    }


def test_a_stray_second_record_of_a_linked_patient_is_a_duplicate() -> None:
    ours = sent(person_token="p", referred_on=50, **PERSON)
    known = arrival(person_token="p", received_on=53, referred_on=50, **PERSON)
    stray = arrival(received_on=55, referred_on=50, **PERSON)
    rows = {row["receiving_enrollment_uid"]: row for row in paired(*crowd(150), ours, known, stray)}
    assert rows[known["enrollment_uid"]]["link_code"] == "linked"
    assert rows[stray["enrollment_uid"]]["link_code"] == "duplicate"


def test_no_records_make_no_referrals() -> None:
    empty = pair_referrals(pl.DataFrame(schema=SCHEMA))
    assert empty.is_empty()
    assert dict(empty.schema) == REFERRAL_SCHEMA


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 25), blind=st.integers(0, 6))
def test_every_record_is_in_exactly_one_row_and_order_does_not_matter(seed: int, count: int, blind: int) -> None:
    draw = random.Random(seed)
    rows = crowd(count, seed)
    for place in draw.sample(range(len(rows)), min(blind, len(rows))):
        rows[place] = {**rows[place], "person_token": draw.choice([None, "shared"]), "token_basis_code": "name_birth"}
    found = paired(*rows)
    sides = [row["sending_enrollment_uid"] for row in found] + [row["receiving_enrollment_uid"] for row in found]
    assert sorted(uid for uid in sides if uid) == sorted(row["enrollment_uid"] for row in rows)
    assert len({row["referral_code"] for row in found}) == len(found)
    shuffled = rows[:]
    draw.shuffle(shuffled)
    assert paired(*shuffled) == found


def test_the_code_of_an_episode_stays_when_the_arrival_becomes_known() -> None:
    ours, theirs = sent(person_token="a"), arrival(person_token="a")
    (before,), (after,) = paired(ours), paired(ours, theirs)
    assert before["referral_code"] == after["referral_code"]
    assert (before["link_code"], after["link_code"]) == ("sent_not_arrived", "linked")


def test_time_to_arrival_is_censored_at_the_day_of_asking() -> None:
    records = [
        sent(person_token="a"),
        arrival(person_token="a", received_on=5),
        sent(person_token="b", referred_on=2),
        sent(person_token="c"),
        arrival(person_token="c", received_on=30),
        sent(person_token="d"),
        arrival(person_token="d", received_on=-2),
    ]
    frame = pair_referrals(pl.DataFrame(records, schema=SCHEMA, orient="row"))
    waits = time_to_arrival(frame, START + timedelta(days=20))
    assert sorted(waits.select("waited_days", "is_arrived").iter_rows()) == [(5, True), (18, False), (20, False)]


def test_link_quality_counts_right_made_and_true() -> None:
    ours, theirs = sent(person_token="a"), arrival(person_token="a")
    frame = pair_referrals(pl.DataFrame([ours, theirs], schema=SCHEMA, orient="row"))
    truth = [(ours["enrollment_uid"], theirs["enrollment_uid"]), ("missed", "pair")]
    quality = link_quality(frame, truth)
    assert (quality.precision, quality.recall) == (1.0, 0.5)
    assert link_quality(frame.clear(), []).precision is None
