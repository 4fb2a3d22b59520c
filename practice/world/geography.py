"""The organisation-unit trees of the two practice servers: units, their time of life and their place in the tree.

Viet Nam's provinces merged on 1 July 2025: old provinces and all districts closed, new provinces opened, two facilities in
three moved under the new province with their UID, the others were replaced. Each tree has a second root with the partner
country's referral facilities, because a referral names a unit abroad. Data do not belong here.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache

from practice.world.draws import uid

MERGER_ON = date(2025, 7, 1)
LAST_OLD_DAY = date(2025, 6, 30)
SETTING_UP_AT = datetime(2023, 10, 2, 3, 0, tzinfo=UTC)
MERGER_ENTERED_AT = datetime(2025, 7, 1, 1, 0, tzinfo=UTC)

SERVERS = ("vnm", "khm")
COUNTRY = {"vnm": "VNM", "khm": "KHM"}


@dataclass(frozen=True)
class Placement:
    """Where a unit hangs from one instant on."""

    since: datetime
    parent_uid: str | None


@dataclass(frozen=True)
class OrgUnit:
    """One unit of one server's tree, with its whole life.

    `area_code` is set on provinces; `is_partner` on everything below the second root.
    """

    uid: str
    code: str
    name: str
    kind: str  # country, province, district, facility
    opening_on: date
    closed_on: date | None
    created_at: datetime
    closed_at: datetime | None
    placements: tuple[Placement, ...]
    area_code: str | None
    country_code: str
    is_partner: bool
    longitude: float
    latitude: float

    def parent_at(self, instant: datetime) -> str | None:
        """The parent's UID as the server shows it at the instant."""
        parent = self.placements[0].parent_uid
        for placement in self.placements:
            if placement.since <= instant:
                parent = placement.parent_uid
        return parent

    def is_open_on(self, day: date) -> bool:
        """True when the unit's life includes the day."""
        return self.opening_on <= day and (self.closed_on is None or day <= self.closed_on)


# GSO code of the old province, name, GSO code of the new one, districts, facilities per district, longitude, latitude.
_VN_OLD = (
    ("89", "Tỉnh An Giang", "91", ("Châu Đốc", "Tịnh Biên", "An Phú"), 2, 105.12, 10.52),
    ("91", "Tỉnh Kiên Giang", "91", ("Hà Tiên", "Giang Thành"), 3, 104.94, 10.01),
    ("72", "Tỉnh Tây Ninh", "80", ("Bến Cầu", "Trảng Bàng", "Tân Biên"), 2, 106.11, 11.37),
    ("80", "Tỉnh Long An", "80", ("Đức Huệ", "Mộc Hóa"), 3, 106.17, 10.69),
    ("87", "Tỉnh Đồng Tháp", "82", ("Hồng Ngự", "Tân Hồng"), 2, 105.69, 10.49),
    ("82", "Tỉnh Tiền Giang", "82", ("Cái Bè",), 2, 106.34, 10.37),
    ("79", "Thành phố Hồ Chí Minh", "79", ("Quận 5", "Củ Chi"), 3, 106.70, 10.78),
    ("74", "Tỉnh Bình Dương", "79", ("Dĩ An",), 3, 106.65, 11.17),
    ("77", "Tỉnh Bà Rịa - Vũng Tàu", "79", ("Châu Đức",), 2, 107.24, 10.54),
    ("66", "Tỉnh Đắk Lắk", "66", ("Buôn Đôn", "Ea Súp"), 2, 108.05, 12.71),
    ("54", "Tỉnh Phú Yên", "66", ("Tuy An",), 2, 109.09, 13.08),
)
_VN_NEW = (
    ("91", "Tỉnh An Giang", 105.08, 10.38),
    ("80", "Tỉnh Tây Ninh", 106.25, 11.05),
    ("82", "Tỉnh Đồng Tháp", 105.95, 10.43),
    ("79", "Thành phố Hồ Chí Minh", 106.70, 10.80),
    ("66", "Tỉnh Đắk Lắk", 108.45, 12.85),
)
_VN_SAME = (("01", "Thành phố Hà Nội", ("Ba Đình", "Thanh Trì"), 2, 105.83, 21.02),)
_KH = (
    ("KH-20", "Svay Rieng", ("Svay Rieng", "Chi Phu", "Romeas Hek"), 2, 105.80, 11.09),
    ("KH-21", "Takeo", ("Daun Keo", "Kirivong", "Bati"), 2, 104.79, 10.99),
    ("KH-14", "Prey Veng", ("Kampong Trabek", "Neak Loeung"), 2, 105.33, 11.48),
    ("KH-8", "Kandal", ("Koh Thom", "Takhmao"), 2, 105.05, 11.22),
    ("KH-12", "Phnom Penh", ("Daun Penh", "Sen Sok"), 3, 104.92, 11.56),
    ("KH-11", "Mondulkiri", ("Sen Monorom",), 2, 107.19, 12.46),
)
_VN_FACILITY_KINDS = ("Trung tâm Y tế", "Bệnh viện Đa khoa", "Phòng khám Lao")
_KH_FACILITY_KINDS = ("Referral Hospital", "Health Centre", "Health Post")


