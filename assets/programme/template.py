"""What each register asks, as a template that the working group can fill in.

Belongs here: columns, labels and code lists of a register's template. Does not belong here: the look of the workbook
(`warehouse.publishing.register_template`), checking what comes back (`assets.programme.read`).
"""

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from assets.programme.read import Register
from methods.periods import weeks_in_year
from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.publishing.register_template import RegisterTemplate, TemplateColumn

FIRST_YEAR, LAST_YEAR = 2018, 2035
"""Years whose periods a template offers; an earlier or later one is sent as CSV."""
AREAS = Path(__file__).parents[1] / "reference" / "frames" / "area.csv"

Codes = tuple[tuple[str, str, str], ...]

_AGES: Codes = (("Y0T4", "0 to 4 years", "0-4 tuổi"), ("Y_GE5", "5 years and over", "từ 5 tuổi"))
_VICTIM_AGES: Codes = (("Y0T15", "Under 16 years", "dưới 16 tuổi"), ("Y_GE16", "16 years and over", "từ 16 tuổi"))
_LABELS = {
    "register": ({"en": "Register", "vi": "Sổ"}, {"en": "Which register the row belongs to.", "vi": "Dòng thuộc sổ nào."}),
    "area": (
        {"en": "Country or province", "vi": "Nước hoặc tỉnh"},
        {"en": "Where. Provinces by the boundaries since 1 July 2025.", "vi": "Ở đâu. Tỉnh theo địa giới từ 01/7/2025."},
    ),
    "period": (
        {"en": "Period", "vi": "Kỳ"},
        {"en": "When: a year 2026, a quarter 2026Q1, a month 202601 or a week 2026W5, as the list offers.",
         "vi": "Khi nào: năm 2026, quý 2026Q1, tháng 202601 hoặc tuần 2026W5, theo danh sách."},
    ),
    "sex": ({"en": "Sex", "vi": "Giới"}, {"en": "Empty when not told apart.", "vi": "Để trống nếu không tách giới."}),
    "age": ({"en": "Age", "vi": "Tuổi"}, {"en": "Empty when not told apart.", "vi": "Để trống nếu không tách tuổi."}),
    "origin": ({"en": "From", "vi": "Từ"}, {"en": "Country of origin.", "vi": "Nước đi."}),
    "destination": ({"en": "To", "vi": "Đến"}, {"en": "Country of destination.", "vi": "Nước đến."}),
    "category": (
        {"en": "Kind", "vi": "Nhóm"},
        {"en": "Which kind; choose from the list where there is one.", "vi": "Nhóm nào; chọn trong danh sách nếu có."},
    ),
    "number": ({"en": "Number", "vi": "Số lượng"}, {"en": "Digits; 0 for none.", "vi": "Chữ số; không có ghi 0."}),
    "note": (
        {"en": "Footnote", "vi": "Chú thích"},
        {"en": "Only when the figure needs one of the listed footnotes.", "vi": "Chỉ khi số liệu cần một chú thích trong danh sách."},
    ),
}  # fmt: skip


def template_of(register: Register) -> RegisterTemplate:
    """The template of a register: fixed and required columns first, then what it asks, number and footnote last."""
    names = ("register", "area", "period", *register.asks, "number", "note")
    return RegisterTemplate(
        register.code, register.title, register.guide, tuple(_column(name, register) for name in names)
    )


def _column(name: str, register: Register) -> TemplateColumn:
    label, help_text = _LABELS[name]
    codes: Codes = ()
    match name:
        case "area":
            codes = _areas(countries_only=register.restricted)
        case "period":
            codes = tuple((code, "", "") for kind in register.period_types for code in _periods(kind))
        case "sex":
            codes = tuple((code.code, code.name_en, code.name_vi) for code in load_codelist("sex") if code.code != "_T")
        case "age":
            codes = _VICTIM_AGES if register.restricted else _AGES
        case "origin" | "destination":
            codes = _countries()
        case "category":
            codes = _categories(register)
        case "note":
            codes = tuple((code.code, code.name_en, code.name_vi) for code in load_codelist("footnote"))
        case _:
            pass
    return TemplateColumn(
        name=name,
        label=label,
        help=help_text,
        kind="number" if name == "number" else ("code" if codes or name == "register" else "text"),
        codes=codes,
        fixed=register.code if name == "register" else None,
        most=register.most if name == "number" else None,
    )


def _categories(register: Register) -> Codes:
    names = {code.code: (code.name_en, code.name_vi) for code in load_codelist("programme_category")}

    def named(code: str) -> tuple[str, str, str]:
        parts = [names[part] for part in code.split("/")]
        return code, ", ".join(en for en, _ in parts), ", ".join(vi for _, vi in parts)

    return tuple(named(code) for code in register.category_codes)


@cache
def _area_rows() -> tuple[dict[str, str], ...]:
    with AREAS.open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def _areas(*, countries_only: bool) -> Codes:
    kinds = ("country",) if countries_only else ("country", "province")
    return tuple(
        (row["area_code"], row["name_en"], row["name_vi"])
        for row in _area_rows()
        if row["area_type_code"] in kinds and row["frame_code"] != "vn63"
    )


def _countries() -> Codes:
    """Destinations of labour export, then the members that are none of them."""
    listed = [(c.code, c.name_en, c.name_vi) for c in load_codelist("destination") if not c.code.startswith("_")]
    known = {code for code, _, _ in listed}
    return (*listed, *(area for area in _areas(countries_only=True) if area[0] not in known))


def _periods(kind: str) -> Iterator[str]:
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        match kind:
            case "Yearly":
                yield str(year)
            case "Quarterly":
                yield from (f"{year}Q{quarter}" for quarter in range(1, 5))
            case "Monthly":
                yield from (f"{year}{month:02}" for month in range(1, 13))
            case _:
                yield from (f"{year}W{week}" for week in range(1, weeks_in_year(year) + 1))
