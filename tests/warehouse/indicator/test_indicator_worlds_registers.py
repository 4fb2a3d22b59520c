"""Indicators over registers, facilities and published series, each in a world small enough for a pencil."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from methods import intervals
from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.indicator_engine import ImpossibleValue, compute_with_findings

AS_AT = datetime(2026, 7, 6, tzinfo=UTC)

YEAR = {"period_start_on": date(2025, 1, 1), "period_end_on": date(2025, 12, 31)}
QUARTER = {"period_start_on": date(2025, 4, 1), "period_end_on": date(2025, 6, 30)}


def counted(
    register: str, number: float, *, span: dict[str, date] = YEAR, area: str = "VNM", **codes: str
) -> dict[str, Any]:
    key = ":".join([area, str(span["period_start_on"]), *codes.values()])
    return {"file_code": "f", "register_code": register, "record_code": key, "area_code": area, "quantity": number,
            "is_practice": True, "receipt_id": "p1", **span, **{f"{name}_code": code for name, code in codes.items()}}  # fmt: skip


def published(series: str, area: str, value: float, year: int = 2019, **more: Any) -> dict[str, Any]:
    return {"series_code": series, "edition_code": "now", "area_code": area, "year": year, "value": value,
            "is_current_edition": True, **more}  # fmt: skip


def contract(
    token: str, departed: date | None = None, returned: date | None = None, reason: str = "_Z", **more: Any
) -> dict[str, Any]:
    return {"contract_token": token, "sex_code": "F", "destination_code": "JPN", "departed_on": departed, "examination_result_code": "_U",
            "returned_on": returned, "return_reason_code": reason, "is_practice": True, "receipt_id": "c1", **more}  # fmt: skip


# Proportions and rates of two registers: indicator, upper register, lower register, factor, interval.
PAIRS = [
    ("TB05", "tb_rr_success", "tb_rr_started", 100, "proportion"),
    ("TB07", "tb_hiv_status_known", "tb_hiv_status_asked", 100, "proportion"),
    ("TB15", "tb_contacts_screened", "tb_contacts_identified", 100, "proportion"),
    ("HV04", "hiv_viral_suppressed", "hiv_viral_tested", 100, "proportion"),
    ("HV02", "hiv_diagnosed", "hiv_living_estimated", 100, "none"),
    ("HV03", "hiv_on_treatment", "hiv_living_estimated", 100, "none"),
    ("GV01", "gcm_tasks_completed", "gcm_tasks_due", 100, "none"),
    ("TB14", "tb_screening_found", "tb_screening_screened", 100_000, "rate"),
    ("PE04", "poe_events", "poe_arrivals", 100_000, "rate"),
]


@pytest.mark.parametrize(("code", "upper", "lower", "factor", "interval"), PAIRS)
def test_two_registers_divide(world: Any, code: str, upper: str, lower: str, factor: float, interval: str) -> None:
    world.put("core.programme_count", counted(upper, 30), counted(lower, 60))
    cell = world.observe(code).where("VNM", "2025")
    assert (cell["numerator"], cell["denominator"], cell["value"]) == (30, 60, 0.5 * factor)
    assert cell["is_practice"]
    if interval == "none":
        assert cell["lower"] is None
    elif interval == "proportion":
        assert cell["interval_code"] == "wilson95"
        assert cell["lower"] == pytest.approx(100 * float(intervals.wilson(30, 60).lower))
    else:
        assert cell["interval_code"] == "garwood95"
        assert cell["upper"] == pytest.approx(float(intervals.garwood(30).upper) / 60 * factor)


@pytest.mark.parametrize(("code", "upper", "lower"), [(code, upper, lower) for code, upper, lower, _, _ in PAIRS])
def test_a_register_that_was_not_sent_is_no_zero(world: Any, code: str, upper: str, lower: str) -> None:
    world.put("core.programme_count", counted(lower, 60))
    assert not world.observe(code).has("VNM", "2025")


def test_hv02_above_hundred_is_flagged_and_not_cut(world: Any) -> None:
    world.put("core.programme_count", counted("hiv_diagnosed", 63), counted("hiv_living_estimated", 60))
    cell = world.observe("HV02").where("VNM", "2025")
    assert cell["value"] == pytest.approx(105)
    assert "outside_plausible_range" in cell["footnote_codes"]
    assert "V" in cell["obs_flags"]


@pytest.mark.parametrize(
    ("code", "register", "codes"),
    [
        ("TB17", "trainings", ["DOCTOR", "NURSE"]),
        ("LM12", "handbooks", ["PRINT", "DIGITAL"]),
        ("PE05", "beneficiaries", ["FRONTLINE", "CITIZENS"]),
    ],
)  # fmt: skip
def test_counts_add_their_parts(world: Any, code: str, register: str, codes: list[str]) -> None:
    world.put(
        "core.programme_count",
        *[counted(register, number, category=name) for number, name in zip((4, 8), codes, strict=True)],
    )
    cells = world.observe(code)
    assert cells.where("VNM", "2025")["value"] == 12
    assert cells.where("VNM", "2025", category=codes[1])["value"] == 8


def test_mg08_shows_the_lower_end_of_the_stated_range(world: Any) -> None:
    world.put(
        "core.programme_count", {**counted("remittances", 6500), "note_code": "published_range", "is_practice": False}
    )
    cell = world.observe("MG08").where("VNM", "2025")
    assert (cell["value"], cell["is_practice"]) == (6500, False)
    assert "published_range" in cell["footnote_codes"]


def test_mg06_mean_of_the_three_cheapest_and_null_below_three(world: Any) -> None:
    japan, thailand = {"origin": "JPN", "destination": "VNM"}, {"origin": "THA", "destination": "KHM"}
    for name, cost in (("S1", 5.0), ("S2", 3.0), ("S3", 4.0), ("S4", 9.0)):
        row = counted("remittance_services", cost, span=QUARTER, **japan, category=name)
        world.put("core.programme_count", row)
    for name in ("S1", "S2"):
        row = counted("remittance_services", 1.0, span=QUARTER, area="KHM", **thailand, category=name)
        world.put("core.programme_count", row)
    cells = world.observe("MG06")
    assert cells.where("VNM", "2025Q2", origin="JPN", destination="VNM")["value"] == 4
    assert not any(cell["area_code"] == "KHM" for cell in cells), "two services are no SmaRT average"


def test_tp02_and_tp03_read_the_restricted_schema(world: Any) -> None:
    world.put(
        "restricted.victim_count",
        counted("victims_received", 40, category="LABOUR"), counted("victims_received", 10, category="SECURITY"),
        counted("victims_supported", 30, category="LABOUR"), counted("victims_supported", 10, category="SECURITY"),
        counted("victims_with_care", 15, category="LABOUR"),
    )  # fmt: skip
    world.put("core.programme_count", counted("victims_received", 999))
    supported = world.observe("TP02")
    assert supported.where("VNM", "2025")["value"] == 80
    assert supported.where("VNM", "2025", category="LABOUR")["value"] == 75
    assert world.observe("TP03").where("VNM", "2025")["value"] == 30


@pytest.fixture
def contracts(world: Any) -> Any:
    """Two abroad all year, one who left in June, one back ill in March, one who died in September, one of an old province."""
    world.put(
        "core.labour_contract",
        contract("a", date(2023, 5, 1)),
        contract("b", date(2023, 6, 1), sex_code="M"),
        contract("c", date(2025, 6, 1), has_orientation_certificate=True, origin_area_code="VN34-91",
                 examined_on=date(2025, 5, 1), examination_result_code="fit"),
        contract("d", date(2024, 2, 1), date(2025, 3, 1), "health"),
        contract("e", date(2024, 2, 1), date(2025, 9, 1), "death"),
        contract("f", date(2025, 7, 1), has_orientation_certificate=False, origin_area_code="VN63-89"),
        contract("g", examined_on=date(2025, 5, 2), examination_result_code="unfit", destination_code="KOR"),
        contract("h", examined_on=date(2025, 5, 3), examination_result_code="_U"),
    )  # fmt: skip
    return world


def test_lm05_by_province_of_the_new_frame(contracts: Any) -> None:
    contracts.put(
        "core.programme_count",
        counted("labour_force", 5_000, area="VN34-91"),
        counted("labour_force", 9_000, area="KH-20"),
    )
    cells = contracts.observe("LM05")
    cell = cells.where("VN34-91", "2025")
    assert (cell["numerator"], cell["denominator"], cell["value"]) == (2, 5_000, 4)
    assert cells.where("VN34-91", "2025")["interval_code"] == "garwood95"
    assert not cells.has("KH-20", "2025"), "a labour force without a register is not zero departures"
    assert cells.where("VNM", "2023")["value"] is None, "no labour force of 2023: missing, not zero"


def test_lm06_is_read_at_the_last_date_and_never_added(world: Any) -> None:
    world.put("core.labour_document", {"document_code": "doc", "kind_code": "press", "published_on": date(2025, 7, 1)})
    row = {
        "series_code": "stock", "window_code": "point", "destination_code": "_T", "sex_code": "_T", "document_code": "doc",
        "published_on": date(2025, 7, 1), "finality_code": "final", "precision_code": "rounded",
        "confidence_code": "confirmed",
    }  # fmt: skip
    for month, value in ((3, 600_000), (6, 650_000)):
        day = date(2025, month, 30)
        world.put(
            "core.labour_figure",
            {**row, "period_code": f"2025{month:02}", "period_start_on": day, "period_end_on": day, "value": value},
        )
    cells = world.observe("LM06")
    assert cells.where("VNM", "2025")["value"] == 650_000
    assert cells.where("VNM", "2025Q1")["value"] == 600_000
    assert "rounded_source" in cells.where("VNM", "2025")["footnote_codes"]


def test_lm07_counts_returns_by_reason(contracts: Any) -> None:
    cells = contracts.observe("LM07")
    assert cells.where("VNM", "2025")["value"] == 2
    assert cells.where("VNM", "2025", category="health")["value"] == 1


def test_lm08_and_lm09_divide_by_the_mean_of_opening_and_closing_stock(contracts: Any) -> None:
    # 2025 opens with a, b, d, e and closes with a, b, c, f: four and four, so four worker-years.
    early = contracts.observe("LM08").where("VNM", "2025")
    assert (early["numerator"], early["denominator"], early["value"]) == (1, 4, 250)
    deaths = contracts.observe("LM09").where("VNM", "2025")
    assert (deaths["numerator"], deaths["denominator"], deaths["value"]) == (1, 4, 25_000)
    men = contracts.observe("LM09").where("VNM", "2025", sex="M")
    assert (men["numerator"], men["value"]) == (0, 0), "a register with worker-years and no death says zero"


def test_lm08_counts_only_the_part_of_the_year_that_has_passed(contracts: Any) -> None:
    # As at 6 July 2026: 187 of 365 days; four abroad at both ends.
    assert contracts.observe("LM08").where("VNM", "2026")["denominator"] == pytest.approx(4 * 187 / 365)


def test_lm10_leaves_out_what_the_register_does_not_say(contracts: Any) -> None:
    cell = contracts.observe("LM10").where("VNM", "2025")
    assert (cell["numerator"], cell["denominator"], cell["value"]) == (1, 2, 50)
    assert cell["interval_code"] == "clopper_pearson95"


def test_lm11_counts_candidates_with_a_result(contracts: Any) -> None:
    cells = contracts.observe("LM11")
    assert cells.where("VNM", "2025")["value"] == 50
    assert cells.where("VNM", "2025", destination="JPN")["value"] == 0


def reported(concept: str, value: float, category: str = "_T") -> dict[str, Any]:
    return {"instance_code": "vnm", "data_element_uid": concept, "period_code": "2025Q2", "org_unit_uid": "u1",
            "category_option_combo_uid": category, "attribute_option_combo_uid": "x", "concept_code": concept,
            "category_code": category, "value_number": value, **QUARTER}  # fmt: skip


@pytest.fixture
def clinic(world: Any) -> Any:
    world.put(
        "core.org_unit",
        {"instance_code": "vnm", "org_unit_uid": "u1", "country_code": "VNM", "province_area_code": "VN34-91"},
    )
    return world


def test_tb03_divides_by_known_birthplace(clinic: Any) -> None:
    clinic.put(
        "core.data_value",
        *[
            reported("TB_NOTIFIED_BY_ORIGIN", value, f"migrant_status={status}")
            for status, value in (("0", 36), ("2", 4), ("99", 10))
        ],
    )
    cell = clinic.observe("TB03").where("VNM", "2025Q2")
    assert (cell["numerator"], cell["denominator"], cell["value"]) == (4, 40, 10)


def test_tb04_and_tb09_share_a_cohort_without_those_moved_on(clinic: Any) -> None:
    outcomes = {
        "CURED": 40,
        "COMPLETED": 40,
        "FAILED": 4,
        "DIED": 6,
        "LOST": 8,
        "NOT_EVALUATED": 2,
        "MOVED_SECOND_LINE": 50,
    }
    clinic.put("core.data_value", *[reported(f"TB_OUTCOME_{name}", value, "sex=F") for name, value in outcomes.items()])
    success = clinic.observe("TB04")
    assert (success.where("VNM", "2025Q2")["denominator"], success.where("VNM", "2025Q2")["value"]) == (100, 80)
    assert success.where("VNM", "2025", sex="F")["value"] == 80
    assert not success.has("VNM", "2024"), "a cohort without outcomes has no rate, and no zero"
    assert clinic.observe("TB09").where("VN34-91", "2025Q2")["value"] == 8


def test_hv06_by_sex_and_age(clinic: Any) -> None:
    clinic.put(
        "core.data_value",
        reported("HIV_TESTED", 200, "sex=F:age=Y15T24"), reported("HIV_TESTED", 300, "sex=M:age=Y15T24"),
        reported("HIV_POSITIVE", 2, "sex=F:age=Y15T24"), reported("HIV_POSITIVE", 8, "sex=M:age=Y15T24"),
    )  # fmt: skip
    cells = clinic.observe("HV06")
    assert cells.where("VNM", "2025")["value"] == 2
    assert cells.where("VNM", "2025", sex="F")["value"] == 1
    assert cells.where("VNM", "2025", sex="F")["interval_code"] == "clopper_pearson95", "two events"
    assert cells.where("VNM", "2025", age="Y15T24")["numerator"] == 10


def test_tb13_counts_referrals_at_least_a_year_old(world: Any) -> None:
    base = {"disease_code": "TB", "link_code": "linked", "from_country_code": "VNM", "to_country_code": "KHM"}
    world.put(
        "core.referral",
        {"referral_code": "a", "referred_on": date(2025, 3, 1), "outcome_code": "CURED", **base},
        {"referral_code": "b", "referred_on": date(2025, 3, 1), "outcome_code": "NOT_EVALUATED", **base},
        {"referral_code": "c", "referred_on": date(2025, 3, 1), **base},
        {"referral_code": "d", "referred_on": date(2025, 9, 1), "outcome_code": "CURED", **base},
    )
    cell = world.observe("TB13").where("VNM", "2025")
    assert (cell["numerator"], cell["denominator"]) == (1, 3)


def test_dq02_is_never_above_dq01(clinic: Any) -> None:
    from datetime import datetime

    clinic.put("core.data_set_assignment", {"instance_code": "vnm", "data_set_uid": "d", "org_unit_uid": "u1",
               "data_set_code": "TB", "period_type_code": "Quarterly", "timely_days": 15})  # fmt: skip
    done = {"instance_code": "vnm", "data_set_uid": "d", "org_unit_uid": "u1", "is_completed": True}
    for quarter, start, end, registered in ((1, date(2025, 1, 1), date(2025, 3, 31), datetime(2025, 4, 15)),
                                            (2, date(2025, 4, 1), date(2025, 6, 30), datetime(2025, 7, 16))):  # fmt: skip
        clinic.put("core.data_set_registration", {**done, "period_code": f"2025Q{quarter}", "period_start_on": start,
                   "period_end_on": end, "registered_at": registered})  # fmt: skip
    complete, timely = clinic.observe("DQ01"), clinic.observe("DQ02")
    assert (complete.where("VNM", "2025Q1")["value"], timely.where("VNM", "2025Q1")["value"]) == (100, 100)
    assert (complete.where("VNM", "2025Q2")["value"], timely.where("VNM", "2025Q2")["value"]) == (100, 0)
    assert (complete.where("VNM", "2025Q3")["value"], timely.where("VNM", "2025Q3")["value"]) == (0, 0)


REFERENCE = {
    "HV01": "hiv_incidence_rate", "MC01": "maternal_mortality_ratio", "MG03": "missing_migrants", "MG05": "remittance_cost",
    "MG07": "remittances_received_share_gdp", "MG10": "occupational_injuries_fatal", "MG11": "occupational_injuries_nonfatal",
    "ML01": "malaria_incidence_rate", "UH01": "uhc_service_coverage", "UH03": "catastrophic_spending_10",
}  # fmt: skip


@pytest.mark.parametrize(("code", "series"), REFERENCE.items())
def test_published_figures_are_taken_as_they_are(world: Any, code: str, series: str) -> None:
    world.put("core.reference_value", published(series, "LAO", 3.25), published("other_series", "LAO", 9))
    cell = world.observe(code).where("LAO", "2019")
    assert cell["value"] == 3.25
    assert cell["lower"] is None
    assert cell["numerator"] is None
    assert not cell["is_practice"]


def test_a_published_zero_is_zero_and_an_absent_year_is_nothing(world: Any) -> None:
    world.put("core.reference_value", published("malaria_incidence_rate", "LAO", 0))
    cells = world.observe("ML01")
    assert cells.where("LAO", "2019")["value"] == 0
    assert not cells.has("LAO", "2018")


def test_two_current_figures_for_one_cell_stop_the_indicator(world: Any) -> None:
    from warehouse.indicator_engine import IndicatorError

    world.put(
        "core.reference_value",
        published("uhc_service_coverage", "LAO", 50),
        published("uhc_service_coverage", "LAO", 51, edition_code="twin"),
    )
    with pytest.raises(IndicatorError, match="more than one published figure"):
        world.observe("UH01")


@pytest.mark.parametrize(("code", "series"), [("MG02", "migration_policy_level"), ("GV02", "health_worker_density")])
def test_series_by_category(world: Any, code: str, series: str) -> None:
    world.put(
        "core.reference_value",
        published(series, "LAO", 3, category_code="D1"),
        published(series, "LAO", 4, category_code="D2"),
    )
    cells = world.observe(code)
    assert cells.where("LAO", "2019", category="D2")["value"] == 4
    assert not cells.has("LAO", "2019"), "no total was published and none is made up"


def test_pe01_is_the_mean_of_the_capacities_and_pe02_one_of_them(world: Any) -> None:
    world.put(
        "core.reference_value",
        published("ihr_capacity", "LAO", 40, category_code="SPAR01"), published("ihr_capacity", "LAO", 80, category_code="SPAR11"),
        published("ihr_capacity", "LAO", 5, category_code="IHR01"),
    )  # fmt: skip
    assert world.observe("PE01").where("LAO", "2019")["value"] == 60, "the old questionnaire is not mixed in"
    assert world.observe("PE02").where("LAO", "2019")["value"] == 80


def test_tp01_detected_victims_over_residents(world: Any) -> None:
    world.put(
        "core.reference_value",
        published("trafficking_victims_detected", "LAO", 10),
        published("population_wpp", "LAO", 2_000_000),
    )
    cell = world.observe("TP01").where("LAO", "2019")
    assert cell["value"] == pytest.approx(0.5)
    assert cell["lower"] == pytest.approx(4.795389 / 20, abs=1e-6)
    assert "detected_not_prevalent" in cell["footnote_codes"]


@pytest.mark.parametrize("code", ["MG01", "MG12", "NC02", "NC03", "MH01", "MC02", "UH02", "UH09"])
def test_other_survey_estimates(world: Any, code: str) -> None:
    world.put(
        "estimate.survey_estimate",
        {"survey_code": "s", "wave_code": "w", "measure_code": code, "area_code": "KHM", "period_code": "2025Q3", "value": 0.25,
         "se": 0.03, "lower": 0.2, "upper": 0.31, "interval_code": "logit95", "n_unweighted": 400, "reliability_code": "shown",
         "is_probability": True, "migrant_basis_code": "C"},
    )  # fmt: skip
    cell = world.observe(code).where("KHM", "2025Q3")
    factor = indicator_catalogue().indicators[code].factor
    assert (cell["value"], cell["lower"], cell["migrant_basis_code"]) == (
        0.25 * factor,
        pytest.approx(0.2 * factor),
        "C",
    )


def test_asean_row_of_a_whole_indicator_by_hand(world: Any) -> None:
    """Notification rates of two members; the region has four, and Timor-Leste joins only on 26 October 2025."""
    for area, people, cases in (("VNM", 600, 6), ("KHM", 100, 4), ("LAO", 200, None), ("BRN", 100, None)):
        for year in (2024, 2025):
            world.put("core.reference_value", published("population_wpp", area, people, year))
            if cases is not None:
                world.put("core.reference_value", published("tb_notifications", area, cases, year))
    world.put(
        "core.reference_value",
        published("population_wpp", "TLS", 400, 2024),
        published("population_wpp", "TLS", 400, 2025),
    )
    cells = world.observe("TB02")
    before, after = cells.where("ASEAN", "2024"), cells.where("ASEAN", "2025")
    assert (before["membership_version"], before["coverage_share"]) == ("ASEAN4", 0.7)
    assert before["value"] == pytest.approx(10 / 700 * 100_000)
    assert before["obs_status"] == "E"
    assert before["lower"] == pytest.approx(4.795389 / 700 * 100_000, rel=1e-6)
    assert before["method_code"] == "regional_pooled"
    assert (after["membership_version"], after["coverage_share"]) == ("ASEAN5", 0.5)


def test_pe03_counts_points_that_have_all_five_capacities(world: Any) -> None:
    """Three airports: one has all five, one lacks a capacity, one left a question open and is not assessed; one crossing has all."""
    answers = {"HAN": (1, 1, 1, 1, 1), "SGN": (1, 1, 0, 1, 1), "DAD": (1, 1, 1, 1), "LAND1": (1, 1, 1, 1, 1)}
    capacities = ("CARE", "TRANSPORT", "INSPECTION", "SAFETY", "VECTORS")
    for place, given in answers.items():
        for capacity, number in zip(capacities, given, strict=False):
            code = f"{place}/{capacity}"
            world.put("core.programme_count", counted("poe_capacities", number, category=code))
    cells = world.observe("PE03")
    total = cells.where("VNM", "2025")
    assert (total["numerator"], total["denominator"]) == (2, 3)
    assert total["interval_code"] == "clopper_pearson95", "eleven places at most: the exact interval"
    assert cells.where("VNM", "2025", category="AIR")["value"] == 50
    assert cells.where("VNM", "2025", category="LAND")["value"] == 100


def test_gv01_by_ministry_and_by_objective_without_counting_a_task_twice(world: Any) -> None:
    for category, due, done in (
        ("HEALTH/GCM15", 4, 3),
        ("HEALTH/GCM1", 2, 2),
        ("LABOUR/GCM15", 4, 0),
        ("LABOUR", 10, 5),
    ):
        world.put(
            "core.programme_count",
            counted("gcm_tasks_due", due, category=category),
            counted("gcm_tasks_completed", done, category=category),
        )
    cells = world.observe("GV01")
    assert (cells.where("VNM", "2025")["numerator"], cells.where("VNM", "2025")["denominator"]) == (10, 20)
    health, labour = cells.where("VNM", "2025", category="HEALTH"), cells.where("VNM", "2025", category="LABOUR")
    assert (health["numerator"], health["denominator"]) == (5, 6)
    assert (labour["numerator"], labour["denominator"]) == (5, 14)
    both = cells.where("VNM", "2025", category="GCM15")
    assert (both["numerator"], both["denominator"], both["value"]) == (3, 8, 37.5)


def test_the_accession_is_a_break_in_the_regional_series(world: Any) -> None:
    """Four members at 50 per 100,000 in both years; in 2025 a fifth joins with 30 cases among 10,000 people."""
    for year in (2024, 2025):
        for code in ("VNM", "KHM", "LAO", "BRN"):
            world.put(
                "core.reference_value",
                published("tb_notifications", code, 125, year),
                published("population_wpp", code, 250_000, year),
            )
        world.put(
            "core.reference_value",
            published("tb_notifications", "TLS", 30, year),
            published("population_wpp", "TLS", 10_000, year),
        )
    cells = world.observe("TB02")
    before, after = cells.where("ASEAN", "2024"), cells.where("ASEAN", "2025")
    assert (before["value"], before["membership_version"], before["obs_flags"]) == (50, "ASEAN4", ["E"])
    assert after["value"] == pytest.approx(100_000 * 530 / 1_010_000)
    assert (after["membership_version"], after["obs_status"], after["obs_flags"]) == ("ASEAN5", "B", ["B", "E"])
    assert "membership_break" in after["footnote_codes"]
    assert "membership_break" not in before["footnote_codes"]
    assert (before["coverage_share"], after["coverage_share"]) == (1, 1)


def test_a_member_that_reports_nothing_lowers_the_coverage_and_is_no_zero(world: Any) -> None:
    sizes = {"VNM": 300_000, "KHM": 200_000, "LAO": 60_000, "BRN": 40_000}
    for code, size in sizes.items():
        world.put("core.reference_value", published("population_wpp", code, size, 2023))
    for code in ("VNM", "LAO"):
        world.put("core.reference_value", published("tb_notifications", code, 180, 2023))
    row = world.observe("TB02").where("ASEAN", "2023")
    assert row["value"] == pytest.approx(100_000 * 360 / 360_000)
    assert row["coverage_share"] == pytest.approx(0.6)
    world.put(
        "core.reference_value",
        published("population_wpp", "LAO", 60_000, 2022),
        published("tb_notifications", "LAO", 60, 2022),
    )
    for code in ("VNM", "KHM", "BRN"):
        world.put("core.reference_value", published("population_wpp", code, sizes[code], 2022))
    short = world.observe("TB02").where("ASEAN", "2022")
    assert (short["value"], short["obs_status"], short["coverage_share"]) == (None, "O", pytest.approx(0.1))
    assert "coverage_low" in short["footnote_codes"]


def test_women_above_all_are_withheld_and_reported(world: Any) -> None:
    """LM02: a female figure above the total is impossible; the cell is emptied, and reported with its numbers."""
    world.put(
        "core.labour_document", {"document_code": "doc", "kind_code": "bulletin", "published_on": date(2024, 1, 5)}
    )
    base = {"series_code": "deployments", "window_code": "year", "period_code": "2023", "destination_code": "_T", "document_code": "doc",
            "published_on": date(2024, 1, 5), "period_start_on": date(2023, 1, 1), "period_end_on": date(2023, 12, 31),
            "finality_code": "final", "precision_code": "exact", "confidence_code": "confirmed"}  # fmt: skip
    world.put("core.labour_figure", {**base, "sex_code": "_T", "value": 100}, {**base, "sex_code": "F", "value": 101})
    known = indicator_catalogue()
    with pytest.raises(ImpossibleValue, match="LM02: 1 impossible"):
        world.observe("LM02")
    found = compute_with_findings(world.connection, [known.indicators["LM02"]], AS_AT, catalogue=known)
    (cell,) = [row for row in found.observations.to_dicts() if row["area_code"] == "VNM"]
    assert (cell["value"], cell["obs_status"], cell["footnote_codes"][0]) == (None, "O", "impossible_withheld")


def test_a_value_outside_the_plausible_range_is_published_with_a_warning(world: Any) -> None:
    world.put(
        "core.reference_value",
        published("tb_notifications", "LAO", 900, 2023),
        published("population_wpp", "LAO", 100_000, 2023),
    )
    cell = world.observe("TB02").where("LAO", "2023")
    assert (cell["value"], cell["obs_flags"]) == (pytest.approx(900), ["V"])
    assert "outside_plausible_range" in cell["footnote_codes"]


@pytest.mark.parametrize(
    ("code", "series"), [("MG10", "occupational_injuries_fatal"), ("MG11", "occupational_injuries_nonfatal")]
)
def test_injuries_by_migrant_status_where_the_service_gives_it(world: Any, code: str, series: str) -> None:
    world.put(
        "core.reference_value",
        published(series, "KHM", 3.0, 2024),
        published(series, "KHM", 7.5, 2024, category_code="MIGRANT"),
        published(series, "KHM", 2.5, 2024, category_code="NON_MIGRANT"),
        published(series, "KHM", 4.0, 2024, category_code="MIGRANT", sex_code="M"),
    )
    cells = world.observe(code)
    assert cells.where("KHM", "2024")["value"] == 3.0
    assert cells.where("KHM", "2024", category="MIGRANT")["value"] == 7.5
    assert not cells.has("KHM", "2024", category="MIGRANT", sex="M"), "crossed only where somebody reads it"
