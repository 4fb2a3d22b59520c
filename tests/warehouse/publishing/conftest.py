"""A small hand-made world for the publishing tests: figures that can be checked by eye, one of every status."""

import dataclasses
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from warehouse.catalogue.claim_catalogue import claims as ledger
from warehouse.catalogue.regional_catalogue import load_regional_catalogue
from warehouse.publishing import protection
from warehouse.publishing.claims import SERIES_SCHEMA, check_claims
from warehouse.publishing.content import (
    EVIDENCE_SCHEMA,
    OBSERVATION_SCHEMA,
    Area,
    IndicatorCard,
    Receipt,
    ReleaseCatalogue,
    ReleaseContext,
    Source,
)
from warehouse.publishing.quality_summary import SCHEMA as QUALITY_SCHEMA
from warehouse.publishing.registers import no_registers

UNITS = {
    "persons": ("persons", "người", 0),
    "percent": ("%", "%", 1),
    "per_100k": ("per 100 000", "trên 100.000 dân", 0),
    "per_1000": ("per 1 000", "trên 1.000 dân", 2),
    "days": ("days", "ngày", 0),
    "index": ("index 0–100", "chỉ số 0–100", 0),
}

CARDS = {
    "LM01": (
        "Outflow of contract workers (deployments)",
        "Số lao động đi làm việc ở nước ngoài theo hợp đồng",
        "persons",
    ),
    "LM02": ("Female share of deployments", "Tỷ lệ nữ trong số lao động xuất cảnh", "percent"),
    "LM03": ("Destination share of deployments", "Tỷ trọng thị trường", "percent"),
    "LM04": ("Annual deployment plan achievement", "Thực hiện kế hoạch năm", "percent"),
    "TB01": ("TB incidence (estimate)", "Tỷ lệ mắc lao mới (ước tính)", "per_100k"),
    "TB02": ("TB notification rate", "Tỷ lệ phát hiện lao", "per_100k"),
    "TB10": ("Cross-border TB referrals initiated", "Số ca lao được chuyển gửi qua biên giới", "persons"),
    "TB11": ("Cross-border referral completion", "Tỷ lệ chuyển gửi hoàn thành", "percent"),
    "TB12": ("Days from referral to arrival", "Số ngày từ khi chuyển gửi đến khi tiếp nhận", "days"),
    "UH01": ("UHC service coverage index", "Chỉ số bao phủ dịch vụ y tế", "index"),
    "UH04": ("Health insurance coverage of migrants", "Tỷ lệ người di cư có bảo hiểm y tế", "percent"),
    "UH06": ("Access barrier prevalence: language", "Rào cản tiếp cận: ngôn ngữ", "percent"),
    "MG09": ("International migrant stock, share of population", "Tỷ lệ người di cư quốc tế trong dân số", "percent"),
    "HV01": ("New HIV infections per 1 000 uninfected", "Ca nhiễm HIV mới trên 1.000 người chưa nhiễm", "per_1000"),
}

AREAS = (
    ("BRN", "Brunei Darussalam", "Brunei"),
    ("KHM", "Cambodia", "Campuchia"),
    ("VNM", "Viet Nam", "Việt Nam"),
    ("ASEAN", "ASEAN", "ASEAN"),
)


def observation(indicator: str, area: str, period: str, value: float | None, **more: Any) -> dict[str, Any]:
    """One observation with every column filled; what the test does not care about has its plain default."""
    row: dict[str, Any] = dict.fromkeys(OBSERVATION_SCHEMA)
    year = int(period[:4])
    row |= {
        "indicator_code": indicator,
        "definition_version": "1",
        "area_code": area,
        "period_code": period,
        "sex_code": "_T",
        "age_code": "_T",
        "migrant_status_code": "_T",
        "migrant_basis_code": "_T",
        "origin_code": "_T",
        "destination_code": "_T",
        "category_code": "_T",
        "period_type_code": "year",
        "period_start_on": date(year, 1, 1),
        "period_end_on": date(year, 12, 31),
        "value": value,
        "unit_code": CARDS[indicator][2],
        "method_code": "count",
        "obs_status": "A" if value is not None else "O",
        "obs_flags": ["A"] if value is not None else ["O"],
        "source_codes": ["dolab"],
        "receipt_ids": ["r1"],
        "footnote_codes": [],
        "is_practice": False,
        "conf_status": "F",
    }
    return row | more


