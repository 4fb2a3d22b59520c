"""Invented patients, and how two registration desks write the same person down differently.

Everything here is synthetic. One person in twenty is a canary: names, numbers, telephone, birth date and address that occur
nowhere else, so that a test can look for them in every byte that the pipeline wrote.
"""

import random
import unicodedata
from dataclasses import dataclass, field
from datetime import date, timedelta

from practice.world.draws import stream

_VN_FAMILY = (
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Huỳnh",
    "Phan",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
    "Trương",
)
_VN_MIDDLE = {"F": ("Thị", "Ngọc", "Thu", "Kim", "Mỹ", "Thanh"), "M": ("Văn", "Hữu", "Đức", "Minh", "Quốc", "Thành")}
_VN_GIVEN = {
    "F": (
        "Lan",
        "Hương",
        "Hoa",
        "Mai",
        "Ngân",
        "Phượng",
        "Quyên",
        "Thảo",
        "Trinh",
        "Yến",
        "Hạnh",
        "Diễm",
        "Bích",
        "Nhung",
    ),
    "M": ("An", "Bình", "Cường", "Dũng", "Hải", "Hùng", "Khoa", "Long", "Nam", "Phúc", "Sơn", "Tài", "Tuấn", "Vinh"),
}
_KH_FAMILY = (
    "Sok",
    "Chea",
    "Keo",
    "Chan",
    "Heng",
    "Kim",
    "Ly",
    "Mao",
    "Meas",
    "Nhem",
    "Ouk",
    "Pich",
    "Prak",
    "Sao",
    "Seng",
    "Tep",
    "Yim",
)
_KH_GIVEN = {
    "F": (
        "Bopha",
        "Chanthou",
        "Kunthea",
        "Leakhena",
        "Malis",
        "Neary",
        "Phalla",
        "Rachana",
        "Sophea",
        "Sreymom",
        "Thida",
        "Vanna",
    ),
    "M": (
        "Borey",
        "Chamroeun",
        "Dara",
        "Kosal",
        "Makara",
        "Piseth",
        "Rithy",
        "Samnang",
        "Sokha",
        "Sovann",
        "Vuthy",
        "Veasna",
    ),
}
_CANARY_ONSETS = ("Zyxq", "Kvwor", "Qjarth", "Wzeph", "Xuquy", "Jkhwem")
_CANARY_FINALS = ("anhoz", "iemkv", "uolzq", "ykrash", "ohveq", "irzwu")


@dataclass(frozen=True)
class Person:
    """One invented patient as he or she is."""

    number: int
    country: str
    sex: str
    born_on: date
    family_name: str
    given_name: str
    national_id: str
    phone: str
    address: str
    nationality: str
    country_of_birth: str
    migrant_status: str
    is_canary: bool


@dataclass(frozen=True)
class WrittenIdentity:
    """One person as one desk wrote him or her down: attribute concept -> value; what is unknown is absent."""

    values: dict[str, str] = field(default_factory=dict)


