"""Injected faults, source by source: each is found, laid at the right provider's door, and costs no other row.

The faults are put into what the providers send (landed payloads and inbox files) and go through the real readers, suites, load and
review, all faults of a source together. The table in docs/quality.md is this file's result; it is written anew with
`python tests/flow/test_injected_faults.py`.
"""

import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from assets.dhis2.assets import batches as dhis2_batches
from assets.dhis2.mapping import parse_instance
from assets.labour import fetch as labour_fetch
from assets.labour import stage as labour
from assets.loading import Batches, SourceReport, load_source
from assets.programme import read as programme
from assets.quality.assets import review_current_rows
from assets.reference import editions
from assets.reference import read as reference
from assets.survey.assets import batches as survey_batches
from assets.survey.declarations import load_recodes
from assets.survey.inbox import pull_inbox
from expectations.scales import GreatExpectationsScales
from methods.pseudonym import Pseudonymiser
from practice.labour.inbox import bulletin_files
from practice.labour.registers import HEADERS
from practice.survey.files import WAVES
from warehouse.landing import Landing
from warehouse.store import Warehouse

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "quality.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
WEEK = timedelta(weeks=1)
NOW = datetime(2026, 7, 6, tzinfo=UTC)
SOURCES = ("dhis2_stub", "labour", "programme", "reference", "survey")


@dataclass(frozen=True)
class Fault:
    """One fault, and where the warehouse must tell of it: `held` (reason), `rule` (code), `drift` (kind and field), `finding`
    (kind of finding) or `refused` (sentence)."""

    source: str
    what: str
    found_by: str
    text: str