def _labour() -> list[dict[str, Any]]:
    totals = {"2020": 78641, "2021": 45058, "2022": 142779, "2023": 159986, "2024": 158588, "2025": 121190}
    by_destination = {
        "2022": {"JPN": 67295, "TWN": 58598, "KOR": 9968, "SGP": 1822, "CHN": 910},
        "2023": {
            "JPN": 80010, "TWN": 58620, "KOR": 11626, "CHN": 1806, "HUN": 1539, "SGP": 1355, "ROU": 840, "POL": 797,
            "HKG": 584, "MYS": 480, "SAU": 444, "RUS": 266, "MAC": 169, "_O": 1450,
        },
        "2025": {"JPN": 55049, "TWN": 47135, "KOR": 9996, "CHN": 2507, "SGP": 1823, "GRC": 728},
    }  # fmt: skip
    women = {"JPN": 34523, "TWN": 18430, "KOR": 1073, "CHN": 2, "HKG": 0, "SGP": 0, "_T": 55804}
    rows = []
    for period, value in totals.items():
        status = (
            {"obs_status": "P", "obs_flags": ["P"], "footnote_codes": ["provisional_source"]}
            if period == "2025"
            else {}
        )
        if period in ("2020", "2021"):
            status = {"footnote_codes": ["unverified_source"]}
        rows.append(observation("LM01", "VNM", period, value, **status))
        for destination, number in by_destination.get(period, {}).items():
            rows.append(observation("LM01", "VNM", period, number, destination_code=destination, **status))
            share = {"destination_code": destination, "numerator": number, "denominator": value, **status}
            rows.append(observation("LM03", "VNM", period, number / value * 100, **share))
    for destination, number in women.items():
        cell = {"destination_code": destination, "sex_code": "F"}
        rows.append(observation("LM01", "VNM", "2023", number, **cell))
        total = by_destination["2023"].get(destination, totals["2023"])
        parts = {"destination_code": destination, "numerator": number, "denominator": total}
        rows.append(observation("LM02", "VNM", "2023", number / total * 100, **parts))
    rows.append(observation("LM01", "ASEAN", "2023", 159986, coverage_share=0.15, obs_status="E", obs_flags=["E"]))
    for period, value in (("2022", 158.643), ("2023", 133.322)):
        rows.append(observation("LM04", "VNM", period, value, footnote_codes=["plan_upper_bound"]))
    return rows


def _referral() -> list[dict[str, Any]]:
    practice = {"is_practice": True, "source_codes": ["dhis2_vnm"], "receipt_ids": ["r2"]}
    hidden = {"obs_status": "Q", "obs_flags": ["Q"], "conf_status": "C", **practice}
    outward = {"origin_code": "VNM", "destination_code": "KHM"}
    return [
        observation("TB01", "VNM", "2023", 182, lower=116, upper=263, obs_status="E", obs_flags=["E"]),
        observation("TB01", "KHM", "2023", 335, lower=218, upper=478, obs_status="E", obs_flags=["E"]),
        observation("TB02", "VNM", "2026", 98.4, lower=96.24, upper=100.61, **practice),
        observation("TB10", "VNM", "2025", 112, **practice),
        observation("TB10", "VNM", "2026", 141, obs_status="P", obs_flags=["P"], **practice),
        observation("TB10", "KHM", "2025", 64, **practice),
        observation("TB10", "KHM", "2026", 71, obs_status="P", obs_flags=["P"], **practice),
        observation("TB10", "VN34-91", "2026", None, **hidden),
        observation("TB10", "VN34-80", "2026", None, **(hidden | {"conf_status": "D"})),
        observation("TB11", "VNM", "2026", 71.25, lower=63.4, upper=78.01, n=141, interval_code="wilson95", **practice),
        observation("TB11", "KHM", "2026", 66.1, lower=53.2, upper=77.0, n=31, interval_code="clopper_pearson95", **practice),
        observation("TB12", "VNM", "2026", 9, lower=7, upper=12, **practice),
        observation("TB12", "KHM", "2025", 11, lower=8, upper=15, **practice),
        observation("TB10", "VNM", "2024", 103, **outward, **practice),
        observation("TB10", "VN34-91", "2024", 60, **outward, **practice),
        observation("TB10", "VN34-80", "2024", 39, **outward, **practice),
        observation("TB10", "VN34-82", "2024", None, **outward, **hidden),
        observation("TB11", "VNM", "2024", 70.9, lower=61.5, upper=78.8, n=103, **outward, **practice),
    ]  # fmt: skip


def _survey() -> list[dict[str, Any]]:
    common = {
        "is_practice": True,
        "source_codes": ["survey_vnm"],
        "migrant_status_code": "3",
        "migrant_basis_code": "A",
        "interval_code": "logit",
    }
    return [
        observation("UH04", "VNM", "2025", 74.26, lower=70.01, upper=78.04, n=1803, **common),
        observation("UH04", "VNM", "2025", 77.0, lower=71.2, upper=81.9, n=803, sex_code="F", **common),
        observation("UH04", "VNM", "2025", 72.1, lower=66.8, upper=76.9, n=1000, sex_code="M", **common),
        observation("UH04", "VNM", "2025", 91.3, lower=86.5, upper=94.6, n=600, destination_code="JPN", **common),
        observation(
            "UH04", "VNM", "2025", 40.0, lower=25.1, upper=57.0, n=41, destination_code="THA",
            **(common | {"obs_status": "U", "obs_flags": ["U"]}),
        ),
        observation("UH06", "VNM", "2025", 33.33, lower=28.0, upper=39.1, n=700, **common),
        observation("UH06", "VNM", "2025", None, destination_code="THA", **(common | {"obs_status": "O", "obs_flags": ["U", "O"]})),
    ]  # fmt: skip