def _facility(
    server: str, code: str, name: str, placements: tuple[Placement, ...], opened: date, closed: date | None,
    created: datetime, longitude: float, latitude: float, country: str, partner: bool = False,
) -> OrgUnit:  # fmt: skip
    closed_at = MERGER_ENTERED_AT if closed else None
    return OrgUnit(
        uid(server, "unit", code), code, name, "facility", opened, closed, created, closed_at, placements, None, country,
        partner, longitude, latitude,
    )  # fmt: skip


def _area(
    server: str, code: str, name: str, kind: str, parent: str | None, area: str | None, country: str, *,
    opened: date = date(1997, 1, 1), closed: date | None = None, created: datetime = SETTING_UP_AT,
    partner: bool = False, longitude: float = 0.0, latitude: float = 0.0, key: str = "",
) -> OrgUnit:  # fmt: skip
    return OrgUnit(
        uid(server, "unit", key or code), code, name, kind, opened, closed, created,
        MERGER_ENTERED_AT if closed else None, (Placement(created, parent),), area, country, partner, longitude, latitude,
    )  # fmt: skip


def _viet_nam() -> list[OrgUnit]:
    root = _area("vnm", "VN", "Việt Nam", "country", None, None, "VNM", longitude=106.0, latitude=16.0)
    units = [root]
    new_uid = {}
    reused = {code for code, *_ in _VN_NEW}
    for code, name, longitude, latitude in _VN_NEW:
        province = _area(
            "vnm", code, name, "province", root.uid, f"VN34-{code}", "VNM", opened=MERGER_ON, created=MERGER_ENTERED_AT,
            longitude=longitude, latitude=latitude, key=f"VN34-{code}",
        )  # fmt: skip
        new_uid[code] = province.uid
        units.append(province)
    for code, name, new_code, districts, per_district, longitude, latitude in _VN_OLD:
        # DHIS2 wants unique codes: where the number was re-issued, the administrator marked the closed unit.
        shown_code = f"{code}-CU" if code in reused else code
        province = _area(
            "vnm", shown_code, name, "province", root.uid, f"VN63-{code}", "VNM", closed=LAST_OLD_DAY,
            longitude=longitude, latitude=latitude, key=f"VN63-{code}",
        )  # fmt: skip
        units.append(province)
        number = 0
        for d, district_name in enumerate(districts):
            district = _area(
                "vnm", f"VN-{code}-D{d + 1}", district_name, "district", province.uid, None, "VNM", closed=LAST_OLD_DAY,
                longitude=longitude + 0.1 * d, latitude=latitude,
            )  # fmt: skip
            units.append(district)
            for f in range(per_district):
                number += 1
                facility = f"VN-{code}-F{number}"
                label = f"{_VN_FACILITY_KINDS[(number - 1) % 3]} {district_name} {f + 1}"
                place = (longitude + 0.1 * d + 0.02 * f, latitude + 0.03 * f)
                before = Placement(SETTING_UP_AT, district.uid)
                if number % 3:
                    after = Placement(MERGER_ENTERED_AT, new_uid[new_code])
                    units.append(
                        _facility(
                            "vnm",
                            facility,
                            label,
                            (before, after),
                            date(2005, 1, 1),
                            None,
                            SETTING_UP_AT,
                            *place,
                            "VNM",
                        )
                    )
                    continue
                units.append(
                    _facility(
                        "vnm", facility, label, (before,), date(2005, 1, 1), LAST_OLD_DAY, SETTING_UP_AT, *place, "VNM"
                    )
                )
                heir = (Placement(MERGER_ENTERED_AT, new_uid[new_code]),)
                units.append(
                    _facility(
                        "vnm",
                        f"{facility}N",
                        f"{label} (khu vực)",
                        heir,
                        MERGER_ON,
                        None,
                        MERGER_ENTERED_AT,
                        *place,
                        "VNM",
                    )
                )
    for code, name, districts, per_district, longitude, latitude in _VN_SAME:
        province = _area(
            "vnm", code, name, "province", root.uid, f"VN34-{code}", "VNM", longitude=longitude, latitude=latitude,
            key=f"VN34-{code}",
        )  # fmt: skip
        units.append(province)
        number = 0
        for d, district_name in enumerate(districts):
            district = _area(
                "vnm", f"VN-{code}-D{d + 1}", district_name, "district", province.uid, None, "VNM", closed=LAST_OLD_DAY
            )
            units.append(district)
            for f in range(per_district):
                number += 1
                moves = (Placement(SETTING_UP_AT, district.uid), Placement(MERGER_ENTERED_AT, province.uid))
                units.append(
                    _facility(
                        "vnm",
                        f"VN-{code}-F{number}",
                        f"{_VN_FACILITY_KINDS[(number - 1) % 3]} {district_name} {f + 1}",
                        moves,
                        date(2005, 1, 1),
                        None,
                        SETTING_UP_AT,
                        longitude + 0.02 * f,
                        latitude,
                        "VNM",
                    )
                )
    return units


