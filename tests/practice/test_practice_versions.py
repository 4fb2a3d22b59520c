"""What each version of the Web API answers: the sections of the project's notes, one fact each.

Numbers of quirks are those of section 17. "Section" in a test's first line names where the fact stands there; "Source" where
it is known from: core, docs and releases are DHIS2's repositories dhis2-core, dhis2-docs and dhis2-releases.
"""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from practice.dhis2.instance import Limits
from practice.dhis2.periods import read_period
from practice.world import definitions, geography

Play = Callable[..., Any]
VERSIONS = ("2.40", "2.41", "2.42", "2.43", "2.44")
SINCE_41, SINCE_42, SINCE_43 = VERSIONS[1:], VERSIONS[2:], VERSIONS[3:]
PROGRAM = definitions.referral_program("vnm")
ROOTS = [u.uid for u in geography.org_units("vnm") if u.placements[0].parent_uid is None]
TB = definitions.data_sets("vnm")["TB_MONTHLY"]
MALARIA = definitions.data_sets("vnm")["MAL_BORDER"]
LISTS = ("trackedEntities", "enrollments", "events")


def tracker(kind: str, version: str, **parameters: object) -> dict[str, object]:
    """Parameters that name all records of the program in the way of the version."""
    unit: dict[str, object]
    if version == "2.40":
        unit = {"orgUnit": ";".join(ROOTS), "ouMode": "DESCENDANTS"}
    elif kind == "events":
        unit = {"orgUnit": ROOTS[0], "orgUnitMode": "DESCENDANTS"}
    else:
        unit = {"orgUnits": ",".join(ROOTS), "orgUnitMode": "DESCENDANTS"}
    return {"program": PROGRAM.uid, **unit, **parameters}


