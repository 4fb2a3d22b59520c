"""Landed tracker files read as staging rows: which line of an entity counts, and that a pull of any length passes in portions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.dhis2 import referral_records
from assets.dhis2.mapping import InstanceMapping
from assets.dhis2.referral_records import LISTING_MARK, LandedEntities, entity_parts, listing_frame, record_parts
from warehouse.landing import Receipt


def line(uid: str, updated: str, owner: str, *enrollments: str, deleted: bool = False) -> dict[str, Any]:
    """One landed entity, as `referral.landed_record` makes it."""
    sent = {
        "step": "sent", "org_unit": "Facility001", "status": "COMPLETED", "occurred_on": "2026-07-01", "scheduled_on": None,
        "updated_at": updated, "deleted": False, "values": {"disease": "TB"},
    }  # fmt: skip
    return {
        "tracked_entity": uid, "created_at": "2026-07-01T08:00:00.000", "updated_at": updated, "deleted": deleted, "token": None,
        "token_basis": None, "key_id": None, "birth_year": None, "owner": owner, "sex": None,
        "enrollments": [
            {"enrollment": one, "org_unit": "Facility001", "status": "ACTIVE", "enrolled_on": "2026-07-01", "updated_at": updated,
             "deleted": False, "events": [{**sent, "event": f"E{one}"[:11]}]}
            for one in enrollments
        ],
    }  # fmt: skip


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., LandedEntities]:
    def landed(*pages: list[dict[str, Any]]) -> LandedEntities:
        paths = []
        for number, page in enumerate(pages, start=1):
            paths.append(tmp_path / f"tracker-{number:06d}.jsonl")
            paths[-1].write_text("".join(json.dumps(one) + "\n" for one in page), encoding="utf-8")
        return LandedEntities(paths)

    return landed


OLD, NEW = "2026-07-02T08:00:00.000", "2026-07-03T08:00:00.000"


def test_rule_19_of_repeated_rows_the_newest_wins(
    land: Callable[..., LandedEntities], stub: InstanceMapping, full_pull: Receipt
) -> None:
    # Pages overlap when records are created while they are read: a, b and c stand twice, each with its newest elsewhere.
    entities = land(
        [line("a", OLD, "OwnerOld001", "Enrollmen0a"), line("b", NEW, "OwnerNew001", "Enrollmen0b")],
        [],
        [line("a", NEW, "OwnerNew001", "Enrollmen0a"), line("c", OLD, "OwnerOld001", "Enrollmen0c")],
        [line("b", OLD, "OwnerOld001"), line("c", OLD, "OwnerNew001", deleted=True), line("d", OLD, "OwnerNew001")],
    )
    (people,) = entity_parts(entities, full_pull, stub)
    told = {row["tracked_entity_uid"]: row for row in people.to_dicts()}
    assert people.height == len(told) == 4
    assert {uid: row["pointer"] for uid, row in told.items()} == {
        "a": "tracker-000003.jsonl#1",
        "b": "tracker-000001.jsonl#2",
        "c": "tracker-000004.jsonl#2",  # as new as the other, and received later
        "d": "tracker-000004.jsonl#3",
    }
    assert [told[uid]["enrollment_count"] for uid in "abcd"] == [1, 1, 0, 0]
    (records,) = record_parts(entities, full_pull, stub)
    assert set(records.select("enrollment_uid", "owner_org_unit_uid").iter_rows()) == {
        ("Enrollmen0a", "OwnerNew001"),
        ("Enrollmen0b", "OwnerNew001"),
    }
    listed = listing_frame(entities, full_pull, stub)
    assert set(listed["enrollment_uid"]) == {LISTING_MARK, "Enrollmen0a", "Enrollmen0b"}


def test_portions_say_the_same_as_the_whole(
    land: Callable[..., LandedEntities], stub: InstanceMapping, full_pull: Receipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [[line(f"p{page}{n}", OLD, "OwnerOld001", f"Enroll{page}{n:03d}x") for n in range(7)] for page in range(5)]
    entities = land(*pages)
    (whole,) = record_parts(entities, full_pull, stub)
    assert whole.height == 35
    listed = listing_frame(entities, full_pull, stub)
    monkeypatch.setattr(referral_records, "_PART_ROWS", 4)
    portions = record_parts(entities, full_pull, stub)
    for _ in range(2):  # each iteration reads anew
        parts = list(portions)
        assert max(part.height for part in parts) <= 4
        assert [row for part in parts for row in part.to_dicts()] == whole.to_dicts()
    assert listing_frame(entities, full_pull, stub).equals(listed)


def test_nothing_landed_is_one_empty_frame_and_an_empty_listing(
    land: Callable[..., LandedEntities], stub: InstanceMapping, full_pull: Receipt
) -> None:
    entities = land([])
    for parts in (entity_parts(entities, full_pull, stub), record_parts(entities, full_pull, stub)):
        (frame,) = parts
        assert frame.is_empty()
    assert listing_frame(entities, full_pull, stub)["enrollment_uid"].to_list() == [LISTING_MARK]
