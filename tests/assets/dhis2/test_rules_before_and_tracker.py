"""Rules 12-27 of the client: gates before a pull, and complete tracker lists. Each test is named by its rule."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from assets.dhis2 import tracker
from assets.dhis2.client import Dhis2Client
from assets.dhis2.errors import (
    AccessError,
    CompletenessError,
    ResponseShapeError,
    TooLargeError,
    UnsupportedServerError,
)
from assets.dhis2.extract import pull_instance
from assets.dhis2.mapping import InstanceMapping
from assets.dhis2.metadata import ServerFacts, require_scope, server_facts
from assets.dhis2.payload import stage_frames
from assets.dhis2.tracker import Listing, Position
from assets.dhis2.versions import DIALECTS, IGNORED_NAMES, choose_dialect
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Landing, Pull

VERSIONS = sorted(DIALECTS)
ROOT, PARTNER = "RootVnm0001", "RootKhm0001"
NOW = datetime(2026, 7, 6, tzinfo=UTC)
LISTING = Listing("trackedEntities", "Program0001", (ROOT, PARTNER), "trackedEntity", updated_before=NOW)


def uids_of(client: Dhis2Client, major: int, *, page_size: int = 4, listing: Listing = LISTING) -> list[str]:
    found = tracker.pages(client, DIALECTS[major], listing, Position(page_size=page_size))
    return [row["trackedEntity"] for page in found for row in page.rows]


@pytest.fixture
def world(stub_world: type) -> Callable[..., Any]:
    def make(major: int, count: int = 10) -> Any:
        made = stub_world(major)
        made.tick(days=-1)
        for _ in range(count):
            made.create()
            made.tick(minutes=1)
        made.now = NOW
        return made

    return make


# Before pulling -------------------------------------------------------------------------------------------------------


def test_rule_12_another_calendar_is_refused(facts: Callable[..., ServerFacts]) -> None:
    with pytest.raises(UnsupportedServerError, match="ethiopian"):
        facts(calendar="ethiopian")


@pytest.mark.parametrize(
    ("reported", "major", "warns"),
    [("2.40.12", 40, False), ("2.43.1", 43, False), ("2.39.4", 40, True), ("2.45.0", 44, True), ("soon", 44, True)],
)
def test_rule_12_versions_outside_the_known_ones_warn_and_are_recorded(
    facts: Callable[..., ServerFacts], reported: str, major: int, warns: bool
) -> None:
    found = facts(reported)
    assert (found.dialect.major, bool(found.warnings)) == (major, warns)
    assert found.for_receipt()["warnings"] == list(found.warnings)


def test_rule_12_system_info_comes_first(
    client: Dhis2Client,
    httpserver: HTTPServer,
    serve_metadata: Callable[..., None],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
) -> None:
    serve_metadata(capture=(ROOT,))
    with pytest.raises(AccessError):
        pull_instance(client, settings(), pull_factory, None, pseudonymiser)
    paths = [request.path for request, _ in httpserver.log]
    assert paths[:2] == ["/api/system/info", "/api/me"]
    assert not [path for path in paths if "tracker" in path or "dataValueSets" in path]


@pytest.mark.parametrize(
    ("capture", "search", "named"),
    [
        ((ROOT,), (ROOT, PARTNER), "capture"),
        ((ROOT, PARTNER), (ROOT,), "search"),
        ((ROOT, PARTNER), (), "search"),
    ],
)
def test_rule_13_a_root_out_of_scope_is_named(
    client: Dhis2Client,
    serve_metadata: Callable[..., None],
    settings: Callable[..., InstanceMapping],
    capture: tuple[str, ...],
    search: tuple[str, ...],
    named: str,
) -> None:
    serve_metadata(capture=capture, search=search)
    with pytest.raises(AccessError, match=f"{PARTNER} is not in the user's {named} scope"):
        require_scope(client, settings())


def test_rule_13_a_unit_above_the_root_covers_it(
    client: Dhis2Client, serve_metadata: Callable[..., None], settings: Callable[..., InstanceMapping]
) -> None:
    region = "RegionTop01"
    units = [
        {"id": ROOT, "name": "Viet Nam", "path": f"/{region}/{ROOT}"},
        {"id": PARTNER, "name": "Cambodia", "path": f"/{region}/{PARTNER}"},
    ]
    serve_metadata(capture=(region,), search=(region,), units=units)
    require_scope(client, settings())


def test_rule_13_a_root_that_cannot_be_read_is_named(
    client: Dhis2Client, serve_metadata: Callable[..., None], settings: Callable[..., InstanceMapping]
) -> None:
    serve_metadata(units=[{"id": ROOT, "name": "Viet Nam", "path": f"/{ROOT}"}])
    with pytest.raises(AccessError, match=f"{PARTNER} does not exist or cannot be read"):
        require_scope(client, settings())


def test_rule_14_receipts_carry_the_server_s_facts(
    client: Dhis2Client,
    httpserver: HTTPServer,
    serve_metadata: Callable[..., None],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
) -> None:
    serve_metadata()
    httpserver.expect_request("/api/tracker/trackedEntities").respond_with_json({"trackedEntities": [], "pager": {}})
    httpserver.expect_request("/api/dataValueSets.csv").respond_with_data("", content_type="application/csv")
    result = pull_instance(client, settings(), pull_factory, None, pseudonymiser)
    assert [receipt.kind_code for receipt in result.receipts] == ["metadata", "tracker", "data_values", "registrations"]
    for receipt in result.receipts:
        assert receipt.server_version == "2.42.5.2"
        assert receipt.server_at == "2026-07-05T22:00:00.000Z"
        assert receipt.parameters["server_zone"] == "Asia/Ho_Chi_Minh"
        assert receipt.parameters["system_id"] == "a-system-id"
        assert receipt.parameters["last_analytics_table_success"] == "2026-07-06T02:00:00.000"


# Tracker --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("major", VERSIONS)
@pytest.mark.parametrize("entity", ["trackedEntities", "enrollments", "events"])
def test_rule_15_no_name_is_sent_that_the_version_ignores(major: int, entity: Any) -> None:
    units = (ROOT,) if entity == "events" else (ROOT, PARTNER)
    listing = replace(LISTING, entity=entity, org_units=units, updated_after=NOW)
    names = {name for name, _ in tracker.parameters(DIALECTS[major], listing, Position())}
    assert not names & IGNORED_NAMES[major]


def test_rule_15_names_by_version_as_documented() -> None:
    def names(major: int) -> dict[str, str]:
        return dict(tracker.parameters(DIALECTS[major], LISTING, Position()))

    assert names(40)["orgUnit"] == f"{ROOT};{PARTNER}"
    assert names(40)["ouMode"] == "DESCENDANTS"
    for major in (41, 42, 43, 44):
        assert names(major)["orgUnits"] == f"{ROOT},{PARTNER}"
        assert names(major)["orgUnitMode"] == "DESCENDANTS"


@pytest.mark.parametrize(("major", "key"), [(40, "instances"), (41, "trackedEntities"), (42, "trackedEntities")])
def test_rule_16_the_list_is_found_under_either_name(client: Dhis2Client, major: int, key: str) -> None:
    assert tracker.rows_of({key: [{"a": 1}]}, "trackedEntities", DIALECTS[major], client) == [{"a": 1}]


@pytest.mark.parametrize("answer", [{}, {"events": []}, [], {"trackedEntities": None}])
def test_rule_16_an_answer_without_list_raises(client: Dhis2Client, answer: Any) -> None:
    with pytest.raises(ResponseShapeError, match="no list"):
        tracker.rows_of(answer, "trackedEntities", DIALECTS[42], client)


@pytest.mark.parametrize("major", VERSIONS)
@pytest.mark.parametrize("count", [0, 1, 4, 10, 12])
def test_rule_17_every_row_of_every_version(world: Callable[..., Any], major: int, count: int) -> None:
    made = world(major, count)
    assert sorted(uids_of(made.client(), major)) == sorted(made.entities)


@pytest.mark.parametrize("major", [42, 43, 44])
def test_rule_17_short_and_empty_pages_do_not_end_a_list(world: Callable[..., Any], major: int) -> None:
    made = world(major, 14)
    everybody = list(made.entities)
    made.hidden = set(everybody[1:3] + everybody[4:8])  # page 1 is short, page 2 is empty
    assert uids_of(made.client(), major) == [everybody[0], everybody[3], *everybody[8:]]


@pytest.mark.parametrize("major", [40, 41])
def test_rule_17_older_versions_stop_at_page_count(httpserver: HTTPServer, client: Dhis2Client, major: int) -> None:
    def page(number: int, rows: int) -> dict[str, Any]:
        return {"instances": [{"trackedEntity": f"p{number}r{row}"} for row in range(rows)], "pageCount": 3}

    for number, rows in ((1, 4), (2, 0), (3, 2)):
        httpserver.expect_ordered_request("/api/tracker/trackedEntities").respond_with_json(page(number, rows))
    assert uids_of(client, major) == ["p1r0", "p1r1", "p1r2", "p1r3", "p3r0", "p3r1"]
    assert [request.args["page"] for request, _ in httpserver.log] == ["1", "2", "3"]
    assert {request.args["totalPages"] for request, _ in httpserver.log} == {"true"}


@pytest.mark.parametrize("major", [40, 41])
def test_rule_17_older_versions_without_page_count_raise(
    httpserver: HTTPServer, client: Dhis2Client, major: int
) -> None:
    httpserver.expect_request("/api/tracker/trackedEntities").respond_with_json({"instances": [], "page": 1})
    with pytest.raises(ResponseShapeError, match="pageCount"):
        uids_of(client, major)


def test_rule_18_next_page_is_never_followed(world: Callable[..., Any]) -> None:
    made = world(42)  # its nextPage points to other.example, which nobody answers
    uids_of(made.client(), 42)
    assert [dict(query)["page"] for _, query in made.requests] == ["1", "2", "3"]


@pytest.mark.parametrize("major", VERSIONS)
def test_rule_19_order_and_upper_bound_are_fixed(world: Callable[..., Any], major: int) -> None:
    made = world(major)
    made.before_answer = lambda path, query: made.tick(minutes=3)
    uids_of(made.client(), major)
    assert {dict(query)["order"] for _, query in made.requests} == {"createdAt:asc"}
    assert {dict(query)["updatedBefore"] for _, query in made.requests} == {"2026-07-06T00:00:00.000Z"}
    assert len(made.requests) == 3


@pytest.mark.parametrize("major", VERSIONS)
def test_rule_19_edits_while_paging_lose_nothing(world: Callable[..., Any], major: int) -> None:
    """An edit moves a row past `updatedBefore`, so the rows behind it move up a page: the accident this client exists for."""
    made = world(major, 13)
    first, second, *_ = made.entities

    def meddle(path: str, query: dict[str, str]) -> None:
        made.tick(seconds=20)
        if len(made.requests) == 2:
            made.edit(first, "ElemOutcom1", "CURED")
            made.edit(second, "ElemOutcom1", "DIED")
            made.create()

    made.before_answer = meddle
    seen = uids_of(made.client(), major)
    assert set(seen) == set(made.entities)


@pytest.mark.parametrize("major", VERSIONS)
@pytest.mark.parametrize("restarts", [0, 1])
def test_rule_20_paging_is_never_switched_off(major: int, restarts: int) -> None:
    names = {name for name, _ in tracker.parameters(DIALECTS[major], LISTING, Position(restarts=restarts))}
    assert not names & {"paging", "skipPaging"}
    assert {"page", "pageSize"} <= names


@pytest.mark.parametrize("major", [40, 41])
def test_rule_21_fewer_rows_than_announced_raise_and_name_both(
    httpserver: HTTPServer, client: Dhis2Client, major: int
) -> None:
    body = {"instances": [{"trackedEntity": "a"}], "pageCount": 1, "total": 3}
    httpserver.expect_request("/api/tracker/trackedEntities").respond_with_json(body)
    with pytest.raises(CompletenessError, match="announced 3 rows and showed 1") as caught:
        uids_of(client, major)
    assert caught.value.is_retryable


def test_rule_21_where_short_pages_are_legal_the_shortfall_is_recorded(
    world: Callable[..., Any],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
) -> None:
    made = world(42, 9)
    made.hidden = set(list(made.entities)[:2])
    result = pull_instance(made.client(), settings(page_size=4), pull_factory, None, pseudonymiser)
    assert (result.counts["tracker"], result.counts["tracker_withheld"]) == (7, 2)


def test_rule_21_a_list_that_never_stops_shrinking_raises(world: Callable[..., Any]) -> None:
    made = world(42, 60)

    def purge(path: str, query: dict[str, str]) -> None:
        made.purge(next(iter(made.entities)))

    made.before_answer = purge
    with pytest.raises(CompletenessError, match="shrank"):
        uids_of(made.client(), 42)


@pytest.mark.parametrize("major", VERSIONS)
def test_rule_22_program_always_and_a_single_org_unit_on_events(major: int) -> None:
    for entity in ("enrollments", "events"):
        listing = replace(LISTING, entity=entity, org_units=(ROOT,))  # type: ignore[arg-type]
        found = dict(tracker.parameters(DIALECTS[major], listing, Position()))
        assert found["program"] == "Program0001"
        if entity == "events":
            assert found["orgUnit"] == ROOT
            assert "orgUnits" not in found
    with pytest.raises(ValueError, match="exactly one org unit"):
        tracker.parameters(DIALECTS[major], replace(LISTING, entity="events"), Position())


@pytest.mark.parametrize("major", VERSIONS)
def test_rule_23_wide_modes_never_travel_with_an_org_unit(major: int) -> None:
    found = tracker.parameters(DIALECTS[major], LISTING, Position())
    assert not [value for _, value in found if value in ("ALL", "ACCESSIBLE", "CAPTURE")]


@pytest.mark.parametrize("major", VERSIONS)
def test_rule_24_deletions_at_each_level_become_tombstones(
    world: Callable[..., Any],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
    landing: Landing,
    major: int,
) -> None:
    made = world(major, 3)
    person, emptied, kept = made.entities
    made.delete(person)
    made.delete_enrollment(emptied)
    made.tick(minutes=1)
    mapping = settings()
    result = pull_instance(made.client(), mapping, pull_factory, None, pseudonymiser)
    assert {dict(query).get("includeDeleted") for path, query in made.requests if "tracker" in path} == {"true"}
    staged = stage_frames(result.receipts, landing, mapping)
    entities = {row["tracked_entity_uid"]: row for row in staged.frame("staging.tracked_entity").to_dicts()}
    assert entities[person]["is_deleted"]
    assert not entities[emptied]["is_deleted"]
    assert (entities[emptied]["enrollment_count"], entities[kept]["enrollment_count"]) == (0, 1)
    assert staged.frame("staging.referral_record")["tracked_entity_uid"].to_list() == [kept]


def test_rule_24_a_deleted_event_has_no_say(
    world: Callable[..., Any], settings: Callable[..., InstanceMapping], pseudonymiser: Pseudonymiser
) -> None:
    from assets.dhis2.referral import landed_record
    from assets.dhis2.referral_records import record_of

    made = world(42, 1)
    entity = made.entity(next(iter(made.entities)))
    gone = {
        "event": "EventGone01",
        "programStage": "StageOutc01",
        "orgUnit": "Facility001",
        "status": "COMPLETED",
        "deleted": True,
        "occurredAt": "2026-07-02T00:00:00.000",
        "dataValues": [{"dataElement": "ElemOutcom1", "value": "DIED"}],
    }
    entity["enrollments"][0]["events"].append(gone)
    referral = settings().referral
    assert referral is not None
    landed = landed_record(entity, referral, pseudonymiser)
    record = record_of(landed, landed["enrollments"][0], referral)
    assert record["outcome_code"] is None
    assert record["rejections"] == []


def test_rule_25_a_reconciliation_lists_every_uid(
    world: Callable[..., Any],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
    landing: Landing,
) -> None:
    made = world(42, 6)
    mapping = settings()
    first = pull_instance(made.client(), mapping, pull_factory, None, pseudonymiser)
    gone = next(iter(made.entities))
    made.purge(gone)
    made.tick(days=7)
    second = pull_instance(made.client(), mapping, pull_factory, first.watermark, pseudonymiser, reconcile=True)
    staged = stage_frames(second.receipts, landing, mapping)
    assert second.mode == "incremental"
    assert staged.frame("staging.tracked_entity").is_empty()
    listed = set(staged.frame("staging.referral_listing")["tracked_entity_uid"]) - {"_LISTING"}
    assert listed == set(made.entities)
    assert gone not in listed
    # Only a reconciliation and a full pull claim to be complete.
    made.tick(days=7)
    third = pull_instance(made.client(), mapping, pull_factory, second.watermark, pseudonymiser)
    assert stage_frames(third.receipts, landing, mapping).frame("staging.referral_listing").is_empty()


def test_rule_26_a_data_value_that_is_gone_is_not_kept(
    world: Callable[..., Any],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
    landing: Landing,
) -> None:
    made = world(42, 1)
    uid = next(iter(made.entities))
    made.edit(uid, "ElemTreatm1", "2026-06-30")
    made.tick(minutes=1)
    mapping = settings()
    first = pull_instance(made.client(), mapping, pull_factory, None, pseudonymiser)
    before = stage_frames(first.receipts, landing, mapping).frame("staging.referral_record")
    assert before["treatment_started_on"].to_list() == [datetime(2026, 6, 30).date()]
    made.tick(days=1)
    made.edit(uid, "ElemTreatm1", None)
    made.tick(minutes=1)
    second = pull_instance(made.client(), mapping, pull_factory, first.watermark, pseudonymiser)
    after = stage_frames(second.receipts, landing, mapping).frame("staging.referral_record")
    assert after["treatment_started_on"].to_list() == [None]


def test_rule_27_changes_are_asked_of_tracked_entities_with_overlap(
    world: Callable[..., Any],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
) -> None:
    made = world(42, 2)
    mapping = settings(overlap_hours=6)
    first = pull_instance(made.client(), mapping, pull_factory, None, pseudonymiser)
    made.requests.clear()
    made.tick(days=7)
    pull_instance(made.client(), mapping, pull_factory, first.watermark, pseudonymiser)
    asked = [dict(query) for path, query in made.requests if path.startswith("tracker/")]
    assert {path for path, _ in made.requests if path.startswith("tracker/")} == {"tracker/trackedEntities"}
    assert {query["updatedAfter"] for query in asked} == {"2026-07-05T18:00:00.000Z"}


@pytest.mark.parametrize("major", VERSIONS)
def test_rule_07_a_tracker_export_over_budget_is_halved(
    world: Callable[..., Any], refused: type[Exception], major: int
) -> None:
    made = world(major, 11)

    def budget(path: str, query: dict[str, str]) -> None:
        if int(query["pageSize"]) > 2:
            raise refused(504, {"status": "ERROR", "httpStatusCode": 504, "message": "exceeded its time budget of 60s"})

    made.before_answer = budget
    assert sorted(uids_of(made.client(), major, page_size=8)) == sorted(made.entities)
    assert [dict(query)["pageSize"] for _, query in made.requests[:3]] == ["8", "4", "2"]


def test_rule_07_a_single_row_over_budget_raises(world: Callable[..., Any], refused: type[Exception]) -> None:
    made = world(44, 3)

    def budget(path: str, query: dict[str, str]) -> None:
        raise refused(504, {"status": "ERROR", "httpStatusCode": 504, "message": "exceeded its time budget of 60s"})

    made.before_answer = budget
    with pytest.raises(TooLargeError):
        uids_of(made.client(), 44)
    assert dict(made.requests[-1][1])["pageSize"] == "1"


def test_halving_in_mid_list_goes_on_where_it_was(world: Callable[..., Any], refused: type[Exception]) -> None:
    made = world(42, 21)

    def budget(path: str, query: dict[str, str]) -> None:
        if len(made.requests) == 2:
            raise refused(504, {"status": "ERROR", "httpStatusCode": 504, "message": "exceeded its time budget of 60s"})

    made.before_answer = budget
    assert uids_of(made.client(), 42, page_size=8) == list(made.entities)


def test_page_sizes_are_powers_of_two() -> None:
    assert [tracker.page_size_at_most(wanted) for wanted in (1, 2, 3, 500, 512, 50_000)] == [1, 2, 2, 256, 512, 32768]


def test_a_server_time_without_zone_is_named(facts: Callable[..., ServerFacts]) -> None:
    with pytest.raises(UnsupportedServerError, match="Mars"):
        facts(serverTimeZoneId="Mars/Olympus")


def test_facts_without_version_are_no_dhis2(httpserver: HTTPServer, client: Dhis2Client) -> None:
    httpserver.expect_request("/api/system/info").respond_with_json({"serverDate": "2026-07-06T05:00:00.000"})
    with pytest.raises(ResponseShapeError):
        server_facts(client)


def test_version_texts() -> None:
    assert choose_dialect("2.42-SNAPSHOT").dialect.major == 42
    assert choose_dialect("43.1").dialect.major == 43