def rows_of(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body["instances"] if "instances" in body else body[kind]
    return found


# -- lists, pagers, parameters (section 9) ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_1_list_key_and_pager(play: Play, version: str, kind: str) -> None:
    """Section 9.1: key and pager by version; 2.41 has both pagers.

    Source: core: PagingWrapper.java @2.40.12, view/Page.java @2.41.9.1, @2.42.5.2, @2.43.1; docs: web-api/tracker.md 2.40
    to 2.43.
    """
    body = play(version).get(f"/api/tracker/{kind}", **tracker(kind, version, totalPages=True, pageSize=10)).json()
    assert body.keys() & {"instances", *LISTS} == {"instances" if version == "2.40" else kind}
    flat = {"page", "pageSize", "total", "pageCount"}
    if version == "2.40":
        assert "pager" not in body
        assert flat <= body.keys()
    elif version == "2.41":
        assert flat <= body.keys()
        assert flat == body["pager"].keys()
    else:
        assert not flat & body.keys()
        assert flat | {"nextPage"} == body["pager"].keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_2_next_page_cannot_be_followed(play: Play, version: str) -> None:
    """Section 9.3: nextPage means one more row exists; its host is what the server believes about itself.

    Source: core: view/Page.java @2.42.5.2, @2.43.1; a captured response of 2.42 or later.
    """
    server = play(version, "no-export-budget")
    pages = [
        server.get("/api/tracker/events", **tracker("events", version, pageSize=1400, page=page)).json()
        for page in (1, 2, 3)
    ]
    marks = ["nextPage" in page.get("pager", {}) for page in pages]
    assert marks == ([True, True, False] if version in SINCE_42 else [False] * 3)
    if version in SINCE_42:
        assert pages[0]["pager"]["nextPage"].startswith("http://dhis2.internal:8080/")
        assert "prevPage" not in pages[0]["pager"]
        assert "prevPage" in pages[1]["pager"]


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_3_skip_paging_is_ignored_since_2_42(play: Play, version: str) -> None:
    """Section 9.2: skipPaging=true returns one page of 50 there, everything before.

    Source: core: RequestParamsValidator.java @2.42.5.2 (skipPaging occurs nowhere in tracker export @2.42.5.2, @2.43.1).
    """
    body = play(version).get("/api/tracker/events", **tracker("events", version, skipPaging=True)).json()
    found = len(rows_of(body, "events"))
    assert found == 50 if version in SINCE_42 else found > 1_000


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_3_ou_mode_is_ignored_since_2_42(play: Play, version: str) -> None:
    """Section 9.2: ouMode=DESCENDANTS with a unit then means SELECTED, and a country root itself has no events.

    Source: core: *RequestParams.java @2.42.5.2, @2.43.1 (no ouMode in tracker export); a captured response of 2.42.
    """
    asked = {"program": PROGRAM.uid, "orgUnit": ROOTS[0], "ouMode": "DESCENDANTS"}
    found = rows_of(play(version).get("/api/tracker/events", **asked).json(), "events")
    assert (len(found) == 0) == (version in SINCE_42)


@pytest.mark.parametrize("version", SINCE_41)
def test_paging_false_switches_paging_off(play: Play, version: str) -> None:
    """Section 9.1: then there is the list alone, without a pager.

    Source: docs: web-api/tracker.md 2.41, 2.42; core: view/Page.java @2.42.5.2.
    """
    body = (
        play(version, "no-export-budget")
        .get("/api/tracker/enrollments", **tracker("enrollments", version, paging=False))
        .json()
    )
    assert body.keys() == {"enrollments"}
    assert len(body["enrollments"]) > 500


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_4_paging_false_with_page_is_400_since_2_42(play: Play, version: str) -> None:
    """Section 9.1.

    Source: core: RequestParamsValidator.java @2.42.5.2.
    """
    asked = play(version).get("/api/tracker/events", **tracker("events", version, paging=False, page=1))
    assert asked.status == (400 if version in SINCE_42 else 200)


@pytest.mark.parametrize("mode", ["ALL", "ACCESSIBLE", "CAPTURE"])
@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_4_scope_modes_do_not_go_with_a_unit(play: Play, version: str, mode: str) -> None:
    """Section 9.1: tolerated on 2.40, 400 later.

    Source: core: RequestParamsValidator.java @2.42.5.2; docs: web-api/tracker.md 2.41.
    """
    name = "ouMode" if version == "2.40" else "orgUnitMode"
    asked = play(version).get("/api/tracker/events", program=PROGRAM.uid, orgUnit=ROOTS[0], **{name: mode})
    assert asked.status == (200 if version == "2.40" else 400)


@pytest.mark.parametrize("kind", ["enrollments", "events"])
@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_4_program_is_mandatory_since_2_43(play: Play, version: str, kind: str) -> None:
    """Section 9.1.

    Source: releases: 2.43 README.md; docs: web-api/tracker.md 2.43.
    """
    parameters = tracker(kind, version)
    del parameters["program"]
    assert play(version).get(f"/api/tracker/{kind}", **parameters).status == (400 if version in SINCE_43 else 200)


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_4_page_size_above_the_limit_is_400_since_2_42(play: Play, version: str) -> None:
    """Section 9.3: KeyTrackedEntityMaxLimit, 50 000 by default.

    Source: core: RequestParamsValidator.java @2.42.5.2 (KeyTrackedEntityMaxLimit).
    """
    server = play(version)
    assert server.get("/api/tracker/events", **tracker("events", version, pageSize=50_001)).status == (
        400 if version in SINCE_42 else 200
    )


def test_units_are_named_in_the_way_of_the_version(play: Play) -> None:
    """Section 9.1: orgUnit with semicolons on 2.40, orgUnits with commas later, orgUnit singular for events always.

    Source: docs: web-api/tracker.md 2.40 to 2.43; releases: 2.41 README.md.
    """
    assert rows_of(play("2.40").get("/api/tracker/enrollments", **tracker("enrollments", "2.40")).json(), "enrollments")
    later = play("2.42")
    parameters = tracker("enrollments", "2.42")
    parameters["orgUnit"] = parameters.pop("orgUnits")
    # The old name is not read: a mode that needs a unit then has none.
    assert later.get("/api/tracker/enrollments", **parameters).status == 400
    assert (
        later.get("/api/tracker/events", program=PROGRAM.uid, orgUnits=ROOTS[0], orgUnitMode="DESCENDANTS").status
        == 400
    )


def test_without_unit_and_mode(play: Play) -> None:
    """Section 9.1: an error on 2.40, everything accessible later.

    Source: docs: web-api/tracker.md 2.40, 2.41.
    """
    assert play("2.40").get("/api/tracker/events", program=PROGRAM.uid).status == 409
    assert len(rows_of(play("2.41").get("/api/tracker/events", program=PROGRAM.uid).json(), "events")) == 50


@pytest.mark.parametrize("name", ["trackedEntityInstances", "enrollments", "events"])
@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_5_old_endpoints(play: Play, version: str, name: str) -> None:
    """Section 9.1: alive on 2.40 and 2.41, gone since 2.42.

    Source: releases: 2.41 README.md (deprecated), 2.42 README.md (removed).
    """
    asked = play(version).get(f"/api/{name}", ou=ROOTS[0])
    assert asked.status == (404 if version in SINCE_42 else 200)
    assert asked.status == 404 or len(asked.json()[name]) == 50


@pytest.mark.parametrize("version", VERSIONS)
def test_follow_up_is_spelt_by_version(play: Play, version: str) -> None:
    """Section 9.1.

    Source: docs: web-api/tracker.md 2.40 to 2.43.
    """
    event = rows_of(play(version).get("/api/tracker/events", **tracker("events", version)).json(), "events")[0]
    assert {"followup", "followUp"} & event.keys() == {
        "2.40": {"followup"}, "2.41": {"followup", "followUp"}, "2.42": {"followup", "followUp"},
    }.get(version, {"followUp"})  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_8_stored_by_goes_with_2_44(play: Play, version: str) -> None:
    """Section 9.1: createdBy stays.

    Source: releases: 2.44 README.md.
    """
    body = (
        play(version)
        .get("/api/tracker/trackedEntities", **tracker("trackedEntities", version, fields="*,enrollments[*,events[*]]"))
        .json()
    )
    entity = next(te for te in rows_of(body, "trackedEntities") if te["enrollments"] and te["enrollments"][0]["events"])
    event = entity["enrollments"][0]["events"][0]
    parts = [entity, entity["attributes"][0], entity["enrollments"][0], event, event["dataValues"][0]]
    assert {("storedBy" in part) for part in parts} == {version != "2.44"}
    assert "createdBy" in entity


def test_quirk_8_export_budget_of_2_44(play: Play) -> None:
    """Section 2.4: 504 with JSON once a request is too large, so repeating it is useless.

    Source: docs: PR #1795; core: PR #24970, PR #25175 (tracker.export.timeout).
    """
    server = play("2.44", limits=Limits(export_budget_rows=100))
    refused = server.get("/api/tracker/events", **tracker("events", "2.44", pageSize=101))
    assert (refused.status, refused.json()["status"]) == (504, "ERROR")
    assert "time budget" in refused.json()["message"]
    assert server.get("/api/tracker/events", **tracker("events", "2.44", pageSize=100)).status == 200


@pytest.mark.parametrize(("version", "status"), [("2.40", 409), ("2.41", 400), ("2.42", 400), ("2.43", 400)])
def test_quirk_10_statuses(play: Play, version: str, status: int) -> None:
    """Section 5: 400 since 2.41 where 2.40 says 409.

    Source: core: CrudControllerAdvice.java @2.42.5.2; docs: web-api/tracker.md 2.40, 2.41.
    """
    asked = play(version).get(
        "/api/tracker/trackedEntities",
        **tracker("trackedEntities", version, updatedAfter="2026-01-01", updatedWithin="P1D"),
    )
    assert asked.status == status
    assert asked.json()["httpStatusCode"] == status


@pytest.mark.parametrize(("version", "status"), [("2.40", 409), ("2.41", 403), ("2.42", 403)])
def test_quirk_10_a_unit_out_of_reach(play: Play, version: str, status: int) -> None:
    """Section 5: 403 since 2.41.

    Source: docs: web-api/tracker.md 2.40, 2.41; core: CrudControllerAdvice.java @2.42.5.2.
    """
    server = play(version, "missing-root")
    assert server.get("/api/tracker/trackedEntities", **tracker("trackedEntities", version)).status == status


# -- paging and change ------------------------------------------------------------------------------------------------


def all_pages(server: Any, kind: str, version: str, **parameters: object) -> list[list[str]]:
    pages: list[list[str]] = []
    identifier = {"trackedEntities": "trackedEntity", "enrollments": "enrollment", "events": "event"}[kind]
    while True:
        body = server.get(
            f"/api/tracker/{kind}", **tracker(kind, version, page=len(pages) + 1, totalPages=True, **parameters)
        ).json()
        pages.append([row[identifier] for row in rows_of(body, kind)])
        pager = body.get("pager", body)
        if ("nextPage" not in pager) if version in SINCE_42 else (pager["page"] >= pager["pageCount"]):
            return pages


@pytest.mark.parametrize("kind", ["trackedEntities", "enrollments"])
@pytest.mark.parametrize("version", SINCE_42)
def test_quirk_12_short_and_empty_pages_lose_nothing(play: Play, version: str, kind: str) -> None:
    """Section 9.3: rows are dropped after the query, so pages fall short although there is a next one.

    Source: core: withFilteredItems in the tracked entity and enrollment services @2.42.5.2, @2.43.1.
    """
    wanted = {u for page in all_pages(play(version, "no-short-pages"), kind, version, pageSize=150) for u in page}
    pages = all_pages(play(version), kind, version, pageSize=150)
    assert pages[1] == []
    assert any(0 < len(page) < 150 for page in pages[:-1])
    found = [u for page in pages for u in page]
    assert len(found) == len(set(found))
    assert set(found) == wanted


@pytest.mark.parametrize("version", ["2.40", "2.41", "2.42"])
def test_pages_partition_the_list(play: Play, version: str) -> None:
    """Section 9.3: on an unmoving server with an order the pages are the list.

    Source: core: JdbcEventStore, HibernateEnrollmentStore, HibernateTrackedEntityStore (tie-breaker `id desc`).
    """
    pages = all_pages(play(version), "events", version, pageSize=700, order="createdAt:asc")
    found = [u for page in pages for u in page]
    assert len(found) == len(set(found))
    assert len(pages) == -(-len(found) // 700)


def test_quirk_13_rows_move_between_two_pages(play: Play) -> None:
    """Section 9.3: newest first by default, so rows created while paging push others onto the next page.

    Source: core: JdbcEventStore, HibernateEnrollmentStore, HibernateTrackedEntityStore (default order id descending).
    """
    server = play("2.42", "moving-pages")
    found = [u for page in all_pages(server, "events", "2.42", pageSize=700) for u in page]
    assert len(found) > len(set(found))


def test_quirk_14_deletion_is_soft_until_purged(play: Play) -> None:
    """Section 9.5: marked at every level with includeDeleted, gone after the purge.

    Source: docs: web-api/tracker.md (includeDeleted; softDeleted*Removal of the maintenance).
    """

    def deleted(server: Any, **parameters: object) -> tuple[int, int, int]:
        fields = "deleted,enrollments[deleted,events[deleted]]"
        asked = tracker("trackedEntities", "2.42", paging=False, fields=fields, **parameters)
        entities = server.get("/api/tracker/trackedEntities", **asked).json()["trackedEntities"]
        enrollments = [en for te in entities for en in te["enrollments"]]
        events = [e for en in enrollments for e in en["events"]]
        return tuple(sum(row["deleted"] for row in rows) for rows in (entities, enrollments, events))  # type: ignore[return-value]

    assert deleted(play("2.42")) == (0, 0, 0)
    assert min(deleted(play("2.42"), includeDeleted=True)) > 0
    assert deleted(play("2.42", "purged"), includeDeleted=True)[0] == 0


def test_quirk_15_values_vanish_from_events(play: Play) -> None:
    """Section 9.5: nothing marks the place.

    Source: docs: web-api/tracker.md 2.42 (changeLogs).
    """

    def values(*quirks: str) -> dict[str, int]:
        rows = (
            play("2.42", *quirks)
            .get("/api/tracker/events", **tracker("events", "2.42", paging=False, fields="event,dataValues"))
            .json()["events"]
        )
        return {row["event"]: len(row["dataValues"]) for row in rows}

    before, after = values(), values("values-removed")
    fewer = [u for u in before if after[u] == before[u] - 1]
    assert len(before) / 20 < len(fewer) < len(before) / 5


def test_quirk_17_ownership_moves(play: Play) -> None:
    """Section 18.3: visible as programOwners; the record's own unit stays.

    Source: docs: web-api/tracker.md (ownership/transfer, programOwners).
    """

    def owners(*quirks: str) -> dict[str, tuple[str, str]]:
        body = (
            play("2.42", *quirks)
            .get(
                "/api/tracker/trackedEntities",
                **tracker("trackedEntities", "2.42", paging=False, fields="trackedEntity,orgUnit,programOwners"),
            )
            .json()
        )
        return {
            te["trackedEntity"]: (te["orgUnit"], te["programOwners"][0]["orgUnit"]) for te in body["trackedEntities"]
        }

    before, after = owners(), owners("ownership-moved")
    moved = [u for u in before.keys() & after.keys() if before[u] != after[u]]
    assert moved
    assert all(before[u][0] == after[u][0] for u in moved)


def test_quirk_18_default_page_and_fields(play: Play) -> None:
    """Section 9.4: 50 rows; entities without enrollments and owners, enrollments without events and attributes.

    Source: docs: web-api/tracker.md (page size, defaults of fields).
    """
    server = play("2.42")
    entity = server.get("/api/tracker/trackedEntities", **tracker("trackedEntities", "2.42")).json()["trackedEntities"]
    assert len(entity) == 50
    assert not {"enrollments", "relationships", "programOwners"} & entity[0].keys()
    assert "attributes" in entity[0]
    enrollment = server.get("/api/tracker/enrollments", **tracker("enrollments", "2.42")).json()["enrollments"][0]
    assert not {"events", "attributes", "relationships"} & enrollment.keys()
    event = server.get("/api/tracker/events", **tracker("events", "2.42")).json()["events"][0]
    assert "dataValues" in event
    assert "relationships" not in event


def test_updated_after_and_before_use_the_server_zone(play: Play) -> None:
    """Section 4: without offset a time is the server's, with Z or +0000 it is UTC.

    Source: core: SUPPORTED_DATE_TIME_FORMAT_PARSERS, WriteInstantStdSerializer.java.
    """
    server = play("2.42")
    cut = datetime(2026, 6, 15, 2, 0, tzinfo=UTC)
    spellings = (
        cut.astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).strftime("%Y-%m-%dT%H:%M:%S"), cut.strftime("%Y-%m-%dT%H:%M:%SZ"),
        cut.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
    )  # fmt: skip
    counts = {
        len(
            server.get(
                "/api/tracker/trackedEntities", **tracker("trackedEntities", "2.42", paging=False, updatedAfter=text)
            ).json()["trackedEntities"]
        )
        for text in spellings
    }
    assert len(counts) == 1
    after = counts.pop()
    before = len(
        server.get(
            "/api/tracker/trackedEntities",
            **tracker("trackedEntities", "2.42", paging=False, updatedBefore=spellings[1]),
        ).json()["trackedEntities"]
    )
    everything = len(
        server.get("/api/tracker/trackedEntities", **tracker("trackedEntities", "2.42", paging=False)).json()[
            "trackedEntities"
        ]
    )
    assert after > 0
    assert after + before == everything


def test_option_codes_multi_text_and_true_only(play: Play) -> None:
    """Section 9.4: option codes of the server, comma-separated MULTI_TEXT, "true" or absent, everything a string.

    Source: docs: web-api/tracker.md (values).
    """
    rows = play("2.42").get("/api/tracker/events", **tracker("events", "2.42", paging=False)).json()["events"]
    names = {e.uid: e.concept for s in PROGRAM.stages for e in s.elements}
    seen: dict[str, set[str]] = {}
    for row in rows:
        for value in row["dataValues"]:
            assert isinstance(value["value"], str)
            seen.setdefault(names[value["dataElement"]], set()).add(value["value"])
    assert seen["disease"] == {"TB", "HIV", "MALARIA"}
    assert "COUGH,FEVER" in seen["symptoms"]
    assert seen["needs_interpreter"] == {"true"}
    khm = play("2.42", server="khm").get(
        "/api/tracker/trackedEntities", program=definitions.referral_program("khm").uid, paging=False
    )
    sex = {a["value"] for te in khm.json()["trackedEntities"] for a in te["attributes"] if a["code"] == "PATINFO_SEX"}
    assert sex == {"1", "2", "9"}


# -- time (section 4) -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quirk", ["", "utc-zone", "summer-time-zone"])
def test_quirk_29_one_instant_in_three_conventions(play: Play, quirk: str) -> None:
    """Section 4: tracker JSON is local without offset, tracker CSV is UTC; date-only fields move in the CSV.

    Source: docs: web-api/tracker.md 2.42 (the same TE as JSON and CSV, two hours apart); core:
    WriteInstantStdSerializer.java, DateUtils toLongGmtDate.
    """
    server = play("2.42", *([quirk] if quirk else []))
    info = server.get("/api/system/info").json()
    zone = ZoneInfo(info["serverTimeZoneId"])
    parameters = tracker("events", "2.42", pageSize=40, order="createdAt:asc")
    as_json = {row["event"]: row for row in server.get("/api/tracker/events", **parameters).json()["events"]}
    as_csv = list(csv.DictReader(io.StringIO(server.get("/api/tracker/events.csv", **parameters).text)))
    assert as_csv
    for row in as_csv:
        told = as_json[row["event"]]
        assert not told["createdAt"].endswith("Z")
        local = datetime.fromisoformat(told["createdAt"]).replace(tzinfo=zone)
        assert local == datetime.fromisoformat(row["createdAt"])
        if row["occurredAt"]:
            midnight = datetime.fromisoformat(row["occurredAt"]).astimezone(zone)
            assert midnight.strftime("%Y-%m-%dT%H:%M:%S.000") == told["occurredAt"]
    values = server.get("/api/dataValueSets", dataSet=TB.uid, period="202601", orgUnit=ROOTS[0], children=True).json()[
        "dataValues"
    ]
    assert all(value["lastUpdated"].endswith("+0000") for value in values)


@pytest.mark.parametrize(("quirk", "hours"), [("clock-ahead", 7), ("clock-behind", -7)])
def test_quirk_31_a_skewed_clock_is_consistent_with_itself(play: Play, quirk: str, hours: int) -> None:
    """Section 4: the watermark is the server's clock, whatever it shows.

    Source: core: SystemInfo.java @2.42.5.2 (serverDate).
    """
    straight, skewed = play("2.42"), play("2.42", quirk)
    times = [datetime.fromisoformat(s.get("/api/system/info").json()["serverDate"]) for s in (straight, skewed)]
    assert times[1] - times[0] == timedelta(hours=hours)
    first = [
        s.get("/api/tracker/events", **tracker("events", "2.42", order="createdAt:asc")).json()["events"][0]
        for s in (straight, skewed)
    ]
    assert first[0]["event"] == first[1]["event"]
    created = [datetime.fromisoformat(row["createdAt"]) for row in first]
    assert created[1] - created[0] == timedelta(hours=hours)
    counts = []
    for server, at in zip((straight, skewed), times, strict=True):
        asked = tracker("trackedEntities", "2.42", paging=False, updatedAfter=(at - timedelta(days=7)).isoformat())
        counts.append(len(server.get("/api/tracker/trackedEntities", **asked).json()["trackedEntities"]))
    assert counts[0] == counts[1] > 0


def test_tracker_csv_ignores_fields_and_knows_no_enrollments(play: Play) -> None:
    """Section 9.4.

    Source: docs: web-api/tracker.md 2.42 (CSV).
    """
    server = play("2.42")
    asked = server.get("/api/tracker/trackedEntities", sent={"authorization": "ApiToken practice-token", "accept": "text/csv"},
                       **tracker("trackedEntities", "2.42", fields="trackedEntity"))  # fmt: skip
    assert "attribute" in asked.text.splitlines()[0]
    assert server.get("/api/tracker/enrollments.csv", **tracker("enrollments", "2.42")).status == 406


# -- data value sets (section 7) --------------------------------------------------------------------------------------


def values_of(server: Any, **parameters: object) -> dict[str, Any]:
    body: dict[str, Any] = server.get("/api/dataValueSets", **{"dataSet": TB.uid, **parameters}).json()
    return body


FACILITY = next(f.uid for f in geography.reporting_facilities("vnm") if f.code == "VN-79-F1")


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_6_keys_are_hoisted_since_2_43(play: Play, version: str) -> None:
    """Section 7.2: absent from every row when exactly one was asked for; completeDate is gone.

    Source: core: SpringDataValueSetStore @2.42.5.2; DefaultDataExportService, DataExportOutput @2.43.1.
    """
    server = play(version)
    period = next(
        r.period
        for r in server.instance.state().registrations
        if r.org_unit == FACILITY and r.data_set == TB.uid and r.is_completed
    )
    body = values_of(server, period=period, orgUnit=FACILITY)
    row = body["dataValues"][0]
    assert body["period"] == period
    assert body["orgUnit"] == FACILITY
    assert ("completeDate" in body) == (version not in SINCE_43)
    assert ({"period", "orgUnit"} <= row.keys()) == (version not in SINCE_43)
    below = values_of(server, period=period, orgUnit=ROOTS[0], children=True)["dataValues"][0]
    assert "orgUnit" in below
    assert ("period" in below) == (version not in SINCE_43)
    ranged = values_of(
        server, startDate="2025-01-01", endDate="2025-12-31", orgUnit=FACILITY, attributeOptionCombo="HllvX50cXC0"
    )
    assert ("attributeOptionCombo" in ranged["dataValues"][0]) == (version not in SINCE_43)
    assert "period" in ranged["dataValues"][0]


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_7_last_updated_alone_is_refused_by_2_43(play: Play, version: str) -> None:
    """Section 14: DHIS2-21821, 409 E2002 although lastUpdated is given; with a range it works.

    Source: issue: DHIS2-21821; core: branch 2.43, 145483c.
    """
    server = play(version)
    alone = server.get("/api/dataValueSets", dataSet=TB.uid, orgUnit=ROOTS[0], children=True, lastUpdated="2026-06-01")
    assert alone.status == (409 if version == "2.43" else 200)
    assert alone.status == 200 or alone.json()["errorCode"] == "E2002"
    both = server.get("/api/dataValueSets", dataSet=TB.uid, orgUnit=ROOTS[0], children=True, lastUpdated="2026-06-01",
                      startDate="2024-01-01", endDate="2026-12-31")  # fmt: skip
    assert 0 < len(both.json()["dataValues"]) < 2_000


@pytest.mark.parametrize("version", VERSIONS)
def test_csv_header_is_that_of_the_code(play: Play, version: str) -> None:
    """Section 7.2: the documentation's catoptcombo and flwup are wrong.

    Source: core: the CSV header in code @2.40.12 to @2.43.1, against catoptcombo and flwup in the docs.
    """
    text = (
        play(version)
        .get("/api/dataValueSets.csv", dataSet=TB.uid, period="202601", orgUnit=ROOTS[0], children=True)
        .text
    )
    assert (
        text.splitlines()[0]
        == "dataelement,period,orgunit,categoryoptioncombo,attributeoptioncombo,value,storedby,lastupdated,comment,followup,deleted"
    )


@pytest.mark.parametrize("version", ["2.40", "2.42"])
def test_csv_and_json_hold_the_same_values(play: Play, version: str) -> None:
    """Section 7: two forms of one export; `deleted` only when true.

    Source: core: SpringDataValueSetStore getDeleted @2.40.12, @2.42.5.2.
    """
    server = play(version)
    parameters = {
        "dataSet": MALARIA.uid,
        "startDate": "2024-01-01",
        "endDate": "2026-12-31",
        "orgUnit": ROOTS[0],
        "children": True,
        "includeDeleted": True,
    }
    rows = server.get("/api/dataValueSets", **parameters).json()["dataValues"]
    lines = list(csv.DictReader(io.StringIO(server.get("/api/dataValueSets.csv", **parameters).text)))
    pairs = [(r["dataElement"], r["period"], r["orgUnit"], r["value"], r.get("deleted", False)) for r in rows]
    assert pairs == [(x["dataelement"], x["period"], x["orgunit"], x["value"], x["deleted"] == "true") for x in lines]
    assert any(deleted for *_, deleted in pairs)
    assert all(r["deleted"] is True for r in rows if "deleted" in r)
    without = server.get("/api/dataValueSets", **{**parameters, "includeDeleted": False}).json()["dataValues"]
    assert len(without) == sum(not deleted for *_, deleted in pairs)


@pytest.mark.parametrize("version", VERSIONS)
def test_quirk_36_no_values(play: Play, version: str) -> None:
    """Section 7.2: {} or the header alone on older versions, an empty list later.

    Source: core: DefaultDataExportService, DataExportOutput @2.43.1; SpringDataValueSetStore @2.42.5.2.
    """
    server = play(version)
    nothing = values_of(server, startDate="2031-01-01", endDate="2031-12-31", orgUnit=ROOTS[0], children=True)
    assert nothing == ({} if version in ("2.40", "2.41") else {"dataValues": []})
    one = values_of(server, period="203101", orgUnit=FACILITY)
    assert one["period"] == "203101"
    assert ("dataValues" in one) == (version not in ("2.40", "2.41"))


def test_quirk_36_gzip_is_a_file(play: Play) -> None:
    """Section 7.2: Content-Disposition and no Content-Encoding.

    Source: core: DataValueSetController.java (compression=gzip sets Content-Disposition, no Content-Encoding).
    """
    import gzip

    server = play("2.42")
    parameters = {"dataSet": TB.uid, "period": "202601", "orgUnit": ROOTS[0], "children": True}
    plain = server.get("/api/dataValueSets.csv", **parameters)
    packed = server.get("/api/dataValueSets.csv", compression="gzip", **parameters)
    assert packed.content[:2] == b"\x1f\x8b"
    assert "Content-Encoding" not in packed.headers
    assert "attachment" in packed.headers["Content-Disposition"]
    assert gzip.decompress(packed.content) == plain.content


def test_a_bad_duration_is_ignored_up_to_2_43(play: Play) -> None:
    """Section 14: it silently restricts nothing.

    Source: core: branch 2.43, 7578de4.
    """
    parameters = {"startDate": "2024-01-01", "endDate": "2026-12-31", "orgUnit": FACILITY}
    everything = len(values_of(play("2.42"), **parameters)["dataValues"])
    assert len(values_of(play("2.42"), lastUpdatedDuration="-3d", **parameters)["dataValues"]) == everything
    assert len(values_of(play("2.42"), lastUpdatedDuration="30d", **parameters)["dataValues"]) < everything


def test_quirk_37_odd_content(play: Play) -> None:
    """Section 17: text and hundreds of digits in numbers, option codes out of the set; all switched off at once.

    Source: core: OutlierDetectionAlgorithm.java, INVALID_NUMERIC @2.43.1 (more than 307 digits); docs: web-api/tracker.md
    (option codes).
    """
    parameters = {"startDate": "2024-01-01", "endDate": "2026-12-31", "orgUnit": ROOTS[0], "children": True}

    def odd(server: Any) -> list[str]:
        sets = definitions.data_sets("vnm").values()
        return [
            r["value"]
            for made in sets
            for r in values_of(server, **{**parameters, "dataSet": made.uid})["dataValues"]
            if not r["value"].isdigit() or len(r["value"]) > 307
        ]

    found = odd(play("2.42"))
    assert "khoảng 5" in found
    assert any(len(value) == 400 for value in found)
    assert odd(play("2.42", "no-odd-content")) == []
    entities = (
        play("2.42")
        .get("/api/tracker/trackedEntities", **tracker("trackedEntities", "2.42", paging=False))
        .json()["trackedEntities"]
    )
    assert "ODD" in {a["value"] for te in entities for a in te["attributes"]}


def test_quirk_38_registrations(play: Play) -> None:
    """Section 12.5: registrations say who pressed complete, and when; some were taken back.

    Source: docs: web-api, complete data set registrations; core: JdbcCompletenessTableManager @2.43.1.
    """
    rows = (
        play("2.42")
        .get(
            "/api/completeDataSetRegistrations",
            dataSet=TB.uid,
            startDate="2024-01-01",
            endDate="2026-12-31",
            orgUnit=ROOTS[0],
            children=True,
        )
        .json()
    )
    rows = rows["completeDataSetRegistrations"]
    assert len(rows) > 1_000
    assert {row["completed"] for row in rows} == {True, False}
    assert all(row["date"].endswith("+0000") for row in rows)


# -- errors (section 5) -----------------------------------------------------------------------------------------------

RANGE = {"startDate": "2026-01-01", "endDate": "2026-03-31"}
REFUSALS: list[tuple[str, str, dict[str, object]]] = [
    ("E2000", "dataValueSets", {}),
    ("E2001", "dataValueSets", {"orgUnit": ROOTS[0], **RANGE}),
    ("E2002", "dataValueSets", {"dataSet": TB.uid, "orgUnit": ROOTS[0]}),
    ("E2003", "dataValueSets", {"dataSet": TB.uid, "orgUnit": ROOTS[0], "period": "202601", **RANGE}),
    ("E2004", "dataValueSets", {"dataSet": TB.uid, "orgUnit": ROOTS[0], "startDate": "2026-03-01", "endDate": "2026-01-01"}),
    ("E2006", "dataValueSets", {"dataSet": TB.uid, **RANGE}),
    ("E2007", "dataValueSets", {"dataSet": TB.uid, "orgUnit": ROOTS[0], "orgUnitGroup": "x", "children": True, **RANGE}),
    ("E2008", "dataValueSets", {"dataSet": TB.uid, "children": True, **RANGE}),
    ("E2009", "dataValueSets", {"dataSet": TB.uid, "orgUnit": ROOTS[0], "limit": -1, **RANGE}),
    ("E2010", "dataValueSets", {"dataSet": "NoSuchSet01", "orgUnit": ROOTS[0], **RANGE}),
    ("E2011", "dataValueSets", {"dataSet": TB.uid, "orgUnit": ROOTS[0], "attributeOptionCombo": "NoSuchAoc01", **RANGE}),
    ("E2012", "dataValueSets", {"dataSet": TB.uid, "orgUnit": "NoSuchUnit1", **RANGE}),
    ("E2200", "outlierDetection", {"ou": ROOTS[0], **RANGE}),
    ("E2201", "outlierDetection", {"ds": TB.uid, "ou": ROOTS[0]}),
    ("E2202", "outlierDetection", {"ds": TB.uid, "ou": ROOTS[0], "startDate": "2026-03-01", "endDate": "2026-01-01"}),
    ("E2203", "outlierDetection", {"ds": TB.uid, **RANGE}),
    ("E2204", "outlierDetection", {"ds": TB.uid, "ou": ROOTS[0], "threshold": -1, **RANGE}),
    ("E2206", "outlierDetection", {"ds": TB.uid, "ou": ROOTS[0], "maxResults": 501, **RANGE}),
    ("E7124", "analytics", {"dimension": ["dx:NoSuchThing", "pe:202601", f"ou:{ROOTS[0]}"]}),
    ("E7205", f"analytics/events/query/{PROGRAM.uid}", {"dimension": f"ou:{ROOTS[0]}"}),
    ("E7206", f"analytics/events/query/{PROGRAM.uid}", {"dimension": f"ou:{ROOTS[0]}", "startDate": "2026-03-01", "endDate": "2026-01-01"}),
    ("E7209", f"analytics/events/query/{PROGRAM.uid}", {"dimension": f"ou:{ROOTS[0]}", "pageSize": 100_001, **RANGE}),
    ("E7230", f"analytics/events/query/{PROGRAM.uid}", {"dimension": f"ou:{ROOTS[0]}", "headers": "nosuch", **RANGE}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "path", "parameters"), REFUSALS, ids=[code for code, *_ in REFUSALS])
def test_quirk_25_illegal_queries_are_409_with_their_code(
    play: Play, code: str, path: str, parameters: dict[str, object]
) -> None:
    """Section 5.

    Source: core: ErrorCode.java @2.43.1; CrudControllerAdvice.java @2.42.5.2.
    """
    asked = play("2.42").get(f"/api/{path}", **parameters)
    body = asked.json()
    assert (asked.status, body["errorCode"], body["status"], body["httpStatus"]) == (409, code, "ERROR", "Conflict")


@pytest.mark.parametrize("code", ["E1006", "E2005", "E2208", "E7121", "E7132", "E7133", "E7217", "E8200"])
def test_quirk_25_any_other_code_can_be_asked_for(play: Play, code: str) -> None:
    """Section 5: codes that need rights or objects that the practice ground has not.

    Source: core: ErrorCode.java @2.43.1.
    """
    server = play("2.42", f"answer-{code}")
    for path in ("dataValueSets", "tracker/events", "analytics"):
        asked = server.get(f"/api/{path}", dataSet=TB.uid)
        assert (asked.status, asked.json()["errorCode"]) == (409, code)
    assert server.get("/api/system/info").status == 200


@pytest.mark.parametrize("code", ["E7128", "E7131", "E7136"])
def test_quirk_25_codes_of_size_yield_to_a_smaller_request(play: Play, code: str) -> None:
    """Section 5: halve the request.

    Source: core: ErrorCode.java @2.43.1 (E7128, E7131, E7136).
    """
    server = play("2.42", f"answer-{code}", limits=Limits(analytics=2))
    large = server.get("/api/analytics", **analytics(TB.elements[0].uid, "202501;202502;202503"))
    assert (large.status, large.json()["errorCode"]) == (409, code)
    assert server.get("/api/analytics", **analytics(TB.elements[0].uid, "202501;202502")).status == 200


def test_quirk_25_an_import_with_conflicts_is_a_409_warning(play: Play) -> None:
    """Section 5: it carries the per-row conflicts and a valid summary.

    Source: docs: web-api, import summaries; core: CrudControllerAdvice.java @2.42.5.2.
    """
    asked = play("2.42", "import-conflicts").get("/api/dataValueSets", method="POST")
    assert (asked.status, asked.json()["status"]) == (409, "WARNING")
    assert asked.json()["response"]["conflicts"]


# -- analytics (section 8) --------------------------------------------------------------------------------------------


def analytics(items: str, periods: str = "2025", units: str = ROOTS[0]) -> dict[str, object]:
    return {"dimension": [f"dx:{items}", f"pe:{periods}", f"ou:{units}"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["rawData", "dataValueSet"])
def test_quirk_26_raw_data_needs_a_suffix(play: Play, version: str, name: str) -> None:
    """Section 8.1: without it 404 in Tomcat's HTML.

    Source: core: AnalyticsController @2.40.12 to @2.43.1; third-party report (404 in Tomcat's HTML).
    """
    server = play(version)
    bare = server.get(f"/api/analytics/{name}", **analytics(TB.elements[0].uid))
    assert (bare.status, bare.content_type.split(";")[0]) == (404, "text/html")
    assert server.get(f"/api/analytics/{name}.json", **analytics(TB.elements[0].uid)).status == 200


def test_quirk_27_the_limit_refuses_and_never_truncates(play: Play) -> None:
    """Section 8.1: 409 E7128.

    Source: core: SettingKey.java @2.40.12, SystemSettings.java @2.43.1 (keyAnalyticsMaxLimit), ErrorCode.java @2.43.1.
    """
    server = play("2.42", limits=Limits(analytics=20))
    months = ";".join(f"2025{m:02d}" for m in range(1, 13))
    assert server.get("/api/analytics", **analytics(TB.elements[0].uid, months)).status == 200
    refused = server.get("/api/analytics", **analytics(TB.elements[0].uid, months, ";".join(ROOTS)))
    assert (refused.status, refused.json()["errorCode"]) == (409, "E7128")


def test_quirk_27_event_analytics_truncate_in_silence(play: Play) -> None:
    """Section 8.3: paging=false gets the limit and no error.

    Source: core: AbstractJdbcEventAnalyticsManager.getPagingClause @2.42.5.2.
    """
    server = play("2.42", limits=Limits(analytics=20))
    parameters = {"dimension": f"ou:{ROOTS[0]}", **RANGE}
    cut = server.get(f"/api/analytics/events/query/{PROGRAM.uid}", paging=False, **parameters)
    paged = server.get(f"/api/analytics/events/query/{PROGRAM.uid}", pageSize=20, **parameters).json()
    assert cut.status == 200
    assert len(cut.json()["rows"]) == 20 < paged["metaData"]["pager"]["total"]


def test_quirk_9_event_analytics_pager_and_headers(play: Play) -> None:
    """Section 8.3: isLastPage for totalPages=false; occurreddate since 2.42, enrollmentou since 2.43.

    Source: core: AnalyticsPagingCriteria.java, ColumnHeader.java @2.41.9.1 to @2.43.1.
    """
    parameters = {"dimension": f"ou:{ROOTS[0]}", **RANGE}
    path = f"/api/analytics/events/query/{PROGRAM.uid}"
    pager = play("2.42").get(path, totalPages=False, **parameters).json()["metaData"]["pager"]
    assert pager == {"page": 1, "pageSize": 50, "isLastPage": False}
    names = {
        v: [h["name"] for h in play(v).get(path, **parameters).json()["headers"]] for v in ("2.41", "2.42", "2.43")
    }
    assert "occurreddate" not in names["2.41"]
    assert "occurreddate" in names["2.42"]
    assert names["2.43"][-1] == "enrollmentou"
    assert "psi" in names["2.43"]
    body = play("2.43").get(path, **parameters).json()
    assert {len(row) for row in body["rows"]} == {len(body["headers"])}


def test_aggregate_analytics_roll_up_the_tree_for_the_units_named(play: Play) -> None:
    """Section 8.1: units are not expanded to children, but each sums its sub-tree; all cells are strings.

    Source: docs: web-api, analytics.
    """
    server = play("2.42", "no-odd-content")
    element = TB.elements[0].uid
    body = server.get("/api/analytics", **analytics(element, "202601", f"{ROOTS[0]};LEVEL-2")).json()
    columns = [h["name"] for h in body["headers"]]
    rows = [dict(zip(columns, row, strict=True)) for row in body["rows"]]
    raw = values_of(play("2.42", "no-odd-content"), period="202601", orgUnit=ROOTS[0], children=True)["dataValues"]
    total = sum(int(r["value"]) for r in raw if r["dataElement"] == element)
    by_unit = {r["ou"]: float(r["value"]) for r in rows}
    assert by_unit[ROOTS[0]] == sum(v for u, v in by_unit.items() if u != ROOTS[0])
    # Analytics are three hours older than the live values.
    assert abs(by_unit[ROOTS[0]] - total) <= total * 0.05
    assert all(isinstance(cell, str) for row in body["rows"] for cell in row)


def test_reporting_rates_are_capped_and_count_units_open_throughout(play: Play) -> None:
    """Section 12.5: expected counts only units open over the whole window.

    Source: core: DataHandler.getReportingRate, JdbcAnalyticsManager, JdbcCompletenessTargetTableManager @2.43.1.
    """
    server = play("2.42")
    items = ";".join(
        f"{TB.uid}.{m}" for m in ("EXPECTED_REPORTS", "ACTUAL_REPORTS", "REPORTING_RATE", "REPORTING_RATE_ON_TIME")
    )
    rows = server.get("/api/analytics", **analytics(items, "202505;202507;2025")).json()["rows"]
    found = {(dx.split(".")[1], pe): float(value) for dx, pe, _, value in rows}
    facilities = geography.reporting_facilities("vnm")
    before = sum(f.opening_on.year < 2025 for f in facilities)
    after = sum(f.closed_on is None for f in facilities)
    whole_year = sum(f.closed_on is None and f.opening_on.year < 2025 for f in facilities)
    assert found[("EXPECTED_REPORTS", "202505")] == before
    assert found[("EXPECTED_REPORTS", "202507")] == after
    assert found[("EXPECTED_REPORTS", "2025")] == whole_year * 12
    assert found[("REPORTING_RATE", "2025")] == 100.0, "more actual than expected reports: capped"
    assert 0 < found[("REPORTING_RATE_ON_TIME", "202505")] <= found[("REPORTING_RATE", "202505")] <= 100


def test_indicators_are_pooled(play: Play) -> None:
    """Section 12.4: numerator and denominator are summed first, then divided; no row where the denominator is 0.

    Source: core: DefaultExpressionService.getIndicatorValueObject @2.43.1; docs: web-api, analytics.
    """
    server = play("2.42")
    made = next(
        o
        for o in server.get("/api/indicators", fields="*", paging=False).json()["indicators"]
        if o["code"] == "HIV_POSITIVITY"
    )
    rows = server.get("/api/analytics", includeNumDen=True, **analytics(made["id"], "2025;2031")).json()["rows"]
    assert len(rows) == 1
    _, _, _, value, top, bottom = rows[0]
    assert float(value) == pytest.approx(float(top) / float(bottom) * 100)


def test_quirk_28_no_or_stale_analytics(play: Play) -> None:
    """Section 8.1: values are as fresh as lastAnalyticsTableSuccess.

    Source: core: ErrorCode.java @2.43.1 (E7144), SystemInfo.java @2.42.5.2.
    """
    none = play("2.42", "no-analytics")
    assert none.get("/api/analytics", **analytics(TB.elements[0].uid)).json()["errorCode"] == "E7144"
    assert "lastAnalyticsTableSuccess" not in none.get("/api/system/info").json()
    stale = play("2.42", "stale-analytics").get("/api/system/info").json()
    age = datetime.fromisoformat(stale["serverDate"]) - datetime.fromisoformat(stale["lastAnalyticsTableSuccess"])
    assert age > timedelta(days=10)


def test_analytics_are_cacheable_unless_asked_otherwise(play: Play) -> None:
    """Section 8.1: cache-control max-age=1209600, public has been captured.

    Source: a captured response (cache-control: max-age=1209600, public).
    """
    server = play("2.42")
    assert "max-age" in server.get("/api/analytics", **analytics(TB.elements[0].uid)).headers["Cache-Control"]
    headers = {"authorization": "ApiToken practice-token", "cache-control": "no-cache"}
    assert "Cache-Control" not in server.get("/api/analytics", sent=headers, **analytics(TB.elements[0].uid)).headers


# -- metadata, scope, periods -----------------------------------------------------------------------------------------


def test_metadata_fields_filters_and_paging(play: Play) -> None:
    """Section 6: pager with total; none with paging=false; several filters are AND, rootJunction=OR.

    Source: docs: web-api/metadata.md 2.43.
    """
    server = play("2.42")
    page = server.get("/api/organisationUnits", pageSize=7, page=2).json()
    assert page["pager"]["total"] == len(server.get("/api/organisationUnits", paging=False).json()["organisationUnits"])
    assert len(page["organisationUnits"]) == 7
    assert page["organisationUnits"][0].keys() == {"id", "displayName"}
    provinces = server.get(
        "/api/organisationUnits",
        paging=False,
        filter=["level:eq:2", f"path:like:{ROOTS[0]}"],
        fields="id,code,parent[id,name],openingDate,closedDate",
    ).json()["organisationUnits"]
    assert {p["parent"]["name"] for p in provinces} == {"Việt Nam"}
    assert any(p["openingDate"] == "2025-07-01T00:00:00.000" and "closedDate" not in p for p in provinces)
    assert any(p.get("closedDate") == "2025-06-30T00:00:00.000" for p in provinces)
    either = server.get(
        "/api/organisationUnits", paging=False, rootJunction="OR", filter=["code:eq:91", "code:eq:80"]
    ).json()
    assert len(either["organisationUnits"]) == 2
    sets = server.get(
        "/api/dataSets",
        paging=False,
        fields="id,periodType,timelyDays,organisationUnits[id],dataSetElements[dataElement[id,code]]",
    ).json()["dataSets"]
    monthly = next(s for s in sets if s["id"] == TB.uid)
    assert {e["dataElement"]["code"] for e in monthly["dataSetElements"]} == {"TB_NEWREC_NOTIF", "TB_NEWREC_BIRTHPLACE"}
    changed = server.get("/api/organisationUnits", paging=False, filter="lastUpdated:ge:2025-07-01T00:00:00").json()[
        "organisationUnits"
    ]
    assert len(changed) > 40


@pytest.mark.parametrize("version", VERSIONS)
def test_not_empty_filter_came_with_2_42(play: Play, version: str) -> None:
    """Section 6: 2.41 answers 400 E1003.

    Source: third-party report (2.41 answers 400 E1003).
    """
    asked = play(version).get("/api/organisationUnits", filter="geometry:!empty:")
    assert asked.status == (200 if version in SINCE_42 else 400)
    assert asked.status == 200 or asked.json()["errorCode"] == "E1003"


def test_program_assignments(play: Play) -> None:
    """Section 6: /api/programs/orgUnits.

    Source: docs: web-api/metadata.md 2.43 (programs/orgUnits).
    """
    body = play("2.42").get("/api/programs/orgUnits", programs=PROGRAM.uid).json()
    assert {f.uid for f in geography.referring_facilities("vnm")} <= set(body[PROGRAM.uid])


def test_quirk_11_period_types_by_version(play: Play) -> None:
    """Section 10: FriW, Feb and Aug are new in 2.43.

    Source: core: PeriodTypeEnum.java @2.42.5.2 against @2.43.1; docs: web-api/overview.md.
    """
    for period in ("2024FriW5", "2024Feb", "2024Aug"):
        assert read_period(period) is not None
        statuses = {
            v: play(v).get("/api/dataValueSets", dataSet=TB.uid, period=period, orgUnit=ROOTS[0]).status
            for v in ("2.42", "2.43")
        }
        assert statuses == {"2.42": 409, "2.43": 200}


def test_quirk_30_another_calendar(play: Play) -> None:
    """Section 3: a gate for the client.

    Source: core: SystemInfo.java @2.42.5.2 (calendar).
    """
    assert play("2.42").get("/api/system/info").json()["calendar"] == "iso8601"
    assert play("2.42", "other-calendar").get("/api/system/info").json()["calendar"] != "iso8601"


def test_quirk_32_a_missing_root_hides_data_without_error(play: Play) -> None:
    """Section 9.6.

    Source: docs: web-api/tracker.md (search and capture scope, protected programs).
    """
    asked = {"program": PROGRAM.uid, "orgUnit": ROOTS[0], "orgUnitMode": "ACCESSIBLE"}
    del asked["orgUnit"]
    whole = play("2.42").get("/api/tracker/events", totalPages=True, **asked).json()["pager"]["total"]
    cut = play("2.42", "missing-root")
    part = cut.get("/api/tracker/events", totalPages=True, **asked)
    assert part.status == 200
    assert part.json()["pager"]["total"] < whole
    me = cut.get("/api/me").json()
    assert (
        [u["id"] for u in me["organisationUnits"]] == [u["id"] for u in me["teiSearchOrganisationUnits"]] == ROOTS[:1]
    )


def test_quirk_33_two_roots_or_one(play: Play) -> None:
    """Section 6: assume neither.

    Source: docs: web-api/metadata.md 2.43 (organisation unit path).
    """

    def roots(*quirks: str) -> list[str]:
        units = (
            play("2.42", *quirks)
            .get("/api/organisationUnits", paging=False, fields="id,path,parent")
            .json()["organisationUnits"]
        )
        return [u["id"] for u in units if "parent" not in u]

    assert roots() == ROOTS
    common = roots("common-root")
    assert len(common) == 1
    assert common[0] not in ROOTS
    body = (
        play("2.42", "common-root")
        .get("/api/tracker/events", program=PROGRAM.uid, orgUnit=common[0], orgUnitMode="DESCENDANTS")
        .json()
    )
    assert len(body["events"]) == 50


@pytest.mark.parametrize("version", VERSIONS)
def test_system_info(play: Play, version: str) -> None:
    """Section 3: what a client without superuser rights still sees.

    Source: core: SystemInfo.java @2.42.5.2 (withoutSensitiveInfo).
    """
    info = play(version).get("/api/system/info").json()
    assert info["version"].startswith(version)
    assert info["serverTimeZoneId"] == "Asia/Ho_Chi_Minh"
    assert datetime.fromisoformat(info["serverDate"]).tzinfo is None
    assert {"systemId", "calendar", "lastAnalyticsTableSuccess"} <= info.keys()


def test_versioned_paths_end_with_43(play: Play) -> None:
    """Section 1.

    Source: core: ApiVersionFilter.java @2.43.1.
    """
    assert play("2.43").get("/api/43/me").status == 200
    assert play("2.43").get("/api/44/me").status == 404


def test_geojson_and_descendants(play: Play) -> None:
    """Section 6.

    Source: docs: web-api/metadata.md 2.43 (organisationUnits.geojson, descendants).
    """
    server = play("2.42")
    features = server.get("/api/organisationUnits.geojson", level=2).json()["features"]
    assert features[0]["geometry"]["type"] == "Point"
    below = server.get(f"/api/organisationUnits/{ROOTS[1]}/descendants", paging=False).json()["organisationUnits"]
    assert 10 < len(below) < 30
