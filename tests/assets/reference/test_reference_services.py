"""Public services on loopback, with answers in the shapes that public clients of each service record, and files of the inbox.

Shapes: GHO OData from answers recorded in the tests of public clients (Id, SpatialDim, TimeDim, Dim1Type, NumericValue, Low,
High, Date); SDG API from captured rows (geoAreaCode as text, timePeriodStart as float, value as text) and its Swagger page;
World Bank v2 from its developer pages; ILOSTAT SDMX-CSV 1.0 from the header that its SDMX service sends. Figures are invented
unless said.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from assets.inbox import Intake, landed_sha256
from assets.loading import load_source
from assets.reference import editions, fetch
from assets.reference.client import ServiceClient, ServiceFault
from assets.reference.feeds import Ask, feeds, members, services, unit_of
from assets.reference.read import land
from pipelines.settings import load_settings
from warehouse.landing import Landing, Receipt
from warehouse.store import Warehouse

AT = datetime(2026, 7, 5, 22, tzinfo=UTC)


def gho_row(area: str, year: int, value: float | None, **more: Any) -> dict[str, Any]:
    return {
        "Id": 1, "IndicatorCode": "X", "SpatialDimType": "COUNTRY", "SpatialDim": area, "TimeDimType": "YEAR", "TimeDim": year,
        "ParentLocationCode": "WPR", "Dim1Type": None, "Dim1": None, "Dim2Type": None, "Dim2": None, "Dim3Type": None, "Dim3": None,
        "Value": str(value), "NumericValue": value, "Low": None, "High": None, "Date": "2026-02-16T07:52:34+01:00", **more,
    }  # fmt: skip


def sdg_row(area: str, year: float, value: str, **dimensions: str) -> dict[str, Any]:
    return {
        "goal": ["3"], "target": ["3.1"], "indicator": ["3.1.2"], "series": "SH_STA_BRTC", "geoAreaCode": area, "geoAreaName": "x",
        "timePeriodStart": year, "value": value, "valueType": "Float", "upperBound": None, "lowerBound": None, "source": "s",
        "attributes": {"Nature": "C", "Units": "PERCENT"}, "dimensions": {"Reporting Type": "G", **dimensions},
    }  # fmt: skip


ILO_HEADER = (
    "DATAFLOW,REF_AREA,FREQ,MEASURE,SEX,MIG,TIME_PERIOD,OBS_VALUE,OBS_STATUS,UNIT_MEASURE_TYPE,UNIT_MEASURE,UNIT_MULT,SOURCE,"
    "NOTE_SOURCE,NOTE_INDICATOR,NOTE_CLASSIF,DECIMALS,UPPER_BOUND,LOWER_BOUND"
)


def ilo(*rows: str, flow: str = "ILO:DF_SDG_F881_SEX_MIG_RT(1.0)") -> str:
    return "\n".join([ILO_HEADER, *(f"{flow},{row},,RT,PS,0,x,,,,1,," for row in rows)]) + "\n"


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


@pytest.fixture(autouse=True)
def nothing_else_is_there(httpserver: HTTPServer) -> None:
    """Whatever the server was not told is 404, as at the services."""
    httpserver.no_handler_status_code = 404


def pull(landing: Landing, server: HTTPServer, *codes: str, at: datetime = AT, only: str = "") -> Intake:
    wanted = fetch.ReferenceServices(Path("none"), codes, dict.fromkeys(services(), server.url_for("").rstrip("/")))
    waits: list[float] = []
    return fetch.pull_services(
        wanted,
        lambda part: landing.pull("reference", part, at, is_practice=False),
        client=lambda code, url: ServiceClient(code, url, sleep=waits.append),
    )


def frame_of(landing: Landing, receipts: list[Receipt], feed: str) -> pl.DataFrame:
    (receipt,) = [receipt for receipt in receipts if receipt.parameters.get("feed") == feed]
    return editions.read_arrival(receipt, {path.name: path.read_bytes() for path in landing.files(receipt)})


def value(frame: pl.DataFrame, area: str, year: int, **codes: str) -> Any:
    found = frame.filter(area_code=area, year=year, **codes)
    assert found.height == 1, found
    return found["value"][0]


def test_gho_is_paged_by_its_link_and_keeps_bounds_and_edition(landing: Landing, httpserver: HTTPServer) -> None:
    link = "https://elsewhere.example/api/MDG_0000000020?$filter=x&$skip=1"

    def answer(request: Request) -> Response:
        if "$skip" in request.args:
            page: dict[str, Any] = {"value": [gho_row("THA", 2024, None), gho_row("USA", 2024, 3.0)]}
        else:
            assert "SpatialDim eq 'VNM'" in request.args["$filter"]
            page = {"value": [gho_row("VNM", 2024, 182.0, Low=116.0, High=263.0)], "@odata.nextLink": link}
        return Response(json.dumps(page), content_type="application/json; odata.metadata=minimal")

    httpserver.expect_request("/MDG_0000000020").respond_with_handler(answer)
    pulled = pull(landing, httpserver, "gho")
    frame = frame_of(landing, pulled.receipts, "tb_incidence_gho")
    assert frame.height == 1, "no row for a cell without a number, nor for a country that is no member"
    row = frame.row(0, named=True)
    assert (row["value"], row["lower"], row["upper"]) == (182, 116, 263)
    assert (row["edition_code"], row["unit"], row["series_code"]) == (
        "gho2026_02_16",
        "per 100 000 population",
        "tb_incidence_rate",
    )
    assert row["pointer"] == "MDG_0000000020-001.json#0"
    (receipt,) = pulled.receipts
    assert (receipt.file_count, receipt.record_count, receipt.kind_code) == (2, 3, "service")
    assert any("UHC_INDEX_REPORTED" in fault for fault in pulled.faults), "a feed that fails leaves the others alone"


def test_spar_second_edition_comes_capacity_by_capacity(landing: Landing, httpserver: HTTPServer) -> None:
    for number in range(1, 16):
        page = {"value": [gho_row("VNM", 2023, 40.0 + number)]}
        httpserver.expect_request(f"/IHRSPAR2_C{number:02}").respond_with_json(page)
    frame = frame_of(landing, pull(landing, httpserver, "gho").receipts, "spar_second_edition_gho")
    assert frame.height == 15
    assert value(frame, "VNM", 2023, category_code="SPAR2_11") == 51
    assert set(frame["series_code"]) == {"ihr_capacity_spar2"}


def test_an_unknown_code_is_rejected_with_its_name_and_a_known_other_is_passed_over(
    landing: Landing, httpserver: HTTPServer
) -> None:
    rows = [
        gho_row("VNM", 2020, 9.0, Dim1Type="RESIDENCEAREATYPE", Dim1="RESIDENCEAREATYPE_TOTL"),
        gho_row("VNM", 2020, 8.0, Dim1Type="RESIDENCEAREATYPE", Dim1="RESIDENCEAREATYPE_URB"),
        gho_row("LAO", 2020, 7.0, Dim1Type="RESIDENCEAREATYPE", Dim1="RESIDENCEAREATYPE_SEMI"),
        gho_row("KHM", 2020, 6.0, Dim1Type="WEALTHQUINTILE", Dim1="WQ1"),
    ]
    httpserver.expect_request("/FINPROTECTION_CATA_TOT_10_POP").respond_with_json({"value": rows})
    frame = frame_of(landing, pull(landing, httpserver, "gho").receipts, "catastrophic_spending_gho")
    reasons = {row["area_code"]: row["rejections"] for row in frame.to_dicts()}
    assert reasons["VNM"] == []
    assert "'RESIDENCEAREATYPE_SEMI' is not known" in reasons["LAO"][0]
    assert "dimension WEALTHQUINTILE" in reasons["KHM"][0]


def test_sdg_pages_by_number_and_names_the_release(landing: Landing, httpserver: HTTPServer) -> None:
    listed = [{"code": "3.1.2", "series": [{"code": "SH_STA_BRTC", "release": "2026.Q1.G.02"}]}]
    httpserver.expect_request("/v1/sdg/Indicator/3.1.2/Series/List").respond_with_json(listed)
    pages = {
        "1": [sdg_row("704", 2021.0, "96.1"), sdg_row("704", 2014.0, "NaN"), sdg_row("96", 2020.0, "<5")],
        "2": [sdg_row("116", 2022.0, "98.7"), sdg_row("116", 2022.0, "99", **{"Reporting Type": "N"})],
    }

    def answer(request: Request) -> Response:
        assert request.args.getlist("areaCode")[0] == "96", "M49 without leading zeros"
        page = {
            "totalElements": 5,
            "totalPages": 2,
            "pageNumber": int(request.args["page"]),
            "data": pages[request.args["page"]],
        }
        return Response(json.dumps(page), content_type="application/json; charset=utf-8")

    httpserver.expect_request("/v1/sdg/Series/Data", query_string=None).respond_with_handler(
        lambda request: answer(request) if request.args["seriesCode"] == "SH_STA_BRTC" else Response("", 404)
    )
    pulled = pull(landing, httpserver, "sdg")
    frame = frame_of(landing, pulled.receipts, "skilled_birth_attendance_sdg")
    # 96.1 and 98.7 are the published figures of MICS 2020-21 and of the DHS 2021-22.
    assert (value(frame, "VNM", 2021), value(frame, "KHM", 2022)) == (96.1, 98.7)
    assert set(frame["edition_code"]) == {"sdg2026_q1_g_02"}
    assert frame.filter(area_code="BRN")["rejections"].to_list() == [["value: '<5' is not a number"]]
    assert frame.height == 3


def test_world_bank_pages_and_a_refusal_with_status_200(landing: Landing, httpserver: HTTPServer) -> None:
    def page(number: int, area: str, figure: float | None) -> list[Any]:
        about = {"page": number, "pages": 2, "per_page": 1, "total": 2, "sourceid": "2", "lastupdated": "2026-07-01"}
        row = {"indicator": {"id": "SP.POP.TOTL", "value": "Population, total"}, "country": {"id": area[:2], "value": area},
               "countryiso3code": area, "date": "2024", "value": figure, "unit": "", "obs_status": "", "decimal": 0}  # fmt: skip
        return [about, [row]]

    path = (
        f"/country/{';'.join(['BRN', 'KHM', 'IDN', 'LAO', 'MYS', 'MMR', 'PHL', 'SGP', 'THA', 'TLS', 'VNM'])}/indicator/"
    )
    for number, (area, figure) in enumerate((("VNM", 100_987_686), ("LAO", None)), start=1):
        asked = {"format": "json", "per_page": "1000", "page": str(number)}
        httpserver.expect_request(path + "SP.POP.TOTL", query_string=asked).respond_with_json(
            page(number, area, figure)
        )
    refusal = [
        {"message": [{"id": "120", "key": "Invalid value", "value": "The provided parameter value is not valid"}]}
    ]
    httpserver.expect_request(path + "NY.GDP.MKTP.CD").respond_with_json(refusal)
    pulled = pull(landing, httpserver, "world_bank")
    frame = frame_of(landing, pulled.receipts, "population_world_bank_wdi")
    assert value(frame, "VNM", 2024) == 100_987_686
    assert frame.height == 1
    assert set(frame["edition_code"]) == {"wdi2026_07_01"}
    assert [fault for fault in pulled.faults if "gdp" in fault and "Invalid value" in fault]


def test_ilostat_by_migrant_status_and_nothing_found(landing: Landing, httpserver: HTTPServer) -> None:
    body = ilo(
        "SGP,A,F,SEX_T,MIG_STATUS_TOTAL,2024,1.2",
        "SGP,A,F,SEX_M,MIG_STATUS_MIGRANT,2024,2.4",
        "FRA,A,F,SEX_T,MIG_STATUS_TOTAL,2024,3",
    )
    httpserver.expect_request("/data/ILO,DF_SDG_F881_SEX_MIG_RT,1.0/all").respond_with_data(
        body, content_type="application/vnd.sdmx.data+csv; version=1.0.0"
    )
    httpserver.expect_request("/data/ILO,DF_SDG_N881_SEX_MIG_RT,1.0/all").respond_with_data("NoRecordsFound", 404)
    pulled = pull(landing, httpserver, "ilostat")
    assert pulled.faults == []
    frame = frame_of(landing, pulled.receipts, "fatal_injuries_ilostat")
    assert value(frame, "SGP", 2024, sex_code="M", category_code="MIGRANT") == 2.4
    assert value(frame, "SGP", 2024, sex_code="_T", category_code="_T") == 1.2
    assert set(frame["edition_code"]) == {"ilostat1_0_to2024"}


def client(server: HTTPServer, waits: list[float]) -> ServiceClient:
    return ServiceClient("gho", server.url_for(""), sleep=waits.append)


def test_a_busy_service_is_asked_again_after_the_time_it_names(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/x").respond_with_data("", 429, headers={"Retry-After": "7"})
    httpserver.expect_ordered_request("/x").respond_with_data("", 503)
    httpserver.expect_ordered_request("/x").respond_with_json({"value": []})
    waits: list[float] = []
    assert json.loads(client(httpserver, waits).get(Ask(path="x")) or b"") == {"value": []}
    assert waits == [7, 2]


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (302, {"Location": "http://login.example/"}, "", "to login.example"),
        (200, {"Content-Type": "text/html"}, "<html>", "proxy or a login page"),
        (400, {}, "", "answered 400 for x"),
        (404, {}, "", "answered 404 for x"),
    ],
)
def test_what_another_attempt_cannot_help_is_told_at_once(
    httpserver: HTTPServer, status: int, headers: dict[str, str], body: str, words: str
) -> None:
    httpserver.expect_request("/x").respond_with_data(body, status, headers=headers)
    waits: list[float] = []
    with pytest.raises(ServiceFault, match=words) as told:
        client(httpserver, waits).get(Ask(path="x"))
    assert waits == []
    assert "go on serving" in str(told.value)


def test_a_service_that_is_down_is_asked_once_and_not_for_every_feed(landing: Landing, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/UHC_INDEX_REPORTED").respond_with_data("", 503)
    pulled = pull(landing, httpserver, "gho")
    assert pulled.receipts == []
    assert len(pulled.faults) == 1
    assert {request.path for request, _ in httpserver.log} == {"/UHC_INDEX_REPORTED"}


def test_paging_that_never_ends_is_stopped(landing: Landing, httpserver: HTTPServer) -> None:
    endless = {"value": [gho_row("VNM", 2020, 1.0)], "@odata.nextLink": "x?$skip=1"}
    httpserver.expect_request("/UHC_INDEX_REPORTED").respond_with_json(endless)
    assert any("paging does not end" in fault for fault in pull(landing, httpserver, "gho").faults)


def batch_of(landing: Landing, receipts: list[Receipt]) -> pl.DataFrame:
    frames = [
        batch.frames for batch in editions.batches(landing)(receipts) if "staging.reference_value" in batch.frames
    ]
    return frames[-1]["staging.reference_value"]


def test_an_arrival_takes_the_place_of_the_shipped_edition_and_of_the_arrival_before(
    landing: Landing, httpserver: HTTPServer
) -> None:
    shipped = land(lambda part: landing.pull("reference", part, AT, is_practice=False))
    rows = batch_of(landing, shipped).filter(series_code="tb_incidence_rate", is_current_edition=True)
    assert set(rows["edition_code"]) == {"gtb2024"}
    served: dict[str, Any] = {}
    httpserver.expect_request("/MDG_0000000020").respond_with_handler(
        lambda request: Response(json.dumps({"value": served["rows"]}), content_type="application/json")
    )

    def current(figure: float, day: str, days: int) -> dict[str, Any]:
        served["rows"] = [gho_row(area, 2024, figure, Date=f"{day}T00:00:00+01:00") for area in members()]
        pulled = pull(landing, httpserver, "gho", at=AT + timedelta(days=days))
        frame = batch_of(landing, pulled.receipts)
        assert set(frame["series_code"]) == {"tb_incidence_rate"}, "only what the arrival touches is staged"
        now = frame.filter("is_current_edition")
        assert now["edition_code"].n_unique() == 1
        return {
            "edition": now["edition_code"][0],
            "value": value(now, "VNM", 2024),
            "editions": set(frame["edition_code"]),
        }

    first = current(180.0, "2026-02-16", 7)
    assert (first["edition"], first["value"]) == ("gho2026_02_16", 180)
    assert first["editions"] == {"gtb2024", "gtb2023", "gho2026_02_16"}
    second = current(175.0, "2026-08-01", 14)
    assert (second["edition"], second["value"]) == ("gho2026_08_01", 175)
    unchanged = current(175.0, "2026-09-01", 21)
    assert unchanged["edition"] == "gho2026_08_01", "a new date on the same figures is no new edition"


def test_an_edition_of_one_country_does_not_take_the_place_of_eleven(landing: Landing, tmp_path: Path) -> None:
    shipped = land(lambda part: landing.pull("reference", part, AT, is_practice=False))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "one.csv").write_text(
        "series_code,edition_code,area_code,year,value\ntb_incidence_rate,gtb2025,LAO,2024,126\n"
    )
    arrived = fetch.pull_inbox(
        folder, lambda part: landing.pull("reference", part, AT, is_practice=False), set()
    ).receipts
    rows = batch_of(landing, [*shipped, *arrived]).filter(series_code="tb_incidence_rate")
    assert set(rows.filter("is_current_edition")["edition_code"]) == {"gtb2024"}
    assert rows.filter(edition_code="gtb2025").height == 1, "it is loaded beside the current edition"


GHO, SDG = "MDG_0000000020", "v1/sdg/Series/Data"
BANK = "country/BRN;KHM;IDN;LAO;MYS;MMR;PHL;SGP;THA;TLS;VNM/indicator/SP.POP.TOTL"
FLOW = "data/ILO,DF_SDG_F881_SEX_MIG_RT,1.0/all"
JSON, CSV = "application/json", "application/vnd.sdmx.data+csv;version=1.0.0"
ABOUT = {"page": 1, "pages": 1, "per_page": "1000", "total": 1, "lastupdated": "2026-07-01"}

# What a service sends on the day it changes: each shape beside words of what the run must say.
CHANGED = [
    ("gho", GHO, "tb_incidence_gho", "[]", "changed its shape"),
    ("gho", GHO, "tb_incidence_gho", '{"value": ["VNM"]}', "unknown shape"),
    ("gho", GHO, "tb_incidence_gho", '{"value": [{"Country": "VNM", "NumericValue": 1}]}', "SpatialDim"),
    ("gho", GHO, "tb_incidence_gho", '{"value": [', "unknown shape"),
    ("sdg", SDG, "skilled_birth_attendance_sdg", '{"data": null}', "changed its shape"),
    ("sdg", SDG, "skilled_birth_attendance_sdg", '{"data": [null], "totalPages": 1}', "unknown shape"),
    ("sdg", SDG, "skilled_birth_attendance_sdg", '{"data": [], "totalPages": "many"}', "unknown shape"),
    ("sdg", SDG, "skilled_birth_attendance_sdg", '{"data": [{"geoAreaCode": "704", "value": "1"}]}', "timePeriodStart"),
    ("world_bank", BANK, "population_world_bank_wdi", '{"error": "gone"}', "changed its shape"),
    ("world_bank", BANK, "population_world_bank_wdi", json.dumps([{**ABOUT, "pages": None}, []]), "unknown shape"),
    ("world_bank", BANK, "population_world_bank_wdi", json.dumps([ABOUT, [{"value": 1}]]), "date"),
    ("ilostat", FLOW, "fatal_injuries_ilostat", "AREA,YEAR,VALUE\nVNM,2024,1\n", "columns"),
    ("ilostat", FLOW, "fatal_injuries_ilostat", 'DATAFLOW,REF_AREA,TIME_PERIOD,OBS_VALUE\n"x,' + "a" * 200_000, "unknown shape"),
    ("ilostat", FLOW, "fatal_injuries_ilostat", b"\xff\xfe\x00", "unknown shape"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "path", "feed", "body", "words"), CHANGED)
def test_an_answer_of_another_shape_is_one_fault_of_its_feed_and_lands_nothing(
    landing: Landing, httpserver: HTTPServer, service: str, path: str, feed: str, body: str | bytes, words: str
) -> None:
    kind = CSV if service == "ilostat" else JSON
    httpserver.expect_request("/v1/sdg/Indicator/3.1.2/Series/List").respond_with_json([])
    httpserver.expect_request(f"/{path}").respond_with_data(body, content_type=kind)
    pulled = pull(landing, httpserver, service)
    assert pulled.receipts == []
    (fault,) = [fault for fault in pulled.faults if f"feed {feed}:" in fault]
    assert words in fault
    assert f"reference service {service}" in fault
    assert "Traceback" not in fault


NOTHING = [
    ("gho", GHO, "tb_incidence_gho", '{"value": []}'),
    ("world_bank", BANK, "population_world_bank_wdi", json.dumps([{**ABOUT, "pages": 0, "total": 0}, None])),
    ("ilostat", FLOW, "fatal_injuries_ilostat", ILO_HEADER + "\n"),
]


@pytest.mark.parametrize(("service", "path", "feed", "body"), NOTHING)
def test_an_answer_without_figures_is_no_edition(
    landing: Landing, httpserver: HTTPServer, service: str, path: str, feed: str, body: str
) -> None:
    """A service that has lost its rows must not take the place of the figures that are there."""
    kind = CSV if service == "ilostat" else JSON
    httpserver.expect_request(f"/{path}").respond_with_data(body, content_type=kind)
    pulled = pull(landing, httpserver, service)
    assert [fault for fault in pulled.faults if f"feed {feed}" in fault] == []
    for receipt in pulled.receipts:
        assert receipt.record_count == 0
    shipped = land(lambda part: landing.pull("reference", part, AT, is_practice=False))
    before = batch_of(landing, shipped)
    after = batch_of(landing, [*shipped, *pulled.receipts])
    assert after.filter("is_current_edition").height == before.filter("is_current_edition").height > 10_000


def inbox(landing: Landing, folder: Path, **files: str) -> pl.DataFrame:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    (folder / ".half.csv").write_text("x")
    pulled = fetch.pull_inbox(folder, lambda part: landing.pull("reference", part, AT, is_practice=False), set())
    assert len(pulled.receipts) == len(files)
    return editions.arrivals(pulled.receipts, landing)


def test_a_file_of_the_inbox_is_taken_once_and_not_while_it_grows(
    landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("series_code\n")
    (tmp_path / "growing.csv").write_text("series")
    more = ["series_code\nx"]

    def passing(seconds: float) -> None:
        if more:
            (tmp_path / "growing.csv").write_text(more.pop())

    monkeypatch.setattr("assets.inbox.time.sleep", passing)

    def pulled(landed: set[str]) -> Intake:
        return fetch.pull_inbox(tmp_path, lambda part: landing.pull("reference", part, AT, is_practice=False), landed)

    first = pulled(set())
    assert [receipt.parameters["name"] for receipt in first.receipts] == ["a.csv"], "the other waits for the next pull"
    second = pulled(landed_sha256(first.receipts))
    assert second.known == ["a.csv"]
    assert [receipt.parameters["name"] for receipt in second.receipts] == ["growing.csv"]


def test_inbox_takes_sdmx_csv_of_both_versions_and_plain_csv(landing: Landing, tmp_path: Path) -> None:
    second = (
        "STRUCTURE,STRUCTURE_ID,ACTION,REF_AREA: Area,FREQ,MEASURE,SEX: Sex,MIG,TIME_PERIOD,OBS_VALUE\n"
        "dataflow,ILO:DF_SDG_N881_SEX_MIG_RT(1.0),I,THA: Thailand,A,M,SEX_F: Female,MIG_STATUS_TOTAL,2023,88.5\n"
        "dataflow,ILO:DF_SDG_N881_SEX_MIG_RT(1.0),D,THA: Thailand,A,M,SEX_M: Male,MIG_STATUS_TOTAL,2023,90\n"
    )
    plain = "series_code,edition_code,area_code,year,value,lower,upper,producer\ntb_incidence_rate,gtb2025,LAO,2024,126,100,155,WHO\n"
    frame = inbox(landing, tmp_path / "in", one=ilo("MMR,A,F,SEX_T,MIG_STATUS_TOTAL,2022,4.5"), two=second, three=plain)
    assert frame["rejections"].list.len().sum() == 0
    assert value(frame, "MMR", 2022) == 4.5
    assert value(frame, "THA", 2023, sex_code="F") == 88.5
    row = frame.filter(area_code="LAO").row(0, named=True)
    assert (row["edition_code"], row["lower"], row["unit"], row["pointer"]) == (
        "gtb2025",
        100,
        "per 100 000 population",
        "three.csv:2",
    )
    assert frame.height == 3, "a row that a message wants deleted is no figure"


def test_faults_of_inbox_files_say_what_to_do(landing: Landing, tmp_path: Path) -> None:
    frame = inbox(
        landing,
        tmp_path / "in",
        flow=ilo("VNM,A,F,SEX_T,MIG_STATUS_TOTAL,2022,4.5", flow="ILO:DF_OTHER(1.0)"),
        columns="series,area\nx,VNM\n",
        rows="series_code,edition_code,area_code,year,value\ntb_incidenz,,USA,20x4,many\n",
        sdmx="DATAFLOW,REF_AREA\nILO:DF_SDG_N881_SEX_MIG_RT(1.0),VNM\n",
    )
    reasons = {str(row["pointer"]).split(".")[0]: row["rejections"] for row in frame.to_dicts()}
    assert "DF_OTHER is in no feed" in reasons["flow"][0]
    assert "missing ['series_code'" in reasons["columns"][0]
    assert len(reasons["rows"]) == 5
    assert "columns ['TIME_PERIOD', 'OBS_VALUE'] are missing" in reasons["sdmx"][0]


def test_every_feed_belongs_to_a_service_and_a_series_with_a_unit() -> None:
    assert {feed.service for feed in feeds().values()} == set(services())
    for feed in feeds().values():
        assert unit_of(feed.series, "test")


def test_settings_name_services_and_refuse_others(tmp_path: Path) -> None:
    file = tmp_path / "mhwg.toml"
    file.write_text('[reference]\nservices = ["gho", "ilostat"]\nbase_urls = {gho = "http://127.0.0.1:1/api"}\n')
    assert load_settings(file).reference.services == ("gho", "ilostat")
    assert load_settings(file).inbox(load_settings(file).reference).name == "reference"
    file.write_text('[reference]\nservices = ["who"]\n')
    with pytest.raises(Exception, match=r"reference\.services\.0"):
        load_settings(file)


class _NoScales:
    """Scales without rules: what is weighed is tested in tests/expectations."""

    def weigh(self, connection: object, table: object, context: object) -> list[object]:
        return []

    def checks_for(self, table: object) -> list[object]:
        return []


def test_through_the_store_one_edition_is_current_and_the_earlier_one_is_kept(
    landing: Landing, httpserver: HTTPServer, tmp_path: Path
) -> None:
    store = Warehouse(tmp_path / "warehouse.duckdb")

    def refresh(receipts: list[Receipt], at: datetime) -> Any:
        landing.note_pull(receipts, at)
        return load_source(store, landing, _NoScales(), "reference", at, editions.batches(landing))  # type: ignore[arg-type]

    assert refresh(land(lambda part: landing.pull("reference", part, AT, is_practice=False)), AT).is_change
    page = {"value": [gho_row(area, 2024, 100.0) for area in members()]}
    httpserver.expect_request("/MDG_0000000020").respond_with_json(page)
    later = AT + timedelta(days=7)
    report = refresh(pull(landing, httpserver, "gho", at=later).receipts, later)
    assert report.fault is None
    assert report.load.history["core.reference_value"].inserted == 11
    rows = store.read(
        "select edition_code, is_current_edition, count(*) as n from core.reference_value_current "
        "where series_code = 'tb_incidence_rate' group by all order by 1"
    ).rows()
    assert rows == [("gho2026_02_16", True, 11), ("gtb2023", False, 251), ("gtb2024", False, 262)]
    others = store.read("select count(*) as n from core.reference_value_current where is_current_edition")["n"][0]
    assert others > 10_000, "no other series was touched"
    again = AT + timedelta(days=14)
    assert not refresh(pull(landing, httpserver, "gho", at=again).receipts, again).is_change, (
        "asked again, nothing moved"
    )
