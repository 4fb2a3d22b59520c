"""Synthetic contract registers: one row per worker, with invented identities that must never come out downstream.

Belongs here: workers and contracts as a pure function of the seed, and the register files of an instant. Does not belong
here: bulletins of real figures (`bulletins`), reading.

Nobody here exists. Each file says so in its title, so that whatever is made from it is marked as practice data.
"""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import xlsxwriter

from practice.labour.bulletins import CREATED

SEED = 20260706
_FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ")
_MIDDLE_F, _MIDDLE_M = ("Thị Hoài", "Thị Thu", "Ngọc", "Thị Bích"), ("Văn", "Đình", "Quang", "Hữu")
_GIVEN_F, _GIVEN_M = ("Hằng", "Lan", "Mai", "Oanh", "Trang", "Yến"), ("Cường", "Dũng", "Hải", "Long", "Sơn", "Tuấn")
_PLACES = (("Nhật Bản", 50, "JPY", 180_000), ("Đài Loan", 36, "TWD", 28_000), ("Hàn Quốc", 8, "KRW", 2_060_000),
           ("Hungary", 3, "EUR", 900), ("Rumani", 3, "EUR", 750))  # fmt: skip
_PROVINCES_OLD = (
    "Nghệ An",
    "Hà Tĩnh",
    "Thanh Hoá",
    "Quảng Bình",
    "Hải Dương",
    "An Giang",
    "Tây Ninh",
    "Kiên Giang",
    "Đắk Lắk",
)
_PROVINCES_NEW = (
    "Nghệ An",
    "Hà Tĩnh",
    "Thanh Hóa",
    "Quảng Trị",
    "Hải Phòng",
    "An Giang",
    "Tây Ninh",
    "Đắk Lắk",
    "Hưng Yên",
)
_SECTORS = (
    "Sản xuất chế tạo",
    "Nông nghiệp",
    "Xây dựng",
    "Điều dưỡng, hộ lý",
    "Giúp việc gia đình",
    "Thuyền viên tàu cá",
)
_TYPES = (
    "Doanh nghiệp dịch vụ",
    "Doanh nghiệp dịch vụ",
    "Doanh nghiệp dịch vụ",
    "Chương trình EPS",
    "Hợp đồng cá nhân",
)
_EARLY = ("Lý do sức khỏe", "Tai nạn lao động", "Lý do gia đình", "Doanh nghiệp phá sản", "Tử vong")
HEADERS = (
    "TT", "Số hợp đồng", "Số giấy phép", "Họ và tên", "Ngày sinh", "Giới tính", "Số CCCD", "Số hộ chiếu", "Xã",
    "Tỉnh", "Nước tiếp nhận", "Chủ sử dụng", "Ngành nghề", "Công việc", "Loại hợp đồng", "Ngày ký", "Ngày xuất cảnh",
    "Ngày hết hạn", "Ngày về nước", "Lý do về nước", "Mức lương", "Loại tiền lương", "Chi phí đã nộp",
    "Loại tiền chi phí", "Số chứng nhận GDĐH", "Ngày khám sức khỏe", "Kết quả khám sức khỏe",
)  # fmt: skip
FIRST_DEPARTURE = date(2024, 1, 8)
WEEKLY_DEPARTURES = 6


@dataclass(frozen=True)
class Contract:
    """One invented worker's contract with its whole life; a register shows of it what had happened by its day."""

    number: str
    licence: str
    full_name: str
    born_on: date
    is_woman: bool
    national_id: str
    passport: str
    province: str
    destination: str
    sector: str
    contract_type: str
    signed_on: date
    departed_on: date | None
    expected_end_on: date
    returned_on: date | None
    return_reason: str
    wage: int
    currency: str
    fee: int
    certificate: str
    examined_on: date
    examination: str


@cache
def _contract(week: int, index: int) -> Contract:
    draw = random.Random(f"{SEED}:{week}:{index}")
    is_woman = draw.random() < 0.35
    middle, given = (_MIDDLE_F, _GIVEN_F) if is_woman else (_MIDDLE_M, _GIVEN_M)
    left = FIRST_DEPARTURE + timedelta(days=7 * week + draw.randrange(6))
    place, _, currency, wage = draw.choices(_PLACES, [weight for _, weight, _, _ in _PLACES])[0]
    born = left - timedelta(days=round(365.25 * draw.uniform(18.6, 39)))
    ends = left + timedelta(days=draw.choice((365, 730, 1095)))
    unfit = draw.random() < 0.04
    returned, reason = None, ""
    chance = draw.random()
    if chance < 0.06:
        returned, reason = left + timedelta(days=draw.randrange(20, 330)), draw.choice(_EARLY)
    elif chance < 0.95:
        returned, reason = ends + timedelta(days=draw.randrange(0, 20)), "Hết hạn hợp đồng"
    provinces = _PROVINCES_NEW if left >= date(2025, 7, 1) else _PROVINCES_OLD
    return Contract(
        number=f"HD{left.year}-{week:04}{index:02}-{draw.randrange(100, 999)}",
        licence=f"{draw.randrange(1, 60):03}/LĐTBXH-GP",
        full_name=f"{draw.choice(_FAMILY)} {draw.choice(middle)} {draw.choice(given)} {draw.choice('ABCDĐEGHKL')}{draw.choice('uơôâ')}n",
        born_on=born,
        is_woman=is_woman,
        national_id=f"0{draw.randrange(10, 96)}{3 if is_woman else 2}{born.year % 100:02}{draw.randrange(10**6):06}",
        passport=f"{draw.choice('BCKP')}{draw.randrange(10**7):07}",
        province=draw.choice(provinces),
        destination=place,
        sector=draw.choice(_SECTORS),
        contract_type="Chương trình EPS" if place == "Hàn Quốc" else draw.choice(_TYPES[:3] + _TYPES[4:]),
        signed_on=left - timedelta(days=draw.randrange(20, 90)),
        departed_on=None if unfit else left,
        expected_end_on=ends,
        returned_on=None if unfit else returned,
        return_reason="" if unfit or returned is None else reason,
        wage=wage + draw.randrange(10) * wage // 50,
        currency=currency,
        fee=draw.randrange(20, 140) * 1_000_000,
        certificate="" if draw.random() < 0.07 else f"GDDH-{draw.randrange(10**6):06}",
        examined_on=left - timedelta(days=draw.randrange(10, 60)),
        examination="Không đủ sức khỏe" if unfit else "Đủ sức khỏe",
    )


