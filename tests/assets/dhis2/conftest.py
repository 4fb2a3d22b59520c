"""Stub servers in the shapes of the DHIS2 documentation, and the small mapping that the rule tests collect."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from assets.dhis2.client import Credential, Dhis2Client, RetryPolicy
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.dhis2.metadata import ServerFacts, server_facts
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Landing, Pull

TOKEN = "d2pat_0123456789abcdefSECRET"
ROOT, PARTNER = "RootVnm0001", "RootKhm0001"


def json_response(body: Any, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json;charset=UTF-8", headers=headers)


def raw_mapping(**changes: Any) -> dict[str, Any]:
    """One server's settings: a referral program and a monthly and a quarterly data set."""
    return {
        "code": "stub",
        "name": "Stub server",
        "country": "VNM",
        "url": "http://127.0.0.1:1",
        "credential_env": "STUB",
        "root_org_units": [ROOT, PARTNER],
        "data_from": datetime(2024, 1, 1).date(),
        "province_areas": {"Province001": "VN34-91", "Province002": "KH-20"},
        "future_periods_days": 0,
        "referral": {
            "program": "Program0001",
            "tracked_entity_type": "TeType00001",
            "token_domain": "cross-border-referral",
            "migrant_basis": "C",
            "attributes": {
                "AttrNatId01": "national_id",
                "AttrFamily1": "family_name",
                "AttrGiven01": "given_name",
                "AttrBirth01": "birth_date",
                "AttrPhone01": "phone",
                "AttrSex0001": "sex",
                "AttrNation1": "nationality",
                "AttrMigran1": "migrant_status",
            },
            "stages": {
                "StageSent01": "sent",
                "StageRecv01": "received",
                "StageRegi01": "registered",
                "StageOutc01": "outcome",
            },
            "elements": {
                "ElemDirect1": "direction",
                "ElemDiseas1": "disease",
                "ElemFromOu1": "from_org_unit",
                "ElemToOrgU1": "to_org_unit",
                "ElemTreatm1": "treatment_started_on",
                "ElemOutcom1": "outcome",
            },
            "options": {
                "sex": {"F": "F", "M": "M"},
                "nationality": {"VN": "VNM", "KH": "KHM"},
                "migrant_status": {"MIG": "2"},
                "direction": {"OUT": "outgoing", "IN": "incoming"},
                "disease": {"TB": "TB"},
                "outcome": {"CURED": "CURED", "DIED": "DIED"},
            },
        },
        "data_set": [
            {
                "uid": "DataSetMon1",
                "code": "MONTHLY",
                "period_type": "Monthly",
                "timely_days": 15,
                "elements": {"ElemNumber1": "TB_NOTIFIED"},
                "category_option_combos": {"CocFemale01": {"sex": "F"}, "CocMale0001": {"sex": "M"}},
            }
        ],
        **changes,
    }


@pytest.fixture
def settings() -> Callable[..., InstanceMapping]:
    def make(**changes: Any) -> InstanceMapping:
        return parse_instance(raw_mapping(**changes), is_practice=True)

    return make


@pytest.fixture
def pseudonymiser() -> Pseudonymiser:
    return Pseudonymiser("a key that is long enough for tests", "test-key")


@pytest.fixture
def waits() -> list[float]:
    """The waits that a client asked for instead of sleeping."""
    return []


@pytest.fixture
def client(httpserver: HTTPServer, waits: list[float]) -> Dhis2Client:
    return Dhis2Client(
        httpserver.url_for("/"),
        Credential(token=TOKEN),
        server="stub",
        read_timeout=5.0,
        retry=RetryPolicy(attempts=5),
        sleep=waits.append,
    )


@pytest.fixture
def info() -> dict[str, Any]:
    """system/info of a 2.42 server in Viet Nam; tests change it before asking."""
    return {
        "version": "2.42.5.2",
        "serverDate": "2026-07-06T05:00:00.000",
        "serverTimeZoneId": "Asia/Ho_Chi_Minh",
        "calendar": "iso8601",
        "systemId": "a-system-id",
        "lastAnalyticsTableSuccess": "2026-07-06T02:00:00.000",
    }


@pytest.fixture
def facts(httpserver: HTTPServer, client: Dhis2Client, info: dict[str, Any]) -> Callable[..., ServerFacts]:
    def make(version: str = "2.42.5.2", **changes: Any) -> ServerFacts:
        info.update(version=version, **changes)
        httpserver.expect_oneshot_request("/api/system/info").respond_with_json(info)
        return server_facts(client)

    return make


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


@pytest.fixture
def pull_factory(landing: Landing) -> Callable[[str], Pull]:
    def make(part: str) -> Pull:
        return landing.pull("dhis2_stub", part, datetime(2026, 7, 6, tzinfo=UTC), is_practice=True)

    return make


@pytest.fixture
def serve_metadata(httpserver: HTTPServer, info: dict[str, Any]) -> Callable[..., None]:
    """system/info, me, org units, data sets and data elements of the stub mapping."""

    def serve(
        *, capture: tuple[str, ...] = (ROOT, PARTNER), search: tuple[str, ...] = (ROOT, PARTNER), units: Any = None
    ) -> None:
        listed = units or [
            {"id": ROOT, "name": "Viet Nam", "level": 1, "path": f"/{ROOT}", "openingDate": "1990-01-01T00:00:00.000"},
            {
                "id": "Facility001",
                "name": "Clinic",
                "level": 2,
                "path": f"/{ROOT}/Facility001",
                "parent": {"id": ROOT},
                "openingDate": "1990-01-01T00:00:00.000",
            },
            {"id": PARTNER, "name": "Cambodia", "level": 1, "path": f"/{PARTNER}"},
        ]

        def org_units(request: Request) -> Response:
            chosen = listed
            for text in request.args.getlist("filter"):
                name, operator, value = text.split(":", 2)
                if operator == "in":
                    wanted = set(value.strip("[]").split(","))
                    chosen = [unit for unit in chosen if unit[name] in wanted]
                elif operator == "like":
                    chosen = [unit for unit in chosen if value in unit[name]]
            return json_response({"organisationUnits": chosen})

        httpserver.expect_request("/api/system/info").respond_with_handler(lambda request: json_response(info))
        httpserver.expect_request("/api/me").respond_with_json(
            {
                "authorities": [],
                "organisationUnits": [{"id": uid} for uid in capture],
                "teiSearchOrganisationUnits": [{"id": uid} for uid in search],
            }
        )
        httpserver.expect_request("/api/organisationUnits").respond_with_handler(org_units)
        httpserver.expect_request("/api/dataSets").respond_with_json(
            {"dataSets": [{"id": "DataSetMon1", "periodType": "Monthly", "organisationUnits": [{"id": "Facility001"}]}]}
        )
        httpserver.expect_request("/api/dataElements").respond_with_json(
            {"dataElements": [{"id": "ElemNumber1", "valueType": "INTEGER"}]}
        )
        httpserver.expect_request("/api/completeDataSetRegistrations").respond_with_json({})

    return serve