def _asean() -> list[dict[str, Any]]:
    migrants = {
        "BRN": 24.1, "KHM": 0.46, "IDN": 0.13, "LAO": 0.66, "MYS": 10.7, "MMR": 0.14, "PHL": 0.2, "SGP": 48.7,
        "THA": 4.4, "TLS": 0.6, "VNM": 0.31,
    }  # fmt: skip
    coverage = {
        "BRN": 78,
        "KHM": 58,
        "IDN": 55,
        "LAO": 52,
        "MYS": 76,
        "MMR": 52,
        "PHL": 58,
        "SGP": 89,
        "THA": 82,
        "VNM": 68,
    }
    who = {"source_codes": ["who"], "receipt_ids": ["r3"]}
    rows = [observation("MG09", area, "2024", value, **who) for area, value in migrants.items()]
    rows.append(observation("MG09", "VNM", "2020", 0.2, **who))
    rows += [observation("UH01", area, "2021", value, **who) for area, value in coverage.items()]
    rows.append(observation("UH01", "TLS", "2019", 51.6, **who))
    estimate = {"obs_status": "E", "obs_flags": ["E"], **who}
    rows.append(
        observation("MG09", "ASEAN", "2024", 1.74, coverage_share=1.0, membership_version="ASEAN11", **estimate)
    )
    rows.append(
        observation("UH01", "ASEAN", "2021", None, coverage_share=0.41, membership_version="ASEAN10",
                    **(who | {"footnote_codes": ["coverage_low"]}))
    )  # fmt: skip
    for area, value in {
        "BRN": 57,
        "IDN": 387,
        "LAO": 132,
        "MYS": 113,
        "MMR": 558,
        "PHL": 643,
        "SGP": 41,
        "THA": 157,
        "TLS": 498,
    }.items():
        rows.append(observation("TB01", area, "2023", value, lower=value * 0.64, upper=value * 1.41, **estimate))
    rows.append(observation("HV01", "KHM", "2023", 0.06, lower=0.05, upper=0.08, **estimate))
    rows.append(observation("HV01", "BRN", "2023", 0.001, **estimate))
    return rows


def world_rows() -> list[dict[str, Any]]:
    """All observations of the world."""
    return [*_labour(), *_referral(), *_survey(), *_asean()]


def protected_of(rows: list[dict[str, Any]]) -> protection.Protected:
    """The rows as a protected set. They are written with their suppressed cells already empty, so the lock is opened by hand:
    these tests are about what the writers do with a protected set, not about protection."""
    frame = pl.DataFrame(rows, schema=OBSERVATION_SCHEMA)
    audit = pl.DataFrame(
        {
            "indicator_code": ["TB10"],
            "count_role": ["value"],
            "lower": [0],
            "upper": [9],
            "width": [9],
            "required_width": [5],
        }
    )
    return protection.Protected(protection._TOKEN, frame, audit, "test-1", {})


@pytest.fixture
def observe():
    """The maker of single observations."""
    return observation


@pytest.fixture
def protect_rows():
    """The maker of protected sets from rows."""
    return protected_of


@pytest.fixture
def world():
    """Rows of the whole world, a fresh list for each test."""
    return world_rows()


def hand_made_catalogue() -> ReleaseCatalogue:
    """The shipped regional tables with the cards of the indicators in this world."""
    return ReleaseCatalogue(
        indicators=tuple(
            IndicatorCard(
                code=code,
                name_en=en,
                name_vi=vi,
                unit_code=unit,
                unit_en=UNITS[unit][0],
                unit_vi=UNITS[unit][1],
                decimals=UNITS[unit][2],
                definition_en=f"Definition of {code}.",
                definition_vi=f"Định nghĩa của {code}.",
                definition_source="hand-made",
                official_codes=("TEST",),
                source_codes=("dolab",),
            )
            for code, (en, vi, unit) in CARDS.items()
        ),
        regional=load_regional_catalogue(),
        areas=tuple(Area(*area) for area in AREAS),
        sources=(
            Source(
                "dolab",
                "Department of Overseas Labour",
                "Cục Quản lý lao động ngoài nước",
                producer="DOLAB",
                citation="Monthly releases",
            ),
            Source("dhis2_vnm", "DHIS2 Viet Nam", "DHIS2 Việt Nam", producer="Ministry of Health", is_practice=True),
            Source("survey_vnm", "Migrant health survey", "Điều tra sức khoẻ người di cư", is_practice=True),
            Source(
                "who",
                "World Health Organization",
                "Tổ chức Y tế Thế giới",
                citation="Global TB report 2024",
                licence="CC BY-NC-SA 3.0 IGO",
            ),
        ),
        version="cat-test",
    )


