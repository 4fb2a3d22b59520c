"""What is wanted from one DHIS2 server and what its identifiers mean to us: the `[[dhis2]]` part of the settings, typed.

Belongs here: reading and judging that part of the settings. Does not belong here: reading files or the environment
(`pipelines.settings`), asking the server whether the identifiers exist (`discover`).

The form is documented beside its keys in `practice/mhwg.toml` and in docs/dhis2.md. Unknown keys are refused.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from assets.dhis2.errors import MappingError
from methods.periods import PERIOD_TYPES

UID: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{10}")
_CODE: Final = re.compile(r"[a-z][a-z0-9_]*")
_COUNTRY_OF_FRAME: Final = {"VN63": "VNM", "VN34": "VNM", "KH": "KHM"}
_CATEGORY_ORDER: Final = ("sex", "age", "migrant_status", "migrant_basis")

IDENTIFYING_CONCEPTS: Final = frozenset({"national_id", "family_name", "given_name", "birth_date", "phone"})
"""Attribute concepts that are hashed or coarsened in memory and never landed."""

CODED_ATTRIBUTES: Final = frozenset({"sex", "nationality", "country_of_birth", "migrant_status"})
CODED_ELEMENTS: Final = frozenset({"direction", "disease", "outcome"})
UNIT_ELEMENTS: Final = frozenset({"from_org_unit", "to_org_unit"})
DATE_ELEMENTS: Final = frozenset({"treatment_started_on"})
STEPS: Final = ("sent", "received", "registered", "follow_up", "outcome")
_OPTION_LISTS: Final = frozenset({"sex", "nationality", "migrant_status", "direction", "disease", "outcome"})


@dataclass(frozen=True)
class ReferralMapping:
    """The tracker program of cross-border referrals on one server: UID -> concept, and option codes -> our codes."""

    program: str
    tracked_entity_type: str
    token_domain: str
    migrant_basis: str
    attributes: Mapping[str, str]
    stages: Mapping[str, str]
    elements: Mapping[str, str]
    options: Mapping[str, Mapping[str, str]]

    def options_of(self, concept: str) -> Mapping[str, str]:
        """Option codes of a concept; country of birth is coded like nationality."""
        return self.options.get("nationality" if concept == "country_of_birth" else concept, {})


@dataclass(frozen=True)
class DataSetMapping:
    """One aggregate data set: its elements' concepts and what its category option combos mean."""

    uid: str
    code: str
    name: str
    period_type: str
    timely_days: int
    elements: Mapping[str, str]
    category_option_combos: Mapping[str, str]
    """COC UID -> category_code, such as `sex=F:age=Y25T34`, or `_T`."""


