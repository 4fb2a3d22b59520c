"""Contract registers: identities stop before landing, contracts arrive, every fault names its cell."""

import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from assets.labour.fetch import safe_form
from assets.labour.figures import ReadResult
from assets.labour.read import read_landed
from assets.labour.register import SAFE_NAME
from methods.pseudonym import Pseudonymiser
from practice.labour.registers import HEADERS, all_contracts, canaries, register_files, write_register

KEY = Pseudonymiser("a key of the tests, long enough", "test")
DAY = date(2025, 3, 10)
ROW = {
    "Số hợp đồng": "HD-1", "Số giấy phép": "012/LĐTBXH-GP", "Họ và tên": "Nguyễn Thị Kiểm Thử", "Ngày sinh": "05/03/1999",
    "Giới tính": "Nữ", "Số CCCD": "079199000111", "Số hộ chiếu": "C1234567", "Xã": "Xã Bình An", "Tỉnh": "Nghệ An",
    "Nước tiếp nhận": "Nhật Bản", "Chủ sử dụng": "Công ty Mẫu", "Ngành nghề": "Nông nghiệp", "Công việc": "Hái dâu",
    "Loại hợp đồng": "Doanh nghiệp dịch vụ", "Ngày ký": "01/02/2025", "Ngày xuất cảnh": "01/03/2025",
    "Ngày hết hạn": "01/03/2028", "Ngày về nước": "", "Lý do về nước": "", "Mức lương": "180.000", "Loại tiền lương": "JPY",
    "Chi phí đã nộp": "60.000.000", "Loại tiền chi phí": "VND", "Số chứng nhận GDĐH": "GD-77", "Ngày khám sức khỏe": "15/02/2025",
    "Kết quả khám sức khỏe": "Đủ sức khỏe",
}  # fmt: skip
SECRETS = (
    "Kiểm Thử",
    "079199000111",
    "C1234567",
    "Bình An",
    "Công ty Mẫu",
    "Hái dâu",
    "GD-77",
    "05/03/1999",
    "1999-03-05",
    "HD-1",
)