def _canary_word(number: int, salt: int) -> str:
    mixed = number * 7 + salt * 13
    onset = _CANARY_ONSETS[mixed % len(_CANARY_ONSETS)]
    final = _CANARY_FINALS[(mixed // len(_CANARY_ONSETS)) % len(_CANARY_FINALS)]
    return f"{onset}{final}{_letters(number)}"


def _letters(number: int) -> str:
    text = ""
    while True:
        number, place = divmod(number, 26)
        text = "abcdefghijklmnopqrstuvwxyz"[place] + text
        if not number:
            return text


def person(seed: int, number: int, country: str, *, is_canary: bool) -> Person:
    """The invented patient of this number, a citizen of `country` for the most part."""
    draw = stream(seed, "person", number)
    sex = "M" if draw.random() < 0.63 else "F"
    age_years = min(92, max(0, int(draw.gauss(41, 17))))
    born_on = date(2025, 7, 1) - timedelta(days=age_years * 365 + draw.randrange(365))
    vietnamese = country == "VNM"
    if vietnamese:
        family = draw.choice(_VN_FAMILY)
        given = f"{draw.choice(_VN_MIDDLE[sex])} {draw.choice(_VN_GIVEN[sex])}"
        national_id = f"0{draw.choice(('89', '91', '72', '80', '79', '87'))}{draw.randrange(10**9):09d}"
        phone = f"+849{draw.randrange(10**8):08d}"
    else:
        family, given = draw.choice(_KH_FAMILY), draw.choice(_KH_GIVEN[sex])
        national_id = f"{draw.randrange(10**8, 10**9)}"
        phone = f"+8559{draw.randrange(10**8):08d}"
    address = f"{draw.randrange(1, 400)} ấp {draw.randrange(1, 12)}" if vietnamese else f"Phum {draw.randrange(1, 90)}"
    if is_canary:
        # Born before 1936, on a day that no register of this practice ground writes for any other reason.
        family, given = _canary_word(number, 1), _canary_word(number, 2)
        born_on = date(1926, 1, 2) + timedelta(days=(number * 7919 // 20) % 3600)
        address = f"Hẻm {_canary_word(number, 3)} {draw.randrange(1, 99)}"
    share = draw.random()
    nationality = country if share < 0.93 else ("LAO" if share < 0.95 else "_O" if share < 0.96 else country)
    birthplace = nationality if draw.random() < 0.94 else ("KHM" if nationality == "VNM" else "VNM")
    status = draw.choices(("0", "2", "5", "6", "8", "99"), weights=(4, 30, 16, 41, 1, 8))[0]
    return Person(
        number, country, sex, born_on, family, given, national_id, phone, address, nationality, birthplace, status, is_canary
    )  # fmt: skip


def sibling(original: Person, number: int) -> Person:
    """A second person that a registration desk can hardly tell from the first: the ambiguous pair."""
    return Person(
        number, original.country, original.sex, date(original.born_on.year, original.born_on.month, 28), original.family_name,
        original.given_name, "", "", original.address, original.nationality, original.country_of_birth,
        original.migrant_status, False,
    )  # fmt: skip


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(c for c in folded if unicodedata.category(c) != "Mn")


def _spaced(number: str, draw: random.Random) -> str:
    if not number or draw.random() < 0.7:
        return number
    mark = draw.choice((" ", "-", "."))
    return mark.join(number[i : i + 3] for i in range(0, len(number), 3))


def written(someone: Person, server: str, draw: random.Random, *, sure: bool) -> WrittenIdentity:
    """The person as a desk of `server` writes it: abroad without marks, in another order, with gaps and slips.

    `sure` keeps the national number, for the desk that saw the papers.
    """
    at_home = (server == "vnm") == (someone.country == "VNM")
    family, given = someone.family_name, someone.given_name
    if not at_home:
        family, given = _plain(family), _plain(given)
        if draw.random() < 0.35:
            family, given = given, family
        if draw.random() < 0.4:
            family, given = family.upper(), given.upper()
    elif draw.random() < 0.1:
        family = family.upper()
    elif draw.random() < 0.1:
        family, given = unicodedata.normalize("NFD", family), f" {given} "
    born_on = someone.born_on
    slip = draw.random()
    if not someone.is_canary:
        if slip < 0.05:
            born_on = date(born_on.year, 1, 1)
        elif slip < 0.08 and born_on.day <= 12:
            born_on = date(born_on.year, born_on.day, min(born_on.month, 28))
    values = {
        "family_name": family,
        "given_name": given,
        "sex": someone.sex if draw.random() < 0.985 else "_U",
        "birth_date": born_on.isoformat(),
        "nationality": someone.nationality,
        "migrant_status": someone.migrant_status if draw.random() < 0.95 else "99",
        "address": someone.address,
    }
    if someone.national_id and (sure or draw.random() < 0.72):
        values["national_id"] = _spaced(someone.national_id, draw)
    if someone.phone and draw.random() < 0.6:
        values["phone"] = someone.phone if draw.random() < 0.5 else "0" + someone.phone[-9:]
    if draw.random() < 0.8:
        values["country_of_birth"] = someone.country_of_birth
    return WrittenIdentity(values)