def hand_made_quality() -> pl.DataFrame:
    """Two reviews a week apart: reports of two countries over three months, rules, and pairs of sources."""
    rows = []
    for reviewed_at, agreeing in ((datetime(2026, 11, 22, 22), 18.0), (datetime(2026, 11, 15, 22), 15.0)):
        for area, came in (("VNM", 90.0), ("KHM", 40.0)):
            rows.append(("completeness", "reports_received", area, "_T", reviewed_at, came, 100.0, True))
            rows.append(("timeliness", "reports_in_time", area, "_T", reviewed_at, came - 10, 100.0, True))
            rows.append(("internal", "rules_held", area, "_T", reviewed_at, 990.0, 1000.0, True))
        rows.append(("external", "sender_receiver", "_T", "_T", reviewed_at, agreeing, 20.0, True))
        rows.append(("denominator", "denominator", "_T", "_T", reviewed_at, 99.0, 99.0, False))
    for area in ("VNM", "KHM"):
        for month, came in (("202608", 30.0), ("202609", 28.0), ("202610", 21.0)):
            newest = datetime(2026, 11, 22, 22)
            rows.append(("completeness", "reports_received", area, month, newest, came, 32.0, True))
            rows.append(("timeliness", "reports_in_time", area, month, newest, came - 4, 32.0, True))
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA, orient="row")


def hand_made_context() -> ReleaseContext:
    """A release made on a fixed instant."""
    return ReleaseContext(
        recorded_at=datetime(2026, 11, 22, 22, 0, 0),
        code_version="0.1.0",
        receipts=(
            Receipt("r1", "dolab", "a" * 64, "inbox/thang-12.xlsx", "2026-11-22T21:58:00Z", "2026-01-05"),
            Receipt("r2", "dhis2_vnm", "b" * 64, "https://dhis2.example/api", "2026-11-22T21:59:00Z"),
        ),
        quality=hand_made_quality(),
    )


def release_inputs() -> tuple[protection.Protected, ReleaseCatalogue, ReleaseContext]:
    """Everything that a release of the world is made from, for a process of its own."""
    protected = protected_of(world_rows())
    claims = check_claims(ledger(), protected.frame, pl.DataFrame(schema=SERIES_SCHEMA), no_registers())
    evidence = pl.DataFrame(
        [
            ("LM01", "check_passed", "labour", "core.labour_figure", "_T", "_T", 9, False, None, None),
            (
                "LM01",
                "check_failed",
                "labour",
                "core.labour_figure",
                "sums_agree",
                "_T",
                12,
                False,
                "warning: Parts add up.",
                None,
            ),
            (
                "LM01",
                "correction",
                "labour",
                "core.labour_figure",
                "DOLAB-1",
                "_T",
                7,
                False,
                "set value",
                date(2026, 7, 6),
            ),
            ("LM01", "held_back", "labour", "staging.labour_figure", "destination", "2023", None, True, None, None),
            ("LM01", "held_back", "labour", "staging.labour_figure", "destination", "1999", 31, False, None, None),
        ],
        schema=EVIDENCE_SCHEMA,
        orient="row",
    )
    context = dataclasses.replace(hand_made_context(), claims=claims, evidence=evidence)
    return protected, hand_made_catalogue(), context


@pytest.fixture
def catalogue() -> ReleaseCatalogue:
    """The catalogue of the world."""
    return hand_made_catalogue()


@pytest.fixture
def context() -> ReleaseContext:
    """The first instant of the world."""
    return hand_made_context()


@pytest.fixture
def make_release(tmp_path, catalogue, context):
    """Publishes rows on a shelf: `make_release(rows)`; later calls are later releases on the same shelf."""
    from datetime import timedelta

    from warehouse.publishing.release import build_release

    made = []

    def publish(rows: list[dict[str, Any]], shelf=tmp_path / "shelf", catalogue=catalogue):
        later = dataclasses.replace(context, recorded_at=context.recorded_at + timedelta(days=7 * len(made)))
        result = build_release(protected_of(rows), catalogue, later, shelf)
        made.append(result)
        return result

    return publish


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """The world released once, for tests that only read."""
    from warehouse.publishing.release import build_release

    return build_release(*release_inputs(), tmp_path_factory.mktemp("released") / "shelf")