@dataclass(frozen=True)
class InstanceMapping:
    """One DHIS2 server: where it is, how politely to ask, and what to collect."""

    code: str
    name: str
    country: str
    url: str
    credential_env: str
    root_org_units: tuple[str, ...]
    data_from: date
    province_areas: Mapping[str, str]
    referral: ReferralMapping | None = None
    data_sets: tuple[DataSetMapping, ...] = ()
    is_practice: bool = False
    overlap: timedelta = timedelta(hours=6)
    """How far behind the server's clock a watermark stays: tracker bumps a person's `updatedAt` after the event's."""
    page_size: int = 500
    max_parallel: int = 4
    read_timeout_seconds: float = 120.0
    ca_bundle: str | None = None
    proxy: str | None = None
    future_periods_days: int = 366
    """How far past the server's date data values are asked for: some data sets accept future periods."""
    coordinate_decimals: int = 2
    """Places of org units are landed no finer than this: 2 is about a kilometre. A shelter's door is nobody's business."""

    @property
    def source_code(self) -> str:
        """Name of this server as a source of receipts and watermarks."""
        return f"dhis2_{self.code}"

    @property
    def digest(self) -> str:
        """Changes when what is collected or what it means changes; a watermark of another digest is not continued."""
        skipped = {
            "name",
            "url",
            "credential_env",
            "max_parallel",
            "read_timeout_seconds",
            "ca_bundle",
            "proxy",
            "page_size",
        }
        facts = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in skipped}
        text = json.dumps(facts, default=_plain, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def element_concepts(self) -> dict[str, str]:
        """Data element UID -> concept_code over all data sets."""
        return {uid: concept for data_set in self.data_sets for uid, concept in data_set.elements.items()}

    def category_codes(self) -> dict[str, str]:
        """Category option combo UID -> category_code over all data sets."""
        return {uid: code for data_set in self.data_sets for uid, code in data_set.category_option_combos.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, ReferralMapping | DataSetMapping):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def country_of_area(area_code: str) -> str:
    """ISO3 country of an area code: `VN34-91` -> VNM, `KH-20` -> KHM, `LAO` or `LAO-01` -> LAO."""
    frame = area_code.split("-", 1)[0]
    return _COUNTRY_OF_FRAME.get(frame, frame)


def parse_instance(raw: Mapping[str, Any], *, is_practice: bool = False) -> InstanceMapping:
    """The typed form of one `[[dhis2]]` table. Raises MappingError naming server, key, what was found and what to do."""
    reader = _Reader(str(raw.get("code", "?")))
    reader.refuse_unknown(
        raw,
        "",
        required=("code", "name", "country", "url", "credential_env", "root_org_units", "data_from"),
        optional=(
            "province_areas", "referral", "data_set", "overlap_hours", "page_size", "max_parallel",
            "read_timeout_seconds", "ca_bundle", "proxy", "future_periods_days", "coordinate_decimals",
        ),
    )  # fmt: skip
    if not _CODE.fullmatch(str(raw["code"])):
        raise reader.fault("code", raw["code"], "use lower-case letters, digits and _")
    if not re.fullmatch(r"[A-Z]{3}", str(raw["country"])):
        raise reader.fault("country", raw["country"], "use the ISO 3166-1 alpha-3 code, such as VNM")
    data_from = raw["data_from"]
    if not isinstance(data_from, date):
        raise reader.fault("data_from", data_from, "write a date without quotes, such as 2024-01-01")
    roots = tuple(reader.uid("root_org_units", uid) for uid in raw["root_org_units"])
    if not roots:
        raise reader.fault("root_org_units", [], "list at least the country's own root")
    data_sets = tuple(
        _parse_data_set(reader, item, number) for number, item in enumerate(raw.get("data_set", []), start=1)
    )
    _refuse_disagreement(reader, data_sets)
    return InstanceMapping(
        code=str(raw["code"]),
        name=str(raw["name"]),
        country=str(raw["country"]),
        url=str(raw["url"]),
        credential_env=str(raw["credential_env"]),
        root_org_units=roots,
        data_from=data_from,
        province_areas={
            reader.uid("province_areas", uid): str(area) for uid, area in raw.get("province_areas", {}).items()
        },
        referral=_parse_referral(reader, raw["referral"]) if "referral" in raw else None,
        data_sets=data_sets,
        is_practice=is_practice,
        overlap=timedelta(hours=reader.number("overlap_hours", raw.get("overlap_hours", 6), at_least=0)),
        page_size=int(reader.number("page_size", raw.get("page_size", 500), at_least=1, at_most=50_000)),
        max_parallel=int(reader.number("max_parallel", raw.get("max_parallel", 4), at_least=1, at_most=10)),
        read_timeout_seconds=reader.number("read_timeout_seconds", raw.get("read_timeout_seconds", 120), at_least=0.1),
        ca_bundle=raw.get("ca_bundle"),
        proxy=reader.proxy(raw.get("proxy")),
        future_periods_days=int(reader.number("future_periods_days", raw.get("future_periods_days", 366), at_least=0)),
        coordinate_decimals=int(
            reader.number("coordinate_decimals", raw.get("coordinate_decimals", 2), at_least=0, at_most=5)
        ),
    )


def _parse_referral(reader: "_Reader", raw: Mapping[str, Any]) -> ReferralMapping:
    reader.refuse_unknown(
        raw,
        "referral",
        required=("program", "tracked_entity_type", "token_domain", "migrant_basis", "attributes", "stages", "elements", "options"),
        optional=(),
    )  # fmt: skip
    attributes = reader.concepts("referral.attributes", raw["attributes"], IDENTIFYING_CONCEPTS | CODED_ATTRIBUTES)
    stages = reader.concepts("referral.stages", raw["stages"], frozenset(STEPS))
    elements = reader.concepts("referral.elements", raw["elements"], CODED_ELEMENTS | UNIT_ELEMENTS | DATE_ELEMENTS)
    options = {
        reader.known("referral.options", concept, _OPTION_LISTS): {str(code): str(ours) for code, ours in codes.items()}
        for concept, codes in raw["options"].items()
    }
    for concept in sorted({*attributes.values(), *elements.values()} & _OPTION_LISTS):
        if concept not in options:
            raise reader.fault("referral.options", sorted(options), f"add [dhis2.referral.options.{concept}]")
    return ReferralMapping(
        program=reader.uid("referral.program", raw["program"]),
        tracked_entity_type=reader.uid("referral.tracked_entity_type", raw["tracked_entity_type"]),
        token_domain=str(raw["token_domain"]),
        migrant_basis=str(raw["migrant_basis"]),
        attributes=attributes,
        stages=stages,
        elements=elements,
        options=options,
    )


def _parse_data_set(reader: "_Reader", raw: Mapping[str, Any], number: int) -> DataSetMapping:
    place = f"data_set[{raw.get('code', number)}]"
    reader.refuse_unknown(
        raw,
        place,
        required=("uid", "code", "period_type", "timely_days", "elements", "category_option_combos"),
        optional=("name",),
    )
    if raw["period_type"] not in PERIOD_TYPES:
        raise reader.fault(f"{place}.period_type", raw["period_type"], _nearest(raw["period_type"], PERIOD_TYPES))
    return DataSetMapping(
        uid=reader.uid(f"{place}.uid", raw["uid"]),
        code=str(raw["code"]),
        name=str(raw.get("name", raw["code"])),
        period_type=raw["period_type"],
        timely_days=int(reader.number(f"{place}.timely_days", raw["timely_days"], at_least=0)),
        elements={reader.uid(f"{place}.elements", uid): str(concept) for uid, concept in raw["elements"].items()},
        category_option_combos={
            reader.uid(f"{place}.category_option_combos", uid): category_code(meaning)
            for uid, meaning in raw["category_option_combos"].items()
        },
    )


def category_code(meaning: Mapping[str, Any]) -> str:
    """One text for what a category option combo means: `concept=code` joined by `:` in fixed order, `_T` for no breakdown."""
    known = [concept for concept in _CATEGORY_ORDER if concept in meaning]
    others = sorted(set(meaning) - set(known))
    return ":".join(f"{concept}={meaning[concept]}" for concept in [*known, *others]) or "_T"


def _refuse_disagreement(reader: "_Reader", data_sets: tuple[DataSetMapping, ...]) -> None:
    """Two data sets may share an element or a combo, but not disagree about what it means."""
    seen: dict[str, str] = {}
    for data_set in data_sets:
        for uid, meaning in [*data_set.elements.items(), *data_set.category_option_combos.items()]:
            if seen.setdefault(uid, meaning) != meaning:
                raise reader.fault(
                    f"data_set[{data_set.code}]",
                    f"{uid} = {meaning}",
                    f"another data set says {seen[uid]!r}: make them agree",
                )


def _nearest(got: object, known: Any) -> str:
    near = get_close_matches(str(got), list(known), 1)
    return f"nearest known: {near[0]}" if near else f"known: {', '.join(sorted(known)[:8])}"


@dataclass(frozen=True)
class _Reader:
    """Checks of single settings, with the server's name in each fault."""

    server: str

    def fault(self, key: str, got: object, advice: str) -> MappingError:
        return MappingError(
            f"settings of DHIS2 server {self.server}: {key} is {got!r}; {advice}.", server=self.server, key=key
        )

    def refuse_unknown(
        self, raw: Mapping[str, Any], place: str, *, required: tuple[str, ...], optional: tuple[str, ...]
    ) -> None:
        prefix = f"{place}." if place else ""
        for key in raw:
            if key not in required and key not in optional:
                raise self.fault(f"{prefix}{key}", "not a known key", _nearest(key, (*required, *optional)))
        for key in required:
            if key not in raw:
                raise self.fault(f"{prefix}{key}", "missing", "add it")

    def uid(self, key: str, got: object) -> str:
        if not isinstance(got, str) or not UID.fullmatch(got):
            raise self.fault(key, got, "a DHIS2 UID has 11 letters and digits and begins with a letter")
        return got

    def known(self, key: str, got: object, known: frozenset[str]) -> str:
        if got not in known:
            raise self.fault(key, got, _nearest(got, known))
        return str(got)

    def concepts(self, key: str, raw: Mapping[str, Any], known: frozenset[str]) -> dict[str, str]:
        return {self.uid(key, uid): self.known(f"{key}.{uid}", concept, known) for uid, concept in raw.items()}

    def proxy(self, got: object) -> str | None:
        if got is None:
            return None
        parts = urlsplit(str(got))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self.fault("proxy", got, "write http://host:port")
        if parts.username or parts.password:
            # Not shown: it holds a password.
            raise self.fault(
                "proxy",
                "an address with a user name",
                "secrets do not stand in settings; set HTTPS_PROXY in the environment",
            )
        return str(got)

    def number(self, key: str, got: object, *, at_least: float, at_most: float = float("inf")) -> float:
        if isinstance(got, bool) or not isinstance(got, int | float) or not at_least <= got <= at_most:
            raise self.fault(key, got, f"write a number from {at_least} to {at_most}")
        return got