def _cambodia() -> list[OrgUnit]:
    root = _area("khm", "KH", "Cambodia", "country", None, None, "KHM", longitude=105.0, latitude=12.5)
    units = [root]
    for code, name, districts, per_district, longitude, latitude in _KH:
        province = _area("khm", code, name, "province", root.uid, code, "KHM", longitude=longitude, latitude=latitude)
        units.append(province)
        number = 0
        for d, district_name in enumerate(districts):
            district = _area(
                "khm", f"{code}-D{d + 1}", f"OD {district_name}", "district", province.uid, None, "KHM",
                longitude=longitude + 0.1 * d, latitude=latitude,
            )  # fmt: skip
            units.append(district)
            for f in range(per_district):
                number += 1
                # One facility opened during the history, so that its early months expect no report.
                opened = date(2025, 3, 1) if (code, number) == ("KH-20", 6) else date(2004, 1, 1)
                created = datetime(2025, 2, 24, 2, 0, tzinfo=UTC) if opened.year == 2025 else SETTING_UP_AT
                units.append(
                    _facility(
                        "khm",
                        f"{code}-F{number}",
                        f"{district_name} {_KH_FACILITY_KINDS[(number - 1) % 3]} {f + 1}",
                        (Placement(created, district.uid),),
                        opened,
                        None,
                        created,
                        longitude + 0.1 * d + 0.02 * f,
                        latitude + 0.03 * f,
                        "KHM",
                    )
                )
    return units


_REFERRING = {
    "vnm": ("VN-89-F1", "VN-89-F2", "VN-89-F4", "VN-91-F1", "VN-72-F1", "VN-72-F2", "VN-72-F4", "VN-80-F1", "VN-80-F2", "VN-87-F1",
            "VN-79-F1", "VN-79-F2"),
    "khm": ("KH-20-F1", "KH-20-F2", "KH-20-F3", "KH-20-F4", "KH-21-F1", "KH-21-F2", "KH-21-F3", "KH-21-F5", "KH-14-F1", "KH-14-F3",
            "KH-12-F1"),
}  # fmt: skip
PARTNER = {"vnm": "khm", "khm": "vnm"}


def _partner_root(server: str, home_units: dict[str, list[OrgUnit]]) -> list[OrgUnit]:
    """The second root: the partner country's referral facilities as this server knows them, with UIDs of its own."""
    partner = PARTNER[server]
    country = COUNTRY[partner]
    by_uid = {unit.uid: unit for unit in home_units[partner]}
    label = {"vnm": "Campuchia (cơ sở tiếp nhận)", "khm": "Viet Nam (partner facilities)"}[server]
    root = _area(server, f"{country}-PARTNER", label, "country", None, None, country, partner=True)
    units = [root]
    provinces: dict[str, OrgUnit] = {}
    for code in _REFERRING[partner]:
        original = by_uid[uid(partner, "unit", code)]
        home = by_uid[original.placements[-1].parent_uid or ""]
        while home.kind != "province":
            home = by_uid[home.placements[-1].parent_uid or ""]
        area = home.area_code or ""
        if area not in provinces:
            provinces[area] = _area(
                server, f"P-{area}", home.name, "province", root.uid, area, country, partner=True, key=f"partner-{area}"
            )
            units.append(provinces[area])
        units.append(
            _facility(
                server,
                code,
                original.name,
                (Placement(SETTING_UP_AT, provinces[area].uid),),
                original.opening_on,
                None,
                SETTING_UP_AT,
                original.longitude,
                original.latitude,
                country,
                partner=True,
            )
        )
    return units


@cache
def org_units(server: str) -> tuple[OrgUnit, ...]:
    """Every unit that the server has or will have, in tree order by code; the same for every seed."""
    home = {"vnm": _viet_nam(), "khm": _cambodia()}
    return tuple(home[server] + _partner_root(server, home))


@cache
def units_by_uid(server: str) -> dict[str, OrgUnit]:
    """The units of a server by UID."""
    return {unit.uid: unit for unit in org_units(server)}


@cache
def referring_facilities(server: str) -> tuple[OrgUnit, ...]:
    """The server's own facilities that send and receive patients across the border."""
    by_code = {unit.code: unit for unit in org_units(server)}
    return tuple(by_code[code] for code in _REFERRING[server])


@cache
def reporting_facilities(server: str) -> tuple[OrgUnit, ...]:
    """The server's own facilities, open or closed; these report aggregate data."""
    return tuple(unit for unit in org_units(server) if unit.kind == "facility" and not unit.is_partner)


def partner_uid(server: str, facility: OrgUnit) -> str:
    """The UID under which `server` knows a facility of its partner country."""
    return uid(server, "unit", facility.code)
