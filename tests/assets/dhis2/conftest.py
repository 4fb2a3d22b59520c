"""Stub servers in the shapes of the DHIS2 documentation, and the small mapping that the rule tests collect."""

import io
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from assets.dhis2.client import Credential, Dhis2Client, RetryPolicy
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.dhis2.metadata import ServerFacts, server_facts
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Landing, Pull, Receipt

TOKEN = "d2pat_0123456789abcdefSECRET"
ROOT, PARTNER = "RootVnm0001", "RootKhm0001"
DEFINITIONS = (
    "categoryOptionCombos", "programs", "programStages", "trackedEntityAttributes", "optionSets", "indicators",
    "validationRules",
)  # fmt: skip


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
def stub(settings: Callable[..., InstanceMapping]) -> InstanceMapping:
    """The stub server's mapping as it stands in the settings."""
    return settings()


@pytest.fixture
def full_pull() -> Receipt:
    """The receipt of the tracker part of a full pull of the stub server."""
    return Receipt(
        "r", "dhis2_stub", "tracker", "tracker", "by hand", {"mode": "full", "server_zone": "Asia/Ho_Chi_Minh"}, "", 1, 1, 1,
        datetime(2026, 7, 6, tzinfo=UTC).isoformat(), None, None, None, None, None, True, "",
    )  # fmt: skip


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
        for kind in DEFINITIONS:
            httpserver.expect_request(f"/api/{kind}").respond_with_json({kind: []})

    return serve


# A small DHIS2 in memory ----------------------------------------------------------------------------------------------