FAULTS = (
    Fault("dhis2_stub", "text in a numeric element", "held", "no number in a numeric data element"),
    Fault("dhis2_stub", "number of 400 digits", "held", "a number of more than 307 digits"),
    Fault(
        "dhis2_stub",
        "unknown category option combo",
        "held",
        "category option combo CocUnknown1 is not in the settings",
    ),
    Fault("dhis2_stub", "period that is none", "held", "period '2026AA' is not a DHIS2 period"),
    Fault("dhis2_stub", "value without org unit", "held", "org unit is missing"),
    Fault("dhis2_stub", "negative count", "held", "staging.data_value.count_not_negative"),
    Fault("dhis2_stub", "half a case", "held", "staging.data_value.count_is_whole"),
    Fault("dhis2_stub", "count of two million", "held", "staging.data_value.count_is_plausible"),
    Fault("dhis2_stub", "value of next year", "held", "staging.data_value.period_has_begun"),
    Fault("dhis2_stub", "count fifty times the usual", "finding", "outlier"),
    Fault("dhis2_stub", "sudden jump", "finding", "time_change"),
    Fault("dhis2_stub", "report that did not come", "finding", "missing_report"),
    Fault("dhis2_stub", "report of a unit that owes none", "finding", "unexpected_report"),
    Fault("dhis2_stub", "registration without a date", "held", "date is missing"),
    Fault("dhis2_stub", "org unit without a name", "held", "the org unit has no name or path"),
    Fault("dhis2_stub", "option code that nobody knows", "held", "disease: option code XX is not in the settings"),
    Fault("dhis2_stub", "record that neither sends nor receives", "held", "direction is missing"),
    Fault("dhis2_stub", "received before it was sent", "held", "staging.referral_record.received_after_referred"),
    Fault("dhis2_stub", "event in the future", "held", "staging.referral_record.nothing_in_the_future"),
    Fault("dhis2_stub", "token that is no keyed hash", "held", "staging.referral_record.token_is_a_keyed_hash"),
    Fault("dhis2_stub", "patient born in 1850", "rule", "staging.referral_record.birth_year_is_plausible"),
    Fault("dhis2_stub", "referral by a closed unit", "finding", "closed_unit_referral"),
    Fault("dhis2_stub", "data element that became a text", "drift", "retyped:ElemNumber1"),
    Fault("dhis2_stub", "data element that is gone", "drift", "missing:ElemNumber2"),
    Fault("labour", "file that is no workbook", "held", "a workbook or a text table"),
    Fault("labour", "worker back before leaving", "held", "found return on 2025-01-01"),
    Fault("labour", "destination nobody knows", "held", "Atlantis"),
    Fault("labour", "date that is none", "held", "found a cell that is no date"),
    Fault("labour", "contract that stands twice", "held", "one row per contract"),
    Fault("labour", "column nobody knows", "drift", "new:"),
    Fault("labour", "bulletin with a heading in new words", "drift", "renamed:lũy kế từ đầu năm / trong đó: nữ"),
    Fault("labour", "bulletin without its markets", "drift", "missing:thị trường"),
    Fault("labour", "bulletin with words for figures", "drift", "retyped:lũy kế từ đầu năm / tổng số"),
    Fault("programme", "number in words", "held", "number: 'many'"),
    Fault("programme", "number below zero", "held", "number: '-3'"),
    Fault("programme", "unknown category", "held", "category: 'MIDWIFE'"),
    Fault("programme", "unknown register", "held", "register: 'trainingz'"),
    Fault("programme", "period that is none", "held", "period: '2026XX'"),
    Fault("programme", "area left out", "held", "area: empty"),
    Fault("programme", "same row twice", "held", "stand twice in the file"),
    Fault("programme", "count of a period to come", "rule", "staging.programme_count.period_has_begun"),
    Fault("programme", "month sent many times over", "rule", "staging.programme_count.rows_as_expected"),
    Fault("programme", "column more than asked for", "drift", "new:donor"),
    Fault("programme", "known other heading", "drift", "renamed:number"),
    Fault("programme", "numbers replaced by words", "drift", "retyped:number"),
    Fault("programme", "file cut short after it was received", "refused", "are not those received"),
    Fault("reference", "area outside the frame", "held", "staging.reference_value.area_code_is_in_core_area"),
    Fault("reference", "value that is no number", "held", "value: 'abc' is not a number"),
    Fault("reference", "value that is not there", "held", "value: empty"),
    Fault("reference", "value outside its own bounds", "held", "staging.reference_value.bounds_contain_value"),
    Fault("reference", "year 1900", "held", "staging.reference_value.year_is_plausible"),
    Fault("reference", "key that stands twice", "held", "staging.reference_value.key_is_unique"),
    Fault("reference", "negative level", "held", "staging.reference_value.level_not_negative"),
    Fault("reference", "date that is none", "held", "is not a date (YYYY-MM-DD)"),
    Fault("survey", "code that the questionnaire lacks", "held", "SEX"),
    Fault("survey", "age of 150", "held", "AGE"),
    Fault("survey", "question that is gone", "drift", "missing:AGE"),
)