def workbook(*rows: Mapping[str, object]) -> bytes:
    """A register of these rows."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["DANH SÁCH LAO ĐỘNG THEO HỢP ĐỒNG"])
    sheet.append(["Hà Nội, ngày 10 tháng 03 năm 2025"])
    sheet.append(list(HEADERS))
    for number, row in enumerate(rows, 1):
        sheet.append([number, *[row.get(header) or None for header in HEADERS[1:]]])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(*rows: Mapping[str, object]) -> tuple[ReadResult, str]:
    """The register as read after landing, and the text that was landed."""
    landed_name, safe, _ = safe_form("register.xlsx", workbook(*rows), KEY)
    assert landed_name == SAFE_NAME
    return read_landed(safe, landed_name, "register.xlsx"), safe.decode()


def test_nothing_that_identifies_a_person_is_landed() -> None:
    _, landed = read(ROW)
    assert not [secret for secret in SECRETS if secret.casefold() in landed.casefold()]


def test_a_contract_arrives_with_what_the_indicators_need() -> None:
    result, _ = read(ROW)
    (contract,) = result.contracts
    assert contract["rejections"] == []
    assert contract["destination_code"] == "JPN"
    assert contract["sex_code"] == "F"
    assert contract["birth_year"] == 1999
    assert contract["is_of_age_at_departure"] is True
    assert contract["origin_area_code"] == "VN63-40", "before the merger of July 2025"
    assert contract["departed_on"] == date(2025, 3, 1)
    assert contract["return_reason_code"] == "_Z"
    assert (contract["wage_amount"], contract["wage_currency_code"]) == (180_000, "JPY")
    assert contract["token_basis_code"] == "national_id"


def test_the_same_worker_has_one_token_and_another_has_another() -> None:
    other = ROW | {"Số hợp đồng": "HD-2", "Số CCCD": "079199000112"}
    again = ROW | {"Số hợp đồng": "HD-3", "Họ và tên": "NGUYỄN THỊ KIỂM THỬ"}
    result, _ = read(ROW, other, again)
    first, second, third = (contract["person_token"] for contract in result.contracts)
    assert first == third
    assert first != second


def test_a_citizen_number_that_lost_its_zero_in_excel_is_the_same_person() -> None:
    result, _ = read(ROW, ROW | {"Số hợp đồng": "HD-2", "Số CCCD": 79199000111})
    assert len({contract["person_token"] for contract in result.contracts}) == 1


FAULTS = [
    ({"Ngày về nước": "01/02/2025"}, "return_before_departure", "S4"),
    ({"Ngày xuất cảnh": "01/01/2025"}, "departure_before_contract", "Q4"),
    ({"Ngày sinh": "05/03/2010"}, "under_age", "Q4"),
    ({"Nước tiếp nhận": "Nhat Bann"}, "unknown_label", "K4"),
    ({"Tỉnh": "Nghệ Ann"}, "unknown_label", "J4"),
    ({"Giới tính": "?"}, "unknown_label", "F4"),
    ({"Ngày ký": "hôm qua"}, "bad_date", "P4"),
    ({"Số hợp đồng": ""}, "no_contract_number", "4"),
    ({"Loại tiền lương": ""}, "no_currency", "U4"),
    ({"Ngày xuất cảnh": "", "Ngày về nước": "01/05/2025"}, "return_without_departure", "S4"),
]


@pytest.mark.parametrize(("change", "code", "cell"), FAULTS, ids=[f"{code}-{cell}" for _, code, cell in FAULTS])
def test_each_broken_rule_quarantines_its_row_and_names_its_cell(change: dict[str, str], code: str, cell: str) -> None:
    result, _ = read(ROW | change, ROW | {"Số hợp đồng": "HD-9"})
    errors = [fault for fault in result.faults if fault.severity == "error"]
    assert [(fault.code, fault.cell) for fault in errors] == [(code, cell)]
    assert [bool(contract["rejections"]) for contract in result.contracts] == [True, False]
    assert not any(secret in fault.message for fault in errors for secret in SECRETS)


def test_an_erased_worker_is_not_landed_again_and_that_is_counted() -> None:
    other = ROW | {"Số hợp đồng": "HD-2", "Số CCCD": "079199000222"}
    _, safe, rows = safe_form("register.xlsx", workbook(ROW, other), KEY)
    assert rows == 2
    worker = json.loads(safe.splitlines()[1])
    for kind, token in (("person", worker["person_token"]), ("contract", worker["contract_token"])):
        knowing = Pseudonymiser("a key of the tests, long enough", "test", [KEY.erasure_digest(kind, token)])
        _, safe, rows = safe_form("register.xlsx", workbook(ROW, other), knowing)
        assert rows == 1
        assert json.loads(safe.splitlines()[0])["erased_rows"] == 1
        assert worker["person_token"].encode() not in safe
        assert worker["contract_token"].encode() not in safe


def test_a_contract_that_stands_twice_counts_once() -> None:
    result, _ = read(ROW, ROW)
    assert [bool(contract["rejections"]) for contract in result.contracts] == [False, True]


def test_names_in_slipped_columns_do_not_pass() -> None:
    slipped = ROW | {"Tỉnh": "Nguyễn Thị Kiểm Thử", "Nước tiếp nhận": "079199000111", "Ngành nghề": "Trần Văn Mẫu"}
    result, landed = read(slipped)
    assert "Kiểm Thử" not in landed
    assert "079199000111" not in landed
    assert "Trần Văn" not in landed
    assert len(result.contracts[0]["rejections"]) == 3


def test_persons_in_an_unknown_form_are_not_stored_at_all() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Họ và tên", "Ghi chú"])
    sheet.append(["Nguyễn Thị Kiểm Thử", "gọi lại"])
    stream = io.BytesIO()
    book.save(stream)
    landed_name, safe, _ = safe_form("la.xlsx", stream.getvalue(), KEY)
    assert "Kiểm" not in safe.decode()
    result = read_landed(safe, landed_name, "la.xlsx")
    assert [fault.code for fault in result.faults] == ["unknown_register"]


def test_identity_numbers_without_headers_are_noticed() -> None:
    data = b"a;b\n079199000111;1\n079199000112;2\n079199000113;3\n"
    landed_name, safe, _ = safe_form("numbers.csv", data, KEY)
    assert landed_name == "refused.json"
    assert b"079199000111" not in safe


def test_practice_registers_read_without_a_fault_and_hide_every_canary() -> None:
    files = register_files(date(2025, 4, 30))
    planted = canaries(date(2025, 4, 30))
    assert len(files) == 4
    assert len(planted) > 1000
    rows = 0
    for name, data in files.items():
        landed_name, safe, count = safe_form(name, data, KEY)
        text = safe.decode()
        assert not [canary for canary in planted if canary in text]
        result = read_landed(safe, landed_name, name)
        assert not result.faults
        assert result.document is not None
        assert result.document.is_practice
        rows += count
    assert rows >= len(all_contracts(date(2025, 4, 10)))


def test_practice_registers_are_the_same_bytes_every_time() -> None:
    contracts = all_contracts(date(2024, 3, 1))
    assert write_register(contracts, DAY, "t") == write_register(contracts, DAY, "t")


def test_registers_reach_the_core_and_late_ones_change_nothing(
    tmp_path: Path, labour_world: Callable[[Path], Any]
) -> None:
    world = labour_world(tmp_path)
    files = sorted(register_files(date(2025, 3, 31)).items())
    # The newest register first, the older ones a day later.
    for day, chosen in ((1, files[-1:]), (2, files)):
        for name, data in chosen:
            (world.inbox / name).write_bytes(data)
        _, report = world.refresh(datetime(2025, 4, day, tzinfo=UTC))
        assert report.fault is None
    rows = world.read("select count(*) as n, count(distinct contract_token) as m from core.labour_contract_current")
    assert rows["n"].item() == rows["m"].item() == len(all_contracts(date(2025, 3, 10)))
    stored = world.read("select document_code, published_on from core.labour_contract_current")
    assert str(stored["published_on"].max()) == "2025-03-10"
    everything = b"".join(path.read_bytes() for path in (tmp_path / "landing").rglob("*") if path.is_file())
    everything += (tmp_path / "warehouse.duckdb").read_bytes()
    text = everything.decode("utf-8", errors="ignore")
    # One in seven: 2 000 searches through the whole store took 20 s and proved no more.
    assert not [canary for canary in sorted(canaries(date(2025, 3, 31)))[::7] if canary in text]
    returns = world.read(
        "select count(*) as n from core.labour_contract_current where returned_on is not null and return_reason_code = '_Z'"
    )
    assert returns["n"].item() == 0


def test_the_safe_form_is_json_lines_with_a_head() -> None:
    _, landed = read(ROW)
    head, row = (json.loads(line) for line in landed.splitlines())
    assert head["form"] == "safe-register"
    assert row["row"] == 4