class RefusedError(Exception):
    """The stub's answer is an error."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class StubWorld:
    """A server's tracker program and data set in memory, answering in the shapes of one version.

    Instants are kept in UTC and written as that version writes them. Parameter names that the version does not know are a
    test failure, not ignored as a real server would.
    """

    KNOWN: ClassVar[dict[int, set[str]]] = {
        40: {"program", "orgUnit", "ouMode", "fields", "includeDeleted", "order", "totalPages", "page", "pageSize"},
        41: {
            "program",
            "orgUnits",
            "orgUnitMode",
            "fields",
            "includeDeleted",
            "order",
            "totalPages",
            "page",
            "pageSize",
        },
    }

    def __init__(self, major: int, zone: str = "Asia/Ho_Chi_Minh", now: datetime | None = None) -> None:
        self.major = major
        self.zone = ZoneInfo(zone)
        self.now = now or datetime(2026, 7, 6, 0, 0, tzinfo=UTC)
        self.entities: dict[str, dict[str, Any]] = {}
        self.values: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.hidden: set[str] = set()
        self.definitions: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, list[tuple[str, str]]]] = []
        self.before_answer: Callable[[str, dict[str, str]], None] = lambda path, query: None
        self.count = 0

    # What people do on the server

    def local(self, instant: datetime) -> str:
        return instant.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}"

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def create(self, *, disease: str = "TB", late_by: float = 0.0) -> str:
        self.count += 1
        uid = f"TrackEnt{self.count:03d}"
        at = self.now - timedelta(seconds=late_by)
        self.entities[uid] = {"created": at, "updated": at, "deleted": False, "enrollments": {}}
        self.enroll(uid, disease=disease)
        self.entities[uid]["updated"] = at
        return uid

    def enroll(self, uid: str, *, disease: str = "TB") -> str:
        enrollments = self.entities[uid]["enrollments"]
        self.count += 1
        name = f"Enrollm{self.count:04d}"
        enrollments[name] = {"deleted": False, "values": {"ElemDirect1": "OUT", "ElemDiseas1": disease}}
        self.touch(uid)
        return name

    def touch(self, uid: str, *, late_by: float = 0.0) -> None:
        self.entities[uid]["updated"] = self.now - timedelta(seconds=late_by)

    def edit(self, uid: str, element: str, value: str | None) -> None:
        for enrollment in self.entities[uid]["enrollments"].values():
            if value is None:
                enrollment["values"].pop(element, None)
            else:
                enrollment["values"][element] = value
        self.touch(uid)

    def delete(self, uid: str) -> None:
        self.entities[uid]["deleted"] = True
        self.touch(uid)

    def delete_enrollment(self, uid: str) -> None:
        for enrollment in self.entities[uid]["enrollments"].values():
            enrollment["deleted"] = True
        self.touch(uid)

    def purge(self, uid: str) -> None:
        del self.entities[uid]

    def set_value(self, period: str, unit: str, combo: str, value: str, *, late_by: float = 0.0) -> None:
        at = self.now - timedelta(seconds=late_by)
        self.values[period, unit, combo] = {"value": value, "updated": at, "deleted": False}

    def delete_value(self, period: str, unit: str, combo: str) -> None:
        row = self.values.get((period, unit, combo))
        if row is not None:
            row.update(deleted=True, updated=self.now)

    # What the server answers

    def answer(self, path: str, parameters: list[tuple[str, str]]) -> tuple[int, str, bytes]:
        self.requests.append((path, parameters))
        query = dict(parameters)
        try:
            self.before_answer(path, query)
            if path == "dataValueSets.csv":
                return 200, "application/csv", self.data_values(query).encode()
            return 200, "application/json", json.dumps(self.document(path, query)).encode()
        except RefusedError as refused:
            return refused.status, "application/json", json.dumps(refused.body).encode()

    def document(self, path: str, query: dict[str, str]) -> Any:
        units = [
            {"id": ROOT, "name": "Viet Nam", "level": 1, "path": f"/{ROOT}"},
            {"id": PARTNER, "name": "Cambodia", "level": 1, "path": f"/{PARTNER}"},
            *(
                {"id": uid, "name": uid, "level": 2, "path": f"/{ROOT}/{uid}", "parent": {"id": ROOT}}
                for uid in ("Facility001", "Facility002")
            ),
        ]
        if path == "system/info":
            return {
                "version": f"2.{self.major}.1",
                "serverDate": self.local(self.now),
                "serverTimeZoneId": self.zone.key,
                "calendar": "iso8601",
            }
        if path == "me":
            both = [{"id": ROOT}, {"id": PARTNER}]
            return {"organisationUnits": both, "teiSearchOrganisationUnits": both}
        if path == "organisationUnits":
            text = query["filter"].split(":", 2)[2]
            return {path: [unit for unit in units if text in unit["path"] or unit["id"] in text]}
        if path == "dataSets":
            return {
                path: [{"id": "DataSetMon1", "periodType": "Monthly", "organisationUnits": [{"id": "Facility001"}]}]
            }
        if path == "dataElements":
            return {path: [{"id": "ElemNumber1", "valueType": "INTEGER"}]}
        if path == "completeDataSetRegistrations":
            return {}
        if path in DEFINITIONS:
            return {path: self.definitions.get(path, [])}
        if path == "tracker/trackedEntities":
            return self.tracked_entities(query)
        raise AssertionError(f"unexpected request to {path}")

    def instant(self, text: str) -> datetime:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)

    def tracked_entities(self, query: dict[str, str]) -> Any:
        known = self.KNOWN[40 if self.major == 40 else 41] | {"updatedAfter", "updatedBefore"}
        assert set(query) <= known, f"2.{self.major} does not know {set(query) - known}"
        assert query["order"] == "createdAt:asc"
        found = [
            (item["created"], number, uid)
            for number, (uid, item) in enumerate(self.entities.items())
            if (query.get("includeDeleted") == "true" or not item["deleted"])
            and ("updatedAfter" not in query or item["updated"] >= self.instant(query["updatedAfter"]))
            and ("updatedBefore" not in query or item["updated"] < self.instant(query["updatedBefore"]))
        ]
        # Of equal times the younger id comes first, as on a real server.
        ordered = [uid for _, _, uid in sorted(found, key=lambda row: (row[0], -row[1]))]
        page, size = int(query["page"]), int(query["pageSize"])
        shown = ordered[(page - 1) * size : page * size]
        rows = [self.entity(uid) for uid in shown if self.major < 42 or uid not in self.hidden]
        pages = max(1, -(-len(ordered) // size))
        pager: dict[str, Any] = {"page": page, "pageSize": size, "total": len(ordered), "pageCount": pages}
        if self.major == 40:
            return {"instances": rows, **pager}
        if self.major == 41:
            return {"trackedEntities": rows, "pager": pager, **pager}
        if page * size < len(ordered):
            pager["nextPage"] = f"http://other.example/api/tracker/trackedEntities?page={page + 1}"
        return {"trackedEntities": rows, "pager": pager}

    def entity(self, uid: str) -> dict[str, Any]:
        item = self.entities[uid]
        return {
            "trackedEntity": uid,
            "createdAt": self.local(item["created"]),
            "updatedAt": self.local(item["updated"]),
            "deleted": item["deleted"],
            "attributes": [{"attribute": "AttrNatId01", "value": f"0790{uid[-3:]}"}],
            "enrollments": [
                {
                    "enrollment": name,
                    "program": "Program0001",
                    "orgUnit": "Facility001",
                    "deleted": enrollment["deleted"] or item["deleted"],
                    "events": [
                        {
                            "event": f"Event{name[-6:]}",
                            "programStage": "StageSent01",
                            "orgUnit": "Facility001",
                            "status": "COMPLETED",
                            "occurredAt": "2026-07-01T00:00:00.000",
                            "dataValues": [
                                {"dataElement": element, "value": value}
                                for element, value in sorted(enrollment["values"].items())
                            ],
                        }
                    ],
                }
                for name, enrollment in item["enrollments"].items()
            ],
        }

    def data_values(self, query: dict[str, str]) -> str:
        assert {"dataSet", "startDate", "endDate", "orgUnit", "children", "includeDeleted"} <= set(query)
        lines = [
            "dataelement,period,orgunit,categoryoptioncombo,attributeoptioncombo,value,storedby,lastupdated,comment,followup,deleted"
        ]
        for (period, unit, combo), row in sorted(self.values.items()):
            start = f"{period[:4]}-{period[4:]}-01"
            if not (query["startDate"] <= start and f"{start[:8]}28" <= query["endDate"]):
                continue
            if query["orgUnit"] != unit and (query["orgUnit"] != ROOT or query["children"] == "false"):
                continue
            if "lastUpdated" in query and row["updated"] < self.instant(query["lastUpdated"]):
                continue
            stamp = row["updated"].strftime("%Y-%m-%dT%H:%M:%S.") + f"{row['updated'].microsecond // 1000:03d}+0000"
            deleted = "true" if row["deleted"] else ""
            lines.append(
                f"ElemNumber1,{period},{unit},{combo},AocDefault1,{row['value']},admin,{stamp},a note,false,{deleted}"
            )
        return "\n".join(lines) + "\n"

    # Talking to it

    def client(self, **options: Any) -> Dhis2Client:
        made = Dhis2Client(
            "http://stub.example", Credential(token=TOKEN), server="stub", sleep=lambda s: None, **options
        )
        made._session.mount("http://stub.example", _StubAdapter(self))
        return made


class _StubAdapter(requests.adapters.BaseAdapter):
    """Carries requests to a StubWorld without a socket."""

    def __init__(self, world: StubWorld) -> None:
        super().__init__()
        self.world = world
        self.turn = threading.Lock()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        assert request.url
        parts = urlsplit(request.url)
        with self.turn:
            status, kind, body = self.world.answer(parts.path.removeprefix("/api/"), parse_qsl(parts.query))
        response = requests.Response()
        response.status_code = status
        response.headers["Content-Type"] = kind
        response.url = request.url
        response.request = request
        response.raw = io.BytesIO(body)
        return response

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="session")
def stub_world() -> type[StubWorld]:
    return StubWorld


@pytest.fixture(scope="session")
def refused() -> type[RefusedError]:
    return RefusedError


@pytest.fixture(scope="session")
def raw_settings() -> Callable[..., dict[str, Any]]:
    """`raw_mapping`, for session-wide fixtures."""
    return raw_mapping