def contracts_between(first: date, last: date) -> Iterator[Contract]:
    """The contracts of the weeks that begin from `first` to `last`."""
    for week in range(max(0, (first - FIRST_DEPARTURE).days // 7), (last - FIRST_DEPARTURE).days // 7 + 1):
        start = FIRST_DEPARTURE + timedelta(days=7 * week)
        if first <= start <= last:
            for index in range(WEEKLY_DEPARTURES):
                yield _contract(week, index)


def all_contracts(by: date) -> list[Contract]:
    """Every contract of the weeks begun by that day."""
    return list(contracts_between(FIRST_DEPARTURE, by))


def _cells(contract: Contract, number: int, by: date) -> list[str | float | date]:
    """The row as a register of day `by` shows it: later events have not happened yet."""

    def known(day: date | None) -> date | str:
        return day if day is not None and day <= by else ""

    returned = known(contract.returned_on)
    return [
        number, contract.number, contract.licence, contract.full_name, contract.born_on,
        "Nữ" if contract.is_woman else "Nam", contract.national_id, contract.passport, f"Xã {number % 17 + 1}",
        contract.province, contract.destination, "Kabushiki Mô phỏng", contract.sector, "Công nhân", contract.contract_type,
        contract.signed_on, known(contract.departed_on), contract.expected_end_on, returned,
        contract.return_reason if returned else "", contract.wage, contract.currency, contract.fee, "VND",
        contract.certificate, contract.examined_on, contract.examination,
    ]  # fmt: skip


def write_register(contracts: list[Contract], by: date, title: str) -> bytes:
    """A register of day `by` as a workbook; equal input, equal bytes."""
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"in_memory": True})
    book.set_properties({"title": title, "created": CREATED, "author": "", "comments": ""})
    sheet = book.add_worksheet("Danh sach")
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    bold = book.add_format({"bold": True, "border": 1, "text_wrap": True})
    sheet.write(0, 0, "BỘ NỘI VỤ - CỤC QUẢN LÝ LAO ĐỘNG NGOÀI NƯỚC")
    sheet.write(1, 0, f"{title} (DỮ LIỆU THỰC HÀNH)")
    sheet.write(2, 0, f"Hà Nội, ngày {by.day:02} tháng {by.month:02} năm {by.year}")
    for column, header in enumerate(HEADERS):
        sheet.write(4, column, header, bold)
    for offset, contract in enumerate(contracts):
        for column, content in enumerate(_cells(contract, offset + 1, by)):
            if isinstance(content, date):
                sheet.write_datetime(5 + offset, column, content, day)
            elif content != "":
                sheet.write(5 + offset, column, content)
    book.close()
    return stream.getvalue()


def register_files(on: date) -> dict[str, bytes]:
    """Register files sent by that day: the yearly extract of 2024, one a month for 2025, then one a week from January 2026.

    A register of a later day repeats earlier contracts that changed since the one before, as the national database does.
    """
    sent: list[date] = [date(2025, 1, 10)]
    sent += [date(2025, month, 10) for month in range(2, 13)]
    start = date(2026, 1, 5)
    while start <= on:
        sent.append(start)
        start += timedelta(days=7)
    files = {}
    earlier = FIRST_DEPARTURE - timedelta(days=1)
    for day in sent:
        if day > on:
            break
        fresh = list(contracts_between(earlier + timedelta(days=1), day))
        changed = [
            contract
            for contract in all_contracts(earlier)
            if any(event and earlier < event <= day for event in (contract.departed_on, contract.returned_on))
        ]
        rows = sorted(
            {contract.number: contract for contract in [*changed, *fresh]}.values(), key=lambda one: one.number
        )
        files[f"danh-sach-hop-dong_{day:%Y%m%d}.xlsx"] = write_register(rows, day, "DANH SÁCH LAO ĐỘNG THEO HỢP ĐỒNG")
        earlier = day
    return files


def canaries(on: date) -> frozenset[str]:
    """Identifying texts of every invented worker by that day; none may be found downstream of landing."""
    found = set()
    for contract in all_contracts(on):
        found |= {
            contract.full_name,
            contract.national_id,
            contract.passport,
            contract.number,
            f"{contract.born_on:%d/%m/%Y}",
        }
        if contract.certificate:
            found.add(contract.certificate)
    return frozenset(found)