class World:
    """One store per source, so that faults of one cannot hide behind those of another."""

    def __init__(self, folder: Path, source: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.source = source
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.landing = Landing(folder / "landing")
        self.at = NOW - 4 * WEEK
        self.faults: list[str] = []
        self.reports: list[SourceReport] = []

    def factory(self, part: str) -> Any:
        """A pull of one part of the source, at the world's instant."""
        return self.landing.pull(self.source, part, self.at, is_practice=True)

    def land(self, part: str, kind: str, files: Mapping[str, bytes], parameters: Mapping[str, Any]) -> Any:
        """One landed part, as its source would land it."""
        pull = self.factory(part)
        pull.restart()
        for name, data in files.items():
            pull.write(name, data)
        return pull.finish(kind, part, parameters, 1)

    def load(self, batches: Batches) -> None:
        """What waits is loaded, a week later."""
        self.at += WEEK
        report = load_source(self.warehouse, self.landing, SCALES, self.source, self.at, batches)
        self.reports.append(report)
        if report.fault:
            self.faults.append(report.fault)

    def told(self) -> dict[str, list[tuple[str, str]]]:
        """What the store tells, by the way it tells: (provider, text)."""
        with self.warehouse.connect(read_only=True) as connection:
            findings = review_current_rows(connection, NOW) if self.source.startswith("dhis2") else None
            return {
                "held": connection.execute(
                    "select source_code, unnest(reasons) from quarantine.record where status_code = 'held'"
                ).fetchall(),
                "rule": connection.execute(
                    "select source_code, rule_code from ops.check_result where not is_passed"
                ).fetchall(),
                "drift": connection.execute(
                    "select source_code, drift_code || ':' || coalesce(nullif(field_name, ''), received_name) from ops.field_drift"
                ).fetchall(),
                "finding": [
                    (f"dhis2_{row['instance_code']}", row["review_code"]) for row in findings.iter_rows(named=True)
                ]
                if findings is not None
                else [],
                "refused": [(self.source, fault) for fault in self.faults],
            }


SCALES = GreatExpectationsScales()


# Reference -----------------------------------------------------------------------------------------------------------


def reference_world(world: World) -> list[str]:
    """Frames with a date that is none, and one series with seven kinds of wrong rows around three right ones."""
    area = (reference.ROOM / "frames" / "area.csv").read_text(encoding="utf-8")
    files = {f"{name}.csv": (reference.ROOM / "frames" / f"{name}.csv").read_bytes() for name in reference.FRAMES}
    files["area.csv"] = (area + "VN34-99,province,Bad,Bad,VNM,99,vn34,2025-13-45,\n").encode()
    frames = world.land("frames", "file", files, {})
    entry = (reference.ROOM / "series.toml").read_text(encoding="utf-8").split("[[series]]")[1]
    file = reference.parse_register("[[series]]" + entry, "series.toml")[0].file
    rows = (
        "VNM,2020,1,,", "KHM,2020,2,1,3", "THA,2021,4,,", "XKX,2020,2,,", "KHM,2021,abc,,", "IDN,2020,,,", "THA,2020,5,6,7",
        "BRN,1900,1,,", "LAO,2020,3,,", "LAO,2020,4,,", "MMR,2020,-4,,",
    )  # fmt: skip
    table = "\n".join(["area_code,year,value,lower,upper", *rows]) + "\n"
    series = world.land("series", "file", {"series.toml": ("[[series]]" + entry).encode(), file: table.encode()}, {})
    world.landing.note_pull([frames, series], world.at)
    world.load(editions.batches(world.landing))
    return world.warehouse.read(
        "select area_code || ' ' || year || ' ' || value from core.reference_value_current order by 1"
    ).to_series().to_list()  # fmt: skip


REFERENCE_KEPT = ["KHM 2020 2.0", "THA 2021 4.0", "VNM 2020 1.0"]


# Programme -----------------------------------------------------------------------------------------------------------


def programme_world(world: World) -> list[str]:
    """A sound register, then files with one wrong row each and files in another form, then one that was cut short."""
    columns = ",".join(programme.COLUMNS)

    def send(name: str, heading: str, *lines: str) -> None:
        (world.folder / name).write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8")
        pulled = programme.pull_files([world.folder / name], world.factory, ())
        world.landing.note_pull(pulled.receipts, world.at)

    send("good.csv", columns, "trainings,VNM,202601,,,,,NURSE,12,", "trainings,VNM,202602,,,,,NURSE,13,")
    world.load(programme.batches(world.landing))
    send(
        "rows.csv", columns, "trainings,KHM,202601,,,,,NURSE,many,", "trainings,KHM,202602,,,,,NURSE,-3,",
        "trainings,KHM,202603,,,,,MIDWIFE,1,", "trainingz,KHM,202604,,,,,NURSE,1,", "trainings,KHM,2026XX,,,,,NURSE,1,",
        "trainings,,202605,,,,,NURSE,1,", "trainings,KHM,202606,,,,,NURSE,6,", "trainings,KHM,202606,,,,,NURSE,7,",
        "trainings,KHM,202712,,,,,NURSE,1,", "trainings,KHM,202512,,,,,NURSE,5,",
        *(f"trainings,LAO,20250{month},,,,,NURSE,{month}," for month in range(1, 10)),
    )  # fmt: skip
    send("donor.csv", columns + ",donor", "trainings,THA,202601,,,,,NURSE,3,,nobody")
    send("heading.csv", columns.replace("number", "quantity"), "trainings,MMR,202601,,,,,NURSE,4,")
    send("words.csv", columns, "trainings,IDN,202601,,,,,NURSE,four,", "trainings,IDN,202602,,,,,NURSE,five,")
    world.load(programme.batches(world.landing))
    send(
        "flood.csv", columns,
        *(f"trainings,{area},202510,{sex},,,,{category},2,"
          for area in FLOODED for sex in ("F", "M", "") for category in ("DOCTOR", "NURSE", "OTHER")),
    )  # fmt: skip
    world.load(programme.batches(world.landing))
    send("cut.csv", columns, "trainings,BRN,202601,,,,,NURSE,9,")
    (landed,) = list((world.folder / "landing").rglob("cut.csv"))
    landed.write_bytes(landed.read_bytes()[:-12])
    world.load(programme.batches(world.landing))
    return world.warehouse.read(
        "select area_code || ' ' || quantity::integer from core.programme_count_current order by 1"
    ).to_series().to_list()  # fmt: skip


FLOODED = ("MYS", "PHL", "SGP", "TLS")
"""Areas that the flooded month has nine rows of each: sound row by row, and the months before it have one row."""

PROGRAMME_KEPT = sorted(
    ["VNM 12", "VNM 13", "KHM 6", "KHM 1", "KHM 5", "THA 3", "MMR 4", *(f"LAO {month}" for month in range(1, 10)),
     *(f"{area} 2" for area in FLOODED for _ in range(9))]
)  # fmt: skip


# Labour --------------------------------------------------------------------------------------------------------------

CONTRACT = {
    "Số hợp đồng": "HD-1", "Số giấy phép": "012/LĐTBXH-GP", "Họ và tên": "Nguyễn Thị Mẫu", "Ngày sinh": "05/03/1999",
    "Giới tính": "Nữ", "Số CCCD": "079199000111", "Tỉnh": "Nghệ An", "Nước tiếp nhận": "Nhật Bản",
    "Ngành nghề": "Nông nghiệp", "Loại hợp đồng": "Doanh nghiệp dịch vụ", "Ngày ký": "01/02/2025",
    "Ngày xuất cảnh": "01/03/2025", "Ngày hết hạn": "01/03/2028", "Ngày khám sức khỏe": "15/02/2025",
    "Kết quả khám sức khỏe": "Đủ sức khỏe",
}  # fmt: skip
"""An invented worker."""


def register(rows: Sequence[Mapping[str, str]], more: Sequence[str] = ()) -> bytes:
    """A register of these contracts, with headings beyond the form."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["DANH SÁCH LAO ĐỘNG THEO HỢP ĐỒNG"])
    sheet.append(["Hà Nội, ngày 10 tháng 03 năm 2025"])
    sheet.append([*HEADERS, *more])
    for number, row in enumerate(rows, 1):
        sheet.append([number, *[row.get(header) or None for header in HEADERS[1:]], *("x" for _ in more)])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def altered(data: bytes, column: int, changes: Mapping[Any, str]) -> bytes:
    """A bulletin with texts of one column, or its numbers (`float`), replaced."""
    book = openpyxl.load_workbook(io.BytesIO(data))
    for cell in next(iter(book.active.iter_cols(min_col=column, max_col=column))):
        key = float if isinstance(cell.value, int | float) else cell.value
        if key in changes:
            cell.value = changes[key]
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def labour_world(world: World) -> list[str]:
    """A sound register, then one with a wrong contract of each kind and a column more, and a file that is no workbook."""
    key = Pseudonymiser("a key of the tests, long enough", "test")
    inbox = world.folder / "inbox"
    inbox.mkdir()

    def contract(number: int, **changes: str) -> dict[str, str]:
        own = {"Số hợp đồng": f"HD-{number}", "Số CCCD": f"0791990{number:05d}"}
        return {**CONTRACT, **own, **changes}

    def load() -> None:
        pulled = labour_fetch.pull_inbox(inbox, world.factory, set(), key)
        world.landing.note_pull(pulled.receipts, world.at)
        world.load(labour.batches(world.landing))
        for path in inbox.iterdir():
            path.unlink()

    bulletins = bulletin_files(date(2025, 10, 20))
    (inbox / "sep.xlsx").write_bytes(bulletins["lao-dong-ngoai-nuoc_sep-2025.xlsx"])
    (inbox / "register-1.xlsx").write_bytes(register([contract(1), contract(2)]))
    load()
    wrong = [
        contract(3),
        contract(4, **{"Ngày về nước": "01/01/2025", "Lý do về nước": "Hết hạn hợp đồng"}),
        contract(5, **{"Nước tiếp nhận": "Atlantis"}),
        contract(6, **{"Ngày xuất cảnh": "31/02/2025"}),
        contract(7),
        contract(7),
    ]
    (inbox / "register-2.xlsx").write_bytes(register(wrong, ["Tôn giáo"]))
    for name, column, changes in (
        ("nov-2024", 6, {"Trong đó: nữ": "Trong đó: nữ giới"}),
        ("oct-2024", 2, {"Thị trường": "Đối tác"}),
        ("sep-2022", 5, {float: "nhiều"}),
    ):
        (inbox / f"{name}.xlsx").write_bytes(altered(bulletins[f"lao-dong-ngoai-nuoc_{name}.xlsx"], column, changes))
    (inbox / "broken.xlsx").write_bytes(b"PK\x03\x04 this is no workbook")
    load()
    kept = world.warehouse.read(
        "select 'contracts ' || count(*) as kept from core.labour_contract_current union all "
        "select distinct 'figures of ' || period_code from core.labour_figure_current order by 1"
    )
    return kept["kept"].to_list()


LABOUR_KEPT = ["contracts 4", "figures of 202509"]
"""Two of the first register; of the second the sound one and the first of the two that stand twice. The sound bulletin alone."""


# Survey --------------------------------------------------------------------------------------------------------------


def survey_world(world: World) -> list[str]:
    """A wave as delivered, again with two wrong persons, and again without a question that the recode needs."""
    name = "LAO_border_clinics_2026.por"
    key = ("LAO_BC", "2026")
    inbox = world.folder / "inbox"
    inbox.mkdir()
    WAVES[name][1](inbox / name, 1)
    pulled = pull_inbox(inbox, world.factory, set(), {key: load_recodes()[key]})
    assert pulled.faults == []
    (receipt,) = pulled.receipts
    files = {path.name: path.read_bytes() for path in world.landing.files(receipt)}
    batches = survey_batches(world.landing)
    world.landing.note_pull([receipt], world.at)
    world.load(batches)
    people = pl.read_parquet(io.BytesIO(files["person.parquet"]))
    row = pl.int_range(pl.len())
    wrong = people.with_columns(
        SEX=pl.when(row == 0).then(pl.lit("7")).otherwise("SEX"),
        AGE=pl.when(row == 1).then(pl.lit("150")).otherwise("AGE"),
    )

    def send(frame: pl.DataFrame, described: bytes, delivery: str) -> None:
        stream = io.BytesIO()
        frame.write_parquet(stream)
        again = {**files, "person.parquet": stream.getvalue(), "person.json": described}
        landed = world.land("LAO_BC-2026", "survey_wave", again, {**receipt.parameters, "delivery": delivery})
        world.landing.note_pull([landed], world.at)
        world.load(batches)

    send(wrong, files["person.json"], "second")
    gone = json.loads(files["person.json"])
    gone["variables"].pop("AGE")
    send(people.drop("AGE"), json.dumps(gone).encode(), "third")
    persons = world.warehouse.read("select count(*) as persons from core.survey_person_current").item()
    return [str(people.height - persons)]


SURVEY_KEPT = ["2"]
"""Persons of the wave that are not in the core: the two wrong ones."""


# DHIS2 ---------------------------------------------------------------------------------------------------------------

OPEN, CLOSED, OTHER = "Facility001", "Facility002", "Facility003"


def mapping() -> Any:
    """A server with one referral program and one monthly data set of two elements."""
    return parse_instance(
        {
            "code": "stub", "name": "Stub server", "country": "VNM", "url": "http://127.0.0.1:1", "credential_env": "STUB",
            "root_org_units": ["RootVnm0001"], "data_from": date(2024, 1, 1), "province_areas": {"Province001": "VN34-91"},
            "future_periods_days": 0,
            "referral": {
                "program": "Program0001", "tracked_entity_type": "TeType00001", "token_domain": "cross-border-referral",
                "migrant_basis": "C",
                "attributes": {"AttrNatId01": "national_id", "AttrFamily1": "family_name", "AttrGiven01": "given_name",
                               "AttrBirth01": "birth_date", "AttrSex0001": "sex"},
                "stages": {"StageSent01": "sent", "StageRecv01": "received", "StageOutc01": "outcome"},
                "elements": {"ElemDirect1": "direction", "ElemDiseas1": "disease", "ElemFromOu1": "from_org_unit"},
                "options": {"sex": {"F": "F"}, "direction": {"OUT": "outgoing", "IN": "incoming"}, "disease": {"TB": "TB"}},
            },
            "data_set": [{
                "uid": "DataSetMon1", "code": "MONTHLY", "period_type": "Monthly", "timely_days": 15,
                "elements": {"ElemNumber1": "TB_NOTIFIED", "ElemNumber2": "HIV_TESTED"},
                "category_option_combos": {"CocFemale01": {"sex": "F"}},
            }],
        },
        is_practice=True,
    )  # fmt: skip


def months(first: int = 1, last: int = 18) -> list[str]:
    """DHIS2 months from January 2025."""
    return [f"{2025 + (number - 1) // 12}{(number - 1) % 12 + 1:02d}" for number in range(first, last + 1)]


def dhis2_world(world: World) -> list[str]:
    """One full pull with every wrong value, report and record around sound ones; then two whose metadata changed."""
    units = [
        {"id": "RootVnm0001", "name": "Viet Nam", "path": "/RootVnm0001", "openingDate": "2000-01-01"},
        {"id": "Province001", "name": "An Giang", "path": "/RootVnm0001/Province001", "openingDate": "2000-01-01"},
        *(
            {"id": uid, "name": uid, "path": f"/RootVnm0001/Province001/{uid}", "openingDate": "2000-01-01", "closedDate": closed}
            for uid, closed in ((OPEN, None), (CLOSED, "2026-01-31"), (OTHER, None))
        ),
        {"id": "Facility009", "name": None, "path": "/RootVnm0001/Facility009", "openingDate": "2000-01-01"},
    ]  # fmt: skip
    elements = [{"id": "ElemNumber1", "valueType": "INTEGER"}, {"id": "ElemNumber2", "valueType": "INTEGER"}]
    sets = [{"id": "DataSetMon1", "periodType": "Monthly", "organisationUnits": [{"id": OPEN}, {"id": CLOSED}]}]

    def metadata(changed: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
        parts = {"org_units": units, "data_sets": sets, "data_elements": changed}
        return {f"{name}.json": json.dumps(rows).encode() for name, rows in parts.items()}

    def value(
        period: str, text: str | None, unit: str | None = OPEN, combo: str = "CocFemale01", element: str = "ElemNumber1"
    ):
        names = (
            "data_element",
            "period",
            "org_unit",
            "category_option_combo",
            "attribute_option_combo",
            "value",
            "last_updated",
            "deleted",
        )
        return dict(
            zip(
                names, (element, period, unit, combo, "AttrDefault", text, "2026-06-01T00:00:00.000", None), strict=True
            )
        )

    sound = [
        value(period, "500" if period == "202605" else str(9 + number % 3)) for number, period in enumerate(months())
    ]
    wrong = [
        value("202601", "abc", OTHER), value("202602", "9" * 400, OTHER), value("202603", "4", OTHER, "CocUnknown1"),
        value("2026AA", "4", OTHER), value("202604", "4", None), value("202605", "-4", OTHER), value("202606", "3.5", OTHER),
        value("202512", "2000000", OTHER), value("202712", "4", OTHER),
    ]  # fmt: skip
    stream = io.BytesIO()
    pl.DataFrame([*sound, *wrong], schema=dict.fromkeys(sound[0], pl.String)).write_parquet(stream)

    def registration(period: str, unit: str, day: str | None) -> dict[str, Any]:
        names = ("data_set", "period", "org_unit", "attribute_option_combo", "date", "completed")
        return dict(zip(names, ("DataSetMon1", period, unit, "AttrDefault", day, True), strict=True))

    reports = [registration(period, OPEN, "2026-06-01T00:00:00.000") for period in months(1, 17) if period != "202603"]
    reports += [registration(period, CLOSED, "2026-02-01T00:00:00.000") for period in months(1, 13)]
    reports += [registration("202604", OTHER, "2026-05-01T00:00:00.000"), registration("202605", CLOSED, None)]

    def record(number: int, *, token: str = "", born: int = 1990, disease: str = "TB", unit: str = OPEN, sent: str = "2026-05-01",
               received: str | None = None, direction: str | None = "OUT") -> dict[str, Any]:  # fmt: skip
        values = {"disease": disease, "from_org_unit": unit, **({"direction": direction} if direction else {})}
        step = "sent" if direction else "outcome"
        steps = [(step, sent, values), *([("received", received, {})] if received else [])]
        return {
            "tracked_entity": f"TrackEnt{number:03d}", "created_at": None, "updated_at": "2026-06-01T00:00:00.000",
            "deleted": False, "token": token or f"{number:032x}", "token_basis": "national_id", "key_id": "test",
            "birth_year": born, "owner": unit, "sex": "F", "nationality": None, "country_of_birth": None, "migrant_status": None,
            "enrollments": [{
                "enrollment": f"Enrollm{number:04d}", "org_unit": unit, "status": "ACTIVE", "enrolled_on": sent,
                "updated_at": None, "deleted": False,
                "events": [
                    {"event": f"Event{number:03d}{place:03d}", "step": name, "org_unit": unit, "status": "COMPLETED",
                     "occurred_on": day, "scheduled_on": None, "updated_at": None, "deleted": False, "values": found}
                    for place, (name, day, found) in enumerate(steps)
                ],
            }],
        }  # fmt: skip

    records = [
        record(1), record(2, received="2026-05-20"), record(3, disease="XX"), record(4, direction=None),
        record(5, received="2026-04-01"), record(6, sent="2027-05-01"), record(7, token="Nguyen Van A"), record(8, born=1850),
        record(9, unit=CLOSED),
    ]  # fmt: skip
    shared = {
        "server_zone": "Asia/Ho_Chi_Minh", "instance": "stub", "mode": "full", "since": None, "mapping_digest": "x",
        "warnings": [], "system_id": "s", "last_analytics_table_success": None,
    }  # fmt: skip

    def pull(changed: Sequence[Mapping[str, Any]]) -> None:
        chunk = "DataSetMon1-RootVnm0001-20240101-20281231"
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in records)
        parts = [
            ("metadata", metadata(changed)),
            ("tracker", {"tracker-000001.jsonl": lines}),
            ("data_values", {f"data_values-{chunk}.parquet": stream.getvalue()}),
            ("registrations", {f"registrations-{chunk}.json": json.dumps(reports).encode()}),
        ]
        receipts = [world.land(part, part, files, {**shared, "part": part}) for part, files in parts]
        world.landing.note_pull(receipts, world.at)
        world.load(dhis2_batches(mapping(), world.landing))

    pull(elements)
    pull([{"id": "ElemNumber1", "valueType": "TEXT"}, elements[1]])
    pull(elements[:1])
    kept = world.warehouse.read(
        "select 'values ' || count(*) as kept from core.data_value_current union all "
        "select 'referrals ' || count(*) from core.referral_record_current union all "
        "select 'registrations ' || count(*) from core.data_set_registration_current union all "
        "select 'units ' || count(*) from core.org_unit_current order by 1"
    )
    return kept["kept"].to_list()


DHIS2_KEPT = ["referrals 4", "registrations 30", "units 5", "values 18"]
"""All sound values; records 1, 2, 8 (a warning) and 9 (a finding); registrations but the undated; units but the nameless."""

BUILDERS: Mapping[str, tuple[Callable[[World], list[str]], list[str]]] = {
    "dhis2_stub": (dhis2_world, DHIS2_KEPT),
    "labour": (labour_world, LABOUR_KEPT),
    "programme": (programme_world, PROGRAMME_KEPT),
    "reference": (reference_world, REFERENCE_KEPT),
    "survey": (survey_world, SURVEY_KEPT),
}


@dataclass(frozen=True)
class Told:
    """A world after its faults: what it tells, what its core holds, and rows lost by its books."""

    world: World
    tells: Mapping[str, Sequence[tuple[str, str]]]
    kept: list[str]
    lost: int


def inject(folder: Path, source: str) -> Told:
    """The faults of one source have gone through its load."""
    world = World(folder / source, source)
    kept = BUILDERS[source][0](world)
    ((lost,),) = world.warehouse.read(
        "select coalesce(sum(received - staged - quarantined - duplicates), 0)::bigint as lost from ops.receipt_ledger"
    ).rows()
    return Told(world, world.told(), kept, lost)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    folder = tmp_path_factory.mktemp("faults")
    return {source: inject(folder, source) for source in SOURCES}


def where_found(fault: Fault, told: Mapping[str, Told]) -> set[str]:
    """Providers at whose door the fault was laid."""
    return {provider for provider, text in told[fault.source].tells[fault.found_by] if fault.text in text}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.source}: {fault.what}")
def test_each_fault_is_found_and_laid_at_the_right_door(fault: Fault, told: dict[str, Told]) -> None:
    assert where_found(fault, told) == {fault.source}, told[fault.source].tells[fault.found_by]


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_is_lost_and_unaffected_rows_reach_the_core(source: str, told: dict[str, Told]) -> None:
    assert told[source].lost == 0
    assert told[source].kept == BUILDERS[source][1]


@pytest.mark.parametrize("source", SOURCES)
def test_the_books_of_every_receipt_balance(source: str, told: dict[str, Told]) -> None:
    lines = told[source].world.warehouse.read("from ops.receipt_ledger")
    assert lines.height
    assert lines.filter(
        pl.col("received") != pl.col("staged") + pl.col("quarantined") + pl.col("duplicates")
    ).is_empty()
    held = told[source].world.warehouse.read("select count(*) from quarantine.record where receipt_id is null").item()
    assert held == 0


def test_there_are_at_least_thirty_kinds_over_all_sources() -> None:
    assert len({(fault.source, fault.what) for fault in FAULTS}) == len(FAULTS) >= 30
    assert {fault.source for fault in FAULTS} == set(SOURCES)


def table(told: Mapping[str, Told]) -> str:
    """The table of the document: fault, source, found by, attributed to, rows lost."""
    ways = {
        "held": "quarantine, with the reason", "rule": "check", "drift": "drift of fields", "finding": "review",
        "refused": "landing checksum",
    }  # fmt: skip
    lines = ["| source | fault | found by | attributed to | rows lost |", "|---|---|---|---|---|"]
    lines += [
        f"| {fault.source} | {fault.what} | {ways[fault.found_by]}: `{fault.text}` | {', '.join(sorted(where_found(fault, told)))} | "
        f"{told[fault.source].lost} |"
        for fault in FAULTS
    ]
    return "\n".join(lines)


def test_the_document_shows_what_was_found(told: dict[str, Told]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = text.split(BEGIN)[1].split(END)[0].strip()
    assert shown == table(told), f"write it anew: python {Path(__file__).relative_to(DOCUMENT.parents[1])}"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        result = table({source: inject(Path(scratch), source) for source in SOURCES})
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{result}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    sys.stdout.write(f"{len(FAULTS)} faults\n")
